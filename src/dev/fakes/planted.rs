//! Calls that were not placed through a fake: put there by a test, to be found by a sweep.

use axum::http::Method;
use chrono::Utc;
use serde_json::Value;

use super::{Effect, Kind, Provider, RequestSeen, world::World};

/// Why a call was not put there. Trying again does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanted {
    /// Only voice providers have calls.
    #[error("{0} has no calls; vapi, retell and twilio have")]
    NoCalls(Provider),
    /// No object, or none with a text that is not empty under the provider's name for the id.
    #[error("a call is an object with a text `{0}`")]
    NoId(&'static str),
}

/// The provider's name for a call's id.
fn id_field(provider: Provider) -> Result<&'static str, NotPlanted> {
    match provider {
        Provider::Vapi => Ok("id"),
        Provider::Retell => Ok("call_id"),
        Provider::Twilio => Ok("sid"),
        other => Err(NotPlanted::NoCalls(other)),
    }
}

/// Puts a call there, or in the place of an earlier state of it. It is an effect of its own kind in
/// the log, so that it is there after a restart too.
pub(super) fn plant(world: &World, provider: Provider, call: Value) -> Result<(), NotPlanted> {
    let field = id_field(provider)?;
    let id = call.get(field).and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.ok_or(NotPlanted::NoId(field))?.to_owned();
    let planted = world.fake(provider).plant(&id, call, world.clock.now());
    world.effects.record(Effect {
        seq: 0,
        at: Utc::now(),
        clock_seconds: world.clock.ahead_seconds(),
        provider,
        kind: Kind::Planted,
        key: id,
        other_keys: Vec::new(),
        status: 204,
        accepted: true,
        // The call itself is the result; twice in the log would be once too often.
        request: RequestSeen {
            method: Method::PUT.to_string(),
            path: format!("/admin/calls/{provider}"),
            ..RequestSeen::default()
        },
        result: Some(planted),
    });
    Ok(())
}
