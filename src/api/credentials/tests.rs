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
    assert_eq!(set.secret.expose_secret(), "first secret");
    assert!(set.api_key.is_none() && set.shared_key.is_none() && set.settings.is_none());
    let nothing = json!({ "secret": "first secret", "settings": null });
    let set: SetProviderCredentials = read(nothing).unwrap();
    assert_eq!(set.settings, Some(Value::Null));
    for name in ["secret", "api_key", "shared_key"] {
        let mut body = json!({ "secret": "first secret" });
        body[name] = Value::Null;
        assert!(read::<SetProviderCredentials>(body).is_err(), "{name}");
    }
    let unknown = json!({ "secret": "first secret", "apiKey": "key" });
    assert!(read::<SetProviderCredentials>(unknown).is_err());
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
