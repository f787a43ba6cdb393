//! Three months of organizations in ten time zones, by the simulated clock: whatever is told late,
//! twice or corrected, ledger, days, totals, Redis and Stripe say what the generator's own sums say.
//!
//! `SEEDS=100` runs a hundred seeds of ten organizations; in CI there are a few.

mod model;
mod traffic;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use activities::{BillingActivities, Clock};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::{
    billing::{ClosePeriod, UsageLimit},
    call::{EventKind, Origin, Provider},
    calls::FinishCall,
    ids::{CallId, OrganizationId},
    merge,
    names::period_name,
    usage::Days,
};
use futures::{StreamExt, stream};
use providers::stripe::StripeClient;
use serde_json::json;
use store::{
    Database, Role, billing,
    counters::Counters,
    daily,
    finish::finish,
    inbox::{self, Fate, Folded, NewEvent, StoredEvent},
    reconcile::{self, Look},
    usage,
};
use uuid::Uuid;

use self::{
    model::{Day, Model, Sums},
    traffic::{Dice, Telling, organization},
};
use crate::harness::{Options, World, nemesis::seed};

/// Organizations of a seed, each in a zone of its own.
const ORGANIZATIONS: usize = 10;
/// Seeds of a run, where `SEEDS` does not say.
const SEEDS: u64 = 2;
/// Organizations at work at once.
const AT_ONCE: usize = 8;
/// Between two sweeps for periods that are over.
const SWEEP: TimeDelta = TimeDelta::hours(6);

/// One organization under test.
struct Tenant {
    id: OrganizationId,
    customer: String,
    seed: u64,
    model: Model,
    coming: VecDeque<Telling>,
}

/// The room in which everything happens.
struct Months {
    world: World,
    db: Database,
    counters: Counters,
    billing: BillingActivities,
    now: Arc<Mutex<DateTime<Utc>>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_go_back_in_new_york() {
    run("2026-09-10T00:00:00Z").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_go_forward_in_new_york() {
    run("2027-01-20T00:00:00Z").await;
}

async fn run(start: &str) {
    let start: DateTime<Utc> = start.parse().unwrap();
    let months = Months::start(start).await;
    let seeds: u64 = std::env::var("SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number"));
    let first = seed();
    let mut tenants = Vec::new();
    for number in 0..seeds {
        let seed = first.wrapping_add(number);
        for place in 0..ORGANIZATIONS {
            tenants.push(months.tenant(seed, place, start).await);
        }
    }
    let mut dice = Dice::new(first, "Redis");
    let mut now = start;
    // All of it has arrived by then, and every period that took some of it is over.
    let end = start + TimeDelta::days(90 + 60 + 66);
    while now < end {
        let until = now + SWEEP;
        let advancing = tenants.iter_mut().map(|tenant| months.advance(tenant, until));
        stream::iter(advancing).for_each_concurrent(AT_ONCE, |work| work).await;
        now = until;
        months.set_clock(now);
        months.sweep(&mut tenants, now).await;
        if now.time() == chrono::NaiveTime::MIN {
            months.aggregate(now).await;
        }
        if dice.below(10) == 0 {
            months.flush_redis().await;
        }
    }
    months.aggregate(now).await;
    let mut calls = 0;
    for tenant in &tenants {
        assert!(tenant.coming.is_empty(), "everything was told");
        calls += months.audit(tenant).await;
    }
    months.reconcile(&tenants, start, now).await;
    eprintln!("{} organizations, {calls} calls: difference 0", tenants.len());
}

impl Months {
    async fn start(start: DateTime<Utc>) -> Self {
        let world = World::with(Options { no_worker: true, ..Options::default() }).await;
        let month = start.date_naive();
        world.db.execute("select ensure_partitions($1, 9)", &[&month]).await.unwrap();
        let db = Database::connect(&world.database_url(), Role::Worker, 12).unwrap();
        let counters = Counters::new(&world.redis_url.clone().into()).unwrap();
        let now = Arc::new(Mutex::new(start));
        let told = Arc::clone(&now);
        let stripe_url = format!("{}/stripe", world.fakes.url());
        world.fakes.set_clock(start);
        let billing = BillingActivities {
            db: db.clone(),
            counters: counters.clone(),
            stripe: Some(StripeClient::new(&stripe_url, "sk_test_it".into()).unwrap()),
            event_name: "voice_minutes".to_owned(),
            clock: Clock::of(move || *told.lock().unwrap()),
            faults: activities::faults::Faults::default(),
        };
        Self { world, db, counters, billing, now }
    }

    fn set_clock(&self, now: DateTime<Utc>) {
        *self.now.lock().unwrap() = now;
        self.world.fakes.set_clock(now);
    }

    async fn tenant(&self, seed: u64, place: usize, start: DateTime<Utc>) -> Tenant {
        let (model, coming) = organization(seed, place, start);
        let id = OrganizationId(Uuid::new_v4());
        let customer = format!("cus_{}", id.0.simple());
        let sql = "insert into organizations (id, name, slug, plan_minutes, timezone, usage_limit,
                       billing_anchor_day, stripe_customer_id, overage_price)
                   values ($1, 'An organization', $2, $3, $4, $5, $6, $7, 0.12)";
        let included = i32::try_from(model.included).unwrap();
        let anchor = i16::try_from(model.anchor_day).unwrap();
        self.world
            .db
            .execute(
                sql,
                &[
                    &id.0,
                    &id.to_string(),
                    &included,
                    &model.zone.name(),
                    &model.limit.as_str(),
                    &anchor,
                    &customer,
                ],
            )
            .await
            .unwrap();
        Tenant { id, customer, seed, model, coming: coming.into() }
    }

    /// Takes everything that an organization is told until then.
    async fn advance(&self, tenant: &mut Tenant, until: DateTime<Utc>) {
        while let Some(telling) = tenant.coming.pop_front_if(|telling| telling.at < until) {
            self.tell(tenant, &telling).await;
        }
    }

    async fn tell(&self, tenant: &mut Tenant, telling: &Telling) {
        let provider_call_id = format!("call-{}", telling.call);
        let event = NewEvent {
            organization_id: tenant.id,
            provider: Provider::Vapi,
            event_key: format!("{provider_call_id}/{}", telling.version),
            event_kind: "generated".to_owned(),
            provider_call_id: Some(provider_call_id.clone()),
            notification_id: None,
            headers: json!({}),
            body: serde_json::to_vec(&telling.event).unwrap().into(),
            origin: Origin::Webhook,
            received_at: Some(telling.at),
            fate: Fate::Dispatch {
                life: telling.event.kind,
                call_status: telling.event.facts.status,
            },
        };
        inbox::append(&self.db, &event).await.unwrap();
        let call_id = CallId::derive(tenant.id, Provider::Vapi, &provider_call_id);
        let input = FinishCall { organization_id: tenant.id, call_id, retry: Vec::new() };
        finish(&self.db, &input, telling.at, |_, stored, row| fold(stored, row)).await.unwrap();
        tenant.tell_model(telling);
        for total in usage::unprojected_totals(&self.db, tenant.id).await.unwrap() {
            self.counters.project(&total).await.unwrap();
        }
    }

    /// Closes what is over, as `BillingSweep` and `BillingCycle` do.
    async fn sweep(&self, tenants: &mut [Tenant], now: DateTime<Utc>) {
        billing::due(&self.db, now).await.unwrap();
        let sql = "delete from workflow_starts where kind = 'billing-cycle' returning input";
        let rows = self.world.db.query(sql, &[]).await.unwrap();
        let periods: Vec<ClosePeriod> =
            rows.iter().map(|row| serde_json::from_value(row.get(0)).unwrap()).collect();
        stream::iter(periods).for_each_concurrent(AT_ONCE, |period| self.close(period, now)).await;
        tenants.iter_mut().for_each(|tenant| tenant.model.sweep(now));
    }

    async fn close(&self, period: ClosePeriod, now: DateTime<Utc>) {
        let ClosePeriod { organization_id, period_id, .. } = period;
        let preview =
            billing::statement(&self.db, organization_id, Some(period_id), now).await.unwrap();
        let frozen = billing::freeze(&self.db, organization_id, period_id, now).await.unwrap();
        assert_eq!(preview.statement, frozen.statement, "the preview is the bill");
        let reported = self.billing.tell_stripe(period).await.unwrap();
        assert_eq!(reported.quantity, frozen.statement.overage_minutes);
        billing::close(&self.db, organization_id, period_id, &reported, now).await.unwrap();
    }

    async fn aggregate(&self, at: DateTime<Utc>) {
        let mut after = None;
        loop {
            let days = Days::Around { at };
            let page = daily::aggregate_page(&self.db, days, after, 1000, at).await.unwrap();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }

    async fn flush_redis(&self) {
        let client = redis::Client::open(self.world.redis_url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        // Only this world's keys: the server is shared with other tests.
        let organizations = "select id from organizations";
        for row in self.world.db.query(organizations, &[]).await.unwrap() {
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg(format!("org:{}:usage:*", row.get::<_, Uuid>(0)))
                .query_async(&mut connection)
                .await
                .unwrap();
            if !keys.is_empty() {
                let _: i64 =
                    redis::cmd("DEL").arg(keys).query_async(&mut connection).await.unwrap();
            }
        }
    }

    /// Compares every book of an organization with the model; gives its calls.
    async fn audit(&self, tenant: &Tenant) -> i64 {
        let who = format!("seed {} in {}", tenant.seed, tenant.model.zone);
        let expected = tenant.model.days();
        assert_eq!(self.days(tenant).await, expected, "daily usage of {who}");
        let ledger = self.ledger_by_day(tenant).await;
        let sums = |day: &Day| day.sums;
        let expected_sums: BTreeMap<NaiveDate, Sums> = expected
            .iter()
            .map(|(date, day)| (*date, sums(day)))
            .filter(|(_, sums)| *sums != Sums::default())
            .collect();
        assert_eq!(ledger, expected_sums, "ledger of {who}");
        self.audit_periods(tenant, &who).await;
        let billed = i64::try_from(self.world.fakes.stripe().billed(&tenant.customer)).unwrap();
        assert_eq!(billed, tenant.model.billed(), "Stripe's count of {who}");
        let total: Sums = tenant.model.periods.iter().fold(Sums::default(), |sum, period| {
            assert!(period.frozen.is_some() || period.sums == Sums::default());
            sum.and(period.sums, 1)
        });
        assert_eq!(total, tenant.model.total(), "every unit is in one period of {who}");
        if tenant.model.included == 0 && tenant.model.limit == UsageLimit::Soft {
            let mut frozen = tenant.model.periods.iter().filter_map(|period| period.frozen);
            let owed = frozen.next_back().map_or(0, |last| last.carried_on_minutes);
            assert_eq!(billed + owed, total.minutes, "billed is used, of {who}");
        }
        expected.values().map(|day| day.calls).sum()
    }

    async fn days(&self, tenant: &Tenant) -> BTreeMap<NaiveDate, Day> {
        let sql = "select date, total_calls::bigint, completed_calls::bigint, total_minutes,
                       total_seconds, (cost_usd * 1000000)::bigint, failed_calls::bigint
                   from daily_usage where organization_id = $1 and assistant_id is null";
        let rows = self.world.db.query(sql, &[&tenant.id.0]).await.unwrap();
        let day = |row: &tokio_postgres::Row| {
            let (calls, completed) = (row.get(1), row.get(2));
            assert_eq!(row.get::<_, i64>(6), calls - completed);
            let sums = Sums { minutes: row.get(3), seconds: row.get(4), cost_micros: row.get(5) };
            (row.get(0), Day { calls, completed, sums })
        };
        rows.iter().map(day).collect()
    }

    /// By Postgres' own idea of the zone's days, which is another than ours.
    async fn ledger_by_day(&self, tenant: &Tenant) -> BTreeMap<NaiveDate, Sums> {
        let sql = "select (l.occurred_at at time zone o.timezone)::date,
                coalesce(sum(quantity) filter (where meter = 'call_minutes'), 0)::bigint,
                coalesce(sum(quantity) filter (where meter = 'call_seconds'), 0)::bigint,
                coalesce(sum(quantity) filter (where meter = 'call_cost'), 0)::bigint
            from usage_ledger l join organizations o on o.id = l.organization_id
            where o.id = $1 group by 1";
        let rows = self.world.db.query(sql, &[&tenant.id.0]).await.unwrap();
        let sums = |row: &tokio_postgres::Row| {
            (row.get(0), Sums { minutes: row.get(1), seconds: row.get(2), cost_micros: row.get(3) })
        };
        rows.iter().map(sums).filter(|(_, sums)| *sums != Sums::default()).collect()
    }

    async fn audit_periods(&self, tenant: &Tenant, who: &str) {
        // An organization whose calls were all told late has a first period in the middle of them.
        for period in tenant.model.periods.iter().filter(|period| period.frozen.is_some()) {
            let sql = "select id, status, used_minutes::bigint, overage_minutes::bigint,
                           carried_minutes, used_seconds, cost_micros
                       from billing_periods where organization_id = $1 and period_start = $2
                           and period_end = $3";
            let span = period.span;
            let row = self.world.db.query_one(sql, &[&tenant.id.0, &span.start, &span.end]).await;
            let row = row.unwrap_or_else(|error| panic!("{who}: period {span:?}: {error}"));
            let statement = period.frozen.unwrap();
            assert_eq!(row.get::<_, &str>(1), "closed", "{who}: {span:?}");
            let stored = [row.get::<_, i64>(2), row.get(3), row.get(4), row.get(5), row.get(6)];
            let expected = [
                statement.used_minutes,
                statement.overage_minutes,
                statement.carried_minutes,
                period.sums.seconds,
                period.sums.cost_micros,
            ];
            assert_eq!(stored, expected, "{who}: {span:?}");
            let id: Uuid = row.get(0);
            let total = usage::totals_of(&self.db, tenant.id, id.into()).await.unwrap().unwrap();
            let sums = Sums {
                minutes: total.minutes,
                seconds: total.seconds,
                cost_micros: total.cost_micros,
            };
            assert_eq!(sums, period.sums, "{who}: totals of {span:?}");
            self.counters.project(&total).await.unwrap();
            let stored = self.counters.stored(tenant.id, &period_name(span.start)).await.unwrap();
            let stored = stored.expect("projected");
            assert_eq!(stored.minutes, period.sums.minutes, "{who}: Redis of {span:?}");
            assert_eq!(stored.sequence, total.sequence, "{who}: Redis of {span:?}");
        }
    }

    async fn reconcile(&self, tenants: &[Tenant], start: DateTime<Utc>, now: DateTime<Utc>) {
        let from = (start - TimeDelta::days(40)).date_naive();
        for tenant in tenants {
            let look = Look { from, to: now.date_naive(), now, all: false };
            let books = reconcile::of_organization(&self.db, &self.counters, tenant.id, look);
            let books = books.await.unwrap();
            assert_eq!(books.unexplained(), 0, "seed {}: {books:#?}", tenant.seed);
        }
    }
}

impl Tenant {
    /// A word on a call counts unless a later one is known already.
    fn tell_model(&mut self, telling: &Telling) {
        if self.model.knows_better(telling.call, telling.version) {
            return;
        }
        self.model.tell(telling.call, telling.used, telling.at);
    }
}

/// The events are in our own words.
fn fold(stored: &[StoredEvent], row: Option<&merge::CallEvent>) -> Folded {
    let read = |event: &StoredEvent| -> merge::CallEvent {
        serde_json::from_slice(event.body.as_deref().unwrap()).unwrap()
    };
    let events: Vec<merge::CallEvent> = stored.iter().map(read).collect();
    assert!(events.iter().all(|event| event.kind != EventKind::Other));
    Folded { facts: merge::fold(events.iter().chain(row)), hole: None }
}
