use secrecy::SecretString;

use crate::webhook_out::{BadHeader, MAX_HEADERS, MAX_NAME_BYTES, MAX_VALUE_BYTES, check_headers};

fn check(headers: &[(&str, &str)]) -> Result<(), BadHeader> {
    let headers: Vec<(String, SecretString)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
        .collect();
    check_headers(&headers)
}

#[test]
fn usual_headers_are_accepted() {
    let longest = ("n".repeat(MAX_NAME_BYTES), "v".repeat(MAX_VALUE_BYTES));
    let usual = [
        ("Authorization", "Bearer abc.def-ghi"),
        ("X-Api-Key", "k"),
        ("accept", "application/json"),
        ("cookie", "a=b; c=d"),
        ("!#$%&'*+-.^_`|~09", "all that a token may have"),
        (&longest.0, &longest.1),
    ];
    assert_eq!(check(&usual), Ok(()));
    assert_eq!(check(&[]), Ok(()));
    let many: Vec<String> = (0..MAX_HEADERS + 1).map(|index| format!("x-{index}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(check(&many[1..]), Ok(()));
    assert_eq!(check(&many), Err(BadHeader::TooMany(MAX_HEADERS + 1)));
}

#[test]
fn names_are_tokens() {
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    for name in ["", " ", "a b", "a:", "a\r\nb", "é", "a\0", "(a)", "a/b", "\"a\"", &long] {
        assert_eq!(check(&[("x", "v"), (name, "v")]), Err(BadHeader::Name(2)), "{name:?}");
    }
}

#[test]
fn what_we_or_http_set_is_reserved_in_any_case() {
    for name in [
        "webhook-id",
        "Webhook-Signature",
        "webhook-anything",
        "POSTCALL-organization",
        "Host",
        "Content-Length",
        "content-type",
        "content-encoding",
        "Transfer-Encoding",
        "connection",
        "User-Agent",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "http2-settings",
        "proxy-connection",
        "Proxy-Authorization",
    ] {
        let reserved = BadHeader::Reserved(name.to_ascii_lowercase());
        assert_eq!(check(&[(name, "v")]), Err(reserved), "{name}");
    }
}

#[test]
fn values_are_visible_and_names_are_there_once() {
    let long = "v".repeat(MAX_VALUE_BYTES + 1);
    for value in ["", " ", " v", "v ", "a\tb", "a\r\nx: y", "a\nb", "é", "\0", "\x7f", &long] {
        assert_eq!(check(&[("X-Key", value)]), Err(BadHeader::Value("x-key".into())), "{value:?}");
    }
    let twice = [("X-Key", "a"), ("other", "b"), ("x-kEY", "c")];
    assert_eq!(check(&twice), Err(BadHeader::Twice("x-key".into())));
}

#[test]
fn messages_help_and_repeat_no_value() {
    let secret = "hush\u{e9}";
    let cases = [
        (check(&[("x", secret)]), "visible ASCII"),
        // The value in place of the name.
        (check(&[(secret, "x")]), "the name of header 1 must be 1 to 100"),
        (check(&[("host", "hush")]), "the header host cannot be set"),
    ];
    for (result, expected) in cases {
        let message = result.expect_err("refused").to_string();
        assert!(message.contains(expected) && !message.contains("hush"), "{message}");
    }
}
