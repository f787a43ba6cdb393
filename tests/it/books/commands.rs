//! The books by command line, API and workflow, of calls that came by webhook.

use std::time::Duration;

use chrono::{TimeDelta, Timelike, Utc};
use contract::{
    names::BILLING_QUEUE,
    usage::{Days, ReconcileUsage, UsageReconciled},
};
use postcall::temporal;
use serde_json::{Value, json};
use store::{Database, Role, daily};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use tokio::time::timeout;
use workflows::UsageReconciliation;

use crate::harness::{
    World,
    calls::{PATIENCE, fresh_id, report_with},
    wait::until,
};

impl World {
    /// `postcall usage …`; gives its JSON, what it said on stderr and the exit code.
    async fn usage_command(&self, words: &[&str]) -> (Value, String, i32) {
        let line: Vec<&str> =
            ["usage"].iter().chain(words).chain(&["-o", "json"]).copied().collect();
        let (shown, errors, code) = self.cli(&line).await;
        (serde_json::from_str(&shown).unwrap_or_default(), errors, code)
    }

    /// Moves the organization to where it is about midday, so that no day ends during the test.
    async fn at_midday(&self) {
        let zone = if Utc::now().hour() < 12 { "Etc/GMT-6" } else { "Etc/GMT+6" };
        self.db.execute("update organizations set timezone = $1", &[&zone]).await.unwrap();
    }

    /// Posts the report of a fresh call of today that lasted so long; gives our id once it is closed.
    async fn call_that_lasted(&self, seconds: u32) -> String {
        let id = fresh_id();
        let ended = Utc::now();
        let started = ended - TimeDelta::seconds(seconds.into());
        let fields = json!({
            "startedAt": started, "endedAt": ended, "durationSeconds": seconds,
            "durationMs": 1000 * u64::from(seconds), "durationMinutes": f64::from(seconds) / 60.0,
        });
        assert_eq!(self.post(report_with(&id, &fields)).await, 200);
        self.closed(&id).await;
        self.call_id(&id).to_string()
    }

    async fn add_up_days(&self) {
        let db = Database::connect(&self.database_url(), Role::Worker, 2).unwrap();
        let now = Utc::now();
        let days =
            Days::Between { from: (now - TimeDelta::days(2)).date_naive(), to: now.date_naive() };
        daily::aggregate_page(&db, days, None, 100, now).await.unwrap();
    }

    /// What a run of `UsageReconciliation` over the last days finds, today included.
    async fn reconcile_by_workflow(&self) -> UsageReconciled {
        let today = Utc::now().date_naive();
        let from = today - TimeDelta::days(2);
        let input =
            ReconcileUsage { from: Some(from), to: Some(today), ..ReconcileUsage::default() };
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        let options = WorkflowStartOptions::new(BILLING_QUEUE, fresh_id()).build();
        let started =
            client.unwrap().start_workflow(UsageReconciliation::run, input, options).await.unwrap();
        let result = started.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("a result")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_are_compared_explained_and_set_right_by_command() {
    let world = World::start().await;
    world.without_options().await;
    world.at_midday().await;
    let call = world.call_that_lasted(151).await;
    world.call_that_lasted(60).await;
    world.redis_equals_ledger().await;
    let (rows, said, code) = world.usage_command(&["reconcile"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("organizations: 1, ") && said.contains(" unexplained: 0"), "{said}");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 4, "today is not added up: {rows:?}");
    assert!(rows.iter().all(|row| row["explanations"][0]["reason"] == "in-flight"));
    world.add_up_days().await;
    assert_eq!(world.usage_command(&["reconcile"]).await.0, json!([]));
    let organization = world.demo.organization_id.clone();
    let (all, _, code) =
        world.usage_command(&["reconcile", "--organization", &organization, "--all"]).await;
    let used = |row: &&Value| row["measure"] == "minutes" && row["ledger"] == 4;
    let used: Vec<&Value> = all.as_array().unwrap().iter().filter(used).collect();
    assert_eq!((code, used.len()), (0, 2), "a day and a period");
    assert_eq!([&used[0]["calls"], &used[0]["daily_usage"]], [4, 4]);
    assert_eq!([&used[1]["totals"], &used[1]["redis"]], [4, 4]);

    let (story, said, code) = world.usage_command(&["explain", &call]).await;
    assert_eq!(code, 0, "{said}");
    assert!(story["summary"].as_str().unwrap().starts_with("3 minutes on "), "{story}");
    assert_eq!(story["events"].as_array().unwrap().len(), 1);
    assert_eq!(story["ledger"].as_array().unwrap().len(), 3);
    assert_eq!(story["day"]["total_minutes"], 4);
    let (told, _, _) = world.cli(&["usage", "explain", &call]).await;
    for moment in ["an event told its end", "on the ledger", "its day was added up"] {
        assert!(told.contains(moment), "{moment}: {told}");
    }

    let (voided, said, code) =
        world.usage_command(&["void", &call, "--reason", "a test call"]).await;
    assert_eq!((code, &voided["minutes_taken_back"]), (0, &json!(3)), "{said}");
    let (voided, ..) = world.usage_command(&["void", &call, "--reason", "again"]).await;
    assert_eq!(voided["was_void"], true);
    world.add_up_days().await;
    let (rows, _, code) = world.usage_command(&["reconcile"]).await;
    assert_eq!(code, 0);
    let reasons = rows.as_array().unwrap().iter().map(|row| &row["explanations"][0]["reason"]);
    assert_eq!(reasons.collect::<Vec<_>>(), ["voided"; 3]);
    let (rebuilt, said, code) = world.usage_command(&["rebuild-counters"]).await;
    assert_eq!((code, &rebuilt["counters"]), (0, &json!(1)), "{said}");
    world.redis_equals_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_row_too_much_is_an_alert_everywhere() {
    let world = World::start().await;
    let sql = "update webhooks set events = array['usage.*']";
    world.db.batch_execute(sql).await.unwrap();
    world.at_midday().await;
    world.call_that_lasted(151).await;
    world.redis_equals_ledger().await;
    world.add_up_days().await;
    let sql = "insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
                   occurred_at, period_id, reason)
               select gen_random_uuid(), organization_id, call_id, meter, 1, 7, occurred_at,
                   period_id, 'correction'
               from usage_ledger where meter = 'call_minutes'";
    assert_eq!(world.db.execute(sql, &[]).await.unwrap(), 1);
    let (rows, said, code) = world.usage_command(&["reconcile"]).await;
    assert_eq!((code, rows.as_array().unwrap().len()), (1, 2), "{said}");
    assert!(said.contains("unexplained: 2") && said.contains("error: books differ"), "{said}");
    let (status, answer) = world.get("/v1/usage/reconcile").await;
    assert_eq!(
        (status, &answer["is_clean"], &answer["unexplained"]),
        (200, &json!(false), &json!(2))
    );
    assert_eq!(answer["data"][0]["unexplained"], 7);

    for _ in 0..2 {
        assert_eq!(world.reconcile_by_workflow().await.unexplained, 2);
    }
    let sql = "select count(*) from webhook_deliveries d join events e on e.id = d.event_id
               where e.type = 'usage.reconcile_failed'";
    until("the alert is there, once", Duration::from_secs(20), || async {
        let told: i64 = world.db.query_one(sql, &[]).await.ok()?.get(0);
        (told == 1).then_some(())
    })
    .await;
    let written = world.events_are_of_the_catalogue().await;
    assert!(written.iter().any(|name| name == "usage.reconcile_failed"), "{written:?}");
    assert!(world.log("worker").contains("books differ, and nothing explains it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_questions_get_a_clear_answer() {
    let world = World::start().await;
    for (query, detail) in [
        ("from=2026-11-02&to=2026-11-01", "must not be after `to`"),
        ("from=2025-01-01&to=2026-11-01", "no more than 400 days at once"),
        ("from=1875-01-01&to=1875-01-02", "must be a day of 2000 to 2199"),
    ] {
        let (status, problem) = world.get(&format!("/v1/usage/reconcile?{query}")).await;
        assert_eq!((status, &problem["errors"][0]["detail"]), (400, &json!(detail)), "{query}");
    }
    for query in ["from=2026-02-30", "from=today", "until=2026-11-01", "all=maybe"] {
        let (status, problem) = world.get(&format!("/v1/usage/reconcile?{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
    }
    let nobody = "019a0000-0000-7000-8000-00000000dead";
    assert_eq!(world.get(&format!("/v1/calls/{nobody}/usage")).await.0, 404);
    for (line, expected) in [
        (&["explain", nobody][..], 3),
        (&["void", nobody, "--reason", "a test call"], 3),
        (&["void", nobody, "--reason", " "], 2),
        (&["reconcile", "--organization", nobody], 3),
        (&["reconcile", "--from", "2026-11-02", "--to", "2026-11-01"], 2),
        (&["reconcile", "--from", "2026-02-30"], 2),
    ] {
        let (_, said, code) = world.usage_command(line).await;
        assert_eq!(code, expected, "{line:?}: {said}");
    }
}
