//! An account whose books agree before a worker dies, and what there is to say of it afterwards.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::SweepPeriods,
    ids::{OrganizationId, PeriodId},
    names::{BILLING_QUEUE, period_name},
    period::{Span, local_date, zone_or_utc},
    usage::Days,
};
use redis::AsyncCommands;
use store::{Role, daily};
use temporalio_client::WorkflowStartOptions;
use uuid::Uuid;
use workflows::BillingSweep;

use super::super::made::{Account, PATIENCE, Plan, temporal_of};
use crate::harness::{World, wait::until};

/// Minutes of the period, in one call; 1000 are included.
const USED: i64 = 1200;
/// What is to be billed of them.
const OVERAGE: u64 = 200;
/// Lines of a period that is closed and billed.
const LINES: [&str; 4] = ["period.opened", "period.frozen", "report.accepted", "period.closed"];

/// An account, while its world changes workers.
pub(super) struct Kept {
    plan: Plan,
    organization: OrganizationId,
    period: PeriodId,
    span: Span,
    now: DateTime<Utc>,
}

impl World {
    /// Starts the hourly sweep.
    pub(super) async fn begin_sweep(&self) {
        let options = WorkflowStartOptions::new(BILLING_QUEUE, "billing-sweep").build();
        let client = temporal_of(self).await;
        let sweep = client.start_workflow(BillingSweep::run, SweepPeriods::default(), options);
        sweep.await.expect("it starts");
    }
}

impl Kept {
    /// An account that used 200 minutes more than are included, in a call of the period's last day.
    pub(super) async fn open(world: &World, plan: Plan) -> Self {
        let account = Account::open(world, plan).await;
        let Account { plan, organization, period, span, now, .. } = account;
        let kept = Self { plan, organization, period, span, now };
        kept.calls(world).await;
        let (rows, _) = world.reconcile().await;
        let wrong =
            rows.iter().filter(|row| row["unexplained"] != 0 && row["measure"] != "overage");
        assert_eq!(wrong.count(), 0, "only the bill is missing: {rows:#?}");
        kept
    }

    pub(super) fn account<'a>(&self, world: &'a World) -> Account<'a> {
        let Self { plan, organization, period, span, now } = *self;
        Account { world, plan, organization, period, span, now }
    }

    /// A call as it stands when its workflow is through, in every book.
    async fn calls(&self, world: &World) {
        let sql = "with called as (
                insert into calls (id, organization_id, provider, provider_call_id, status,
                    duration_seconds, billed_minutes, cost_usd, origin, created_at, occurred_at)
                values ($1, $2, 'vapi', $1::uuid::text, 'completed', $3 * 60, $3, $3 * 0.001,
                    'webhook', $5, $5)
                returning id, organization_id, billed_minutes::bigint as minutes, occurred_at),
            booked as (
                insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
                    occurred_at, period_id, reason)
                select gen_random_uuid(), c.organization_id, c.id, m.meter, 0, c.minutes * m.factor,
                    c.occurred_at, $4, 'call'
                from called c, (values ('call_minutes', 1), ('call_seconds', 60),
                    ('call_cost', 1000)) m (meter, factor)
                returning organization_id, period_id, meter, quantity)
            insert into usage_totals (organization_id, period_id, meter, total, sequence)
            select organization_id, period_id, meter, quantity, 1 from booked";
        let began = self.span.end - TimeDelta::hours(21);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [
            &Uuid::now_v7(),
            &self.organization.0,
            &i32::try_from(USED).unwrap(),
            &self.period.0,
            &began,
        ];
        world.db.execute(sql, &parameters).await.unwrap();
        let day = local_date(began, zone_or_utc(self.plan.zone));
        let days = Days::Between { from: day, to: day };
        let db = world.database(Role::Worker);
        daily::aggregate_page(&db, days, None, daily::PAGE, self.now).await.unwrap();
    }

    /// How far it is: the lines of its history, and its reports with what became of them.
    pub(super) async fn stands(&self, world: &World) -> Vec<String> {
        let account = self.account(world);
        [account.story().await, account.reports().await].concat()
    }

    /// The period is closed once, exactly the overage is billed once, and every book agrees. `further`
    /// lines stand in its history, each as often as here.
    pub(super) async fn is_billed_once(&self, world: &World, what: &str, further: &[&str]) {
        let account = self.account(world);
        let sql = "select p.status = 'closed' and (select r.state from stripe_reports r
                where r.period_id = p.id order by r.revision desc limit 1) = 'accepted'
            from billing_periods p where p.id = $1";
        until(&format!("{what}: the period is closed and billed"), PATIENCE, || async {
            let row = world.db.query_one(sql, &[&self.period.0]).await.ok()?;
            row.get::<_, Option<bool>>(0).filter(|is_done| *is_done)
        })
        .await;
        assert_eq!(account.closed().await.statement.overage_minutes, OVERAGE as i64, "{what}");
        // The report may have had to wait until after the close.
        let (mut story, mut expected) = (account.story().await, [&LINES, further].concat());
        story.sort();
        expected.sort_unstable();
        assert_eq!(story, expected, "{what}");
        let mut events = account.events().await;
        events.retain(|event| event == "billing.period_closed");
        assert_eq!(events.len(), 1, "{what}");

        let stripe = world.fakes.stripe();
        let customer = "select stripe_customer_id from organizations where id = $1";
        let row = world.db.query_one(customer, &[&self.organization.0]).await.unwrap();
        assert_eq!(stripe.billed(row.get(0)), OVERAGE, "{what}");
        let identifiers = stripe.identifiers();
        let mut distinct = identifiers.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), identifiers.len(), "{what}: {identifiers:?}");
        self.counters_are_set(world, what).await;
        world.is_reconciled(what).await;
        let swept = world.sweep_periods().await;
        assert_eq!((swept.due, swept.started), (0, 0), "{what}: nothing is left to do");
    }

    /// The closed period's counter and the new one's are there, soon.
    async fn counters_are_set(&self, world: &World, what: &str) {
        let sql = "select p.period_start, coalesce((select sum(quantity)::bigint
                from usage_ledger l where l.period_id = p.id and meter = 'call_minutes'), 0)
            from billing_periods p where organization_id = $1";
        let client = redis::Client::open(world.redis_url.as_str()).unwrap();
        until(&format!("{what}: Redis says what the ledger says"), PATIENCE, || async {
            let mut redis = client.get_multiplexed_async_connection().await.ok()?;
            for row in world.db.query(sql, &[&self.organization.0]).await.ok()? {
                let key = format!("org:{}:usage:{}", self.organization, period_name(row.get(0)));
                let minutes: Option<i64> = redis.hget(&key, "minutes").await.ok()?;
                if minutes != Some(row.get(1)) {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }
}
