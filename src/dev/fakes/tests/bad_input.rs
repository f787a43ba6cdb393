//! Nonsense gets the provider's own error and never a 5xx.

use super::*;

const ROUTES: [(&str, &str); 10] = [
    ("/vapi/call", "statusCode"),
    ("/retell/v2/create-phone-call", "message"),
    (MESSAGES, "code"),
    ("/twilio/2010-04-01/Accounts/AC1/Calls.json", "code"),
    ("/resend/emails", "statusCode"),
    ("/openai/v1/chat/completions", "error"),
    ("/stripe/v1/billing/meter_events", "error"),
    ("/supabase/realtime/v1/api/broadcast", "errors"),
    ("/vapi/nothing/here", "statusCode"),
    ("/stripe/", "error"),
];

fn nonsense() -> Vec<Vec<u8>> {
    let deep = b"[".repeat(100_000);
    let typed = br#"{"to":5,"customer":7,"messages":{"a":1},"To":["x"],"model":{},"customer":[]}"#;
    let numbers = br#"{"messages":[1,null,"x",[]],"to":[1],"response_format":1,"limit":1e309}"#;
    vec![
        Vec::new(),
        b"\0\xff\xfe".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"%ZZ=&&=&To=%00&To=%ff".to_vec(),
        typed.to_vec(),
        numbers.to_vec(),
        deep,
    ]
}

#[tokio::test]
async fn nonsense_is_refused_in_the_providers_form() {
    let bench = Bench::start().await;
    for (path, field) in ROUTES {
        for content_type in ["application/json", "application/x-www-form-urlencoded"] {
            for body in nonsense() {
                let request = bench.post(path).header("content-type", content_type);
                let request = request.header("apikey", "key").body(body);
                let request = match path.starts_with("/twilio") {
                    true => request.basic_auth("AC1", Some("token")),
                    false => request.bearer_auth("key"),
                };
                let (status, error) = answer(request).await;
                assert!(status.is_client_error(), "{path}: {status}");
                assert!(error.get(field).is_some(), "{path}: {error}");
            }
        }
    }
    let accepted = Filter { accepted: Some(true), ..Filter::default() };
    assert_eq!(bench.fakes.effects().count(&accepted), 0);
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let bench = Bench::start().await;
    for (path, _) in ROUTES {
        let response = bench.post(path).body(vec![b'a'; 1024 * 1024 + 1]).send().await;
        // The answer may come while the body is still being sent; then the connection just ends.
        assert!(response.is_err() || response.is_ok_and(|answer| answer.status() == 413));
    }
}

#[tokio::test]
async fn other_paths_lead_to_the_index() {
    let bench = Bench::start().await;
    assert_eq!(answer(bench.get("/healthz")).await.0, 200);
    assert_eq!(answer(bench.post("/nobody/here")).await.0, 404);
    let index = bench.get("/").send().await.expect("an answer").text().await.expect("a text");
    for provider in Provider::ALL {
        assert!(index.contains(&format!("/{provider} ")), "{provider} is not in the index");
    }
}
