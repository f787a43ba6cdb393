//! What is made of small documents, and of the real one.

#![expect(clippy::unwrap_used, reason = "a failed test")]

use serde_json::{Value, json};

use crate::{document::Document, models, operations};

#[test]
fn the_client_is_what_the_document_says() {
    let said = super::run(true).map_err(|error| {
        format!("{error}. If the change of the API is wanted:\n  cargo run -p client-generator")
    });
    assert_eq!(said, Ok(()));
}

/// A document of one PATCH, whose body has this member.
fn patch(member: Value) -> Value {
    json!({
        "paths": { "/v1/things/{id}": { "patch": {
            "tags": ["things"],
            "operationId": "update_thing",
            "summary": "Change a thing",
            "parameters": [
                { "name": "id", "in": "path", "schema": { "type": "string", "format": "uuid" } },
                { "name": "If-Match", "in": "header", "schema": { "type": "string" } },
            ],
            "requestBody": {
                "required": true,
                "content": { "application/json": { "schema": {
                    "$ref": "#/components/schemas/UpdateThing"
                } } },
            },
            "responses": { "204": { "description": "Done" } },
            "security": [{ "bearer": [] }],
        } } },
        "components": { "schemas": { "UpdateThing": {
            "type": "object", "description": "What is to change.", "properties": { "kind": member },
        } } },
    })
}

fn models_of(document: &Value) -> Result<String, String> {
    models::written(&Document::read(&document.to_string())?)
}

fn operations_of(document: &Value) -> Result<String, String> {
    operations::written(&Document::read(&document.to_string())?)
}

#[test]
fn a_change_may_clear_what_may_be_null() {
    for (member, rust) in [
        (json!({ "type": "string" }), "Option<String>"),
        (json!({ "type": ["string", "null"] }), "Patch<String>"),
        (json!({ "type": ["integer", "null"], "format": "int32", "minimum": 0 }), "Patch<u32>"),
        (json!({ "type": ["string", "null"], "format": "password" }), "Patch<SecretString>"),
        (
            json!({ "type": "array", "items": { "type": "string", "format": "uuid" } }),
            "Option<Vec<Uuid>>",
        ),
        (
            json!({ "oneOf": [{ "type": "string", "format": "date" }, { "type": "null" }] }),
            "Patch<NaiveDate>",
        ),
        (
            json!({ "type": "object", "additionalProperties": { "type": "number" } }),
            "Option<BTreeMap<String, f64>>",
        ),
        (json!({ "type": "string", "enum": ["new", "of-later"] }), "Option<UpdateThingKind>"),
        (json!({}), "Option<Value>"),
    ] {
        let text = models_of(&patch(member)).unwrap();
        assert!(text.contains(&format!("    pub kind: {rust},\n")), "{rust}: {text}");
    }
}

#[test]
fn an_enum_that_nobody_named_is_called_by_its_place() {
    let text = models_of(&patch(json!({ "type": "string", "enum": ["new", "of-later"] }))).unwrap();
    let words =
        "    UpdateThingKind {\n        New = \"new\",\n        OfLater = \"of-later\",\n    }";
    assert!(text.contains(words), "{text}");
}

#[test]
fn an_operation_is_a_function_of_the_client() {
    let text = operations_of(&patch(json!({}))).unwrap();
    let expected = r#"
    /// Change a thing
    ///
    /// `PATCH /v1/things/{id}`
    pub fn update_thing(&self, id: Uuid, body: &models::UpdateThing) -> Request<(), mode::Guarded> {
        let call = Call::new(self, "PATCH /v1/things/{id}", vec![id.text()]);
        Request::new(call.body(body))
    }
"#;
    assert!(text.contains(expected.trim_start_matches('\n')), "{text}");
}

#[test]
fn what_cannot_be_typed_says_where_it_is() {
    let several = json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] });
    let nameless = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    for (member, complaint) in [
        (several, "UpdateThing.kind: may be of several types"),
        (nameless, "UpdateThing.kind: an object of its own needs a name"),
        (json!({ "$ref": "#/components/schemas/Nothing" }), "there is no schema Nothing"),
    ] {
        assert_eq!(models_of(&patch(member)).unwrap_err(), complaint);
    }
}

#[test]
fn no_two_functions_share_a_name() {
    let mut document = patch(json!({}));
    let paths = document["paths"].as_object_mut().unwrap();
    let again = paths["/v1/things/{id}"].clone();
    paths.insert("/v1/things/{key}".to_owned(), again);
    let complaint = "PATCH /v1/things/{key}: another operation is called update_thing";
    assert_eq!(operations_of(&document).unwrap_err(), complaint);
}
