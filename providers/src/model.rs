//! Extraction by a language model behind an OpenAI-compatible `POST /v1/chat/completions`.
//!
//! What a caller said is data: it goes into the user's role only, the model gets no tools, and its
//! answer counts only if it fits the schema here, whatever the server promised.

use std::time::Duration;

use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    error::ProviderError,
    http::{self, SetupError},
    operation::{Answer, Operation},
};

/// Longest time of one question; a long transcript takes a model half a minute.
pub const MODEL_TIMEOUT: Duration = Duration::from_secs(60);
/// Tokens of the first answer, and of the second if the first was cut off.
const ANSWER_TOKENS: [u32; 2] = [2_000, 8_000];
/// Most questions for one extraction: each way of asking that a server refuses costs one.
const MAX_QUESTIONS: usize = 5;

/// A question twice costs twice, but changes nothing.
const EXTRACT: Operation = Operation { provider: "model", name: "extract", repeatable: true };

/// What a model made of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelAnswer {
    /// Fits the schema that was asked for.
    pub data: Value,
    /// The exact model, as the server names it.
    pub model: String,
}

/// Asks one model of one server.
#[derive(Debug, Clone)]
pub struct ModelClient {
    client: Client,
    url: Url,
    key: SecretString,
    model: String,
}

/// How to ask. Compatible servers and newer models each refuse some of OpenAI's own parameters.
#[derive(Clone, Copy)]
struct Dialect {
    json_schema: bool,
    temperature: bool,
    max_completion_tokens: bool,
}

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Cause,
}

#[derive(Deserialize)]
struct Cause {
    code: Option<Value>,
    param: Option<String>,
    message: Option<String>,
}

struct Question<'a> {
    schema_name: &'a str,
    schema: &'a Value,
    system: &'a str,
    transcript: &'a str,
}

impl ModelClient {
    /// `base_url` as in `https://api.openai.com`, with or without `/v1`.
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(base_url: &str, key: SecretString, model: &str) -> Result<Self, SetupError> {
        Self::with_timeout(base_url, key, model, MODEL_TIMEOUT)
    }

    fn with_timeout(
        base_url: &str,
        key: SecretString,
        model: &str,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        let base_url = http::base_url("model", base_url)?;
        let path: &[&str] = if base_url.path().trim_end_matches('/').ends_with("/v1") {
            &["chat", "completions"]
        } else {
            &["v1", "chat", "completions"]
        };
        let url = http::under(&base_url, path);
        Ok(Self { client: http::client(timeout)?, url, key, model: model.to_owned() })
    }

    /// Extracts data that fits `schema` from a transcript.
    ///
    /// `schema_name` matches `[A-Za-z0-9_-]{1,64}`. `schema` follows OpenAI's strict rules: every
    /// object closed, every property required.
    ///
    /// # Errors
    /// `Rejected` when the model declines, the quota is used up or the request can never work;
    /// `Malformed` when the answer does not fit the schema, which another try may change.
    pub async fn extract(
        &self,
        schema_name: &str,
        schema: &Value,
        system: &str,
        transcript: &str,
    ) -> Result<ModelAnswer, ProviderError> {
        let validator =
            jsonschema::validator_for(schema).map_err(|_| EXTRACT.rejected("invalid_schema"))?;
        let question = Question { schema_name, schema, system, transcript };
        let mut dialect =
            Dialect { json_schema: true, temperature: true, max_completion_tokens: true };
        let mut tokens = ANSWER_TOKENS.into_iter();
        let mut limit = tokens.next().unwrap_or(1);
        for _ in 0..MAX_QUESTIONS {
            let body = self.body(&question, dialect, limit);
            let request = self.client.post(self.url.clone()).bearer_auth(self.key.expose_secret());
            let answer = EXTRACT.send(request.json(&body)).await?;
            if !answer.status.is_success() {
                dialect = dialect.without_what(&answer).ok_or_else(|| refused(&answer))?;
                continue;
            }
            let completion: Completion =
                answer.json().ok_or_else(|| EXTRACT.malformed(answer.status))?;
            let model = completion.model.unwrap_or_else(|| self.model.clone());
            let choice = completion.choices.into_iter().next();
            let choice = choice.ok_or_else(|| EXTRACT.malformed(answer.status))?;
            if choice.finish_reason.as_deref() == Some("length") {
                limit = tokens.next().ok_or_else(|| EXTRACT.rejected("length"))?;
                continue;
            }
            let data = content(choice)?;
            if !validator.is_valid(&data) {
                return Err(EXTRACT.malformed(answer.status));
            }
            return Ok(ModelAnswer { data, model });
        }
        Err(EXTRACT.rejected("incompatible_server"))
    }

    fn body(&self, question: &Question<'_>, dialect: Dialect, tokens: u32) -> Value {
        let Question { schema_name, schema, system, transcript } = question;
        let (format, system) = if dialect.json_schema {
            let format = json!({"type": "json_schema", "json_schema":
                {"name": schema_name, "strict": true, "schema": schema}});
            (format, (*system).to_owned())
        } else {
            // Without the schema in the request, the model must read it.
            let told = format!("{system}\n\nAnswer with one JSON object of this schema:\n{schema}");
            (json!({"type": "json_object"}), told)
        };
        let mut body = json!({
            "model": self.model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": transcript},
            ],
            "response_format": format,
        });
        if dialect.temperature {
            body["temperature"] = json!(0);
        }
        let limit =
            if dialect.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        body[limit] = json!(tokens);
        body
    }
}

impl Dialect {
    /// How to ask after this refusal; nothing if asking otherwise would not help.
    fn without_what(self, answer: &Answer) -> Option<Self> {
        if answer.status != 400 {
            return None;
        }
        let cause = answer.json::<Refusal>()?.error;
        let blames = |word: &str| {
            [&cause.param, &cause.message].into_iter().flatten().any(|text| text.contains(word))
        };
        if self.json_schema && (blames("response_format") || blames("json_schema")) {
            Some(Self { json_schema: false, ..self })
        } else if self.temperature && blames("temperature") {
            Some(Self { temperature: false, ..self })
        } else if self.max_completion_tokens && blames("max_completion_tokens") {
            Some(Self { max_completion_tokens: false, ..self })
        } else {
            None
        }
    }
}

fn content(choice: Choice) -> Result<Value, ProviderError> {
    if choice.finish_reason.as_deref() == Some("content_filter") {
        return Err(EXTRACT.rejected("content_filter"));
    }
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(EXTRACT.rejected("refusal"));
    }
    let text = choice.message.content.unwrap_or_default();
    // The same rules as for webhooks: what cannot be stored is no answer.
    crate::json::parse(text.as_bytes())
        .map_err(|error| EXTRACT.malformed(reqwest::StatusCode::OK).caused_by(error))
}

fn refused(answer: &Answer) -> ProviderError {
    let code = answer.json::<Refusal>().and_then(|refusal| refusal.error.code);
    let code = code.as_ref().and_then(Value::as_str).filter(|code| is_code(code));
    match code {
        // Also 429, but no waiting helps.
        Some("insufficient_quota") => EXTRACT.rejected("insufficient_quota"),
        code => EXTRACT.refused(answer, code.map(str::to_owned)),
    }
}

/// Codes are identifiers; a compatible server may write a sentence there.
fn is_code(code: &str) -> bool {
    code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
