//! Schemas of the literals that the contract defines, for the OpenAPI document.

use contract::{
    call::{CallStatus, Direction, Provider},
    steps::{Step, StepStatus},
};
use store::{
    members::MemberRole,
    reads::webhooks::{
        deliveries::State,
        logs::{Kind, Outcome},
    },
};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

pub(super) fn call_status() -> Object {
    one_of(CallStatus::ALL.iter().map(|word| word.as_str()))
}

pub(super) fn provider() -> Object {
    one_of(Provider::ALL.iter().map(|word| word.as_str()))
}

/// Null where the provider did not say.
pub(super) fn direction() -> Object {
    let words = Direction::ALL.iter().map(|word| Some(word.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.chain([None])))
        .build()
}

pub(super) fn step() -> Object {
    one_of(Step::ALL.iter().map(|word| word.as_str()))
}

pub(super) fn step_status() -> Object {
    one_of(StepStatus::ALL.iter().map(|word| word.as_str()))
}

/// What a member may do.
pub(super) fn member_role() -> Object {
    one_of(MemberRole::ALL.iter().map(|word| word.as_str()))
}

/// What an endpoint's events wait for.
pub(super) fn delivery_order() -> Object {
    one_of(["none", "call"].into_iter())
}

pub(super) fn circuit() -> Object {
    one_of(["closed", "open", "half-open"].into_iter())
}

pub(super) fn delivery_state() -> Object {
    one_of(State::ALL.iter().map(|word| word.as_str()))
}

pub(super) fn log_kind() -> Object {
    one_of(Kind::ALL.iter().map(|word| word.as_str()))
}

pub(super) fn outcome() -> Object {
    one_of(Outcome::ALL.iter().map(|word| word.as_str()))
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(words))
        .build()
}
