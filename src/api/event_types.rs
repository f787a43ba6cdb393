//! `/v1/event-types`: what endpoints can subscribe to, from the catalogue alone.

use std::sync::LazyLock;

use axum::Json;
use contract::events::{CATALOGUE, EventType as Known, VERSION};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ApiState, auth::Caller, extract::Name, problem::Problem};

/// Made once: each schema is some work, and none ever changes.
static ALL: LazyLock<EventTypesList> =
    LazyLock::new(|| EventTypesList { data: CATALOGUE.iter().map(EventType::of).collect() });

/// The routes of the catalogue.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Every type of event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypesList {
    /// The types.
    data: Vec<EventType>,
}

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventType {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "call.completed")]
    event_type: &'static str,
    /// What subscribes to all of its kind.
    #[schema(example = "call.*")]
    family: String,
    /// What has happened.
    #[schema(example = "A call was answered.")]
    description: &'static str,
    /// Version of its form, which only grows.
    #[schema(example = "1")]
    version: &'static str,
    /// Whether such events happen. False: they come with a later release, and have no form yet.
    available: bool,
    /// JSON Schema (2020-12) of the whole body.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    /// A whole body, made up.
    #[schema(value_type = Option<Object>)]
    example: Option<Value>,
    /// The same event for an endpoint that wants thin ones.
    #[schema(value_type = Option<Object>)]
    example_thin: Option<Value>,
}

impl EventType {
    fn of(known: &Known) -> Self {
        Self {
            event_type: known.name,
            family: known.family(),
            description: known.description,
            version: VERSION,
            available: known.is_available(),
            schema: known.schema(),
            example: known.example(),
            example_thin: known.example_thin(),
        }
    }
}

/// List types of events
///
/// All that endpoints can subscribe to, with the JSON Schema and an example of each. Any key may ask.
#[utoipa::path(get, path = "/v1/event-types", operation_id = "list_event_types",
    tag = "events", responses(
    (status = 200, description = "All types", body = EventTypesList)))]
async fn list(_: Caller) -> Json<&'static EventTypesList> {
    Json(&ALL)
}

/// Show a type of event
///
/// Its JSON Schema, an example, and what is left of it for endpoints that want it thin.
#[utoipa::path(get, path = "/v1/event-types/{type}", operation_id = "get_event_type",
    tag = "events",
    params(("type" = String, Path, description = "Its name", example = "call.completed")),
    responses(
    (status = 200, description = "The type", body = EventType),
    (status = 404, response = Problem)))]
async fn show(_: Caller, name: Name) -> Result<Json<&'static EventType>, Problem> {
    let found = ALL.data.iter().find(|known| name.is(known.event_type));
    found.map(Json).ok_or_else(|| Problem::not_found("type of event"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_example_is_what_its_schema_says() {
        for known in ALL.data.iter().filter(|known| known.available) {
            let schema = known.schema.as_ref().unwrap();
            let options = jsonschema::options().should_validate_formats(true);
            let validator = options.build(schema).unwrap();
            let example = known.example.clone().unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&example).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", known.event_type);
            for member in ["type", "timestamp"] {
                let mut wrong = example.clone();
                wrong[member] = json!("else");
                assert!(!validator.is_valid(&wrong), "{}: {member}", known.event_type);
            }
            for member in example["data"].as_object().unwrap().keys() {
                let mut wrong = example.clone();
                wrong["data"][member] = json!({ "of": ["another", "kind"] });
                assert!(!validator.is_valid(&wrong), "{}: {member}", known.event_type);
            }
        }
    }
}
