//! Stripe refuses, does not answer, or takes it and says nothing: billed once all the same.

use contract::billing::ReportOutcome;
use postcall::dev::fakes::{Filter, Kind, Provider, Script};
use serde_json::{Value, json};
use store::{Role, audit::Actor, billing};

use super::{
    made::{AT_ONCE, Account, PATIENCE, Plan},
    waiting,
};
use crate::harness::{World, wait::until};

impl World {
    /// What Stripe answers to this customer's usage next.
    fn stripe_answers(&self, customer: &str, answers: &Value) {
        let script = json!({ "kind": "meter_event", "answers": answers });
        let script: Script = serde_json::from_value(script).expect("a script");
        self.fakes.script(Provider::Stripe, Some(customer), script);
    }

    /// The idempotency keys of every request of a customer's usage, in order.
    fn keys_of(&self, customer: &str) -> Vec<String> {
        let filter = Filter { kind: Some(Kind::MeterEvent), ..Filter::default() };
        let asked = self.fakes.effects().list(&filter);
        let of_customer = asked.iter().filter_map(|effect| {
            let request = serde_json::to_value(effect).ok()?["request"].clone();
            let is_theirs = request["body"]["payload[stripe_customer_id]"] == customer;
            let key = request["headers"]["idempotency-key"].as_str()?.to_owned();
            is_theirs.then_some(key)
        });
        of_customer.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn however_stripe_answers_a_period_is_billed_once() {
    let world = World::with_stripe().await;
    let locked = json!({ "error": { "code": "lock_timeout", "type": "invalid_request_error" } });
    let cases = [
        // Taken, and the answer was lost.
        ("cus_lost", json!([{ "do_it": true, "drop_connection": true, "times": 2 }])),
        ("cus_late", json!([{ "do_it": true, "status": 500 }])),
        ("cus_down", json!([{ "drop_connection": true }, { "status": 503 }])),
        (
            "cus_busy",
            json!([{ "status": 429, "headers": { "retry-after": "1" }, "body": locked, "times": 2 }]),
        ),
        // Longer than the close waits.
        ("cus_long", json!([{ "status": 503, "times": 6 }])),
        ("cus_html", json!([{ "status": 200, "body": "<html>", "do_it": false }])),
    ];
    futures::future::join_all(cases.map(|(customer, answers)| {
        let world = &world;
        async move {
            let account = Account::open(world, Plan { customer, ..Plan::default() }).await;
            account.uses(1200).await;
            world.stripe_answers(customer, &answers);
            let closed = account.close(AT_ONCE).await;
            assert_eq!(closed.reported.outcome, ReportOutcome::Accepted, "{customer}");
            assert_eq!(world.fakes.stripe().billed(customer), 200, "{customer}");
            assert_eq!(account.reports().await, ["accepted"], "{customer}");
            let story = account.story().await;
            assert_eq!(story.len(), 4, "{customer}: {story:?}");
            let closed_first = story.last().is_some_and(|last| last == "report.accepted");
            assert_eq!(closed_first, customer == "cus_long", "{customer}: {story:?}");
            let keys = world.keys_of(customer);
            assert!(keys.len() > 1 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_500_that_is_stored_under_the_key_is_asked_for_under_another() {
    let world = World::with_stripe().await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(1200).await;
    let stored = json!({ "status": 500, "headers": { "idempotent-replayed": "true" } });
    world.stripe_answers("cus_test", &json!([{ "status": 500, "do_it": true }, stored]));
    let closed = account.close(AT_ONCE).await;
    assert_eq!(closed.reported.outcome, ReportOutcome::Accepted);
    assert_eq!(world.fakes.stripe().billed("cus_test"), 200, "by its identifier");
    let identifier = format!("usage-{}-overage-0", account.period);
    let keys = [identifier.clone(), identifier.clone(), format!("{identifier}-2")];
    assert_eq!(world.keys_of("cus_test"), keys);
    assert_eq!(world.fakes.stripe().identifiers(), [identifier]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_report_is_told_and_goes_out_again_when_a_person_says_so() {
    let world = World::with_stripe().await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(1200).await;
    let error = json!({ "code": "parameter_unknown", "type": "invalid_request_error" });
    world.stripe_answers("cus_test", &json!([{ "status": 400, "body": { "error": error } }]));
    let closed = account.close(AT_ONCE).await;
    assert_eq!(closed.reported.outcome, ReportOutcome::Rejected);
    assert_eq!(closed.reported.code.as_deref(), Some("parameter_unknown"));
    assert_eq!(account.events().await, ["billing.report_failed", "billing.period_closed"]);
    // Nothing goes out by itself.
    assert_eq!(account.close(AT_ONCE).await.reported, closed.reported);
    assert_eq!(world.sweep_periods().await.started, 0);
    assert_eq!(account.reports().await, ["rejected parameter_unknown"]);

    let db = world.database(Role::Worker);
    assert!(
        billing::report_again(&db, account.organization, account.period, &Actor::command_line())
            .await
            .unwrap()
    );
    assert!(
        !billing::report_again(&db, account.organization, account.period, &Actor::command_line())
            .await
            .unwrap()
    );
    until("the next revision is taken", PATIENCE, || async {
        (account.reports().await == ["rejected parameter_unknown", "accepted"]).then_some(())
    })
    .await;
    assert_eq!(world.fakes.stripe().billed("cus_test"), 200);
    let revisions = [0, 1].map(|revision| format!("usage-{}-overage-{revision}", account.period));
    assert_eq!(world.fakes.stripe().identifiers(), revisions[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_customer_a_period_closes_and_is_reported_when_there_is_one() {
    let world = World::with_stripe().await;
    let account = Account::open(&world, Plan { customer: "", ..Plan::default() }).await;
    account.uses(1200).await;
    account.start(waiting(1, 600)).await;
    let closed = ["period.opened", "period.frozen", "report.waiting", "period.closed"];
    until("it is closed and waits", PATIENCE, || async {
        (account.story().await == closed).then_some(())
    })
    .await;
    assert!(account.reports().await.is_empty());
    account.becomes("cus_found").await;
    let reported = account.closed().await.reported;
    assert_eq!((reported.outcome, reported.quantity), (ReportOutcome::Accepted, 200));
    assert_eq!(world.fakes.stripe().billed("cus_found"), 200);
    assert_eq!(account.story().await[4..], ["report.accepted"], "what waits is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_stripe_does_not_take_is_waited_for() {
    let world = World::with_stripe().await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(1200).await;
    world.stripe_answers("cus_test", &json!([{ "status": 401, "times": 2 }, { "status": 403 }]));
    let closed = account.close(waiting(1, 600)).await;
    assert_eq!(closed.reported.outcome, ReportOutcome::Accepted);
    let story = account.story().await;
    let waits = story.iter().filter(|event| *event == "report.waiting").count();
    assert_eq!(waits, 2, "once for each code: {story:?}");
    assert_eq!(account.reports().await, ["accepted"]);
    assert_eq!(world.fakes.stripe().billed("cus_test"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_made_in_time_is_given_up_and_told() {
    let mut world = World::postgres_alone().await;
    world.start_worker(&[]).await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(1200).await;
    let closed = account.close(waiting(1, 2)).await;
    let reported = &closed.reported;
    assert_eq!((reported.outcome, reported.quantity), (ReportOutcome::NotConfigured, 200));
    let story = account.story().await;
    assert_eq!(story[2..], ["report.waiting", "period.closed", "period.unreported"]);
    let told = ["billing.period_closed", "billing.report_failed"];
    assert_eq!(account.events().await, told);
    assert_eq!(world.sweep_periods().await.started, 0, "it is a person's now");
    assert_eq!(account.close(waiting(1, 0)).await, closed);
    assert_eq!(account.events().await, told, "told once");
    let history = world.history_of(&account.workflow_id()).await;
    assert!(history.len() < 60, "{} events", history.len());
}
