//! The public settings beside a provider's secret, checked before they are stored: what the
//! receiver could not use would refuse every webhook later.

use contract::call::Provider;
use reqwest::header::HeaderName;
use serde_json::{Map, Value};

use crate::vapi::auth::HmacPlan;

/// Longest text of a setting, in bytes.
const LONGEST_TEXT: usize = 200;
/// What Vapi fills into the text that it signs (docs.vapi.ai/server-url/server-authentication).
const PLACEHOLDERS: &[&str] = &["body", "timestamp", "method", "svix-id"];

/// Checks the settings of a provider.
///
/// - Vapi: an [`HmacPlan`], whose fields all have defaults;
/// - Twilio: `account_sid`, and `shared_key_id` where requests are signed with a shared key;
/// - Retell: none.
///
/// # Errors
/// What is wrong, in words for whoever set it.
pub fn check(provider: Provider, settings: &Value) -> Result<(), String> {
    let fields = settings.as_object().ok_or("must be an object")?;
    match provider {
        Provider::Vapi => check_vapi(settings, fields),
        Provider::Twilio => check_twilio(fields),
        Provider::Retell => only(fields, &[]),
    }
}

/// Whether requests signed with a shared key can be checked: Twilio names the key in
/// `X-Twilio-Webhooks-Signature-Settings`, so it needs an id.
pub fn uses_shared_key(provider: Provider, settings: &Value) -> bool {
    provider == Provider::Twilio && settings["shared_key_id"].is_string()
}

fn check_vapi(settings: &Value, fields: &Map<String, Value>) -> Result<(), String> {
    let plan: HmacPlan = serde_json::from_value(settings.clone())
        .map_err(|error| format!("must be an HMAC plan of Vapi: {error}"))?;
    let known = serde_json::to_value(&plan).unwrap_or_default();
    let known = known.as_object().into_iter().flat_map(Map::keys);
    only(fields, &known.map(String::as_str).collect::<Vec<_>>())?;
    header("signatureHeader", &plan.signature_header)?;
    header("timestampHeader", &plan.timestamp_header)?;
    if let Some(name) = &plan.message_id_header {
        header("messageIdHeader", name)?;
    }
    let headers = [Some(&plan.signature_header), Some(&plan.timestamp_header)];
    let headers = headers.into_iter().chain([plan.message_id_header.as_ref()]).flatten();
    let names: Vec<String> = headers.map(|name| name.to_ascii_lowercase()).collect();
    if (1..names.len()).any(|at| names[at..].contains(&names[at - 1])) {
        return Err("each header must have a name of its own".to_owned());
    }
    let prefix = plan.signature_prefix.as_deref().unwrap_or_default();
    visible("signaturePrefix", prefix)?;
    // HTTP trims a header's value, and other texts are no header.
    if !prefix.is_ascii() || prefix.starts_with(' ') {
        return Err("signaturePrefix must be ASCII and not begin with a space".to_owned());
    }
    visible("payloadFormat", &plan.payload_format)?;
    check_format(&plan)
}

fn check_format(plan: &HmacPlan) -> Result<(), String> {
    // The text before the first brace names nothing.
    for part in plan.payload_format.split('{').skip(1) {
        let name = part.split_once('}').map(|(name, _)| name);
        if !name.is_some_and(|name| PLACEHOLDERS.contains(&name)) {
            return Err(format!("payloadFormat may name only {}", PLACEHOLDERS.join(", ")));
        }
    }
    // Once: a signature that leaves the body out blesses any body, and copies of a large one cost.
    if plan.payload_format.matches("{body}").count() != 1 {
        return Err("payloadFormat must hold {body} once".to_owned());
    }
    if plan.payload_format.contains("{svix-id}") && plan.message_id_header.is_none() {
        return Err("payloadFormat holds {svix-id}, which needs messageIdHeader".to_owned());
    }
    Ok(())
}

fn check_twilio(fields: &Map<String, Value>) -> Result<(), String> {
    only(fields, &["account_sid", "shared_key_id"])?;
    let digits = fields.get("account_sid").and_then(Value::as_str).unwrap_or_default();
    let digits = digits.strip_prefix("AC").unwrap_or_default();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("account_sid must be AC and 32 hexadecimal digits".to_owned());
    }
    let Some(id) = fields.get("shared_key_id") else { return Ok(()) };
    let id = id.as_str().unwrap_or_default();
    // It stands in a header between `key=` and a comma.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.is_empty() || id.len() > LONGEST_TEXT || !id.bytes().all(fits) {
        return Err("shared_key_id must be letters, digits, and any of - _ .".to_owned());
    }
    Ok(())
}

fn only(fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    if fields.keys().all(|name| known.contains(&name.as_str())) {
        return Ok(());
    }
    Err(match known {
        [] => "must be empty: the provider has no settings".to_owned(),
        _ => format!("may hold only {}", known.join(", ")),
    })
}

fn header(field: &str, name: &str) -> Result<(), String> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) if name.len() <= LONGEST_TEXT => Ok(()),
        _ => Err(format!("{field} must be the name of a header")),
    }
}

fn visible(field: &str, text: &str) -> Result<(), String> {
    if text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("{field} must be at most {LONGEST_TEXT} bytes without control characters"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(provider: Provider, settings: Value) -> String {
        check(provider, &settings).expect_err(&format!("{settings} is to be refused"))
    }

    #[test]
    fn an_hmac_plan_is_taken_whole_in_part_or_not_at_all() {
        let whole = serde_json::to_value(HmacPlan::default()).expect("a plan is JSON");
        let part = json!({ "signatureHeader": "x-vapi-signature", "includeTimestamp": false,
            "payloadFormat": "{body}", "algorithm": "sha512", "signaturePrefix": "sha512=" });
        let svix = json!({ "payloadFormat": "{svix-id}.{timestamp}.{body}",
            "messageIdHeader": "svix-id", "secretIsBase64": true });
        for settings in [whole, part, svix, json!({})] {
            assert_eq!(check(Provider::Vapi, &settings), Ok(()), "{settings}");
        }
    }

    #[test]
    fn a_plan_that_could_not_be_checked_is_refused() {
        for (settings, word) in [
            (json!({ "signature_header": "x" }), "may hold only"),
            (json!({ "algorithm": "md5" }), "HMAC plan"),
            (json!({ "signatureHeader": "X-Timestamp" }), "name of its own"),
            (json!({ "signaturePrefix": " v1=" }), "begin with a space"),
            (json!({ "signaturePrefix": "é" }), "ASCII"),
            (json!({ "includeTimestamp": "yes" }), "HMAC plan"),
            (json!({ "payloadFormat": "{timestamp}" }), "{body} once"),
            (json!({ "payloadFormat": "{body}{body}" }), "{body} once"),
            (json!({ "payloadFormat": "{body}.{secret}" }), "name only"),
            (json!({ "payloadFormat": "{body}.{timestamp" }), "name only"),
            (json!({ "payloadFormat": "{svix-id}.{body}" }), "messageIdHeader"),
            (json!({ "signatureHeader": "" }), "signatureHeader"),
            (json!({ "timestampHeader": "x y" }), "timestampHeader"),
            (json!({ "messageIdHeader": "x:" }), "messageIdHeader"),
            (json!({ "signaturePrefix": "a\0" }), "signaturePrefix"),
            (json!({ "payloadFormat": format!("{{body}}{}", "x".repeat(195)) }), "payloadFormat"),
            (json!([]), "object"),
            (json!(null), "object"),
        ] {
            let said = refused(Provider::Vapi, settings.clone());
            assert!(said.contains(word), "{settings}: {said}");
        }
    }

    #[test]
    fn twilio_needs_its_account() {
        let account = format!("AC{}", "0a".repeat(16));
        let plain = json!({ "account_sid": account });
        let shared = json!({ "account_sid": account, "shared_key_id": "WK-1_2.3" });
        assert_eq!(check(Provider::Twilio, &plain), Ok(()));
        assert_eq!(check(Provider::Twilio, &shared), Ok(()));
        assert!(uses_shared_key(Provider::Twilio, &shared));
        assert!(!uses_shared_key(Provider::Twilio, &plain));
        assert!(!uses_shared_key(Provider::Vapi, &shared));
        for (settings, word) in [
            (json!({}), "account_sid"),
            (json!({ "account_sid": "AC12" }), "account_sid"),
            (json!({ "account_sid": account.replace("AC", "SK") }), "account_sid"),
            (json!({ "account_sid": format!("AC{}", "0g".repeat(16)) }), "account_sid"),
            (json!({ "account_sid": account, "shared_key_id": "" }), "shared_key_id"),
            (json!({ "account_sid": account, "shared_key_id": "a,b" }), "shared_key_id"),
            (json!({ "account_sid": account, "shared_key_id": 1 }), "shared_key_id"),
            (json!({ "account_sid": account, "auth_token": "x" }), "may hold only"),
        ] {
            let said = refused(Provider::Twilio, settings.clone());
            assert!(said.contains(word), "{settings}: {said}");
        }
    }

    #[test]
    fn retell_has_no_settings() {
        assert_eq!(check(Provider::Retell, &json!({})), Ok(()));
        assert!(refused(Provider::Retell, json!({ "account_sid": "x" })).contains("empty"));
    }
}
