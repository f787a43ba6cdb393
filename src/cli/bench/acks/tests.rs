//! The bench against a server that does as it is told.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use clap::Parser;
use contract::ids::OrganizationId;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{AcksArgs, measure, pause::Worker, report::Report};
use crate::cli::{Format, bench::installation::Installation};

const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(7));
/// Posts to warm up with two connections.
const WARM_UP: u64 = 102;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: AcksArgs,
}

fn line(arguments: &str) -> Result<AcksArgs, clap::Error> {
    let line = format!("acks {arguments}");
    Line::try_parse_from(line.split_whitespace()).map(|line| line.args)
}

#[derive(Clone)]
struct Server {
    seen: Arc<Mutex<Seen>>,
    manner: Manner,
}

#[derive(Default)]
struct Seen {
    posts: u64,
    calls: HashSet<String>,
    sizes: HashSet<usize>,
}

#[derive(Clone, Copy)]
struct Manner {
    /// Before every answer.
    delay: Duration,
    /// Every later post is answered 503.
    refuses_after: u64,
    /// Counts one in so many as stored.
    stores_one_in: u64,
    /// Counts so many of the last as spooled.
    spooled: u64,
}

const WELL: Manner =
    Manner { delay: Duration::ZERO, refuses_after: u64::MAX, stores_one_in: 1, spooled: 0 };

async fn receive(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["x-vapi-secret"], "secret");
    tokio::time::sleep(server.manner.delay).await;
    let message: Value = serde_json::from_slice(&body).unwrap();
    let mut seen = server.seen.lock().unwrap();
    seen.posts += 1;
    seen.calls.insert(message["message"]["call"]["id"].as_str().unwrap().to_owned());
    seen.sizes.insert(body.len());
    match seen.posts > server.manner.refuses_after {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    }
}

async fn metrics(State(server): State<Server>) -> String {
    let stored = server.seen.lock().unwrap().calls.len() as u64 / server.manner.stores_one_in;
    let spooled = server.manner.spooled.min(stored.saturating_sub(WARM_UP));
    let line = |outcome: &str, count: u64| {
        format!("postcall_inbox_events_total{{provider=\"vapi\",outcome=\"{outcome}\"}} {count}\n")
    };
    line("new", stored - spooled) + &line("spooled", spooled)
}

async fn measured(manner: Manner, arguments: &str) -> (anyhow::Result<Report>, Arc<Mutex<Seen>>) {
    let server = Server { seen: Arc::default(), manner };
    let seen = server.seen.clone();
    let router = Router::new()
        .route(&format!("/vapi/{ORGANIZATION}"), post(receive))
        .route("/metrics", get(metrics))
        .with_state(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let installation = Arc::new(Installation::of_test(url, ORGANIZATION));
    let args = line(&format!("--connections 2 --seconds 1 {arguments}")).unwrap();
    (measure(&args, installation).await, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_post_is_a_call_of_its_own_and_counted_once() {
    let (report, seen) = measured(WELL, "--rate 100 --bytes 6000").await;
    let report = report.unwrap();
    let rate = &report.rates[0];
    assert_eq!((rate.posted_count, rate.acknowledged_count), (100, 100));
    assert_eq!((rate.not_2xx_count, rate.none_count), (0, 0));
    assert!((50.0..=102.0).contains(&rate.achieved_per_second), "{rate:?}");
    assert!(rate.ack_p50_ms.unwrap() <= rate.ack_p99_9_ms.unwrap());
    assert_eq!((report.acknowledged_count, report.stored_count), (202, Some(202)));
    assert_eq!((report.knee_per_second, report.worker), (None, Worker::Unknown));
    report.check().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!((seen.posts, seen.calls.len()), (WARM_UP + 100, 202));
    assert_eq!(seen.sizes, HashSet::from([6000]));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_connection_counts() {
    // Two connections with 100 ms for each answer: 20 of the 40 posts a second that are due.
    let manner = Manner { delay: Duration::from_millis(100), ..WELL };
    let (report, _) = measured(manner, "--rate 40").await;
    let rate = &report.unwrap().rates[0];
    assert_eq!((rate.posted_count, rate.acknowledged_count), (40, 40));
    assert!(rate.ack_max_ms.unwrap() >= 900.0, "{rate:?}");
    assert!(rate.achieved_per_second < 21.0 && !rate.held, "{rate:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_knee_is_the_highest_rate_that_was_held() {
    // Two connections with 20 ms for each answer: at most 100 a second.
    let manner = Manner { delay: Duration::from_millis(20), ..WELL };
    let (report, _) = measured(manner, "--rate 40 --knee").await;
    let report = report.unwrap();
    let asked: Vec<f64> = report.rates.iter().map(|rate| rate.rate_per_second).collect();
    assert_eq!(asked, [40.0, 50.0, 63.0, 79.0, 99.0, 124.0][..asked.len()], "{report:?}");
    let (last, before) = report.rates.split_last().unwrap();
    assert!(!last.held && before.iter().all(|rate| rate.held), "{report:?}");
    assert_eq!(report.knee_per_second, before.last().map(|rate| rate.rate_per_second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_with_refused_posts_is_not_held() {
    let manner = Manner { refuses_after: WARM_UP + 98, ..WELL };
    let (report, _) = measured(manner, "--rate 100 --knee").await;
    let report = report.unwrap();
    let rate = &report.rates[0];
    assert_eq!((report.rates.len(), rate.acknowledged_count), (1, 98));
    assert_eq!((rate.not_2xx_count, rate.held), (2, false));
    assert_eq!(report.knee_per_second, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_only_the_spool_held_is_not_held() {
    let (report, _) = measured(Manner { spooled: 8, ..WELL }, "--rate 100").await;
    let report = report.unwrap();
    let rate = &report.rates[0];
    assert_eq!((rate.acknowledged_count, rate.spooled_count, rate.held), (100, Some(8), false));
    assert_eq!(report.stored_count, Some(202));
    report.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_not_stored_is_an_error() {
    let (report, _) = measured(Manner { stores_one_in: 2, ..WELL }, "--rate 50").await;
    let error = report.unwrap().check().unwrap_err();
    assert_eq!(error.to_string(), "152 posts were acknowledged, and 76 stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_for_people_and_for_programs() {
    let (report, _) = measured(WELL, "--rate 20 --with-worker").await;
    let report = report.unwrap();
    let table = report.text(Format::Table).unwrap();
    println!("{table}");
    assert!(table.contains("P99.9 MS") && table.contains("BENCH CPU S"), "{table}");
    let json: Value = serde_json::from_str(&report.text(Format::Json).unwrap()).unwrap();
    assert_eq!((&json["bench"], &json["worker"]), (&json!("acks"), &json!("running")));
    assert!(json["rates"][0]["ack_p99_9_ms"].is_f64(), "{json}");
    assert_eq!(json["rates"][0]["processes"][1]["name"], "bench");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_does_not_acknowledge_is_not_measured() {
    let (report, seen) = measured(Manner { refuses_after: 0, ..WELL }, "--rate 50").await;
    assert!(report.unwrap_err().to_string().contains("of 2 posts to warm up 0"));
    assert_eq!(seen.lock().unwrap().posts, 2);
    let nothing = Installation::of_test("http://127.0.0.1:1".to_owned(), ORGANIZATION);
    let error = measure(&line("--rate 50").unwrap(), Arc::new(nothing)).await.unwrap_err();
    assert!(error.to_string().contains("64 not answered"), "{error:#}");
}

#[test]
fn what_is_out_of_bounds_is_a_usage_error() {
    for good in ["", "--rate 1 --seconds 600", "--rate 20000 --knee --bytes 4096 -o jsonl"] {
        assert!(line(good).is_ok(), "{good}");
    }
    for bad in [
        "--rate 0.9",
        "--rate 20001",
        "--rate NaN",
        "--seconds 0",
        "--seconds 601",
        "--bytes 4095",
        "--bytes 1000001",
        "--connections 0",
        "--connections 769",
    ] {
        assert_eq!(line(bad).unwrap_err().exit_code(), 2, "{bad}");
    }
    assert_eq!(line("").unwrap().seconds(), 15);
    assert_eq!(line("--knee").unwrap().seconds(), 5);
    assert_eq!(line("--knee --seconds 9").unwrap().seconds(), 9);
}
