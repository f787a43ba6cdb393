//! An OpenAI-compatible model whose answers follow from the transcript by rules.

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Kind,
    actions::Transcript,
    asked::Asked,
    reply::{Fake, Identity, Reply, phrase},
    schema,
};

const COMPLETIONS: [&str; 3] = ["v1", "chat", "completions"];

#[derive(Debug)]
pub(super) struct Openai;

impl Fake for Openai {
    fn identify(&self, asked: &Asked) -> Identity {
        if asked.method != Method::POST || asked.segments() != COMPLETIONS {
            return Identity::unknown(asked);
        }
        let name = format(asked).and_then(|format| format.get("name")?.as_str());
        Identity::new(Kind::Model, name.into_iter().chain(asked.field("model")))
    }

    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if asked.bearer().is_none() {
            return self.refuse(401);
        }
        if asked.method != Method::POST || asked.segments() != COMPLETIONS {
            return self.refuse(404);
        }
        let invalid = |message: &str, param: &str| {
            let error = json!({
                "message": message, "type": "invalid_request_error", "param": param, "code": null,
            });
            Reply::refused(400, json!({ "error": error }))
        };
        let Some(model) = asked.field("model") else {
            return invalid("you must provide a model parameter", "model");
        };
        let Some(messages) = asked.body.get("messages").and_then(Value::as_array) else {
            return invalid("Missing required parameter: 'messages'.", "messages");
        };
        let text = said_by("user", messages);
        let content = match content(asked, &Transcript::of(&text)) {
            Ok(content) => content,
            Err(fault) => return invalid(&fault, "response_format"),
        };
        let id: String = asked.fingerprint().chars().take(29).collect();
        let asked_tokens = asked.body.to_string().len().div_ceil(4);
        let answered_tokens = content.len().div_ceil(4);
        let completion = json!({
            "id": format!("chatcmpl-{id}"),
            "object": "chat.completion",
            "created": now.timestamp(),
            "model": model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": content, "refusal": null },
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": asked_tokens,
                "completion_tokens": answered_tokens,
                "total_tokens": asked_tokens + answered_tokens,
            },
        });
        // Nothing has to be remembered, and an answer repeats what the request says.
        Reply { result: None, ..Reply::made(200, completion) }
    }

    fn failure(&self, status: u16) -> Value {
        let (message, kind, code) = match status {
            401 => (
                "Incorrect API key provided: sk-xx. You can find your API key at \
                 https://platform.openai.com/account/api-keys.",
                "invalid_request_error",
                json!("invalid_api_key"),
            ),
            429 => ("Rate limit reached.", "requests", json!("rate_limit_exceeded")),
            500..=599 => (
                "The server had an error while processing your request. Sorry about that!",
                "server_error",
                Value::Null,
            ),
            status => (phrase(status), "invalid_request_error", Value::Null),
        };
        json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
    }
}

/// `response_format.json_schema`.
fn format(asked: &Asked) -> Option<&Value> {
    asked.body.get("response_format")?.get("json_schema")
}

/// The message that a model would answer with.
fn content(asked: &Asked, transcript: &Transcript<'_>) -> Result<String, String> {
    let Some(format) = format(asked) else { return Ok(unshaped(asked, transcript)) };
    let name = format.get("name").and_then(Value::as_str).unwrap_or_default();
    let named = (1..=64).contains(&name.len())
        && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_-".contains(&letter));
    if !named {
        return Err("Invalid 'response_format.json_schema.name'.".to_owned());
    }
    let schema = format.get("schema").unwrap_or(&Value::Null);
    let strict = format.get("strict") == Some(&Value::Bool(true));
    if let Some(fault) = schema::strict_fault(schema).filter(|_| strict) {
        return Err(format!("Invalid schema for response_format '{name}': {fault}"));
    }
    Ok(schema::filled(schema, transcript).to_string())
}

/// Without a schema to keep to: a text, or in JSON mode what a schema in the instructions says.
fn unshaped(asked: &Asked, transcript: &Transcript<'_>) -> String {
    let json_mode = asked.body.pointer("/response_format/type") == Some(&json!("json_object"));
    if !json_mode {
        return transcript.summary();
    }
    let messages = asked.body.get("messages").and_then(Value::as_array);
    let told = said_by("system", messages.map_or(&[], Vec::as_slice));
    let schema = told.find('{').and_then(|start| serde_json::from_str(told[start..].trim()).ok());
    let schema: Value = schema.unwrap_or_else(
        || json!({ "type": "object", "properties": { "summary": { "type": "string" } } }),
    );
    schema::filled(&schema, transcript).to_string()
}

/// All that a role says; a transcript is with the user and nowhere else.
fn said_by(role: &str, messages: &[Value]) -> String {
    let said = messages.iter().filter(|message| message["role"] == role);
    let texts = said.flat_map(|message| match &message["content"] {
        Value::String(text) => vec![text.as_str()],
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => Vec::new(),
    });
    texts.collect::<Vec<_>>().join("\n")
}
