//! Examples of webhooks, each made one of a call of its own that ended just now.

use anyhow::Context;
use chrono::{DateTime, Utc};
use providers::{retell, twilio};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::dev::DevState;

/// A signed request as the provider would send it.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// Vapi's server message `text` of a call.
pub(super) fn vapi(text: &str, call_id: &str, dev: &DevState) -> anyhow::Result<Example> {
    Ok(Example {
        url: format!("{}/vapi/{}", dev.api_url, dev.demo.organization_id),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("x-vapi-secret", dev.demo.vapi_secret.clone()),
        ],
        body: vapi_body(text, call_id)?,
    })
}

/// Retell's webhook `text` of a call.
pub(super) fn retell(text: &str, call_id: &str, dev: &DevState) -> anyhow::Result<Example> {
    let now = Utc::now();
    let mut body: Value = serde_json::from_str(text).context("example")?;
    let old = body["call"]["call_id"].as_str().unwrap_or_default().to_owned();
    let end = ["end_timestamp", "start_timestamp"]
        .iter()
        .find_map(|name| body["call"][*name].as_i64())
        .unwrap_or_default();
    for name in ["start_timestamp", "end_timestamp"] {
        if let Some(at) = body["call"][name].as_i64() {
            body["call"][name] = json!(at - end + now.timestamp_millis());
        }
    }
    // The audio lies at the fakes, as Retell's lies in its own storage.
    let recording = format!("{}/retell/{call_id}.wav", dev.fakes_url);
    if body["call"]["recording_url"].is_string() {
        body["call"]["recording_url"] = json!(recording);
    }
    let body = body.to_string().replace(&old, call_id).into_bytes();
    let key = dev.demo.retell_api_key.clone().into();
    Ok(Example {
        url: format!("{}/retell/{}", dev.api_url, dev.demo.organization_id),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("x-retell-signature", retell::auth::sign(&body, &key, now)),
        ],
        body,
    })
}

/// Twilio's callback `text` of a call, at `/status` or `/recording`.
pub(super) fn twilio(text: &str, path: &str, call_id: &str, dev: &DevState) -> Example {
    let old = form_urlencoded::parse(text.trim().as_bytes())
        .find(|(name, _)| name == "CallSid")
        .map_or_else(String::new, |(_, sid)| sid.into_owned());
    let now = Utc::now().to_rfc2822();
    let mut body = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(text.trim().as_bytes()) {
        let value = match &*name {
            "Timestamp" => now.clone(),
            "AccountSid" => dev.demo.twilio_account_sid.clone(),
            _ => value.replace(&old, call_id),
        };
        body.append_pair(&name, &value);
    }
    let body = body.finish().into_bytes();
    let url = format!("{}/twilio/{}/{path}", dev.api_url, dev.demo.organization_id);
    let token = dev.demo.twilio_auth_token.clone().into();
    Example {
        headers: vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("x-twilio-signature", twilio::auth::sign(&url, &body, &token)),
        ],
        url,
        body,
    }
}

/// Stripe's event `text` under another id, about a customer of the demo organization. Everything in it
/// happens as long before or after now as it did before or after the example.
pub(super) fn stripe(
    text: &str,
    event_id: &str,
    customer: &str,
    dev: &DevState,
) -> anyhow::Result<Example> {
    let now = Utc::now();
    let mut body: Value = serde_json::from_str(text).context("example")?;
    let old = body["data"]["object"]["customer"].as_str().unwrap_or_default().to_owned();
    match body["created"].as_i64() {
        Some(then) => shift(&mut body, then, now.timestamp()),
        // A thin event, which tells its own time only.
        None => body["created"] = json!(store::events::timestamp(now)),
    }
    body["id"] = json!(event_id);
    if body["data"]["object"].is_object() {
        let organization = json!({ "organization_id": dev.demo.organization_id });
        body["data"]["object"]["metadata"] = organization;
    }
    let mut body = body.to_string();
    if !old.is_empty() {
        body = body.replace(&old, customer);
    }
    let secret = dev.demo.stripe_webhook_secret.clone().into();
    Ok(Example {
        url: format!("{}/stripe", dev.api_url),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("stripe-signature", providers::stripe::sign(body.as_bytes(), &secret, now)),
        ],
        body: body.into_bytes(),
    })
}

/// Stripe's id of the demo organization's customer.
pub(super) fn customer(dev: &DevState) -> String {
    format!("cus_{}", dev.demo.organization_id.replace('-', ""))
}

/// Moves every time within a year of `then`, in seconds since 1970, as far as `then` is moved.
fn shift(value: &mut Value, then: i64, now: i64) {
    const YEAR: i64 = 366 * 86_400;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, then, now)),
        Value::Object(fields) => fields.values_mut().for_each(|field| shift(field, then, now)),
        _ => {
            if let Some(at) = value.as_i64().filter(|at| (at - then).abs() < YEAR) {
                *value = json!(at - then + now);
            }
        }
    }
}

/// An example body of Vapi as a call of its own: with another call id, now.
pub(crate) fn vapi_body(example: &str, call_id: &str) -> anyhow::Result<Vec<u8>> {
    let now: DateTime<Utc> = Utc::now();
    let mut body: Value = serde_json::from_str(example).context("example")?;
    let old = body["message"]["call"]["id"].as_str().unwrap_or_default().to_owned();
    body["message"]["timestamp"] = json!(now.timestamp_millis());
    body["message"]["call"]["createdAt"] = json!(store::events::timestamp(now));
    // Links carry the call id too; a recording of its own for each call.
    Ok(body.to_string().replace(&old, call_id).into_bytes())
}
