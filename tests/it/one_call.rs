//! One call, end to end: everything once, and what the API, the stores and the history show of it.

use std::time::Duration;

use postcall::dev::fakes::{Filter, Kind};
use serde_json::json;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

use crate::harness::{
    World,
    audit::Counts,
    calls::{REPORT, REPORT_CALL, example_of, fresh_id, report_with, step},
    history,
    wait::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_twice_at_once_and_once_later_is_one_call() {
    let world = World::start().await;
    let (first, second) = tokio::join!(world.post(REPORT.to_vec()), world.post(REPORT.to_vec()));
    assert_eq!((first, second), (200, 200));
    let call = world.closed(REPORT_CALL).await;
    assert_eq!(world.post(REPORT.to_vec()).await, 200);
    let again = world.closed(REPORT_CALL).await;

    assert_eq!(call["steps"], again["steps"]);
    assert_eq!(world.counts(REPORT_CALL).await, Counts::once(3));
    assert_eq!(world.accepted(Kind::Sms), 1);
    assert_eq!(world.accepted(Kind::Email), 1);
    assert_eq!(world.accepted(Kind::Webhook), 1);
    world.redis_equals_ledger().await;
    for name in ["finish", "recording", "extract", "sms", "email", "webhooks", "close"] {
        assert_eq!(step(&call, name)["status"], "completed", "{name}: {call}");
    }
    let organization = &world.demo.organization_id;
    let path = format!("{organization}/2026/11/{}.wav", call["id"].as_str().unwrap());
    assert_eq!(call["recording"]["path"], json!(path));
    let stored = std::fs::read(world.folder.join("recordings").join(&path)).unwrap();
    assert_eq!(call["recording"]["bytes"], json!(stored.len()));
    assert_eq!(call["billed_minutes"], 3);
    assert_eq!(call["duration_seconds"], 128);
    assert_eq!(call["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_is_found_by_its_provider_and_by_its_words() {
    let world = World::start().await;
    let id = world.post_call().await;
    world.closed(&id).await;

    let (status, page) = world.get(&format!("/v1/calls?provider_call_id={id}")).await;
    assert_eq!((status, page["data"].as_array().map(Vec::len)), (200, Some(1)));
    let (status, found) =
        world.get("/v1/search/transcripts?q=table%20helicopter&from=2026-11-01T00:00:00Z").await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["data"].as_array().map(Vec::len), Some(0), "both words must be there");
    let (_, found) =
        world.get("/v1/search/transcripts?q=tables%20friday&from=2026-11-01T00:00:00Z").await;
    assert_eq!(found["data"][0]["call_id"], json!(world.call_id(&id)), "stems count: {found}");
    let call = world.call_id(&id);
    let (status, transcript) = world.get(&format!("/v1/calls/{call}/transcript")).await;
    assert_eq!(status, 200);
    assert!(transcript["text"].as_str().unwrap().contains("The name is Ana."));
    let audio = world.http.get(format!("{}/v1/calls/{call}/recording", world.api_url));
    let audio = audio.bearer_auth(&world.demo.api_key).send().await.unwrap();
    assert!(audio.bytes().await.unwrap().starts_with(b"RIFF"));
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_are_rounded_up_and_unanswered_calls_bill_nothing() {
    let world = World::start().await;
    let cases = [
        (
            json!({ "startedAt": "2026-11-20T15:00:00.000Z", "endedAt": "2026-11-20T15:00:00.000Z" }),
            0,
        ),
        (
            json!({ "startedAt": "2026-11-20T15:00:00.000Z", "endedAt": "2026-11-20T15:00:00.200Z" }),
            1,
        ),
        (
            json!({ "startedAt": "2026-11-20T15:00:00.000Z", "endedAt": "2026-11-20T15:01:00.000Z" }),
            1,
        ),
        (
            json!({ "startedAt": "2026-11-20T15:00:00.000Z", "endedAt": "2026-11-20T15:01:00.001Z" }),
            2,
        ),
    ];
    for (fields, minutes) in cases {
        let id = fresh_id();
        assert_eq!(world.post(report_with(&id, &fields)).await, 200);
        let call = world.closed(&id).await;
        assert_eq!(call["billed_minutes"], minutes, "{fields}");
        assert_eq!(world.counts(&id).await.ledger_minutes, minutes);
    }
    let unanswered = fresh_id();
    assert_eq!(
        world.post(example_of("end_of_call_report_outbound_no_answer", &unanswered)).await,
        200
    );
    let call = world.closed(&unanswered).await;
    assert_eq!((&call["status"], &call["billed_minutes"]), (&json!("no-answer"), &json!(0)));
    assert_eq!(world.counts(&unanswered).await.ledger_rows, 1, "proof that it was counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_call_waits_for_its_report_and_is_processed_without_one() {
    let world = World::start().await;
    let id = fresh_id();
    for name in ["status_update_ringing", "status_update_in_progress"] {
        assert_eq!(world.post(example_of(name, &id)).await, 200);
    }
    let path = format!("/v1/calls/{}", world.call_id(&id));
    let open = until("the call is open", Duration::from_secs(10), || async {
        let (status, call) = world.get(&path).await;
        (status == 200 && call["status"] == "in-progress").then_some(call)
    })
    .await;
    assert_eq!(open["steps"], json!([]));
    assert_eq!(world.post(example_of("status_update_ended", &id)).await, 200);
    let call = world.closed(&id).await;
    assert_eq!(call["status"], "completed");
    assert_eq!(call["billed_minutes"], 3, "from the times of two events: {call}");
    let (_, events) = world.get("/v1/calls?limit=1&from=2026-11-01T00:00:00Z").await;
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1));

    // The late report brings the rest, and nothing twice.
    assert_eq!(world.post(example_of("end_of_call_report", &id)).await, 200);
    let call = until("the report is merged", Duration::from_secs(30), || async {
        let (_, call) = world.get(&path).await;
        (call["recording"]["status"] == "stored").then_some(call)
    })
    .await;
    assert!(call["summary"].as_str().is_some_and(|summary| summary.contains("Ana")));
    world.closed(&id).await;
    assert_eq!(world.counts(&id).await, Counts::once(3));
    assert_eq!(world.accepted(Kind::Sms), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_small_cheap_and_free_of_personal_data() {
    let world = World::start().await;
    let planted = json!({ "transcript": "User: the password is heliotrope-4711.\n",
        "summary": "heliotrope summary", "customer": { "number": "+14155559876", "name": "Zebulon Quark" } });
    let report = |id: &str| {
        let text = String::from_utf8(report_with(id, &planted)).unwrap();
        let text = text.replace("+14155552671", "+14155559876");
        text.replace("Ana", "Zebulon Quark").into_bytes()
    };
    let events = usual_history(&world, report, 5).await;
    assert!(events.len() <= 30, "{} events", events.len());
    assert!(history::largest_event(&events) <= 4096);
    let bytes = history::bytes_of(&events);
    let bytes = String::from_utf8_lossy(&bytes);
    let logs = world.log("serve") + &world.log("worker");
    let metrics = world.http.get(format!("{}/metrics", world.api_url)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for secret in [
        "heliotrope",
        "4155559876",
        "Zebulon",
        "front-desk@example.com",
        "+1415",
        &world.demo.vapi_secret,
    ] {
        assert!(!bytes.contains(secret), "{secret} in the history");
        assert!(!logs.contains(secret), "{secret} in a log");
        assert!(!metrics.contains(secret), "{secret} in the metrics");
    }

    world.without_options().await;
    let bare = |id: &str| example_of("end_of_call_report_schema_minimal", id);
    usual_history(&world, bare, 2).await;
}

/// History of a call that cost so many actions at most. On a busy machine a local step may take too
/// long, and is made again as an ordinary one: the first call whose steps were all in time.
async fn usual_history(
    world: &World,
    body: impl Fn(&str) -> Vec<u8>,
    most: usize,
) -> Vec<HistoryEvent> {
    let mut costs = Vec::new();
    for _ in 0..3 {
        let id = fresh_id();
        assert_eq!(world.post(body(&id)).await, 200);
        world.closed(&id).await;
        let events = world.call_history(world.call_id(&id)).await;
        costs.push(history::billable_actions(&events));
        if costs.last() <= Some(&most) {
            return events;
        }
    }
    panic!("{costs:?} actions, and {most} are allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_signed_and_dashboards_told() {
    let world = World::start().await;
    let stream = world.http.get(format!("{}/v1/events", world.api_url));
    let mut stream = stream.bearer_auth(&world.demo.api_key).send().await.unwrap();
    let id = world.post_call().await;
    world.closed(&id).await;
    let mut seen = String::new();
    until_closed_event(&mut stream, &mut seen).await;
    assert!(seen.contains("event: call.completed"), "{seen}");

    let filter = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
    let delivery = serde_json::to_value(&world.fakes.effects().list(&filter)[0]).unwrap();
    let request = &delivery["request"];
    let header = |name: &str| request["headers"][name].as_str().unwrap().to_owned();
    let body = request["raw"].as_str().unwrap();
    let timestamp = header("webhook-timestamp").parse().unwrap();
    let secrets = [world.secrets.endpoint_secret()];
    let expected =
        providers::webhook_out::sign(&header("webhook-id"), timestamp, body.as_bytes(), &secrets);
    assert_eq!(header("webhook-signature"), expected.unwrap());
    assert!(body.contains("\"type\":\"call.completed\""), "{body}");
}

async fn until_closed_event(stream: &mut reqwest::Response, seen: &mut String) {
    let reading = async {
        while !seen.contains("event: call_completed") {
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the stream tells");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_the_last_event_and_begins_now_after_an_unknown_one() {
    let world = World::start().await;
    let first = world.post_call().await;
    world.closed(&first).await;
    let sql = "select id from events where type = 'call.completed'";
    let seen: uuid::Uuid = world.db.query_one(sql, &[]).await.unwrap().get(0);
    let open = |last: uuid::Uuid| {
        let request = world.http.get(format!("{}/v1/events", world.api_url));
        let request = request.bearer_auth(&world.demo.api_key);
        request.header("last-event-id", last.to_string()).send()
    };
    let mut resumed = open(seen).await.unwrap();
    let mut shown = String::new();
    until_closed_event(&mut resumed, &mut shown).await;
    assert!(!shown.contains("event: call.completed"), "seen before: {shown}");

    let mut unknown = open(uuid::Uuid::now_v7()).await.unwrap();
    let second = world.post_call().await;
    let mut shown = String::new();
    until_closed_event(&mut unknown, &mut shown).await;
    assert!(shown.contains(&world.call_id(&second).to_string()), "{shown}");
    assert!(!shown.contains(&world.call_id(&first).to_string()), "nothing old: {shown}");
}
