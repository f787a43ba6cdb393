//! The bench against a server that does as it is told.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::sse::{Event, Sse},
    routing::{get, post},
};
use clap::Parser;
use contract::{
    call::Provider,
    ids::{CallId, OrganizationId},
};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast};
use uuid::Uuid;

use super::{
    calls::{self, CallsArgs},
    installation::Installation,
    report::Report,
};
use crate::cli::Format;

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(7));

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: CallsArgs,
}

fn line(arguments: &str) -> Result<CallsArgs, clap::Error> {
    let line = format!("calls {arguments}");
    Line::try_parse_from(line.split_whitespace()).map(|line| line.args)
}

/// A server whose calls are done as soon as they are posted.
#[derive(Clone)]
struct Server {
    done: broadcast::Sender<CallId>,
    posted: Arc<AtomicU32>,
    manner: Manner,
}

#[derive(Clone, Copy)]
struct Manner {
    /// Before every answer.
    delay: Duration,
    /// Every such post is answered 503.
    refuses_every: u32,
    /// Every such connection of the stream ends after one event.
    cuts_streams: bool,
}

const WELL: Manner = Manner { delay: Duration::ZERO, refuses_every: u32::MAX, cuts_streams: false };

async fn receive(
    State(server): State<Server>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    assert_eq!(headers["x-vapi-secret"], "secret");
    tokio::time::sleep(server.manner.delay).await;
    let posted = server.posted.fetch_add(1, Ordering::Relaxed) + 1;
    if posted.is_multiple_of(server.manner.refuses_every) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let id = body["message"]["call"]["id"].as_str().unwrap();
    // Nobody may listen just now.
    drop(server.done.send(CallId::derive(ORGANIZATION, Provider::Vapi, id)));
    StatusCode::OK
}

async fn events(
    State(server): State<Server>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    assert_eq!(headers["authorization"], "Bearer vx_test");
    let calls = stream::unfold(server.done.subscribe(), |mut done| async move {
        Some((done.recv().await.ok()?, done))
    });
    let events = calls.map(|call| {
        let data = json!({ "timestamp": chrono::Utc::now(), "data": { "id": call } });
        let event = Event::default().id(call.to_string()).event("call_completed");
        Ok(event.data(data.to_string()))
    });
    let most = if server.manner.cuts_streams { 1 } else { usize::MAX };
    Sse::new(events.take(most))
}

async fn measured(manner: Manner, arguments: &str) -> anyhow::Result<Report> {
    let server = Server { done: broadcast::channel(1000).0, posted: Arc::default(), manner };
    let router = Router::new()
        .route(&format!("/vapi/{ORGANIZATION}"), post(receive))
        .route("/v1/events", get(events))
        .with_state(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let installation = Arc::new(Installation::of_test(url, ORGANIZATION));
    calls::measure(&line(arguments).unwrap(), installation).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_counted_once() {
    let report = measured(WELL, "--rate 200 --count 40 --warm-up 3").await.unwrap();
    assert_eq!((report.posted_count, report.completed_count), (40, 40));
    assert_eq!((report.ack_not_2xx_count, report.ack_none_count), (0, 0));
    assert_eq!(report.not_completed_count, 0);
    assert!(report.drain_seconds.is_some(), "{report:?}");
    // 40 calls begin within 195 ms, so that there cannot be many more a second.
    assert!(report.completed_per_second.unwrap() < 210.0, "{report:?}");
    assert!(report.ack_p50_ms.unwrap() <= report.ack_p99_9_ms.unwrap());
    assert!(report.written_p50_ms.unwrap() <= report.done_max_ms.unwrap());
    let names: Vec<&str> = report.processes.iter().map(|process| process.name.as_str()).collect();
    assert_eq!(names, ["serve", "bench"]);
    assert_eq!(report.history, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_for_people_and_for_programs() {
    let report = measured(WELL, "--rate 100 --count 2 --warm-up 0").await.unwrap();
    let table = report.text(Format::Table).unwrap();
    println!("{table}");
    assert!(table.contains("webhook to done, p50 / p99 / max ms"), "{table}");
    assert!(table.contains("CPU_SECONDS_PER_1000_CALLS"), "{table}");
    let json: Value = serde_json::from_str(&report.text(Format::Json).unwrap()).unwrap();
    assert!(json["ack_p99_9_ms"].is_f64() && json["done_p50_ms"].is_f64(), "{json}");
    assert_eq!((&json["count"], &json["history"]), (&json!(2), &Value::Null));
    assert_eq!(json["processes"][1]["name"], "bench");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_delays_no_other_post() {
    let manner = Manner { delay: Duration::from_millis(400), ..WELL };
    let report = measured(manner, "--rate 100 --count 20 --warm-up 0").await.unwrap();
    assert!(report.ack_p50_ms.unwrap() >= 400.0, "{report:?}");
    // One after the other would take 8 s.
    assert!(report.completed_per_second.unwrap() > 3.0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_does_not_hold() {
    let manner = Manner { refuses_every: 5, ..WELL };
    let report = measured(manner, "--rate 200 --count 20 --warm-up 0").await.unwrap();
    assert_eq!((report.ack_not_2xx_count, report.not_completed_count), (4, 4));
    assert_eq!((report.completed_count, report.drain_seconds), (16, None));
    assert!(!report.holds);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_does_not_tell_is_not_completed() {
    let manner = Manner { cuts_streams: true, ..WELL };
    let report = measured(manner, "--rate 50 --count 5 --warm-up 0 --drain-seconds 1").await;
    let report = report.unwrap();
    assert!(report.stream_reconnect_count >= 1, "{report:?}");
    assert!(report.not_completed_count >= 1 && !report.holds, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_does_not_work_is_not_measured() {
    let manner = Manner { refuses_every: 1, ..WELL };
    let refused = measured(manner, "--rate 50 --count 5 --warm-up 2").await;
    assert!(refused.unwrap_err().to_string().contains("of 2 calls to warm up 0"));
    let nothing = Installation::of_test("http://127.0.0.1:1".to_owned(), ORGANIZATION);
    let args = line("--rate 50 --count 5").unwrap();
    let error = calls::measure(&args, Arc::new(nothing)).await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error:#}");
}

#[test]
fn what_is_out_of_bounds_is_a_usage_error() {
    for good in ["--rate 0.1 --count 1", "--rate 5000 --count 1000000 --warm-up 0 -o json"] {
        assert!(line(good).is_ok(), "{good}");
    }
    for bad in [
        "--rate 0.09 --count 1",
        "--rate 5001 --count 1",
        "--rate NaN --count 1",
        "--rate ten --count 1",
        "--rate 5 --count 0",
        "--rate 5 --count 1000001",
        "--rate 5 --count 1 --drain-seconds 0",
        "--count 1",
    ] {
        assert_eq!(line(bad).unwrap_err().exit_code(), 2, "{bad}");
    }
}
