use super::*;

fn vars(extra: &[(&str, &str)]) -> BTreeMap<String, String> {
    let needed = [
        ("DATABASE_URL", "postgres://app:hunter2@localhost/postcall"),
        ("REDIS_URL", "redis://localhost"),
        ("POSTCALL_ENCRYPTION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("TWILIO_AUTH_TOKEN", "topsecret"),
        ("TWILIO_PHONE_NUMBER", "+14155550100"),
        ("AWS_SECRET_ACCESS_KEY", "topsecret"),
    ];
    let all = needed.iter().chain(extra);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_unknown_setting_names_its_neighbour() {
    let error = Config::from_vars(vars(&[("POSTCALL_LISTN", "x")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "POSTCALL_LISTN is no setting of postcall; did you mean POSTCALL_LISTEN?"
    );
}

#[test]
fn a_wrong_value_says_what_it_must_be_and_not_what_it_is() {
    let error = Config::from_vars(vars(&[("POSTCALL_ENCRYPTION_KEY", "c2VjcmV0")]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "POSTCALL_ENCRYPTION_KEY is wrong: it must be 32 bytes in base64"
    );
    let mut missing = vars(&[]);
    missing.remove("DATABASE_URL");
    let error = Config::from_vars(missing).unwrap_err().to_string();
    assert!(error.starts_with("DATABASE_URL is not set"), "{error}");
}

#[test]
fn half_a_provider_is_an_error_that_names_the_other_half() {
    let error = Config::from_vars(vars(&[("RESEND_API_KEY", "re_1")])).unwrap_err().to_string();
    assert!(error.starts_with("RESEND_FROM is wrong: RESEND_API_KEY, RESEND_FROM go"), "{error}");
}

#[test]
fn debug_shows_no_secret() {
    let config = Config::from_vars(vars(&[])).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("topsecret"), "{shown}");
}

#[test]
fn every_own_setting_is_explained() {
    let example = include_str!("../../.env.example");
    for name in OWN {
        assert!(example.contains(name), "{name} is missing in .env.example");
    }
}
