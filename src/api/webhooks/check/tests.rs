//! What is refused, and in which words.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;

fn outside() -> Egress {
    Egress::new(false)
}

fn created(egress: &Egress, body: Value) -> Result<New, Value> {
    let asked: CreateWebhook = serde_json::from_value(body).unwrap();
    create(egress, asked).map_err(|problem| serde_json::from_slice(&problem.to_json(None)).unwrap())
}

fn updated(body: Value) -> Result<Changes, Value> {
    let asked: UpdateWebhook = serde_json::from_value(body).unwrap();
    update(&outside(), asked)
        .map_err(|problem| serde_json::from_slice(&problem.to_json(None)).unwrap())
}

#[test]
fn urls_are_refused_with_the_reason() {
    for (text, word) in [
        ("", "relative URL"),
        ("example.com/hooks", "relative URL"),
        ("https://", "empty host"),
        ("https://exa mple.com", "spaces"),
        ("https://example.com/\n", "spaces"),
        (" https://example.com/", "spaces"),
        ("http://example.com/hooks", "begin with https"),
        ("ftp://example.com/hooks", "begin with https"),
        ("mailto:hooks@example.com", "a host"),
        ("file:///etc/passwd", "a host"),
        ("https://user@example.com/", "user and password"),
        ("https://user:password@example.com/", "user and password"),
        ("https://example.com/#part", "fragment"),
        ("https://localhost/", "public"),
        ("https://a.localhost./", "public"),
        ("https://127.0.0.1/", "public"),
        ("https://127.1/", "public"),
        ("https://2130706433/", "public"),
        ("https://0x7f000001/", "public"),
        ("https://0177.0.0.1/", "public"),
        ("https://10.0.0.7/", "public"),
        ("https://167772167/", "public"),
        ("https://0xa9fea9fe/latest/meta-data", "public"),
        ("https://169.254.169.254/", "public"),
        ("https://100.100.100.200/", "public"),
        ("https://192.168.0.1/", "public"),
        ("https://0.0.0.0/", "public"),
        ("https://255.255.255.255/", "public"),
        ("https://[::1]/", "public"),
        ("https://[::]/", "public"),
        ("https://[::ffff:127.0.0.1]/", "public"),
        ("https://[::ffff:a00:7]/", "public"),
        ("https://[64:ff9b::a00:7]/", "public"),
        ("https://[2002:a00:7::1]/", "public"),
        ("https://[fd00::1]/", "public"),
        ("https://[fe80::1]/", "public"),
        ("https://1.2.3.4.5/", "IPv4"),
        ("https://256.256.256.256/", "IPv4"),
    ] {
        let said = url(&outside(), text).unwrap_err();
        assert!(said.contains(word), "{text:?}: {said}");
    }
    let long = format!("https://example.com/{}", "a".repeat(LONGEST_URL));
    assert!(url(&outside(), &long).unwrap_err().contains("2048"));
}

#[test]
fn urls_are_kept_as_they_are_sent_to() {
    for (text, kept) in [
        ("https://EXAMPLE.com", "https://example.com/"),
        ("https://example.com:443/a?b=c", "https://example.com/a?b=c"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        // Judged when it is resolved.
        ("https://internal.example/", "https://internal.example/"),
    ] {
        assert_eq!(url(&outside(), text).unwrap(), kept);
    }
    let inside = Egress::new(true);
    assert!(url(&inside, "http://127.0.0.1:8090/hooks/demo").is_ok());
    assert!(url(&inside, "http://localhost:8090/").is_ok());
    assert!(url(&inside, "http://10.0.0.7/").unwrap_err().contains("https"));
    assert!(url(&inside, "https://10.0.0.7/").unwrap_err().contains("public"));
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let problem = created(
        &outside(),
        json!({
            "url": "http://example.com", "events": ["call.unknown"], "rate_limit": 0,
            "ordering": "strict", "headers": { "Host": "a" }, "schedule": [],
            "description": "a".repeat(501), "secret": "whsec_c2hvcnQ=",
        }),
    )
    .unwrap_err();
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    let fields =
        ["url", "events", "description", "rate_limit", "ordering", "headers", "schedule", "secret"];
    assert_eq!(pointers, fields.map(|field| format!("#/body/{field}")));
    assert!(problem["detail"].as_str().unwrap().starts_with("url, events, "), "{problem}");
}

#[test]
fn bad_values_are_refused_and_good_ones_kept() {
    let whole = |field: &str, value: Value| {
        let mut body = json!({ "url": "https://example.com/", "events": ["*"] });
        body[field] = value;
        body
    };
    let day = 86_400;
    for (field, value) in [
        ("events", json!([])),
        ("events", json!(vec!["*"; 51])),
        ("events", json!(["call"])),
        ("events", json!(["call.*.*"])),
        ("rate_limit", json!(-1)),
        ("rate_limit", json!(1001)),
        ("rate_limit", json!(i64::MAX)),
        ("ordering", json!("None")),
        ("headers", json!({ "webhook-id": "a" })),
        ("headers", json!({ "a b": "c" })),
        ("headers", json!({ "a": "" })),
        ("headers", json!({ "a": "b\r\nc: d" })),
        ("headers", json!({ "A": "b", "a": "b" })),
        ("schedule", json!(vec![1; 21])),
        ("schedule", json!([0])),
        ("schedule", json!([day + 1])),
        ("schedule", json!([day, day, day, day, day, 1])),
        ("schedule", json!([i64::MAX])),
        ("description", json!("a\0b")),
        ("secret", json!("")),
        ("secret", json!("whsec_")),
        ("secret", json!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
    ] {
        let body = whole(field, value);
        let problem = created(&outside(), body.clone()).unwrap_err();
        assert_eq!(problem["errors"][0]["pointer"], format!("#/body/{field}"), "{body}");
    }
    let new = created(&outside(), whole("events", json!(["call.*", "*", "call.*"]))).unwrap();
    assert_eq!(new.events, ["call.*", "*"]);
    let new = created(&outside(), whole("schedule", json!([1, day, day, day]))).unwrap();
    assert_eq!(new.schedule.unwrap(), [1, day, day, day]);
    let new = created(&outside(), whole("headers", json!({ "X-Key": "open sesame" }))).unwrap();
    assert_eq!(new.headers[0].1.expose_secret(), "open sesame");
    assert!(!format!("{new:?}").contains("sesame"));
}

#[test]
fn null_puts_back_and_absence_keeps() {
    let nothing = updated(json!({})).unwrap();
    assert!(nothing.url.is_none() && nothing.assistant_id.is_none() && nothing.schedule.is_none());
    assert!(nothing.headers.is_none() && nothing.thin.is_none() && nothing.enabled.is_none());
    let back = updated(json!({
        "assistant_id": null, "description": null, "rate_limit": null, "ordering": null,
        "headers": null, "thin": null, "schedule": null,
    }))
    .unwrap();
    assert_eq!((back.assistant_id, back.rate_limit), (Some(None), Some(None)));
    assert_eq!((back.description.as_deref(), back.thin), (Some(""), Some(false)));
    assert_eq!((back.ordering, back.schedule), (Some(DeliveryOrder::None), Some(None)));
    assert!(back.headers.unwrap().is_empty());
    for field in ["url", "events", "enabled"] {
        let mut body = json!({});
        body[field] = Value::Null;
        assert!(serde_json::from_value::<UpdateWebhook>(body).is_err(), "{field}");
    }
    let problem = updated(json!({ "url": "https://10.1.1.1/", "schedule": [0] })).unwrap_err();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
}
