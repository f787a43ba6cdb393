//! A type of event: what it can say of itself.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Timestamp, family, thin};

/// Version of every type's form. A form only grows; what would break a receiver gets another one.
pub const VERSION: &str = "1";

/// What an event carries as `data`.
pub trait EventData: Serialize + JsonSchema {
    /// As it is in an example of an event of this type. Made up.
    fn example(event_type: &str) -> Self;
}

/// A type of event that an endpoint can subscribe to.
#[derive(Debug, Clone, Copy)]
pub struct EventType {
    /// Its name on the wire, as `call.completed`.
    pub name: &'static str,
    /// What has happened, in a sentence for people.
    pub description: &'static str,
    data: Option<Functions>,
}

/// What the type of `data` can say of itself.
#[derive(Debug, Clone, Copy)]
struct Functions {
    schema: fn() -> Value,
    example: fn(&str) -> Value,
}

impl EventType {
    pub(super) const fn of<D: EventData>(name: &'static str, description: &'static str) -> Self {
        let data = Some(Functions { schema: schema_of::<D>, example: example_of::<D> });
        Self { name, description, data }
    }

    /// Known and reserved: nothing emits it yet, and its form is not fixed.
    pub(super) const fn later(name: &'static str, description: &'static str) -> Self {
        Self { name, description, data: None }
    }

    /// Whether such events happen in this release.
    pub const fn is_available(&self) -> bool {
        self.data.is_some()
    }

    /// As endpoints subscribe to all of its kind: `call.*`.
    pub fn family(&self) -> String {
        family(self.name)
    }

    /// JSON Schema (2020-12) of the whole body. Nothing where the type is not available.
    pub fn schema(&self) -> Option<Value> {
        let data = (self.data?.schema)();
        Some(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "description": self.description,
            "type": "object",
            "properties": {
                "type": { "const": self.name },
                "timestamp": {
                    "description": "When it happened.",
                    "type": "string",
                    "format": "date-time",
                },
                "data": data,
            },
            "required": ["type", "timestamp", "data"],
        }))
    }

    /// The whole body of such an event, made up. Nothing where the type is not available.
    pub fn example(&self) -> Option<Value> {
        let data = (self.data?.example)(self.name);
        Some(envelope(self.name, Timestamp::example(140), data))
    }

    /// The same event as an endpoint gets it that wants thin ones.
    pub fn example_thin(&self) -> Option<Value> {
        self.example().as_ref().map(thin)
    }
}

fn schema_of<D: EventData>() -> Value {
    // One document without references: what is written is described, not what is read.
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<D>().to_value()
}

fn example_of<D: EventData>(event_type: &str) -> Value {
    serde_json::to_value(D::example(event_type)).unwrap_or_default()
}

/// The body of an event as every receiver gets it.
pub fn envelope(event_type: &str, at: Timestamp, data: Value) -> Value {
    json!({ "type": event_type, "timestamp": at, "data": data })
}
