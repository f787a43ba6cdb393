//! The parts of an OpenAPI document that a client is made from.

use crate::json::Json;

const JSON: &str = "application/json";

pub(crate) struct Document {
    root: Json,
}

/// An operation.
pub(crate) struct Operation<'a> {
    /// In capitals.
    pub(crate) method: String,
    pub(crate) path: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) id: &'a str,
    pub(crate) node: &'a Json,
}

/// What an operation answers.
pub(crate) enum Answered<'a> {
    Nothing,
    /// A schema of this name.
    Json(&'a str),
    Events,
    /// Bytes of some media type.
    Bytes(&'a str),
}

/// The body of a request.
pub(crate) struct Body<'a> {
    /// A schema of this name.
    pub(crate) schema: &'a str,
    pub(crate) is_optional: bool,
}

impl Document {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let root = serde_json::from_str(text).map_err(|error| format!("openapi.json: {error}"))?;
        Ok(Self { root })
    }

    pub(crate) fn schema(&self, name: &str) -> Result<&Json, String> {
        let schemas = self.root.get("components").and_then(|node| node.get("schemas"));
        let schema = schemas.and_then(|schemas| schemas.get(name));
        schema.ok_or_else(|| format!("there is no schema {name}"))
    }

    /// All operations, in the order of the document.
    pub(crate) fn operations(&self) -> Result<Vec<Operation<'_>>, String> {
        let mut operations = Vec::new();
        let paths = self.root.get("paths").map(Json::members).unwrap_or_default();
        for (path, item) in paths {
            for (method, node) in item.members() {
                if !matches!(method.as_str(), "get" | "post" | "put" | "patch" | "delete") {
                    return Err(format!("{path}: {method} is not known to this generator"));
                }
                let method = method.to_uppercase();
                let tag = node.items("tags").first().and_then(Json::as_text);
                let tag = tag.ok_or_else(|| format!("{method} {path} has no tag"))?;
                let id = node.text("operationId");
                let id = id.ok_or_else(|| format!("{method} {path} has no operationId"))?;
                operations.push(Operation { method, path, tag, id, node });
            }
        }
        Ok(operations)
    }
}

impl<'a> Operation<'a> {
    /// As errors name it.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Parameters that stand there, in the order of the document.
    pub(crate) fn parameters(&self, place: &'static str) -> impl Iterator<Item = &'a Json> {
        let parameters = self.node.items("parameters").iter();
        parameters.filter(move |parameter| parameter.text("in") == Some(place))
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.parameters("header").any(|header| header.text("name") == Some(name))
    }

    pub(crate) fn needs_key(&self) -> bool {
        !self.node.items("security").is_empty()
    }

    pub(crate) fn body(&self) -> Result<Option<Body<'a>>, String> {
        let Some(body) = self.node.get("requestBody") else { return Ok(None) };
        let wrong = || format!("{}: its body is not JSON of a named schema", self.name());
        let schema = schema_of(body).ok_or_else(wrong)?;
        // `oneOf` with null is how a body is documented that may be left out.
        let options = schema.items("oneOf");
        let named = options.iter().chain([schema]).find_map(reference).ok_or_else(wrong)?;
        let is_optional = !options.is_empty() || !body.is("required");
        Ok(Some(Body { schema: named, is_optional }))
    }

    pub(crate) fn answered(&self) -> Result<Answered<'a>, String> {
        let wrong = |what| format!("{}: {what}", self.name());
        let success = self.responses().find(|(status, _)| status.starts_with('2'));
        let (_, response) = success.ok_or_else(|| wrong("no success is documented"))?;
        let content = response.get("content").map(Json::members).unwrap_or_default();
        if let Some(schema) = schema_of(response) {
            let named = reference(schema);
            return named
                .map(Answered::Json)
                .ok_or_else(|| wrong("its answer has no named schema"));
        }
        Ok(match content.first() {
            None => Answered::Nothing,
            Some((media_type, _)) if media_type == "text/event-stream" => Answered::Events,
            Some((media_type, _)) => Answered::Bytes(media_type),
        })
    }

    /// Statuses that are no success and answered by the same schema.
    pub(crate) fn also(&self) -> Vec<&'a str> {
        let Ok(Answered::Json(schema)) = self.answered() else { return Vec::new() };
        let same = |response| schema_of(response).and_then(reference) == Some(schema);
        let others = self.responses().filter(|(status, _)| !status.starts_with('2'));
        others.filter(|(_, response)| same(response)).map(|(status, _)| status).collect()
    }

    fn responses(&self) -> impl Iterator<Item = (&'a str, &'a Json)> {
        let responses = self.node.get("responses").map(Json::members).unwrap_or_default();
        responses.iter().map(|(status, response)| (status.as_str(), response))
    }
}

/// The schema of JSON, of a body or a response.
fn schema_of(node: &Json) -> Option<&Json> {
    node.get("content")?.get(JSON)?.get("schema")
}

/// The name of the schema that is referred to.
pub(crate) fn reference(schema: &Json) -> Option<&str> {
    schema.text("$ref")?.strip_prefix("#/components/schemas/")
}
