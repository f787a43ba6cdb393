//! Reports that are in doubt for a day, and those that Stripe takes and refuses afterwards.

use chrono::{DateTime, TimeDelta, Utc};
use contract::billing::ReportOutcome;
use postcall::dev::fakes::StripeSettings;
use store::{
    Role,
    billing::{self, Claim, Fate, ReportState},
};

use super::made::{AT_ONCE, Account, PATIENCE, Plan};
use crate::harness::{Options, World, wait::until};

const EVENT_NAME: &str = "voice_minutes";

impl Account<'_> {
    /// A report was about to be sent so long ago, and nobody knows what became of it.
    async fn is_in_doubt(&self, event_name: &str, since: TimeDelta) -> DateTime<Utc> {
        let sql = "insert into stripe_reports (id, organization_id, period_id, kind, revision,
                identifier, customer, event_name, quantity, reported_for, state, first_sent_at,
                last_sent_at)
            values (gen_random_uuid(), $1, $2, 'overage', 0, $3, $4, $5, 200,
                $6::text::timestamptz, 'sending', $7::text::timestamptz, $7::text::timestamptz)";
        let reported_for = self.span.end - TimeDelta::seconds(1);
        let identifier = format!("usage-{}-overage-0", self.period);
        let (at, sent) = (reported_for.to_rfc3339(), (Utc::now() - since).to_rfc3339());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
            &self.organization.0,
            &self.period.0,
            &identifier,
            &self.plan.customer,
            &event_name,
            &at,
            &sent,
        ];
        self.world.db.execute(sql, &parameters).await.unwrap();
        reported_for
    }

    /// Stripe has taken it, a day ago: it has forgotten identifier and key.
    async fn was_taken(&self, reported_for: DateTime<Utc>) {
        let form = [
            ("event_name", EVENT_NAME.to_owned()),
            ("payload[stripe_customer_id]", self.plan.customer.to_owned()),
            ("payload[value]", "200".to_owned()),
            ("timestamp", reported_for.timestamp().to_string()),
        ];
        let url = format!("{}/stripe/v1/billing/meter_events", self.world.fakes.url());
        let request = self.world.http.post(url).bearer_auth("sk_test").form(&form);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_in_doubt_what_stripe_has_counted_decides() {
    let world = World::with_stripe().await;
    let settings =
        StripeSettings { meters: Some(vec![EVENT_NAME.to_owned()]), ..StripeSettings::default() };
    world.fakes.stripe().configure(settings);
    let open = |customer| Account::open(&world, Plan { customer, ..Plan::default() });
    let (taken, lost, unreadable) =
        (open("cus_taken").await, open("cus_lost").await, open("cus_unreadable").await);
    let a_day = TimeDelta::hours(25);
    for account in [&taken, &lost, &unreadable] {
        account.uses(1200).await;
    }
    let reported_for = taken.is_in_doubt(EVENT_NAME, a_day).await;
    taken.was_taken(reported_for).await;
    lost.is_in_doubt(EVENT_NAME, a_day).await;
    unreadable.is_in_doubt("a_meter_that_is_gone", a_day).await;

    let cases = [
        (&taken, ReportOutcome::Accepted, &["accepted"][..], 200),
        (&lost, ReportOutcome::Accepted, &["rejected not-counted", "accepted"], 200),
        (&unreadable, ReportOutcome::Unknown, &["unknown"], 0),
    ];
    for (account, outcome, reports, billed) in cases {
        let customer = account.plan.customer;
        assert_eq!(account.close(AT_ONCE).await.reported.outcome, outcome, "{customer}");
        assert_eq!(account.reports().await, reports, "{customer}");
        assert_eq!(world.fakes.stripe().billed(customer), billed, "{customer}");
        account.close(AT_ONCE).await;
        assert_eq!(account.reports().await, reports, "{customer}: run again");
    }
    assert_eq!(unreadable.events().await, ["billing.report_failed", "billing.period_closed"]);
    assert_eq!(world.sweep_periods().await.started, 0, "a person decides");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stripe_may_not_have_counted_yet_is_not_asked_for() {
    let world = World::postgres_alone().await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(1200).await;
    let db = world.database(Role::Worker);
    let (organization, period, now) = (account.organization, account.period, account.now);
    billing::freeze(&db, organization, period, now).await.unwrap();
    let claim = |at| billing::claim_report(&db, organization, period, Some(EVENT_NAME), at);
    let sent = |claim| match claim {
        Claim::Send(report) => report,
        other => panic!("not to be sent: {other:?}"),
    };
    let first = sent(claim(now).await.unwrap());
    assert_eq!((first.quantity, first.customer.as_str()), (200, "cus_test"));

    // Certainly not sent: nothing is in doubt, and the time counts from the next try.
    let settle = |report, fate, at| {
        let (db, report, fate) = (&db, report, fate);
        async move { billing::settle_report(db, organization, report, fate, at).await.unwrap() }
    };
    let waits = settle(&first, &Fate::NotSent, now).await;
    assert_eq!((waits.state, waits.first_sent_at), (ReportState::Pending, None));
    let later = now + TimeDelta::days(3);
    let second = sent(claim(later).await.unwrap());
    assert_eq!(second.identifier, first.identifier);
    // From now on it is in doubt, also if a further try is certainly not sent, and at the same moment.
    let third = sent(claim(later).await.unwrap());
    assert_eq!(third.reported_for, second.reported_for, "the same request");
    let doubtful = settle(&third, &Fate::NotSent, later).await;
    assert_eq!(doubtful.state, ReportState::Sending);
    let Claim::InDoubt(doubt) = claim(later + TimeDelta::hours(23)).await.unwrap() else {
        panic!("after 23 hours nothing is repeated");
    };
    assert_eq!((doubt.others_accepted, doubt.others_in_doubt), (0, 0));
    let next = settle(&doubt.report, &Fate::NotCounted, later).await;
    assert_eq!((next.revision, next.state), (1, ReportState::Pending));
    // Who is late changes nothing.
    assert_eq!(settle(&third, &Fate::Accepted, later).await, next);
    let fourth = sent(claim(later + TimeDelta::hours(24)).await.unwrap());
    assert_eq!(settle(&fourth, &Fate::Accepted, later).await.state, ReportState::Accepted);
    assert!(matches!(claim(later).await.unwrap(), Claim::Settled(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_a_period_that_is_invoiced_is_reported_for_now() {
    let world = World::postgres_alone().await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(1200).await;
    let db = world.database(Role::Worker);
    let (organization, period) = (account.organization, account.period);
    let end = account.span.end;
    billing::freeze(&db, organization, period, end).await.unwrap();
    for (at, expected) in [
        (end + TimeDelta::minutes(49), end - TimeDelta::seconds(1)),
        (end + TimeDelta::minutes(51), end + TimeDelta::minutes(51)),
        (end + TimeDelta::days(34), end + TimeDelta::days(34)),
    ] {
        let claim = billing::claim_report(&db, organization, period, Some(EVENT_NAME), at).await;
        let Claim::Send(report) = claim.unwrap() else { panic!("not to be sent") };
        assert_eq!(report.reported_for, expected, "{at}");
        billing::settle_report(&db, organization, &report, &Fate::NotSent, at).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_stripe_does_not_know_is_told_later_and_mended_by_another() {
    let secret = "whsec_of_the_thin_destination";
    let environment = vec![("STRIPE_WEBHOOK_SECRET", secret.to_owned())];
    let mut world =
        World::with(Options { environment, no_worker: true, ..Options::default() }).await;
    world.start_biller(&[]).await;
    world.fakes.stripe().configure(StripeSettings {
        any_customer: false,
        known_customers: vec!["cus_known".to_owned()],
        webhook_url: Some(format!("{}/stripe", world.api_url)),
        webhook_secret: Some(secret.into()),
        report_after_ms: 300,
        ..StripeSettings::default()
    });
    let account = Account::open(&world, Plan { customer: "cus_wrong", ..Plan::default() }).await;
    account.uses(1200).await;
    let reported = account.close(AT_ONCE).await.reported;
    assert_eq!(reported.outcome, ReportOutcome::Accepted, "Stripe checks it later");
    let rejected = "rejected meter_event_customer_not_found";
    until("Stripe's error report is read", PATIENCE, || async {
        (account.reports().await == [rejected]).then_some(())
    })
    .await;
    let mut events = account.events().await;
    events.sort();
    assert_eq!(events, ["billing.period_closed", "billing.report_failed"]);
    assert_eq!(world.sweep_periods().await.started, 0, "it would be refused again");

    account.becomes("cus_known").await;
    assert_eq!(world.sweep_periods().await.started, 1);
    until("the right customer is billed", PATIENCE, || async {
        (account.reports().await == [rejected, "accepted"]).then_some(())
    })
    .await;
    assert_eq!(world.fakes.stripe().billed("cus_known"), 200);
    assert_eq!(world.fakes.stripe().billed("cus_wrong"), 0);
    let story = account.story().await;
    assert_eq!(
        story[2..],
        ["report.accepted", "period.closed", "report.rejected", "report.accepted"]
    );
    let (unknown, db) = ("usage-nobodys-overage-0", world.database(Role::Worker));
    let nobodys = billing::reject_by_identifier(&db, unknown, "no_meter", account.now).await;
    assert_eq!(nobodys.unwrap(), None);
}
