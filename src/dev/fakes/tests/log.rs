//! The effect log: pages, clearing, and what survives a restart.

use super::*;
use std::{fs, io::Write as _};

use serde_json::json;

#[tokio::test]
async fn pages_go_on_after_the_last_one() {
    let bench = Bench::start().await;
    for _ in 0..5 {
        answer(bench.post("/hooks/a").body("{}")).await;
    }
    let (_, first) = answer(bench.get("/effects?limit=3")).await;
    assert_eq!((first["data"].as_array().map(Vec::len), &first["next"]), (Some(3), &json!(3)));
    let (_, rest) = answer(bench.get("/effects?after=3")).await;
    assert_eq!((rest["data"].as_array().map(Vec::len), &rest["next"]), (Some(2), &json!(5)));
    assert_eq!(answer(bench.get("/effects?after=5")).await.1["next"], 5);
    assert_eq!(answer(bench.get("/effects?kind=nonsense")).await.0, 400);

    assert_eq!(answer(bench.ask(Method::DELETE, "/effects")).await.0, 204);
    answer(bench.post("/hooks/a").body("{}")).await;
    let (_, log) = answer(bench.get("/effects")).await;
    assert_eq!((log["data"].as_array().map(Vec::len), &log["next"]), (Some(1), &json!(6)));
}

#[tokio::test]
async fn the_log_and_the_providers_go_on_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fakes").join("effects.jsonl");
    let form = "event_name=minutes&identifier=usage_1&payload%5Bvalue%5D=3";
    let before = Bench::start_on(Some(file.clone())).await;
    answer(before.sms("+14155552671")).await;
    answer(before.meter_event("key-1", form)).await;
    answer(before.post("/admin/clock").json(&json!({ "advance_seconds": 3600 }))).await;
    before.fakes.effects().clear();
    answer(before.post("/hooks/acme").body("{\"n\":1}")).await;
    let kept = before.fakes.effects().list(&Filter::default());
    before.fakes.stop().await;
    // A kill in the middle of a line.
    let mut torn = fs::OpenOptions::new().append(true).open(&file).expect("the log");
    torn.write_all(b"{\"seq\":4,\"at\":\"20").expect("half a line");

    let after = Bench::start_on(Some(file.clone())).await;
    assert_eq!(after.fakes.effects().list(&Filter::default()), kept);
    let list = after.get(MESSAGES).basic_auth("AC1", Some("token"));
    assert_eq!(answer(list).await.1["messages"].as_array().map(Vec::len), Some(1));
    let again = after.meter_event("key-1", form).send().await.expect("an answer");
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let (_, clock) =
        answer(after.post("/admin/clock").json(&json!({ "advance_seconds": 0 }))).await;
    assert_eq!(clock["ahead_seconds"], 3600);
    let seqs: Vec<u64> =
        after.fakes.effects().list(&Filter::default()).iter().map(|effect| effect.seq).collect();
    assert_eq!(seqs, [3, 4, 5]);
    after.fakes.stop().await;
    let text = fs::read_to_string(&file).expect("the log");
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[tokio::test]
async fn the_log_is_written_while_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("effects.jsonl");
    let bench = Bench::start_on(Some(file.clone())).await;
    answer(bench.post("/hooks/acme").body("{}")).await;
    let written = async {
        while fs::metadata(&file).is_ok_and(|file| file.len() == 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), written).await.expect("a flush");
}

#[tokio::test]
async fn an_address_in_use_is_said() {
    let bench = Bench::start().await;
    let listen = bench.fakes.url().trim_start_matches("http://").parse().expect("an address");
    let options = FakesOptions { listen, log_file: None, delay: Duration::ZERO };
    let error = Fakes::start(options).await.expect_err("the address is taken");
    assert!(error.to_string().contains("listening"), "{error}");
}
