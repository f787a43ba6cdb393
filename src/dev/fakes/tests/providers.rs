//! Every provider once, in its own words.

use super::*;
use serde_json::json;

macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!("../../../../tests/fixtures/", $path))
    };
}

#[tokio::test]
async fn vapi_places_and_lists_calls() {
    let bench = Bench::start().await;
    let request: Value =
        serde_json::from_str(fixture!("vapi/create_call_request.json")).expect("a request");
    let create = || bench.post("/vapi/call").bearer_auth("key").json(&request);
    let (status, call) = answer(create()).await;
    assert_eq!(status, 201);
    assert_has_fields_of(&call, fixture!("vapi/create_call_response_201.json"));
    assert_eq!(call["assistantOverrides"], request["assistantOverrides"]);

    let id = call["id"].as_str().expect("an id");
    let (_, found) = answer(bench.get(&format!("/vapi/call/{id}")).bearer_auth("key")).await;
    assert_eq!(found, call);
    let (_, second) = answer(create()).await;
    let (_, newest) = answer(bench.get("/vapi/call?limit=1").bearer_auth("key")).await;
    assert_eq!(newest, json!([second]));
    let later = "/vapi/call?createdAtGt=2999-01-01T00:00:00Z";
    assert_eq!(answer(bench.get(later).bearer_auth("key")).await.1, json!([]));

    let (status, error) = answer(bench.post("/vapi/call").json(&request)).await;
    assert_eq!(status, 401);
    assert_has_fields_of(&error, fixture!("vapi/create_call_error_401.json"));
    let bad = json!({ "assistantId": "a", "phoneNumberId": "p", "customer": { "number": "555" } });
    let (status, error) = answer(bench.post("/vapi/call").bearer_auth("key").json(&bad)).await;
    assert_eq!((status, error), (StatusCode::BAD_REQUEST, json_of("vapi/400")));
    assert_eq!(bench.accepted(Kind::Call), 2);
    bench.fakes.stop().await;
}

fn json_of(name: &str) -> Value {
    let text = match name {
        "vapi/400" => fixture!("vapi/create_call_error_400.json"),
        "twilio/401" => fixture!("twilio/error_20003_401.json"),
        "resend/401" => fixture!("resend/error_401_missing_api_key.json"),
        _ => "null",
    };
    serde_json::from_str(text).expect("a sample")
}

#[tokio::test]
async fn recordings_are_wav_files_of_their_own() {
    let bench = Bench::start().await;
    let mut bodies = Vec::new();
    for path in ["/vapi/call/1/mono-recording", "/vapi/2.wav", "/retell/a/3.wav", "/vapi/2.wav"] {
        let response = bench.get(path).send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "audio/wav");
        assert_eq!(response.content_length(), Some(32_044));
        bodies.push(response.bytes().await.expect("a body"));
    }
    assert!(bodies.iter().all(|body| body.starts_with(b"RIFF") && body.len() == 32_044));
    assert_eq!(bodies[1], bodies[3]);
    assert!(bodies[0] != bodies[1] && bodies[1] != bodies[2] && bodies[0] != bodies[2]);

    let large = bench.get("/vapi/2.wav?bytes=3000001").send().await.expect("an answer");
    assert_eq!(large.content_length(), Some(3_000_001));
    assert_eq!(large.bytes().await.expect("a body").len(), 3_000_001);
    assert_eq!(bench.accepted(Kind::Recording), 5);
}

#[tokio::test]
async fn retell_places_and_lists_calls() {
    let bench = Bench::start().await;
    let request: Value =
        serde_json::from_str(fixture!("retell/create_phone_call_request.json")).expect("a request");
    let create = || bench.post("/retell/v2/create-phone-call").bearer_auth("key").json(&request);
    let (status, call) = answer(create()).await;
    assert_eq!((status, &call["call_status"]), (StatusCode::CREATED, &json!("registered")));
    assert_eq!(call["metadata"], request["metadata"]);
    let id = call["call_id"].as_str().expect("an id");
    let found = bench.get(&format!("/retell/v2/get-call/{id}")).bearer_auth("key");
    assert_eq!(answer(found).await.1, call);

    answer(create()).await;
    let list = |body: Value| bench.post("/retell/v3/list-calls").bearer_auth("key").json(&body);
    let (_, first) = answer(list(json!({ "limit": 1 }))).await;
    assert_eq!(first["has_more"], true);
    let next = json!({ "limit": 1, "pagination_key": first["pagination_key"] });
    let (_, second) = answer(list(next)).await;
    assert_eq!((&second["items"][0], &second["has_more"]), (&call, &json!(false)));

    let (status, error) = answer(bench.get("/retell/v2/get-call/none").bearer_auth("key")).await;
    assert_eq!(status, 422);
    assert_has_fields_of(&error, fixture!("retell/error_422.json"));
}

#[tokio::test]
async fn twilio_sends_messages_and_lists_them() {
    let bench = Bench::start().await;
    let (status, message) = answer(bench.sms("+14155552671")).await;
    assert_eq!(status, 201);
    assert_has_fields_of(&message, fixture!("twilio/messages_create_201.json"));
    answer(bench.sms("+14155552672")).await;
    answer(bench.sms("+14155552671")).await;

    let list = |query: &str| {
        let path = format!("{MESSAGES}?{query}");
        answer(bench.get(&path).basic_auth("AC1", Some("token")))
    };
    let (_, all) = list("To=%2B14155552671&From=%2B14155550100").await;
    assert_eq!(all["messages"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&all["messages"][1]["sid"], &all["next_page_uri"]),
        (&message["sid"], &Value::Null)
    );
    let today = chrono::Utc::now().format("%Y-%m-%d");
    let (_, dated) = list(&format!("DateSent%3E={today}&PageSize=2")).await;
    assert_eq!(dated["messages"].as_array().map(Vec::len), Some(2));
    let next = dated["next_page_uri"].as_str().expect("a next page");
    let next = bench.get(next).basic_auth("AC1", Some("token"));
    assert_eq!(answer(next).await.1["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(list("DateSent=2001-01-01").await.1["messages"], json!([]));
    assert_eq!(list("DateSent%3C=2001-01-01").await.1["messages"], json!([]));

    let (status, error) = answer(bench.post(MESSAGES).form(&[("To", "+14155552671")])).await;
    assert_eq!((status, error), (StatusCode::UNAUTHORIZED, json_of("twilio/401")));
    for (form, code) in [
        (vec![("From", "+14155550100"), ("Body", "a")], 21604),
        (vec![("To", "+1415555XXXX"), ("From", "+14155550100"), ("Body", "a")], 21211),
        (vec![("To", "+14155552671"), ("Body", "a")], 21603),
        (vec![("To", "+14155552671"), ("From", "+14155550100")], 21602),
    ] {
        let (status, error) =
            answer(bench.post(MESSAGES).basic_auth("AC1", Some("token")).form(&form)).await;
        assert_eq!((status, &error["code"]), (StatusCode::BAD_REQUEST, &json!(code)));
    }
    assert_eq!(bench.accepted(Kind::Sms), 3);
}

#[tokio::test]
async fn twilio_places_and_ends_calls() {
    let bench = Bench::start().await;
    let calls = "/twilio/2010-04-01/Accounts/AC1/Calls";
    let ask = |method: Method, path: String| bench.ask(method, &path).basic_auth("AC1", Some("t"));
    let create = ask(Method::POST, format!("{calls}.json"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(fixture!("twilio/calls_create_request.form"));
    let (status, call) = answer(create).await;
    assert_eq!((status, &call["status"]), (StatusCode::CREATED, &json!("queued")));
    for name in ["account_sid", "direction", "from", "to", "sid", "uri", "price", "duration"] {
        assert!(call.get(name).is_some(), "{name} is missing");
    }
    let one = format!("{calls}/{}.json", call["sid"].as_str().expect("a sid"));
    let end = ask(Method::POST, one.clone()).form(&[("Status", "completed")]);
    assert_eq!(answer(end).await.1["status"], "completed");
    assert_eq!(answer(ask(Method::GET, one)).await.1["status"], "completed");
    let (_, list) = answer(ask(Method::GET, format!("{calls}.json?Status=completed"))).await;
    assert_eq!(list["calls"].as_array().map(Vec::len), Some(1));
    let (status, error) = answer(ask(Method::GET, format!("{calls}/CAxx.json"))).await;
    assert_eq!((status, &error["code"]), (StatusCode::NOT_FOUND, &json!(20404)));
    let events =
        bench.fakes.effects().list(&Filter { kind: Some(Kind::Call), ..Filter::default() });
    assert_eq!(events[0].request.body["StatusCallbackEvent"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn the_model_answers_in_the_shape_asked_for() {
    let bench = Bench::start().await;
    let ask = |body: &str| {
        let request = bench.post("/openai/v1/chat/completions").bearer_auth("sk");
        answer(request.header("content-type", "application/json").body(body.to_owned()))
    };
    let (status, completion) = ask(fixture!("openai/chat_request.json")).await;
    assert_eq!(status, 200);
    let content = completion["choices"][0]["message"]["content"].as_str().expect("a content");
    let content: Value = serde_json::from_str(content).expect("JSON");
    assert_eq!(content["intent"], "booking");
    assert_eq!(content["customer_name"], Value::Null);
    assert!(content["summary"].as_str().is_some_and(|text| text.contains("book a table")));
    assert!(completion["usage"]["total_tokens"].as_u64().is_some_and(|tokens| tokens > 0));

    let loose = r#"{"model":"m","messages":[],"response_format":{"type":"json_schema",
        "json_schema":{"name":"x","strict":true,
            "schema":{"type":"object","properties":{"a":{"type":"string"}}}}}}"#;
    let (status, error) = ask(loose).await;
    assert_eq!(
        (status, &error["error"]["param"]),
        (StatusCode::BAD_REQUEST, &json!("response_format"))
    );
    let (status, error) = answer(bench.post("/openai/v1/chat/completions").body("{}")).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_api_key"))
    );
    assert_eq!(bench.accepted(Kind::Model), 1);

    let told = r#"{"model":"m","response_format":{"type":"json_object"},"messages":[
        {"role":"system","content":"Fill this schema:\n{\"type\":\"object\",\"properties\":
            {\"ok\":{\"type\":\"boolean\"}}}"},{"role":"user","content":"Hello."}]}"#;
    let (_, completion) = ask(&told.replace("\n            ", "")).await;
    assert_eq!(completion["choices"][0]["message"]["content"], r#"{"ok":false}"#);
}

#[tokio::test]
async fn supabase_takes_whole_batches_or_none() {
    let bench = Bench::start().await;
    let broadcast = |body: &Value| bench.post("/supabase/realtime/v1/api/broadcast").json(body);
    let request: Value =
        serde_json::from_str(fixture!("supabase/broadcast_request.json")).expect("a request");
    let (status, body) = answer(broadcast(&request).header("apikey", "secret")).await;
    assert_eq!((status, body), (StatusCode::ACCEPTED, Value::Null));
    assert_eq!(answer(broadcast(&request)).await.0, 401);
    let mut half = request.clone();
    half["messages"].as_array_mut().expect("messages").push(json!({ "topic": "t", "event": "e" }));
    let (status, error) = answer(broadcast(&half).header("apikey", "secret")).await;
    assert_eq!(status, 422);
    assert_eq!(error["errors"]["messages"][1]["payload"], json!(["can't be blank"]));
    assert_eq!(bench.accepted(Kind::Broadcast), 1);
}

#[tokio::test]
async fn webhooks_are_kept_as_they_came_and_secrets_are_not() {
    let bench = Bench::start().await;
    let hook = bench.post("/hooks/acme/deep/path?x=1").bearer_auth("planted-key");
    let hook = hook.header("webhook-id", "evt_1").header("webhook-signature", "v1,abc");
    let (status, body) = answer(hook.body(r#"{"b":1, "a":2}"#)).await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "ok": true })));

    let (_, log) = answer(bench.get("/effects?provider=hooks&key=evt_1&accepted=true")).await;
    let request = &log["data"][0]["request"];
    assert_eq!(log["data"][0]["key"], "acme");
    assert_eq!(request["headers"]["webhook-signature"], "v1,abc");
    assert_eq!(request["headers"]["authorization"], "***");
    assert_eq!(request["raw"], r#"{"b":1, "a":2}"#);
    assert_eq!(request["body"], json!({ "a": 2, "b": 1 }));
    assert!(!log.to_string().contains("planted-key"));
}
