//! Fills a JSON Schema with plausible values, as a model with structured outputs would.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::actions::{Action, Transcript};

/// How deep a schema may nest (OpenAI's own limit is 10) and references may lead.
const DEEPEST: usize = 16;
/// How many values are filled in: a schema that refers to itself twice would double at every step.
const MOST_VALUES: u32 = 10_000;

/// What strict mode refuses, in words: every object must forbid additional properties and require
/// all of its own.
pub(super) fn strict_fault(schema: &Value) -> Option<String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Some("schema must be a JSON Schema of 'type: \"object\"'".to_owned());
    }
    object_fault(schema, &mut Vec::new())
}

fn object_fault(schema: &Value, path: &mut Vec<String>) -> Option<String> {
    if path.len() > DEEPEST {
        return Some("schema is nested too deeply".to_owned());
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let context = path.join("', '");
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some(format!(
                "In context=('{context}'), 'additionalProperties' is required to be supplied \
                 and to be false."
            ));
        }
        let required = schema.get("required").and_then(Value::as_array);
        let missing = properties
            .keys()
            .find(|name| !required.is_some_and(|required| required.contains(&json!(name))));
        if let Some(name) = missing {
            return Some(format!(
                "In context=('{context}'), 'required' is required to be supplied and to be \
                 an array including every key in properties. Missing '{name}'."
            ));
        }
    }
    let named = ["properties", "$defs"].iter().filter_map(|name| schema.get(name)?.as_object());
    let listed = ["anyOf", "oneOf"].iter().filter_map(|name| schema.get(name)?.as_array());
    let below = named
        .flatten()
        .map(|(name, below)| (name.clone(), below))
        .chain(listed.flatten().map(|below| ("anyOf".to_owned(), below)))
        .chain(schema.get("items").map(|below| ("items".to_owned(), below)));
    for (name, below) in below {
        path.push(name);
        let fault = object_fault(below, path);
        path.pop();
        if fault.is_some() {
            return fault;
        }
    }
    None
}

/// A value that a schema allows, with what the transcript says about it.
pub(super) fn filled(schema: &Value, transcript: &Transcript<'_>) -> Value {
    let filler = Filler {
        root: schema,
        summary: transcript.summary(),
        actions: transcript.actions(),
        left: Cell::new(MOST_VALUES),
    };
    filler.value(schema, "", 0)
}

struct Filler<'a> {
    root: &'a Value,
    summary: String,
    actions: Vec<Action>,
    left: Cell<u32>,
}

impl Filler<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        if depth > DEEPEST || left == 0 {
            return Value::Null;
        }
        if let Some(target) = self.referred(schema) {
            return self.value(target, name, depth + 1);
        }
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(choice) = choices(schema).find(|choice| self.is_compound(choice)) {
            return self.value(choice, name, depth + 1);
        }
        if is_object(schema) {
            return self.object(schema, None, depth);
        }
        if allows(schema, "array") {
            return self.array(schema, name, depth);
        }
        if let Some(known) = self.known(schema, name) {
            return known;
        }
        if allows(schema, "null") {
            return Value::Null;
        }
        if let Some(first) = options(schema).first() {
            return (*first).clone();
        }
        match choices(schema).next() {
            Some(choice) => self.value(choice, name, depth + 1),
            None => plain(schema),
        }
    }

    fn is_compound(&self, schema: &Value) -> bool {
        let schema = self.referred(schema).unwrap_or(schema);
        is_object(schema) || allows(schema, "array")
    }

    fn referred<'s>(&'s self, schema: &Value) -> Option<&'s Value> {
        let reference = schema.get("$ref")?.as_str()?;
        self.root.pointer(reference.strip_prefix('#')?)
    }

    fn object(&self, schema: &Value, action: Option<&Action>, depth: usize) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object);
        let filled: Map<String, Value> = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| {
                let said = action.and_then(|action| said(action, name, property));
                (name.clone(), said.unwrap_or_else(|| self.value(property, name, depth + 1)))
            })
            .collect();
        Value::Object(filled)
    }

    /// The action items where action items are asked for; else as few as the schema allows.
    fn array(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let items = schema.get("items").unwrap_or(&Value::Null);
        let items = self.referred(items).unwrap_or(items);
        let of_actions = items.get("properties").and_then(Value::as_object).is_some_and(|object| {
            let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
            has(&["action", "task"])
                || has(&["description"]) && (name.contains("action") || has(&["owner", "assignee"]))
        });
        if of_actions {
            let filled = |action| self.object(items, Some(action), depth + 1);
            return self.actions.iter().map(filled).collect();
        }
        let fewest = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(100);
        (0..fewest).map(|_| self.value(items, name, depth + 1)).collect()
    }

    /// What is known for a property of this name.
    fn known(&self, schema: &Value, name: &str) -> Option<Value> {
        let enumerated = !options(schema).is_empty();
        if name.contains("summary") && !enumerated && allows(schema, "string") {
            return Some(json!(self.summary));
        }
        let number = match name {
            _ if !allows(schema, "number") => None,
            _ if name.contains("confidence") => Some(0.9),
            _ if name.contains("quality") => Some(0.8),
            _ if name.contains("sentiment") => Some(0.0),
            _ => None,
        };
        if let Some(number) = number {
            return Some(json!(within(schema, number)));
        }
        let neutral = || json!("neutral");
        (name.contains("sentiment") && options(schema).contains(&&neutral())).then(neutral)
    }
}

/// What an action item says about one of its properties, if the schema allows to say it.
fn said(action: &Action, name: &str, schema: &Value) -> Option<Value> {
    let text = match name {
        "action" | "task" | "description" | "title" | "text" => Some(action.action.as_str()),
        "owner" | "assignee" | "responsible" => action.owner,
        "due" | "due_at" | "due_date" | "deadline" => action.due,
        _ => None,
    };
    let value = json!(text?);
    let options = options(schema);
    let listed = options.is_empty() || options.contains(&&value);
    (listed && allows(schema, "string") && schema.get("format").is_none()).then_some(value)
}

/// Whether the type may be this one; a schema that only lists its values or choices is of theirs.
fn allows(schema: &Value, wanted: &str) -> bool {
    let typed = match schema.get("type") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.contains(&json!(wanted)),
        _ => wanted == "null" && options(schema).contains(&&Value::Null),
    };
    typed || wanted == "null" && choices(schema).any(|choice| allows(choice, wanted))
}

fn is_object(schema: &Value) -> bool {
    allows(schema, "object") || schema.get("properties").is_some()
}

/// The alternatives of `anyOf` and `oneOf`.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let listed = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
    listed.flatten()
}

fn options(schema: &Value) -> Vec<&Value> {
    schema.get("enum").and_then(Value::as_array).into_iter().flatten().collect()
}

fn plain(schema: &Value) -> Value {
    if allows(schema, "boolean") {
        return json!(false);
    }
    if allows(schema, "integer") {
        let least = schema.get("minimum").and_then(Value::as_i64);
        return json!(least.unwrap_or(0));
    }
    if allows(schema, "number") {
        return json!(within(schema, 0.0));
    }
    let format = schema.get("format").and_then(Value::as_str);
    json!(match format {
        Some("date-time") => "2026-11-20T15:00:00Z",
        Some("date") => "2026-11-20",
        Some("time") => "15:00:00",
        Some("email") => "someone@example.com",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "unknown",
    })
}

fn within(schema: &Value, number: f64) -> f64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let number = bound("minimum").map_or(number, |least| number.max(least));
    bound("maximum").map_or(number, |most| number.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action_items() -> Value {
        json!({
            "type": "object", "additionalProperties": false,
            "required": ["summary", "sentiment_score", "items"],
            "properties": {
                "summary": { "type": ["string", "null"] },
                "sentiment_score": { "type": "number", "minimum": -1, "maximum": 1 },
                "items": { "type": "array", "items": { "$ref": "#/$defs/item" } },
            },
            "$defs": { "item": {
                "type": "object", "additionalProperties": false,
                "required": ["action", "owner", "due", "done"],
                "properties": {
                    "action": { "type": "string" },
                    "owner": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                    "due": { "type": ["string", "null"], "format": "date-time" },
                    "done": { "type": "boolean" },
                },
            } },
        })
    }

    #[test]
    fn every_required_property_is_filled() {
        let schema = action_items();
        assert_eq!(strict_fault(&schema), None);
        let transcript = Transcript::of("AI: I will send the papers tomorrow.");
        let expected = json!({
            "summary": "I will send the papers tomorrow.", "sentiment_score": 0.0,
            "items": [{
                "action": "I will send the papers tomorrow.",
                "owner": null, "due": null, "done": false,
            }],
        });
        assert_eq!(filled(&schema, &transcript), expected);
    }

    #[test]
    fn strict_mode_wants_closed_objects() {
        let mut schema = action_items();
        schema["$defs"]["item"]["additionalProperties"] = json!(true);
        assert!(strict_fault(&schema).is_some_and(|fault| fault.contains("additionalProperties")));
        let mut schema = action_items();
        schema["required"] = json!(["items"]);
        assert!(strict_fault(&schema).is_some_and(|fault| fault.contains("sentiment_score")));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let again = json!({ "$ref": "#" });
        let properties = json!({ "a": again, "b": again, "c": again, "d": again });
        let schema = json!({ "type": "object", "properties": properties });
        assert!(filled(&schema, &Transcript::of("")).is_object());
    }
}
