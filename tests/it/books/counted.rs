//! What Stripe has accepted and what it has counted: nobody tells of the difference, so it is asked for.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::{BillingTiming, ClosePeriod, ErrorReportRead, ReadErrorReport, ReportOutcome},
    ids::{CallId, OrganizationId, PeriodId},
    names::BILLING_QUEUE,
    period::{self, Span},
    usage::{Days, ReconcileUsage},
};
use postcall::{
    dev::{
        DemoSecrets,
        fakes::{Answer, Filter, Kind, Provider, Script, StripeSettings},
    },
    temporal,
};
use serde_json::{Value, json};
use store::daily;
use temporalio_client::{Client, WorkflowGetResultOptions, WorkflowStartOptions};
use tokio::time::timeout;
use uuid::Uuid;
use workflows::{BillingCycle, MeterErrorReport, UsageReconciliation};

use super::made::Account;
use crate::harness::{World, calls::fresh_id};

const PATIENCE: Duration = Duration::from_secs(120);
const NOT_ASKED: &str = "Stripe was not asked yet what it has counted";
const MISCOUNTED: &str = "Stripe has counted another quantity than it was told";

/// A world whose worker has an account at Stripe, and a client of its Temporal.
struct Bench<'a> {
    world: &'a World,
    client: Client,
}

/// An organization whose last month came to 12 minutes, 2 of them beyond the included ones.
#[derive(Clone, Copy)]
struct Debtor {
    organization: OrganizationId,
    call: CallId,
    period: PeriodId,
}

impl<'a> Bench<'a> {
    async fn of(world: &'a World) -> Self {
        let client = temporal::connect_to(&world.temporal_address, &world.namespace, "it").await;
        Self { world, client: client.expect("Temporal") }
    }

    fn options() -> WorkflowStartOptions {
        WorkflowStartOptions::new(BILLING_QUEUE, fresh_id()).build()
    }

    /// What a run as by schedule finds unexplained.
    async fn night(&self) -> u64 {
        let input = ReconcileUsage::default();
        let run = self.client.start_workflow(UsageReconciliation::run, input, Self::options());
        let run = run.await.expect("it starts");
        let result = run.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds").unexplained
    }

    /// Stripe tells of so many errors, and names none of them.
    async fn nameless_errors(&self, errors: u32) -> ErrorReportRead {
        let event_id = fresh_id();
        let kinds = json!([{ "code": "meter_event_customer_not_found", "error_count": errors }]);
        let body = json!({ "data": { "reason": { "error_types": kinds } } });
        self.answers(&format!("/stripe/v2/core/events/{event_id}"), 200, &[], body);
        let input = ReadErrorReport { event_id };
        let run = self.client.start_workflow(MeterErrorReport::run, input, Self::options());
        let run = run.await.expect("it starts");
        let result = run.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }

    /// The next question for this path is answered so.
    fn answers(&self, path: &str, status: u16, headers: &[(&str, &str)], body: Value) {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let answer = Answer {
            status: Some(status),
            headers: headers.collect(),
            body: Some(body),
            ..Answer::default()
        };
        let kind = Some(Kind::Lookup);
        let script = Script { kind, answers: vec![answer], ..Script::default() };
        self.world.fakes.script(Provider::Stripe, Some(path), script);
    }

    /// How often Stripe was asked, for a customer or at all.
    fn questions(&self, customer: Option<&str>) -> usize {
        self.world.fakes.effects().count(&Filter {
            provider: Some(Provider::Stripe),
            kind: Some(Kind::Lookup),
            key: customer.map(str::to_owned),
            ..Filter::default()
        })
    }

    fn stripe_is(&self, settings: StripeSettings) {
        self.world.fakes.stripe().configure(settings);
    }
}

fn last_month() -> Span {
    let this = period::period_of(Utc::now(), 1, period::zone_or_utc("UTC"));
    period::period_of(this.start - TimeDelta::seconds(1), 1, period::zone_or_utc("UTC"))
}

/// A world with organizations that are these customers at Stripe; its worker has an account there.
async fn world_of<const N: usize>(customers: [&str; N]) -> (World, [Debtor; N]) {
    let mut world = World::with_quiet_books().await;
    let mut debtors = Vec::new();
    for customer in customers {
        debtors.push(Debtor::of(&world, customer).await);
    }
    // Their calls are counted: the worker is not to take them up.
    world.db.execute("delete from inbox", &[]).await.unwrap();
    let stripe = [
        ("STRIPE_BASE_URL", format!("{}/stripe", world.fakes.url())),
        ("STRIPE_SECRET_KEY", "sk_test_counted".to_owned()),
    ];
    world.start_worker(&stripe).await;
    (world, debtors.try_into().unwrap_or_else(|_| panic!("as many as customers")))
}

impl Debtor {
    async fn of(world: &World, customer: &str) -> Self {
        let month = last_month();
        let started = month.start + TimeDelta::days(10);
        let told = started + TimeDelta::minutes(15);
        let account = Account::open(world, "UTC").await;
        let sql = "update organizations set stripe_customer_id = $2 where id = $1";
        world.db.execute(sql, &[&account.organization.0, &customer]).await.unwrap();
        let call = account.call("one", &started.to_rfc3339(), 720, &told.to_rfc3339()).await;
        let days = Days::Between { from: started.date_naive(), to: started.date_naive() };
        daily::aggregate_page(&account.db, days, None, 1000, Utc::now()).await.unwrap();
        let period = account.period(&month.start.to_rfc3339()).await;
        Self { organization: account.organization, call, period }
    }
}

impl Bench<'_> {
    /// Closes last month: Stripe takes two minutes. Then so much time passes.
    async fn bill(&self, debtor: Debtor, ago: TimeDelta) {
        let Debtor { organization: organization_id, period: period_id, .. } = debtor;
        let timing = BillingTiming { retry_seconds: 1, give_up_seconds: 120 };
        let input = ClosePeriod { organization_id, period_id, timing };
        let run = self.client.start_workflow(BillingCycle::run, input, Self::options());
        let run = run.await.expect("it starts");
        let result = run.get_result(WorkflowGetResultOptions::default());
        let closed = timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds");
        let reported = (closed.reported.outcome, closed.reported.quantity);
        assert_eq!(reported, (ReportOutcome::Accepted, 2));
        let sql = "update stripe_reports set settled_at = $2 where organization_id = $1";
        let settled = Utc::now() - ago;
        self.world.db.execute(sql, &[&organization_id.0, &settled]).await.unwrap();
    }

    /// How the report of a period stands: state and code, what was counted of it, and since when.
    async fn report(&self, debtor: Debtor) -> (String, Option<i64>, Option<DateTime<Utc>>) {
        let sql = "select state || coalesce(' ' || error, ''), counted_minutes, counted_at
            from stripe_reports where organization_id = $1";
        let row = self.world.db.query_one(sql, &[&debtor.organization.0]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    async fn report_is(&self, debtor: Debtor, state: &str, counted: Option<i64>) {
        let (found, minutes, at) = self.report(debtor).await;
        assert_eq!((found.as_str(), minutes, at.is_some()), (state, counted, counted.is_some()));
    }

    /// What `usage reconcile` says of the overage of the period: Stripe's column, what is unexplained,
    /// and its note.
    async fn books_say(&self, debtor: Debtor, stripe: i64, unexplained: i64, note: Option<&str>) {
        let id = debtor.organization.to_string();
        let line = ["usage", "reconcile", "--organization", &id, "--all", "-o", "json"];
        let (shown, talk, code) = self.world.cli(&line).await;
        let rows: Vec<Value> = serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{talk}"));
        let period = json!(debtor.period);
        let is_it = |row: &&Value| row["measure"] == "overage" && row["period_id"] == period;
        let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{rows:#?}"));
        let found = [&row["stripe"], &row["unexplained"], &row["note"]];
        assert_eq!(found, [&json!(stripe), &json!(unexplained), &json!(note)], "{row}");
        assert_eq!(code, i32::from(unexplained != 0), "{rows:#?}");
    }

    /// What the API tells of the report of a call's period, and of the call in a sentence.
    async fn story(&self, debtor: Debtor) -> (Value, String) {
        let key = DemoSecrets::generate().unwrap().shown().api_key;
        let sql = "insert into api_keys (id, organization_id, name, key_prefix, key_hash, scopes)
            values ($1, $2, 'counted', $3, $4, array['usage:read'])";
        let hash = store::keys::hash(&key).to_vec();
        let (id, own) = (Uuid::now_v7(), debtor.organization.0);
        self.world.db.execute(sql, &[&id, &own, &&key[..10], &hash]).await.unwrap();
        let url = format!("{}/v1/calls/{}/usage", self.world.api_url, debtor.call);
        let answer = self.world.http.get(url).bearer_auth(&key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let story: Value = answer.json().await.unwrap();
        let summary = story["summary"].as_str().unwrap().to_owned();
        (story["periods"][0]["reports"][0].clone(), summary)
    }

    /// What the organization was told of trouble.
    async fn alarms(&self, debtor: Debtor) -> Vec<String> {
        let sql = "select type from events where organization_id = $1
            and type in ('billing.report_failed', 'usage.reconcile_failed') order by id";
        let rows = self.world.db.query(sql, &[&debtor.organization.0]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// So long ago that Stripe has counted it if it ever will.
const LONG: TimeDelta = TimeDelta::hours(2);

#[tokio::test(flavor = "multi_thread")]
async fn what_stripe_loses_or_doubles_without_a_word_is_found_by_the_nightly_run() {
    let customers = ["cus_lost", "cus_double", "cus_right", "cus_fresh"];
    let (world, [lost, double, right, fresh]) = world_of(customers).await;
    let bench = Bench::of(&world).await;
    let counted_times = [("cus_lost".to_owned(), 0), ("cus_double".to_owned(), 2)].into();
    bench.stripe_is(StripeSettings { counted_times, ..StripeSettings::default() });
    for debtor in [lost, double, right] {
        bench.bill(debtor, LONG).await;
        bench.books_say(debtor, 2, 0, Some(NOT_ASKED)).await;
    }
    bench.bill(fresh, TimeDelta::minutes(59)).await;

    assert_eq!(bench.night().await, 2);
    bench.report_is(lost, "rejected not-counted", None).await;
    bench.books_say(lost, 0, 2, Some("Stripe rejected the report")).await;
    let told = ["billing.report_failed", "usage.reconcile_failed"];
    assert_eq!(bench.alarms(lost).await, told);
    bench.report_is(double, "accepted", Some(4)).await;
    bench.books_say(double, 4, 2, Some(MISCOUNTED)).await;
    assert_eq!(bench.alarms(double).await, told[1..]);
    bench.report_is(right, "accepted", Some(2)).await;
    bench.books_say(right, 2, 0, None).await;
    bench.report_is(fresh, "accepted", None).await;
    bench.books_say(fresh, 2, 0, Some(NOT_ASKED)).await;
    assert_eq!([bench.alarms(right).await, bench.alarms(fresh).await], [[""; 0]; 2]);
    let (report, summary) = bench.story(double).await;
    assert_eq!((&report["counted_minutes"], report["counted_at"].is_string()), (&json!(4), true));
    assert!(summary.ends_with("(Stripe has counted 4 of 2 minutes)"), "{summary}");

    // What is wrong is asked for again, and written once.
    let before = bench.report(double).await;
    assert_eq!(bench.night().await, 2);
    assert_eq!(bench.report(double).await, before);
    let asked = customers.map(|customer| bench.questions(Some(customer)));
    assert_eq!(asked, [1, 2, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stripe_does_not_say_rejects_nothing_and_is_asked_for_again() {
    let customers = ["cus_one", "cus_gone"];
    let (world, [one, gone]) = world_of(customers).await;
    let bench = Bench::of(&world).await;
    for debtor in [one, gone] {
        bench.bill(debtor, LONG).await;
    }
    let archived = StripeSettings { meters: Some(Vec::new()), ..StripeSettings::default() };
    bench.stripe_is(archived.clone());
    let neither = async |why| {
        assert_eq!(bench.night().await, 0, "{why}");
        for debtor in [one, gone] {
            bench.report_is(debtor, "accepted", None).await;
        }
    };
    neither("an archived meter").await;
    assert!(world.log("worker").contains("the meter of reports is not active any more"));
    assert_eq!(bench.questions(None), 1, "its name says enough");
    bench.stripe_is(StripeSettings::default());
    // Longer than the run would wait: the books are compared all the same.
    let an_hour = [("Retry-After", "3600")];
    bench.answers("/stripe/v1/billing/meters", 429, &an_hour, json!({}));
    neither("Stripe asks for an hour").await;
    bench.stripe_is(StripeSettings {
        any_customer: false,
        known_customers: vec!["cus_one".to_owned()],
        ..StripeSettings::default()
    });
    assert_eq!(bench.night().await, 0);
    bench.report_is(one, "accepted", Some(2)).await;
    bench.report_is(gone, "accepted", None).await;
    bench.stripe_is(StripeSettings::default());
    assert_eq!(bench.night().await, 0);
    bench.report_is(gone, "accepted", Some(2)).await;
    let asked = customers.map(|customer| bench.questions(Some(customer)));
    assert_eq!(asked, [1, 2]);

    let asked = bench.questions(None);
    assert_eq!(bench.night().await, 0);
    assert_eq!(bench.questions(None), asked, "nothing is left to ask for");

    // Errors without names: all are asked for, also what was right before.
    bench.stripe_is(archived);
    assert_eq!(bench.nameless_errors(7).await, ErrorReportRead { errors: 7, rejected: 0 });
    bench.stripe_is(StripeSettings::default());
    let sql = "update stripe_reports set reported_for = reported_for - interval '1 minute'
        where organization_id = $1";
    world.db.execute(sql, &[&gone.organization.0]).await.unwrap();
    assert_eq!(bench.nameless_errors(7).await, ErrorReportRead { errors: 7, rejected: 1 });
    bench.report_is(gone, "rejected not-counted", Some(2)).await;
    bench.report_is(one, "accepted", Some(2)).await;
    bench.books_say(gone, 0, 2, Some("Stripe rejected the report")).await;
}
