//! What the bodies take and refuse.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| error.to_string())
}

#[test]
fn what_is_not_given_is_told_from_null() {
    let set: SetProviderCredentials = read(json!({ "secret": "first secret" })).unwrap();
    assert_eq!(set.secret.unwrap().expose_secret(), "first secret");
    assert!(set.api_key.is_none() && set.shared_key.is_none() && set.settings.is_none());
    let set: SetProviderCredentials = read(json!({ "api_key": "key of API" })).unwrap();
    assert!(set.secret.is_none() && set.api_key.is_some());
    let nothing = json!({ "secret": "first secret", "settings": null });
    let set: SetProviderCredentials = read(nothing).unwrap();
    assert_eq!(set.settings, Some(Value::Null));
    for name in ["secret", "api_key", "shared_key"] {
        let mut body = json!({ "settings": {} });
        body[name] = Value::Null;
        assert!(read::<SetProviderCredentials>(body).is_err(), "{name}");
    }
    let unknown = json!({ "secret": "first secret", "apiKey": "key" });
    assert!(read::<SetProviderCredentials>(unknown).is_err());
}

/// What is said of new credentials; nothing where they may be set.
fn said(given: &[&str], provider: Provider, current: Option<Value>, new: Option<Value>) -> String {
    let key = NewSecret::new("open sesame".into()).unwrap();
    let of = |name| given.contains(&name).then_some(&key);
    let new = NewCredentials {
        secret: of("secret"),
        api_key: of("api_key"),
        shared_key: of("shared_key"),
        settings: new.as_ref(),
    };
    let problem = check(&new, provider, current).err();
    problem.map_or_else(String::new, |problem| String::from_utf8(problem.to_json(None)).unwrap())
}

#[test]
fn a_secret_is_needed_at_first_and_anything_alone_later() {
    let (vapi, twilio) = (Provider::Vapi, Provider::Twilio);
    assert_eq!(said(&["secret"], vapi, None, None), "");
    for given in [&["api_key"][..], &["shared_key"], &["api_key", "shared_key"]] {
        assert!(said(given, vapi, None, None).contains("secret is needed"), "{given:?}");
    }
    assert!(said(&[], vapi, None, Some(json!({}))).contains("secret is needed"));
    assert_eq!(said(&["api_key"], vapi, Some(json!({})), None), "");
    assert_eq!(said(&[], vapi, Some(json!({})), Some(json!({}))), "");
    for current in [None, Some(json!({}))] {
        assert!(said(&[], vapi, current, None).contains("or settings is needed"));
    }
    let account = format!("AC{}", "0a".repeat(16));
    let with_key = json!({ "account_sid": account, "shared_key_id": "WK1" });
    assert_eq!(said(&["shared_key"], twilio, Some(with_key.clone()), None), "");
    let without = Some(json!({ "account_sid": account }));
    assert!(said(&["shared_key"], twilio, without.clone(), None).contains("shared_key_id"));
    assert_eq!(said(&["shared_key"], twilio, without, Some(with_key)), "");
    assert!(said(&["secret"], twilio, None, None).contains("account_sid"));
}

#[test]
fn an_overlap_is_a_day_unless_said() {
    let hours = |body| read::<RotateProviderCredentials>(body).map(|asked| asked.overlap_hours);
    assert_eq!(hours(json!({ "secret": "s" })), Ok(24));
    assert_eq!(hours(json!({ "secret": "s", "overlap_hours": 0 })), Ok(0));
    assert!(hours(json!({ "secret": "s", "overlap_hours": -1 })).is_err());
    assert!(hours(json!({ "overlap_hours": 1 })).is_err());
}

#[test]
fn refusals_name_the_field_and_not_the_secret() {
    let problem = fit("api_key", "open\tsesame".into()).unwrap_err();
    let body = String::from_utf8(problem.to_json(None)).unwrap();
    assert!(body.contains("api_key must not") && !body.contains("sesame"), "{body}");
    assert_eq!(problem.kind(), Kind::InvalidRequest);
}
