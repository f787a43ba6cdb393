//! Receivers that answer without an end: the worker's memory does not follow them.

use std::time::Duration;

use postcall::dev::fakes::Provider;
use serde_json::{Value, json};
use uuid::Uuid;

use super::script;
use crate::harness::{World, wait::until};

/// Of each kind.
const ENDPOINTS: usize = 14;
/// For each endpoint.
const EVENTS: usize = 6;
/// Slow answers take 10 s each, and an endpoint that fails gets four at a time.
const PATIENCE: Duration = Duration::from_secs(240);
/// In KiB: a quarter of a MiB for each attempt, were all of them under way at once.
const MOST_GROWN: u64 = 64 * 1024;

/// A line of what Linux knows of a process, in KiB.
fn kibibytes(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()).expect("a line");
    number.parse().expect("a number")
}

impl World {
    /// Endpoints that answer so, and the end of a first attempt at each of their events.
    async fn attempted(&self, kinds: &[(&str, Value, &str)]) {
        let mut endpoints: Vec<(Uuid, &str)> = Vec::new();
        for (kind, answer, error) in kinds {
            for number in 0..ENDPOINTS {
                let name = format!("{kind}-{number}");
                let answers = json!({ "answers": [answer], "then": "repeat_last" });
                self.fakes.script(Provider::Hooks, Some(&name), script(answers));
                endpoints.push((self.open_endpoint(&name, "schedule = '{3600}'").await, error));
            }
        }
        for (endpoint, _) in &endpoints {
            self.enqueue(*endpoint, None, EVENTS).await;
        }
        for (endpoint, error) in endpoints {
            let sql = "select array_agg(error) from webhook_logs where webhook_id = $1";
            let errors = until("each event was tried", PATIENCE, || async {
                let row = self.db.query_one(sql, &[&endpoint]).await.unwrap();
                let errors: Option<Vec<String>> = row.get(0);
                errors.filter(|errors| errors.len() == EVENTS)
            })
            .await;
            assert_eq!(errors, [error; EVENTS]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_an_end_do_not_fill_the_memory_of_the_worker() {
    let world = World::start().await;
    let pid = world.worker().pid();
    // As many as there will be, so that all that is made for failures is there before.
    let refusal = json!({ "status": 500 });
    let usual = ["a", "b", "c"].map(|kind| (kind, refusal.clone(), "status"));
    world.attempted(&usual).await;
    let before = kibibytes(pid, "VmRSS");
    let text = "x".repeat(1000);
    let gigabytes = json!({ "endless": true, "body": text,
        "headers": { "content-length": "4294967296" } });
    let hostile = [
        ("endless", json!({ "endless": true, "body": text }), "too-large"),
        ("gigabytes", gigabytes, "too-large"),
        ("drips", json!({ "drip": true, "body": text }), "timeout"),
    ];
    world.attempted(&hostile).await;
    let grown = kibibytes(pid, "VmHWM").saturating_sub(before);
    assert!(grown < MOST_GROWN, "from {before} KiB by {grown} KiB");
}
