//! Resend: emails, each once per idempotency key for 24 hours.

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Effect, Kind,
    asked::Asked,
    remembered::{Once, Remembered},
    reply::{Fake, Identity, Reply, phrase},
};

/// The longest `Idempotency-Key`, in characters.
const LONGEST_KEY: usize = 256;
/// The most recipients of one email.
const MOST_RECIPIENTS: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Resend {
    keys: Remembered,
}

impl Fake for Resend {
    fn identify(&self, asked: &Asked) -> Identity {
        if asked.method != Method::POST || asked.segments() != ["emails"] {
            return Identity::unknown(asked);
        }
        let keys = recipients(&asked.body).into_iter().chain(asked.header("idempotency-key"));
        Identity::new(Kind::Email, keys)
    }

    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if asked.segments() != ["emails"] {
            return self.refuse(404);
        }
        if asked.method != Method::POST {
            return self.refuse(405);
        }
        if asked.bearer().is_none() {
            return self.refuse(401);
        }
        if asked.header("user-agent").is_none() {
            return self.refuse(403);
        }
        let Some(key) = asked.header("idempotency-key") else { return send(asked) };
        if key.is_empty() || key.len() > LONGEST_KEY {
            let message = "The idempotency key must be between 1-256 chars.";
            return Reply::refused(400, error(400, "invalid_idempotency_key", message));
        }
        match self.keys.once(key, asked.fingerprint(), now, || send(asked)) {
            Once::Now(reply) | Once::Before(reply) => reply,
            Once::Other => self.refuse(409),
        }
    }

    fn failure(&self, status: u16) -> Value {
        let (name, message) = match status {
            401 => ("missing_api_key", "Missing API key in the authorization header."),
            403 => ("validation_error", "error code: 1010"),
            404 => ("not_found", "The requested endpoint does not exist."),
            405 => ("method_not_allowed", "This endpoint does not support this method."),
            409 => (
                "invalid_idempotent_request",
                "This idempotency key has been used already for a different request payload. \
                 Either change the idempotency key or the payload.",
            ),
            429 => (
                "rate_limit_exceeded",
                "Too many requests. You can only make 10 requests per second. See rate limit \
                 response headers for more information. Or contact support to increase rate limit.",
            ),
            503 => ("service_unavailable", "The service is unavailable. Try again later."),
            500..=599 => ("application_error", "An unexpected error occurred."),
            status => ("validation_error", phrase(status)),
        };
        error(status, name, message)
    }

    fn restore(&self, effect: &Effect, at: DateTime<Utc>) {
        let key = effect.request.headers.get("idempotency-key");
        if let (Kind::Email, Some(key), Some(made)) = (effect.kind, key, &effect.result) {
            let reply = Reply::made(200, made.clone());
            self.keys.put_back(key, effect.request.fingerprint(), reply, at);
        }
    }
}

fn error(status: u16, name: &str, message: &str) -> Value {
    json!({ "statusCode": status, "message": message, "name": name })
}

fn recipients(body: &Value) -> Vec<&str> {
    match body.get("to") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn send(asked: &Asked) -> Reply {
    let missing = |name: &str| {
        let message = format!("Missing `{name}` field.");
        Reply::refused(422, error(422, "missing_required_field", &message))
    };
    for name in ["from", "subject"] {
        if asked.field(name).is_none() {
            return missing(name);
        }
    }
    let recipients = recipients(&asked.body);
    if recipients.is_empty() {
        return missing("to");
    }
    if ["html", "text", "template"].iter().all(|name| asked.body.get(name).is_none()) {
        return missing("html");
    }
    let invalid = |message| Reply::refused(422, error(422, "validation_error", message));
    if recipients.len() > MOST_RECIPIENTS {
        return invalid("The `to` field holds more than 50 addresses.");
    }
    if !recipients.iter().all(|address| is_address(address)) {
        return invalid(
            "Invalid `to` field. The email address needs to follow the `email@example.com` or \
             `Name <email@example.com>` format.",
        );
    }
    Reply::made(200, json!({ "id": Uuid::new_v4().to_string() }))
}

/// `email@example.com` or `Name <email@example.com>`.
fn is_address(text: &str) -> bool {
    let bracketed = text.split_once('<').and_then(|(_, rest)| rest.strip_suffix('>'));
    let address = bracketed.unwrap_or(text).trim();
    address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !address.contains(char::is_whitespace)
    })
}
