//! `postcall inbox list|show|replay|discard`: what was parked becomes a call once it can be read, and
//! a replay of what was processed changes nothing.

use std::{collections::BTreeMap, time::Duration};

use contract::{call::Provider, names::call_workflow_id};
use postcall::dev::fakes::{Filter, Kind};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use uuid::Uuid;

use crate::harness::{
    Options, World,
    audit::Counts,
    calls::{PATIENCE, example_of, fresh_id},
    signed::{Webhook, fresh_call},
    wait::until,
};

const PROVIDERS: [Provider; 3] = [Provider::Vapi, Provider::Retell, Provider::Twilio];

/// Tables, the column of each that a replay may change, and which of their rows are compared.
const TABLES: [(&str, &str, &str); 10] = [
    ("calls", "updated_at", "true"),
    ("call_keys", "", "true"),
    ("call_transcripts", "", "true"),
    ("call_recordings", "", "true"),
    ("call_results", "", "true"),
    ("usage_ledger", "", "true"),
    ("usage_totals", "", "true"),
    // The live notice that a run has ended is told by each run, and to dashboards only.
    ("events", "", "type <> 'call_completed'"),
    ("webhook_deliveries", "", "true"),
    ("notifications", "", "true"),
];

/// Everything that is stored or was done, but for the inbox.
struct Everything(BTreeMap<&'static str, Vec<String>>);

impl Everything {
    /// Fails with the first lines that differ.
    fn is_still(&self, after: &Self) {
        for (what, lines) in &self.0 {
            for (line, now) in lines.iter().zip(&after.0[what]) {
                assert_eq!(now, line, "{what}");
            }
            assert_eq!(after.0[what].len(), lines.len(), "{what}: {:?}", after.0[what].last());
        }
    }
}

impl World {
    async fn everything(&self) -> Everything {
        let mut found = BTreeMap::new();
        for (table, without, compared) in TABLES {
            let line = format!("(to_jsonb(t) - '{without}')::text");
            let sql = format!("select {line} from {table} t where {compared} order by 1");
            let rows = self.db.query(&sql, &[]).await.unwrap();
            found.insert(table, rows.iter().map(|row| row.get(0)).collect());
        }
        for (name, kind) in [("sms", Kind::Sms), ("email", Kind::Email), ("webhook", Kind::Webhook)]
        {
            let filter = Filter { kind: Some(kind), ..Filter::default() };
            let done = self.fakes.effects().list(&filter);
            let lines = done.iter().map(|effect| serde_json::to_string(effect).unwrap());
            found.insert(name, lines.collect());
        }
        Everything(found)
    }

    /// Inbox ids of a status, oldest first.
    async fn ids(&self, status: &str) -> Vec<Uuid> {
        let sql = "select id from inbox where status = $1 order by received_at, id";
        let rows = self.db.query(sql, &[&status]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn status_of(&self, id: Uuid) -> String {
        let sql = "select status from inbox where id = $1";
        self.db.query_one(sql, &[&id]).await.unwrap().get(0)
    }

    /// `postcall inbox …`, which must succeed; gives its JSON.
    async fn inbox_command(&self, words: &[&str]) -> Value {
        let line: Vec<&str> =
            ["inbox"].iter().chain(words).chain(&["-o", "json"]).copied().collect();
        let (shown, errors, code) = self.cli(&line).await;
        assert_eq!(code, 0, "{line:?}: {errors}");
        serde_json::from_str(&shown).unwrap()
    }

    async fn nothing_is_undone(&self, limit: Duration) {
        until("no event is undone", limit, || async {
            self.ids("received").await.is_empty().then_some(())
        })
        .await;
    }

    /// Waits until a call's workflow has closed, with all of its effects.
    async fn has_come_to_rest(&self, provider: Provider, id: &str) {
        self.closed_of(provider, id).await;
        let workflow = call_workflow_id(self.call_of(provider, id));
        until("the workflow has closed", PATIENCE, || async {
            let last = self.history_of(&workflow).await.last()?.event_type();
            (last == EventType::WorkflowExecutionCompleted).then_some(())
        })
        .await;
    }

    /// The report of a fresh call of each provider, as a release that could not read it stored it.
    async fn park_reports(&self) -> Vec<(Provider, String)> {
        let sql = "insert into inbox (id, organization_id, provider, event_key, event_kind, body,
                       body_sha256, origin, status, parked_reason)
                   values ($1, $2, $3, 'unreadable/' || encode(sha256($4), 'hex'), 'unreadable', $4,
                       sha256($4), 'webhook', 'parked', 'x')";
        let mut calls = Vec::new();
        for provider in PROVIDERS {
            let id = fresh_call(provider);
            let mut life = self.life(provider, &id);
            let report = if provider == Provider::Twilio { 3 } else { life.len() - 1 };
            let body = match life.swap_remove(report).1 {
                Webhook::Vapi(body) | Webhook::Retell(body) => body,
                Webhook::Twilio(_, form) => form.into_bytes(),
            };
            let (row, own) = (Uuid::now_v7(), self.organization());
            self.db.execute(sql, &[&row, &own, &provider.as_str(), &body]).await.unwrap();
            calls.push((provider, id));
        }
        calls
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_event_that_can_be_read_now_becomes_its_call_once() {
    let world = World::start().await;
    let calls = world.park_reports().await;
    let parked = world.ids("parked").await;

    let listed = world.inbox_command(&["list", "--status", "parked"]).await;
    let mut seen: Vec<Uuid> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_str().unwrap().parse().unwrap())
        .collect();
    seen.reverse();
    assert_eq!(seen, parked, "newest first");
    assert_eq!((&listed[0]["parked_reason"], &listed[0]["call_id"]), (&json!("x"), &json!(null)));
    let ids: Vec<String> = parked.iter().map(Uuid::to_string).collect();
    let shown = world.inbox_command(&["show", &ids[0]]).await;
    assert_eq!(shown["body_json"]["message"]["call"]["id"], json!(calls[0].1));
    let form = world.inbox_command(&["show", &ids[2]]).await;
    assert!(form["body_text"].as_str().unwrap().contains(&calls[2].1), "{form}");
    let (raw, errors, code) = world.cli(&["inbox", "show", &ids[1], "--body"]).await;
    assert_eq!(code, 0, "{errors}");
    let sql = "select body from inbox where id = $1";
    let stored: Vec<u8> = world.db.query_one(sql, &[&parked[1]]).await.unwrap().get(0);
    assert_eq!(raw.as_bytes(), stored, "byte by byte");

    for id in &ids {
        let replayed = world.inbox_command(&["replay", id]).await;
        assert_eq!((&replayed[0]["id"], &replayed[0]["replayed"]), (&json!(id), &json!(true)));
    }
    for (provider, id) in &calls {
        world.has_come_to_rest(*provider, id).await;
    }
    assert_eq!(world.ids("processed").await, parked);
    let vapi = &calls[0].1;
    assert_eq!(world.counts(vapi).await, Counts::once(3));
    let told = [Kind::Sms, Kind::Email, Kind::Webhook].map(|kind| world.accepted(kind));
    assert_eq!(told, [3, 3, 3]);

    let before = world.everything().await;
    let words: Vec<&str> = ["replay"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let replayed = world.inbox_command(&words).await;
    assert!(replayed.as_array().unwrap().iter().all(|event| event["replayed"] == true));
    for (provider, id) in &calls {
        world.has_come_to_rest(*provider, id).await;
    }
    assert_eq!(world.ids("processed").await, parked);
    before.is_still(&world.everything().await);
    assert_eq!(world.counts(vapi).await, Counts::once(3));
    world.redis_equals_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_by_filter_of_processed_calls_changes_nothing() {
    let world = World::start().await;
    let mut calls = Vec::new();
    for provider in PROVIDERS {
        let id = fresh_call(provider);
        for (name, webhook) in world.life(provider, &id) {
            let status = world.post_webhook(webhook).await;
            assert!((200..300).contains(&status), "{name}: {status}");
        }
        calls.push((provider, id));
    }
    for (provider, id) in &calls {
        world.has_come_to_rest(*provider, id).await;
    }
    let all = world.ids("processed").await;
    assert_eq!(all.len(), 13);
    let before = world.everything().await;
    for (what, lines) in &before.0 {
        assert!(!lines.is_empty(), "{what} is there to be compared");
    }
    let audited = "select count(*) from audit_log where action = 'inbox.replay'";
    let audited = || async { world.db.query_one(audited, &[]).await.unwrap().get::<_, i64>(0) };

    for wrong in [
        &["inbox", "replay"][..],
        &["inbox", "replay", "--yes"],
        &["inbox", "replay", "--dry-run"],
        &["inbox", "replay", "--status", "done", "--yes"],
        &["inbox", "replay", "--status", "processed"],
    ] {
        let (_, errors, code) = world.cli(wrong).await;
        assert_eq!(code, 2, "{wrong:?}: {errors}");
    }
    let processed = ["replay", "--status", "processed"];
    let counted = world.inbox_command(&[&processed[..], &["--dry-run"]].concat()).await;
    let expected = json!({ "matched": 13, "replayable": 13, "replayed": 0, "dry_run": true });
    assert_eq!(counted, expected);
    assert_eq!(world.ids("processed").await, all, "nothing is due");
    assert_eq!(audited().await, 0);
    before.is_still(&world.everything().await);

    let retell = [&processed[..], &["--provider", "retell", "--dry-run"]].concat();
    assert_eq!(world.inbox_command(&retell).await["matched"], 3);
    let kind = ["replay", "--event-kind", "end-of-call-report", "--yes"];
    assert_eq!(world.inbox_command(&kind).await["replayed"], 1);
    world.has_come_to_rest(Provider::Vapi, &calls[0].1).await;
    before.is_still(&world.everything().await);

    for round in 0..2 {
        let replayed = world.inbox_command(&[&processed[..], &["--yes"]].concat()).await;
        assert_eq!(replayed["replayed"], 13, "{round}: {replayed}");
        for (provider, id) in &calls {
            world.has_come_to_rest(*provider, id).await;
        }
        assert_eq!(world.ids("processed").await, all);
        before.is_still(&world.everything().await);
    }
    assert_eq!(audited().await, 3);
    world.redis_equals_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_unreadable_is_repeated_or_discarded_has_no_effect() {
    let world = World::start().await;
    let call = world.post_call().await;
    world.has_come_to_rest(Provider::Vapi, &call).await;
    assert_eq!(world.post(b"no json".to_vec()).await, 200);
    let (processed, parked) = (world.ids("processed").await[0], world.ids("parked").await[0]);
    let before = world.everything().await;
    let soon = Duration::from_secs(20);

    let mend = "update inbox set parked_reason = 'of an older release' where status = 'parked'";
    world.db.batch_execute(mend).await.unwrap();
    world.inbox_command(&["replay", &parked.to_string()]).await;
    world.nothing_is_undone(soon).await;
    let shown = world.inbox_command(&["show", &parked.to_string()]).await;
    assert_eq!(
        (&shown["status"], &shown["parked_reason"]),
        (&json!("parked"), &json!("the body is not JSON"))
    );

    let copy = "insert into inbox (id, organization_id, provider, event_key, event_kind, body,
            body_sha256, origin, status, parked_reason)
        select $1, organization_id, provider, 'unreadable/1', 'unreadable', body, body_sha256,
            origin, 'parked', 'x' from inbox where id = $2";
    let repetition = Uuid::now_v7();
    assert_eq!(world.db.execute(copy, &[&repetition, &processed]).await.unwrap(), 1);
    world.inbox_command(&["replay", &repetition.to_string()]).await;
    world.nothing_is_undone(soon).await;
    assert_eq!(world.status_of(repetition).await, "discarded");

    let discarded = world.inbox_command(&["discard", &parked.to_string()]).await;
    assert_eq!(discarded, json!([{ "id": parked, "status": "discarded" }]));
    // Received, and the dispatcher's: discarding it could hang its workflow.
    let later = "insert into inbox (id, organization_id, provider, event_key, event_kind, body,
            body_sha256, origin, status, dispatch_after)
        select $1, organization_id, provider, 'later', 'later', body, body_sha256, origin,
            'received', now() + interval '1 hour' from inbox where id = $2";
    let received = Uuid::now_v7();
    world.db.execute(later, &[&received, &processed]).await.unwrap();
    for (id, word) in
        [(parked, "discarded already"), (processed, "effect"), (received, "being processed")]
    {
        let (_, errors, code) = world.cli(&["inbox", "discard", &id.to_string()]).await;
        assert_eq!((code, errors.contains(word)), (5, true), "{word}: {errors}");
    }
    world.db.execute("delete from inbox where id = $1", &[&received]).await.unwrap();
    world.inbox_command(&["replay", &parked.to_string()]).await;
    world.nothing_is_undone(soon).await;
    assert_eq!(world.status_of(parked).await, "parked", "a replay takes the discarding back");

    let (strange, parked) = (Uuid::now_v7().to_string(), parked.to_string());
    let (shown, errors, code) =
        world.cli(&["inbox", "discard", &strange, &parked, "-o", "json"]).await;
    assert_eq!(code, 3, "{errors}");
    assert_eq!(errors.matches("404").count(), 1, "each failure is told once: {errors}");
    assert!(errors.contains(&strange) && errors.contains("1 of 2 events failed"), "{errors}");
    assert!(shown.contains(&parked), "the other one is done: {shown}");
    before.is_still(&world.everything().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organizations_events_are_not_found() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let other = world.second_organization().await;
    assert_eq!(world.post(b"no json".to_vec()).await, 200);
    // A busy machine may keep it in the spool for a moment.
    let id =
        until("it is parked", PATIENCE, || async { world.ids("parked").await.first().copied() })
            .await;
    let ask = |method: reqwest::Method, path: String, body: Value| {
        let request = world.http.request(method, format!("{}/v1/inbox{path}", world.api_url));
        let request = request.bearer_auth(&other.api_key);
        let request = if body.is_null() { request } else { request.json(&body) };
        async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
        }
    };
    let (get, post) = (reqwest::Method::GET, reqwest::Method::POST);
    for (method, path) in [
        (get.clone(), format!("/{id}")),
        (post.clone(), format!("/{id}/replay")),
        (post.clone(), format!("/{id}/discard")),
    ] {
        assert_eq!(ask(method, path.clone(), Value::Null).await.0, 404, "{path}");
    }
    let (status, listed) = ask(get, "?status=parked".to_owned(), Value::Null).await;
    assert_eq!((status, &listed["data"]), (200, &json!([])));
    for filter in [json!({ "status": "parked" }), json!({ "ids": [id] })] {
        let (status, batch) =
            ask(post.clone(), "/replay".to_owned(), json!({ "filter": filter })).await;
        assert_eq!((status, &batch["matched"], &batch["replayed"]), (200, &json!(0), &json!(0)));
    }
    assert_eq!(world.status_of(id).await, "parked");
    let unknown = Uuid::now_v7().to_string();
    for verb in ["show", "replay", "discard"] {
        assert_eq!(world.cli(&["inbox", verb, &unknown]).await.2, 3, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_goes_through_all_of_them() {
    const EVENTS: usize = 1_200;
    const CALLS: usize = 12;
    let world = World::start().await;
    world.without_options().await;
    let id = fresh_id();
    let body = String::from_utf8(example_of("status_update_queued", &id)).unwrap();
    // All of one instant, so that batches end among equals.
    let sql = format!(
        "insert into inbox (id, organization_id, provider, event_key, event_kind, body,
             body_sha256, origin, status, parked_reason)
         select gen_random_uuid(), $1, 'vapi', 'unreadable/' || n, 'unreadable', body, sha256(body),
             'webhook', 'parked', 'x'
         from (select n, convert_to(replace($2, $3, 'many-' || n % {CALLS}), 'UTF8') as body
               from generate_series(1, {EVENTS}) n) bodies"
    );
    let own = world.organization();
    let inserted = world.db.execute(&sql, &[&own, &body, &id]).await.unwrap();
    assert_eq!(inserted, EVENTS as u64);
    let patience = Duration::from_secs(180);
    for (status, matched) in [("parked", EVENTS), ("discarded", EVENTS - CALLS)] {
        let line = ["inbox", "replay", "--status", status, "--yes", "-o", "json"];
        let (shown, errors, code) = world.cli(&line).await;
        assert_eq!(code, 0, "{errors}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&shown["matched"], &shown["replayed"]), (&json!(matched), &json!(matched)));
        for progress in ["replaying: 500", "replaying: 1000"] {
            assert!(errors.contains(progress), "{errors}");
        }
        world.nothing_is_undone(patience).await;
        assert_eq!(world.ids("processed").await.len(), CALLS);
        assert_eq!(world.ids("discarded").await.len(), EVENTS - CALLS);
    }
    let sql = "select count(*) from calls where status = 'queued'";
    assert_eq!(world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), CALLS as i64);
}
