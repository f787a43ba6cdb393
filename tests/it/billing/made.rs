//! An organization whose last period is over, and what became of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::{BillingTiming, ClosePeriod, PeriodClosed, PeriodsSwept, SweepPeriods},
    ids::{OrganizationId, PeriodId},
    names::{BILLING_QUEUE, billing_workflow_id},
    period::{Span, period_of, zone_or_utc},
};
use postcall::temporal;
use store::{
    Database, Role,
    billing::{self, Preview},
};
use temporalio_client::{Client, WorkflowGetResultOptions, WorkflowStartOptions};
use uuid::Uuid;
use workflows::{BillingCycle, BillingSweep};

use crate::harness::{Options, World};

/// A killed worker is missed after half a minute at most, and more than once.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
/// Nothing is waited for for long.
pub(super) const AT_ONCE: BillingTiming = super::waiting(1, 120);

/// What an organization has bought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) included: i32,
    pub(super) price: &'static str,
    pub(super) limit: &'static str,
    /// Its customer at Stripe; none if empty.
    pub(super) customer: &'static str,
    pub(super) anchor_day: i16,
    pub(super) zone: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            included: 1000,
            price: "0.05",
            limit: "soft",
            customer: "cus_test",
            anchor_day: 1,
            zone: "UTC",
        }
    }
}

impl World {
    /// A world whose worker has an account at Stripe.
    pub(super) async fn with_stripe() -> Self {
        let mut world = Self::postgres_alone().await;
        world.start_biller(&[]).await;
        world
    }

    /// Nobody but the test bills here.
    pub(super) async fn postgres_alone() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }

    /// Starts a worker that has an account at Stripe.
    pub(super) async fn start_biller(&mut self, extra: &[(&str, String)]) {
        let mut variables = vec![
            ("STRIPE_BASE_URL", format!("{}/stripe", self.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_billing".to_owned()),
        ];
        variables.extend_from_slice(extra);
        self.start_worker(&variables).await;
    }

    pub(super) fn database(&self, role: Role) -> Database {
        Database::connect(&self.database_url(), role, 10).unwrap()
    }

    /// Runs the hourly sweep now.
    pub(super) async fn sweep_periods(&self) -> PeriodsSwept {
        let id = format!("billing-sweep-{}", Uuid::now_v7());
        let options = WorkflowStartOptions::new(BILLING_QUEUE, id).build();
        let client = temporal_of(self).await;
        let handle = client.start_workflow(BillingSweep::run, SweepPeriods::default(), options);
        let handle = handle.await.expect("it starts");
        let result = handle.get_result(WorkflowGetResultOptions::default());
        tokio::time::timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }
}

pub(super) async fn temporal_of(world: &World) -> Client {
    let client = temporal::connect_to(&world.temporal_address, &world.namespace, "it").await;
    client.expect("Temporal")
}

/// An organization whose last period is over since its calendar says so; nobody has noticed.
pub(super) struct Account<'a> {
    pub(super) world: &'a World,
    pub(super) plan: Plan,
    pub(super) organization: OrganizationId,
    pub(super) period: PeriodId,
    pub(super) span: Span,
    pub(super) now: DateTime<Utc>,
}

impl<'a> Account<'a> {
    /// An organization of its own.
    pub(super) async fn open(world: &'a World, plan: Plan) -> Self {
        let id = Uuid::now_v7();
        let sql = "insert into organizations (id, name, slug) values ($1, 'Account', $2)";
        world.db.execute(sql, &[&id, &id.to_string()]).await.unwrap();
        Self::with(world, plan, id).await
    }

    /// The world's organization, whose calls can be posted.
    pub(super) async fn of_world(world: &'a World, plan: Plan) -> Self {
        Self::with(world, plan, world.organization()).await
    }

    async fn with(world: &'a World, plan: Plan, id: Uuid) -> Self {
        let sql = "update organizations set plan_minutes = $2,
                overage_price = $3::text::numeric, usage_limit = $4,
                stripe_customer_id = nullif($5, ''), billing_anchor_day = $6, timezone = $7
            where id = $1";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] = [
            &id,
            &plan.included,
            &plan.price,
            &plan.limit,
            &plan.customer,
            &plan.anchor_day,
            &plan.zone,
        ];
        world.db.execute(sql, &parameters).await.unwrap();
        let mut account = Self {
            world,
            plan,
            organization: OrganizationId(id),
            period: PeriodId(Uuid::now_v7()),
            span: Span { start: DateTime::UNIX_EPOCH, end: DateTime::UNIX_EPOCH },
            now: Utc::now(),
        };
        account.span = account.period_around(account.current().start - TimeDelta::seconds(1));
        account.insert(account.period, account.span, "open").await;
        account
    }

    fn period_around(&self, at: DateTime<Utc>) -> Span {
        let anchor_day = u32::try_from(self.plan.anchor_day).unwrap();
        period_of(at, anchor_day, zone_or_utc(self.plan.zone))
    }

    /// The period that the calendar says is now.
    pub(super) fn current(&self) -> Span {
        self.period_around(self.now)
    }

    async fn insert(&self, period: PeriodId, span: Span, status: &str) {
        let sql = "insert into billing_periods (id, organization_id, period_start, period_end,
                status, included_minutes, overage_price, usage_limit)
            select $1, id, $2::text::timestamptz, $3::text::timestamptz, $4, plan_minutes,
                overage_price, usage_limit
            from organizations where id = $5";
        let (start, end) = (span.start.to_rfc3339(), span.end.to_rfc3339());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&period.0, &start, &end, &status, &self.organization.0];
        self.world.db.execute(sql, &parameters).await.unwrap();
    }

    /// Its period began so many months earlier and was forgotten: the open one is of then.
    pub(super) async fn begins_earlier(&self, months: usize) {
        let mut span = self.span;
        for _ in 0..months {
            span = self.period_around(span.start - TimeDelta::seconds(1));
        }
        let sql = "update billing_periods set period_start = $2::text::timestamptz,
            period_end = $3::text::timestamptz where id = $1";
        let (start, end) = (span.start.to_rfc3339(), span.end.to_rfc3339());
        self.world.db.execute(sql, &[&self.period.0, &start, &end]).await.unwrap();
    }

    /// Puts minutes on the ledger of the period.
    pub(super) async fn uses(&self, minutes: i64) {
        self.uses_in(self.period, minutes).await;
    }

    pub(super) async fn uses_in(&self, period: PeriodId, minutes: i64) {
        let sql = "with booked as (
                insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
                    occurred_at, period_id, reason)
                select gen_random_uuid(), $1, $2, m.meter, 0, m.quantity, now(), $3, 'call'
                from (values ('call_minutes', $4::bigint), ('call_seconds', $4 * 60),
                    ('call_cost', $4 * 1000)) m (meter, quantity)
                returning meter, quantity)
            insert into usage_totals as t (organization_id, period_id, meter, total, sequence)
            select $1, $3, meter, quantity, 1 from booked
            on conflict (organization_id, period_id, meter) do update
                set total = t.total + excluded.total, sequence = t.sequence + 1";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&self.organization.0, &Uuid::now_v7(), &period.0, &minutes];
        self.world.db.execute(sql, &parameters).await.unwrap();
    }

    /// Runs `BillingCycle` to its end.
    pub(super) async fn close(&self, timing: BillingTiming) -> PeriodClosed {
        self.start(timing).await;
        self.closed().await
    }

    pub(super) fn workflow_id(&self) -> String {
        billing_workflow_id(self.organization, self.span.start)
    }

    pub(super) async fn start(&self, timing: BillingTiming) {
        let options = WorkflowStartOptions::new(BILLING_QUEUE, self.workflow_id()).build();
        let (organization_id, period_id) = (self.organization, self.period);
        let input = ClosePeriod { organization_id, period_id, timing };
        let client = temporal_of(self.world).await;
        client.start_workflow(BillingCycle::run, input, options).await.expect("it starts");
    }

    pub(super) async fn closed(&self) -> PeriodClosed {
        let client = temporal_of(self.world).await;
        let handle = client.get_workflow_handle::<BillingCycle>(self.workflow_id());
        let result = handle.get_result(WorkflowGetResultOptions::default());
        tokio::time::timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }

    pub(super) async fn statement(&self, period: Option<PeriodId>) -> Preview {
        let db = self.world.database(Role::Api);
        billing::statement(&db, self.organization, period, self.now).await.expect("a statement")
    }

    /// The period's row.
    pub(super) async fn row(&self) -> String {
        let sql = "select to_jsonb(p)::text from billing_periods p where id = $1";
        self.world.db.query_one(sql, &[&self.period.0]).await.unwrap().get(0)
    }

    /// The lines of the organization's billing history, oldest first.
    pub(super) async fn story(&self) -> Vec<String> {
        let sql = "select event from billing_events where organization_id = $1 order by id";
        self.texts(sql).await
    }

    /// The events that endpoints and dashboards are told.
    pub(super) async fn events(&self) -> Vec<String> {
        self.world.events_are_of_the_catalogue().await;
        let sql = "select type from events where organization_id = $1 and type like 'billing.%'
            order by id";
        self.texts(sql).await
    }

    /// The reports, oldest first: state, Stripe's code or the reason.
    pub(super) async fn reports(&self) -> Vec<String> {
        let sql = "select state || coalesce(' ' || error, '') from stripe_reports
            where organization_id = $1 order by period_id, revision";
        self.texts(sql).await
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.world.db.query(sql, &[&self.organization.0]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// From now on the organization is this customer.
    pub(super) async fn becomes(&self, customer: &str) {
        let sql = "update organizations set stripe_customer_id = $2 where id = $1";
        self.world.db.execute(sql, &[&self.organization.0, &customer]).await.unwrap();
    }
}
