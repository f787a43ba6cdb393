//! While Stripe is asked, and where a report has to wait, is in doubt, is refused or is given up.

use chrono::{TimeDelta, Utc};
use contract::billing::ReportOutcome;
use postcall::dev::fakes::{Provider, Script, StripeSettings};
use serde_json::json;
use store::{Role, audit::Actor, billing};

use super::{
    super::{
        made::{AT_ONCE, PATIENCE, Plan},
        waiting,
    },
    kept::Kept,
};
use crate::harness::{Options, World, held::Hold::Commit, wait::until};

const EVENT_NAME: &str = "voice_minutes";
/// Nobody has made the organization a customer yet.
const NO_CUSTOMER: &str = "";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_where_a_report_goes_another_way_tells_it_once_and_bills_once() {
    tokio::join!(
        killed_while_stripe_is_asked(),
        killed_when_a_report_has_to_wait(),
        killed_when_a_report_is_out_of_doubt(),
        killed_when_a_report_is_given_up(),
        killed_when_stripe_refuses_what_it_took(),
    );
}

async fn killed_while_stripe_is_asked() {
    let mut world = World::postgres_alone().await;
    world.start_biller(&[]).await;
    let kept = Kept::open(&world, Plan::default()).await;
    // Taken at once, answered when nobody listens any more.
    let script = json!({ "kind": "meter_event", "answers": [{ "delay_ms": 600_000 }] });
    let script: Script = serde_json::from_value(script).unwrap();
    world.fakes.script(Provider::Stripe, None, script);
    kept.account(&world).start(AT_ONCE).await;
    until("Stripe is asked", PATIENCE, || async {
        (world.fakes.stripe().billed("cus_test") > 0).then_some(())
    })
    .await;
    world.kill_worker().await;
    let stands = kept.stands(&world).await;
    assert_eq!(stands, ["period.opened", "period.frozen", "sending"]);
    world.start_biller(&[]).await;
    kept.is_billed_once(&world, "no answer", &[]).await;
}

async fn killed_when_a_report_has_to_wait() {
    let mut world = World::postgres_alone().await;
    world.start_biller(&[]).await;
    let kept = Kept::open(&world, Plan { customer: NO_CUSTOMER, ..Plan::default() }).await;
    let noted = Commit("insert on billing_events", "new.event = 'report.waiting'");
    let held = world.hold(noted).await;
    kept.account(&world).start(waiting(1, 600)).await;
    world.killed_at(held, "commit").await;
    let mut story = vec!["period.opened", "period.frozen", "report.waiting"];
    assert_eq!(kept.stands(&world).await, story);

    // And once more, while the workflow sleeps until somebody makes it a customer.
    world.start_biller(&[]).await;
    story.push("period.closed");
    until("it is closed, and waits", PATIENCE, || async {
        (kept.stands(&world).await == story).then_some(())
    })
    .await;
    world.kill_worker().await;
    kept.account(&world).becomes("cus_found").await;
    world.start_biller(&[]).await;
    kept.is_billed_once(&world, "waits", &["report.waiting"]).await;
}

async fn killed_when_a_report_is_out_of_doubt() {
    let mut world = World::postgres_alone().await;
    let meters = Some(vec![EVENT_NAME.to_owned()]);
    world.fakes.stripe().configure(StripeSettings { meters, ..StripeSettings::default() });
    world.start_biller(&[]).await;
    let kept = Kept::open(&world, Plan::default()).await;
    kept.is_in_doubt(&world).await;
    let held = world.hold(Commit("update on stripe_reports", "new.state = 'rejected'")).await;
    kept.account(&world).start(AT_ONCE).await;
    world.killed_at(held, "commit").await;
    let stands = kept.stands(&world).await;
    let reports = ["rejected not-counted", "pending"];
    assert_eq!(stands[..2], ["period.opened", "period.frozen"]);
    assert_eq!(stands[2..], ["report.rejected", reports[0], reports[1]]);
    world.start_biller(&[]).await;
    kept.is_billed_once(&world, "out of doubt", &["report.rejected"]).await;
}

async fn killed_when_a_report_is_given_up() {
    let mut world = World::postgres_alone().await;
    world.start_biller(&[]).await;
    let kept = Kept::open(&world, Plan { customer: NO_CUSTOMER, ..Plan::default() }).await;
    let given_up = Commit("insert on billing_events", "new.event = 'period.unreported'");
    let held = world.hold(given_up).await;
    kept.account(&world).start(waiting(1, 2)).await;
    world.killed_at(held, "commit").await;
    world.start_biller(&[]).await;
    let reported = kept.account(&world).closed().await.reported;
    assert_eq!((reported.outcome, reported.quantity), (ReportOutcome::NoCustomer, 200));
    let story =
        ["period.opened", "period.frozen", "report.waiting", "period.closed", "period.unreported"];
    assert_eq!(kept.stands(&world).await, story);
    let events = ["billing.period_closed", "billing.report_failed"];
    assert_eq!(kept.account(&world).events().await, events, "told once");
    let (rows, code) = world.reconcile().await;
    assert_eq!(code, 1, "nobody has billed it: {rows:#?}");

    let account = kept.account(&world);
    account.becomes("cus_found").await;
    let db = world.database(Role::Worker);
    assert!(
        billing::report_again(&db, account.organization, account.period, &Actor::command_line())
            .await
            .unwrap()
    );
    let further = ["report.waiting", "period.unreported", "report.requested"];
    kept.is_billed_once(&world, "given up", &further).await;
}

async fn killed_when_stripe_refuses_what_it_took() {
    let secret = "whsec_of_the_thin_destination";
    let environment = vec![("STRIPE_WEBHOOK_SECRET", secret.to_owned())];
    let options = Options { environment, no_worker: true, ..Options::default() };
    let mut world = World::with(options).await;
    world.start_biller(&[]).await;
    world.fakes.stripe().configure(StripeSettings {
        any_customer: false,
        known_customers: vec!["cus_known".to_owned()],
        webhook_url: Some(format!("{}/stripe", world.api_url)),
        webhook_secret: Some(secret.into()),
        report_after_ms: 300,
        ..StripeSettings::default()
    });
    let kept = Kept::open(&world, Plan { customer: "cus_wrong", ..Plan::default() }).await;
    let held = world.hold(Commit("update on stripe_reports", "new.state = 'rejected'")).await;
    kept.account(&world).start(AT_ONCE).await;
    world.killed_at(held, "commit").await;
    let rejected = "rejected meter_event_customer_not_found";
    assert_eq!(kept.account(&world).reports().await, [rejected]);
    world.start_biller(&[]).await;
    kept.account(&world).closed().await;
    world.workflows_have_ended().await;
    let mut events = kept.account(&world).events().await;
    events.sort();
    assert_eq!(events, ["billing.period_closed", "billing.report_failed"], "told once");

    kept.account(&world).becomes("cus_known").await;
    assert_eq!(world.sweep_periods().await.started, 1);
    until("the right customer is billed", PATIENCE, || async {
        (kept.account(&world).reports().await == [rejected, "accepted"]).then_some(())
    })
    .await;
    assert_eq!(world.fakes.stripe().billed("cus_wrong"), 0);
    kept.is_billed_once(&world, "refused later", &["report.accepted", "report.rejected"]).await;
}

impl Kept {
    /// A report was about to be sent a day ago. Stripe has not counted it.
    async fn is_in_doubt(&self, world: &World) {
        let sql = "insert into stripe_reports (id, organization_id, period_id, kind, revision,
                identifier, customer, event_name, quantity, reported_for, state, first_sent_at,
                last_sent_at)
            values (gen_random_uuid(), $1, $2, 'overage', 0, $3, 'cus_test', $4, 200, $5,
                'sending', $6, $6)";
        let account = self.account(world);
        let identifier = format!("usage-{}-overage-0", account.period);
        let reported_for = account.span.end - TimeDelta::seconds(1);
        let sent = Utc::now() - TimeDelta::hours(25);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
            &account.organization.0,
            &account.period.0,
            &identifier,
            &EVENT_NAME,
            &reported_for,
            &sent,
        ];
        world.db.execute(sql, &parameters).await.unwrap();
    }
}
