//! Configuration of assistants and templates: a JSON object of the customer's own, within bounds.

use serde_json::{Map, Value};

/// In bytes of JSON, as it is stored.
pub(crate) const LONGEST: usize = 64 * 1024;
/// Levels of objects and arrays. Readers have limits, too.
const DEEPEST: usize = 20;

/// Checks a configuration as a whole.
pub(crate) fn check(given: Value) -> Result<Value, String> {
    if !given.is_object() {
        return Err("must be a JSON object".to_owned());
    }
    if depth(&given) > DEEPEST {
        return Err(format!("must have at most {DEEPEST} levels"));
    }
    if has_nul(&given) {
        return Err("must not hold a NUL character".to_owned());
    }
    if given.to_string().len() > LONGEST {
        return Err(format!("must have at most {LONGEST} bytes"));
    }
    Ok(given)
}

/// A template's configuration, with the members that were given in place of its own.
pub(super) fn overridden(template: Value, given: Option<Value>) -> Value {
    let (mut all, given) = match (template, given) {
        (Value::Object(all), Some(Value::Object(given))) => (all, given),
        (Value::Object(all), None) => (all, Map::new()),
        (_, given) => return given.unwrap_or_default(),
    };
    all.extend(given);
    Value::Object(all)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Postgres stores no NUL in a text.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Array(items) => items.iter().any(has_nul),
        Value::String(text) => text.contains('\0'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_are_bounded_objects() {
        assert!(check(json!({ "a": [{ "b": 1 }] })).is_ok());
        let deep = (0..DEEPEST).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(check(deep.clone()).is_ok());
        for wrong in [
            json!([]),
            json!("a"),
            json!({ "a": deep }),
            json!({ "a": "b\0" }),
            json!({ "a\0": 1 }),
            json!({ "a": "b".repeat(LONGEST) }),
        ] {
            assert!(check(wrong).is_err());
        }
    }

    #[test]
    fn what_is_given_replaces_what_the_template_has() {
        let template = json!({ "a": { "x": 1 }, "b": 2 });
        let both = overridden(template.clone(), Some(json!({ "a": { "y": 1 }, "c": 3 })));
        assert_eq!(both, json!({ "a": { "y": 1 }, "b": 2, "c": 3 }));
        assert_eq!(overridden(template.clone(), None), template);
        assert_eq!(overridden(template, Some(json!([]))), json!([]));
    }
}
