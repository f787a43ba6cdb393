//! A call's webhooks in every order, with some missing and some repeated: always the same rows.

use std::{collections::BTreeMap, time::Duration};

use contract::{
    call::{CallStatus, Provider},
    names::call_workflow_id,
};
use futures::StreamExt;
use postcall::dev::fakes::{self, Effect, Filter, Kind};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use crate::harness::{
    Options, World,
    audit::Counts,
    calls::PATIENCE,
    permuted::{Choices, orders},
    rows::Rows,
    signed::{Stored, fresh_call},
    wait::until,
};

/// Calls that are posted side by side.
const AT_ONCE: usize = 32;
/// For all calls of a test to be processed.
const LONG_PATIENCE: Duration = Duration::from_secs(600);

/// Places of the webhooks in a life: see [`World::life`].
const VAPI_REPORT: usize = 4;
const RETELL_ANALYZED: usize = 2;
const TWILIO_COMPLETED: usize = 3;

/// How many webhooks a life has.
const WEBHOOKS: [(Provider, usize); 3] =
    [(Provider::Vapi, 5), (Provider::Retell, 3), (Provider::Twilio, 5)];
/// Orders that are tried with time between: as it should be, the last first, the start last and so
/// on, some with a repetition.
const LATE: [(Provider, &[usize]); 13] = [
    (Provider::Vapi, &[0, 1, 2, 3, 4]),
    (Provider::Vapi, &[4, 0, 1, 2, 3]),
    (Provider::Vapi, &[3, 4, 2, 1, 0, 3]),
    (Provider::Vapi, &[0, 1, 3, 4, 2, 4]),
    (Provider::Vapi, &[4, 3, 2, 1, 0]),
    (Provider::Retell, &[0, 1, 2]),
    (Provider::Retell, &[2, 1, 0]),
    (Provider::Retell, &[1, 2, 0, 1]),
    (Provider::Retell, &[2, 0, 1]),
    (Provider::Twilio, &[0, 1, 2, 3, 4]),
    (Provider::Twilio, &[4, 0, 1, 2, 3]),
    (Provider::Twilio, &[3, 4, 2, 1, 0, 3]),
    (Provider::Twilio, &[0, 1, 3, 4, 2, 4]),
];

/// One call: which of the webhooks of its life are posted, in which order.
#[derive(Debug)]
struct Posted {
    provider: Provider,
    id: String,
    /// Places in the life; repetitions included.
    sequence: Vec<usize>,
}

impl Posted {
    fn new(provider: Provider, sequence: Vec<usize>) -> Self {
        Self { provider, id: fresh_call(provider), sequence }
    }

    /// What was posted, whatever its order and repetition.
    fn subset(&self) -> Vec<usize> {
        let mut subset = self.sequence.clone();
        subset.sort_unstable();
        subset.dedup();
        subset
    }

    /// How many events these are.
    fn events(&self) -> i64 {
        i64::try_from(self.subset().len()).unwrap()
    }
}

impl World {
    async fn post_at_once(&self, call: &Posted) {
        let life = self.life(call.provider, &call.id);
        for place in &call.sequence {
            let (name, webhook) = life[*place].clone();
            let status = self.post_webhook(webhook).await;
            assert!((200..300).contains(&status), "{name}: {status}");
        }
    }

    /// Each webhook only when everything that follows from the one before is done.
    async fn post_slowly(&self, call: &Posted) {
        let Posted { provider, id, sequence } = call;
        for next in 1..=sequence.len() {
            let so_far = |from: usize| Posted {
                provider: *provider,
                id: id.clone(),
                sequence: sequence[from..next].to_vec(),
            };
            self.post_at_once(&so_far(next - 1)).await;
            self.rests(&so_far(0)).await;
        }
    }

    /// Waits until every event of a call is processed and its workflow, where it has one, closed.
    async fn rests(&self, call: &Posted) {
        let id = self.call_of(call.provider, &call.id);
        let done = Stored { events: call.events(), undone: 0 };
        until(&format!("{call:?} is at rest"), PATIENCE, || async {
            if self.stored(id).await != done {
                return None;
            }
            let sql = "select billed_minutes is not null from calls where id = $1";
            if !self.db.query_one(sql, &[&id.0]).await.ok()?.get::<_, bool>(0) {
                return Some(());
            }
            let history = self.history_of(&call_workflow_id(id)).await;
            let last = history.last()?.event_type();
            (last == EventType::WorkflowExecutionCompleted).then_some(())
        })
        .await;
    }

    /// Waits until every event of all calls is processed: none is parked, and none is a conflict.
    async fn all_processed(&self, calls: &[Posted]) {
        let events: i64 = calls.iter().map(Posted::events).sum();
        until("every event is processed", LONG_PATIENCE, || async {
            let sql = "select count(*) from inbox where status = 'processed' and conflicts = 0";
            let done: i64 = self.db.query_one(sql, &[]).await.ok()?.get(0);
            (done == events).then_some(())
        })
        .await;
    }

    async fn every_event_is_delivered_once(&self) {
        until("every event is delivered", PATIENCE, || async {
            let sql = "select count(*) from webhook_deliveries where state <> 'delivered'";
            let open: i64 = self.db.query_one(sql, &[]).await.ok()?.get(0);
            (open == 0).then_some(())
        })
        .await;
        let mut times: BTreeMap<(String, String), u32> = BTreeMap::new();
        let webhooks = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
        for Effect { request, .. } in self.fakes.effects().list(&webhooks) {
            let kind = request.body["type"].to_string();
            *times.entry((kind, request.headers["webhook-id"].clone())).or_default() += 1;
        }
        let repeated: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(repeated.is_empty(), "of {}: {repeated:?}", times.len());
    }

    /// What customers were told of a call, in order: type and data.
    async fn told(&self, call: &Posted) -> Vec<(String, Value)> {
        let sql = "select type, payload->'data' from events
                   where call_id = $1 and type like 'call.%' order by txid, id";
        let id = self.call_of(call.provider, &call.id);
        let rows = self.db.query(sql, &[&id.0]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// Customers are told of a start at most once and before the end, of an end once, and after that
/// only of differences.
fn assert_orderly(told: &[(String, Value)], call: &Posted) {
    let starts = told.iter().filter(|(kind, _)| kind == "call.started");
    for (place, (_, data)) in starts.enumerate() {
        let status: CallStatus = data["status"].as_str().unwrap().parse().unwrap();
        assert!(place == 0 && !status.is_final(), "{call:?}: {told:?}");
    }
    let ends: Vec<_> = told.iter().filter(|(kind, _)| kind != "call.started").collect();
    assert!(
        told.ends_with(&ends.iter().copied().cloned().collect::<Vec<_>>()),
        "{call:?}: {told:?}"
    );
    for pair in ends.windows(2) {
        assert_ne!(pair[0].1, pair[1].1, "{call:?}: the same was told twice");
    }
    for once in ["call.completed", "call.failed"] {
        assert!(ends.iter().filter(|(kind, _)| kind == once).count() <= 1, "{call:?}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_every_subset_ends_in_the_same_rows() {
    let world = World::start().await;
    world.without_options().await;
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    let mut choices = Choices(seed);
    let mut calls = Vec::new();
    for (provider, webhooks) in WEBHOOKS {
        for order in orders(webhooks) {
            calls.push(Posted::new(provider, choices.with_repetitions(&order)));
        }
    }
    assert_eq!(calls.len(), 325 + 15 + 325);
    let posting = futures::stream::iter(&calls);
    posting.for_each_concurrent(AT_ONCE, |call| world.post_at_once(call)).await;
    world.all_processed(&calls).await;

    let mut subsets: BTreeMap<(Provider, Vec<usize>), (Rows, &Posted)> = BTreeMap::new();
    for call in &calls {
        let rows = world.rows(call.provider, &call.id).await;
        assert_orderly(&world.told(call).await, call);
        let key = (call.provider, call.subset());
        let (expected, first) = subsets.entry(key).or_insert_with(|| (rows.clone(), call));
        let difference = rows.difference(expected);
        assert_eq!(difference, "", "{call:?} is not as {first:?} (seed {seed:#x})");
    }
    assert_eq!(subsets.len(), 31 + 7 + 31);
    assert_the_report_decides(&subsets);
    assert_only_ended_calls_are_billed(&subsets);
}

type Subsets<'a> = BTreeMap<(Provider, Vec<usize>), (Rows, &'a Posted)>;

/// What a provider's last word tells is so, whatever else was posted; the rest adds to it.
fn assert_the_report_decides(subsets: &Subsets<'_>) {
    for (provider, report) in [
        (Provider::Vapi, VAPI_REPORT),
        (Provider::Retell, RETELL_ANALYZED),
        (Provider::Twilio, TWILIO_COMPLETED),
    ] {
        let alone = &subsets[&(provider, vec![report])].0;
        let call = alone.first("calls");
        assert_eq!((&call["status"], &call["billed_minutes"]), (&json!("completed"), &json!(3)));
        let with_it =
            subsets.iter().filter(|((of, subset), _)| *of == provider && subset.contains(&report));
        for ((_, subset), (rows, _)) in with_it {
            let found = rows.first("calls");
            for (name, value) in call.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()) {
                assert_eq!(&found[name], value, "{name} of {provider} {subset:?}");
            }
            for table in ["call_transcripts", "call_recordings", "usage_ledger"] {
                assert_eq!(rows.text(table), alone.text(table), "{table} of {provider} {subset:?}");
            }
        }
    }
}

/// A call without an end is only opened; each that ended is on the ledger once.
fn assert_only_ended_calls_are_billed(subsets: &Subsets<'_>) {
    for ((provider, subset), (rows, _)) in subsets {
        let ends: &[usize] = match provider {
            Provider::Vapi => &[3, VAPI_REPORT],
            Provider::Retell => &[1, RETELL_ANALYZED],
            Provider::Twilio => &[TWILIO_COMPLETED],
        };
        let call = rows.first("calls");
        let status: CallStatus = call["status"].as_str().unwrap().parse().unwrap();
        let over = subset.iter().any(|place| ends.contains(place));
        assert_eq!(status.is_final(), over, "{provider} {subset:?}: {status}");
        assert_eq!(rows.first("usage_ledger")["quantity"] == 3, over, "{provider} {subset:?}");
        assert_eq!(call["steps"] == json!([]), !over, "{provider} {subset:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_webhooks_end_in_the_same_rows_and_repeat_no_effect() {
    let environment = vec![("POSTCALL_REPORT_GRACE_SECONDS", "1".to_owned())];
    let world = World::with(Options { environment, ..Options::default() }).await;
    let all_events = "update webhooks set events = '{call.*}'";
    world.db.batch_execute(all_events).await.unwrap();
    let at_once = WEBHOOKS.map(|(provider, all)| Posted::new(provider, (0..all).collect()));
    let slow: Vec<Posted> =
        LATE.iter().map(|(provider, sequence)| Posted::new(*provider, sequence.to_vec())).collect();
    futures::join!(
        futures::stream::iter(&at_once).for_each_concurrent(AT_ONCE, |c| world.post_at_once(c)),
        futures::stream::iter(&slow).for_each_concurrent(AT_ONCE, |c| world.post_slowly(c)),
    );
    for call in &at_once {
        world.rests(call).await;
    }

    for expected in &at_once {
        let rows = world.rows(expected.provider, &expected.id).await;
        for call in slow.iter().filter(|call| call.provider == expected.provider) {
            let difference = world.rows(call.provider, &call.id).await.difference(&rows);
            assert_eq!(difference, "", "{call:?}");
        }
    }
    let calls: Vec<&Posted> = at_once.iter().chain(&slow).collect();
    world.every_event_is_delivered_once().await;
    for call in &calls {
        let told = world.told(call).await;
        assert_orderly(&told, call);
        if call.provider == Provider::Vapi {
            let counts = world.counts(&call.id).await;
            let webhook_ids = told.len() as u64;
            assert_eq!(counts, Counts { webhook_ids, ..Counts::once(3) }, "{call:?}");
        }
    }
    let calls = calls.len() as u64;
    assert_eq!((world.accepted(Kind::Sms), world.accepted(Kind::Email)), (calls, calls));
    world.redis_equals_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_comes_while_the_start_is_told_does_not_tell_it_again() {
    let world = World::start().await;
    let all_events = "update webhooks set events = '{call.*}'";
    world.db.batch_execute(all_events).await.unwrap();
    let slow = json!({ "answers": [{ "delay_ms": 3000 }], "then": "repeat_last" });
    world.fakes.script(fakes::Provider::Hooks, None, serde_json::from_value(slow).unwrap());
    let call = Posted::new(Provider::Vapi, vec![2]);
    world.post_at_once(&call).await;
    world.rests(&call).await;
    let call = Posted { sequence: vec![4], ..call };
    world.post_at_once(&call).await;
    world.closed(&call.id).await;
    let kinds: Vec<String> = world.told(&call).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["call.started", "call.completed"]);
    world.every_event_is_delivered_once().await;
}
