//! Periods: closed once, reported once, whatever happens on the way.

mod kills;
mod made;
mod reports;
mod trouble;

use contract::{
    billing::{BillingTiming, ReportOutcome, UsageReported},
    names::period_name,
};
use redis::AsyncCommands;
use serde_json::json;
use store::{
    Role, billing,
    periods::{Period, PeriodStatus},
};

use self::made::{AT_ONCE, Account, PATIENCE, Plan};
use crate::harness::{
    World,
    calls::{fresh_id, report_with},
    wait::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_period_bills_what_its_preview_said() {
    let world = World::with_stripe().await;
    let soft = Plan { price: "0.125", ..Plan::default() };
    let hard = Plan { limit: "hard", customer: "cus_hard", ..Plan::default() };
    let nothing = Plan {
        included: 0,
        customer: "cus_zero",
        anchor_day: 31,
        zone: "Asia/Kathmandu",
        ..Plan::default()
    };
    let owed = Plan { customer: "cus_owed", zone: "Pacific/Apia", ..Plan::default() };
    let unused = Plan { customer: "cus_unused", zone: "Mars/Olympus", ..Plan::default() };
    let cases =
        [(soft, 1200, 200), (hard, 1200, 0), (nothing, 7, 7), (owed, -30, 0), (unused, 0, 0)];
    futures::future::join_all(cases.map(|(plan, used, overage)| {
        let world = &world;
        async move {
            let account = Account::open(world, plan).await;
            account.uses(used).await;
            account.is_billed(overage).await;
        }
    }))
    .await;
}

impl Account<'_> {
    /// The period is over; closing it bills so many minutes, and nothing twice.
    async fn is_billed(&self, overage: i64) {
        let customer = self.plan.customer;
        let preview = self.statement(Some(self.period)).await;
        assert_eq!(preview.statement.overage_minutes, overage, "{customer}");
        assert_eq!(
            preview,
            self.statement(None).await,
            "{customer}: nobody has looked at it since"
        );
        let closed = self.close(AT_ONCE).await;
        assert_eq!(closed.statement, preview.statement, "{customer}");
        let outcome = if overage > 0 { ReportOutcome::Accepted } else { ReportOutcome::Nothing };
        assert_eq!((closed.reported.outcome, closed.reported.quantity), (outcome, overage));
        assert_eq!(self.world.fakes.stripe().billed(customer), overage as u64, "{customer}");

        let frozen = self.statement(Some(self.period)).await;
        assert_eq!((frozen.status, frozen.statement), (PeriodStatus::Closed, preview.statement));
        assert_eq!(frozen.overage_usd(), preview.overage_usd());
        let next = self.statement(None).await;
        assert_eq!(next.status, PeriodStatus::Open);
        assert_eq!(next.span, self.current(), "{customer}: the calendar's");
        assert_eq!(next.span.start, frozen.span.end, "{customer}");
        assert_eq!(next.statement.carried_minutes, preview.statement.carried_on_minutes);
        self.counters_are(frozen.span.start, preview.statement.used_minutes).await;
        self.counters_are(next.span.start, 0).await;
        let mut story = vec!["period.opened", "period.frozen", "period.closed"];
        if overage > 0 {
            story.insert(2, "report.accepted");
        }
        assert_eq!(self.story().await, story, "{customer}");

        let (row, events) = (self.row().await, self.events().await);
        assert_eq!(events, ["billing.period_closed"]);
        assert_eq!(self.close(AT_ONCE).await, closed, "{customer}: run again");
        assert_eq!((self.row().await, self.events().await), (row, events), "{customer}");
        assert_eq!(self.story().await, story, "{customer}");
        assert_eq!(self.world.fakes.stripe().billed(customer), overage as u64, "{customer}");
    }

    async fn counters_are(&self, start: chrono::DateTime<chrono::Utc>, minutes: i64) {
        let client = redis::Client::open(self.world.redis_url.as_str()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let key = format!("org:{}:usage:{}", self.organization, period_name(start));
        let shown: Option<i64> = redis.hget(&key, "minutes").await.unwrap();
        assert_eq!(shown, Some(minutes), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_usage_is_an_adjustment_and_a_closed_period_never_changes() {
    let world = World::with_stripe().await;
    world.without_options().await;
    let account = Account::of_world(&world, Plan::default()).await;
    account.uses(1100).await;
    account.close(AT_ONCE).await;
    let (row, frozen) = (account.row().await, account.statement(Some(account.period)).await);

    let ended = account.span.end - chrono::TimeDelta::minutes(10);
    let times = json!({
        "startedAt": (ended - chrono::TimeDelta::seconds(170)).to_rfc3339(),
        "endedAt": ended.to_rfc3339(),
    });
    let id = fresh_id();
    assert_eq!(world.post(report_with(&id, &times)).await, 200);
    world.closed(&id).await;
    let sql = "select period_id = $2, reason, quantity from usage_ledger
        where call_id = $1 and meter = 'call_minutes'";
    let call = world.call_id(&id);
    let booked = world.db.query_one(sql, &[&call.0, &account.period.0]).await.unwrap();
    let minutes: i64 = booked.get(2);
    assert_eq!((booked.get(0), booked.get::<_, String>(1)), (false, "late".to_owned()));
    assert!(minutes > 0);

    assert_eq!(account.statement(None).await.statement.used_minutes, minutes);
    assert_eq!(account.close(AT_ONCE).await.statement, frozen.statement);
    assert_eq!((account.row().await, account.statement(Some(account.period)).await), (row, frozen));
    assert_eq!(world.fakes.stripe().billed(account.plan.customer), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hourly_sweep_closes_every_period_that_is_over() {
    let world = World::with_stripe().await;
    let customers = ["cus_one", "cus_two"];
    let mut accounts = Vec::new();
    for customer in customers {
        let account = Account::open(&world, Plan { customer, ..Plan::default() }).await;
        account.uses(1001).await;
        accounts.push(account);
    }
    // Nobody has looked at this one for months.
    let asleep = Account::open(&world, Plan { customer: "cus_asleep", ..Plan::default() }).await;
    asleep.begins_earlier(3).await;
    let swept = world.sweep_periods().await;
    assert_eq!((swept.due, swept.started), (6, 6), "two, and four months of the third");
    until("every period that is over is closed", PATIENCE, || async {
        let sql =
            "select count(*) from billing_periods where status <> 'closed' and period_end < now()";
        (world.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    for account in &accounts {
        assert_eq!(world.fakes.stripe().billed(account.plan.customer), 1);
    }
    let again = world.sweep_periods().await;
    assert_eq!((again.due, again.started), (0, 0));
    let sql = "select count(*), count(distinct period_start) from billing_periods
        where organization_id = $1";
    let row = world.db.query_one(sql, &[&asleep.organization.0]).await.unwrap();
    assert_eq!([row.get::<_, i64>(0), row.get(1)], [5, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_period_is_owed_passes_through_unfrozen_periods() {
    let world = World::postgres_alone().await;
    let account = Account::open(&world, Plan { included: 10, ..Plan::default() }).await;
    account.uses(-50).await;
    let now = account.now;
    let db = world.database(Role::Worker);
    let next = account.next(&db).await;
    account.uses_in(next.id, 70).await;
    let preview = account.statement(Some(next.id)).await.statement;
    assert_eq!((preview.carried_minutes, preview.overage_minutes), (-50, 10));

    // Frozen out of order, the earlier one comes first.
    let later = next.span.end;
    let frozen = billing::freeze(&db, account.organization, next.id, later).await.unwrap();
    assert_eq!((frozen.statement, frozen.watermark), (preview, Some(later)));
    let first = billing::freeze(&db, account.organization, account.period, now).await.unwrap();
    assert_eq!((first.watermark, first.statement.carried_on_minutes), (Some(later), -50));
    let again = billing::freeze(&db, account.organization, next.id, later).await.unwrap();
    assert_eq!(again, frozen);
    let open = account.statement(None).await;
    let early = billing::freeze(&db, account.organization, open.period_id.unwrap(), later).await;
    assert!(early.unwrap().is_early, "it is not over");
    let (id, unreported) = (open.period_id.unwrap(), UsageReported::default());
    let unfrozen = billing::close(&db, account.organization, id, &unreported, later);
    assert!(unfrozen.await.is_err(), "nothing is closed that is not frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_freezes_at_once_are_one() {
    let world = World::postgres_alone().await;
    let account = Account::open(&world, Plan::default()).await;
    account.uses(-5).await;
    let db = world.database(Role::Worker);
    let freezes =
        (0..8).map(|_| billing::freeze(&db, account.organization, account.period, account.now));
    let frozen = futures::future::join_all(freezes).await;
    let first = frozen[0].as_ref().expect("frozen");
    assert!(frozen.iter().all(|frozen| frozen.as_ref().is_ok_and(|frozen| frozen == first)));
    assert_eq!(account.story().await, ["period.opened", "period.frozen"]);
    assert_eq!(account.statement(None).await.statement.carried_minutes, -5);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_call_the_preview_is_of_the_plan() {
    let world = World::postgres_alone().await;
    let account = Account::open(&world, Plan { anchor_day: 31, ..Plan::default() }).await;
    let sql = "delete from billing_periods where organization_id = $1";
    world.db.execute(sql, &[&account.organization.0]).await.unwrap();
    let preview = account.statement(None).await;
    assert_eq!((preview.period_id, preview.span), (None, account.current()));
    assert_eq!((preview.statement.included_minutes, preview.statement.overage_minutes), (1000, 0));
    let other = Account::open(&world, Plan { customer: "cus_other", ..Plan::default() }).await;
    let db = world.database(Role::Api);
    let stolen = billing::statement(&db, account.organization, Some(other.period), account.now);
    assert!(stolen.await.is_err(), "another organization's period");
}

/// The workflow's own waits, shortened.
pub(crate) const fn waiting(retry_seconds: u32, give_up_seconds: u32) -> BillingTiming {
    BillingTiming { retry_seconds, give_up_seconds }
}

impl Account<'_> {
    /// The period after this one, opened.
    async fn next(&self, db: &store::Database) -> Period {
        let early = billing::freeze(db, self.organization, self.period, self.span.start).await;
        assert!(early.unwrap().is_early);
        billing::due(db, self.now).await.unwrap();
        let open = self.statement(None).await;
        Period {
            id: open.period_id.unwrap(),
            organization_id: self.organization,
            span: open.span,
            status: open.status,
            watermark: None,
            included_minutes: open.statement.included_minutes,
            overage_price: open.overage_price,
            usage_limit: open.usage_limit,
            carried_minutes: open.statement.carried_minutes,
        }
    }
}
