//! An organization whose calls are finished at any time, and its books side by side.

use chrono::{DateTime, NaiveDate, Utc};
use contract::{
    call::{CallStatus, EventKind, Provider},
    calls::FinishCall,
    ids::{CallId, OrganizationId, PeriodId},
    merge::{self, CallEvent, CallFacts},
    names::period_name,
    usage::Days,
};
use rust_decimal::Decimal;
use store::{
    Database, Role,
    counters::Counters,
    daily, finish,
    inbox::Folded,
    reconcile::{self, Books, Look, Measure, Row, Scope},
    usage,
};
use uuid::Uuid;

use crate::harness::World;

/// First and last day of every comparison.
const DAYS: (&str, &str) = ("2026-10-15", "2026-12-31");

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(super) fn on(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// An organization of its own.
pub(super) struct Account<'a> {
    world: &'a World,
    pub(super) db: Database,
    pub(super) counters: Counters,
    pub(super) organization: OrganizationId,
}

impl<'a> Account<'a> {
    /// 10 minutes are included, periods begin on the first.
    pub(super) async fn open(world: &'a World, timezone: &str) -> Self {
        let id = Uuid::now_v7();
        let sql = "insert into organizations (id, name, slug, plan_minutes, timezone)
                   values ($1, 'Books', $2, 10, $3)";
        world.db.execute(sql, &[&id, &id.to_string(), &timezone]).await.unwrap();
        let db = Database::connect(&world.database_url(), Role::Worker, 4).unwrap();
        let counters = Counters::new(&world.redis_url.clone().into()).unwrap();
        Self { world, db, counters, organization: OrganizationId(id) }
    }

    /// A call that was answered then and lasted so long, told at `now` (again).
    pub(super) async fn call(&self, name: &str, started: &str, seconds: u32, now: &str) -> CallId {
        let (started, now) = (at(started), at(now));
        let call = CallId::derive(self.organization, Provider::Vapi, name);
        let sql = "insert into inbox (id, organization_id, provider, event_key, event_kind,
                       provider_call_id, call_id, life, body_sha256, origin, status, received_at)
                   values ($1, $2, 'vapi', $3, 'end-of-call-report', $3, $4, 'report',
                       sha256(''), 'webhook', 'received', $5)
                   on conflict do nothing";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&Uuid::now_v7(), &self.organization.0, &name, &call.0, &started];
        self.world.db.execute(sql, &parameters).await.unwrap();
        let status = if seconds > 0 { CallStatus::Completed } else { CallStatus::NoAnswer };
        let facts = CallFacts {
            status: Some(status),
            created_at: Some(started),
            started_at: Some(started),
            duration_seconds: Some(seconds),
            cost_usd: Some(Decimal::new(1_000 * i64::from(seconds) + 7, 6)),
            ..CallFacts::default()
        };
        let report = CallEvent { kind: EventKind::Report, at: now, facts };
        let fold = move |_, _: &[_], _: Option<&CallEvent>| Folded {
            facts: merge::fold([&report]),
            hole: None,
        };
        let organization_id = self.organization;
        let input = FinishCall { organization_id, call_id: call, retry: Vec::new() };
        finish::finish(&self.db, &input, now, fold).await.unwrap();
        for total in usage::unprojected_totals(&self.db, organization_id).await.unwrap() {
            self.counters.project(&total).await.unwrap();
        }
        call
    }

    /// Adds up every day.
    pub(super) async fn aggregate(&self, now: &str) {
        let days = Days::Between { from: on(DAYS.0), to: on(DAYS.1) };
        daily::aggregate_page(&self.db, days, None, 1000, at(now)).await.unwrap();
    }

    /// Compares the books; what the organization alone shows, the page of all shows too.
    pub(super) async fn compare(&self, now: &str) -> Vec<Row> {
        let books = reconcile::page(&self.db, &self.counters, None, 1000, look(now, false));
        let books = books.await.unwrap();
        let page: Vec<Row> =
            books.rows.into_iter().filter(|row| row.organization_id == self.organization).collect();
        let own = self.compare_alone(now, false).await;
        // What the page found missing in Redis it has put there.
        let without_redis = |rows: &[Row]| -> Vec<_> {
            let rows = rows.iter().filter(|row| row.note != Some("not projected"));
            rows.cloned().collect()
        };
        assert_eq!(without_redis(&page), without_redis(&own.rows));
        page
    }

    pub(super) async fn compare_alone(&self, now: &str, all: bool) -> Books {
        let counters = &self.counters;
        let look = look(now, all);
        reconcile::of_organization(&self.db, counters, self.organization, look).await.unwrap()
    }

    /// Changes a row behind the books' back, as the owner.
    pub(super) async fn tamper(&self, sql: &str) {
        let sql = sql.replace("ORGANIZATION", &format!("'{}'", self.organization));
        self.world.db.batch_execute(&sql).await.unwrap();
    }

    pub(super) async fn period(&self, start: &str) -> PeriodId {
        let sql = "select id from billing_periods where organization_id = $1 and period_start = $2";
        let row = self.world.db.query_one(sql, &[&self.organization.0, &at(start)]).await;
        PeriodId(row.unwrap().get(0))
    }

    /// Runs a command on the counter of a period: `HSET` and so on.
    pub(super) async fn redis(&self, command: &str, start: &str, arguments: &[&str]) {
        let client = redis::Client::open(self.world.redis_url.as_str()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let key = format!("org:{}:usage:{}", self.organization, period_name(at(start)));
        let command = redis::cmd(command).arg(key).arg(arguments).to_owned();
        let changed: i64 = command.query_async(&mut redis).await.unwrap();
        // An HSET of a field that is there changes it and counts as none.
        assert!((0..=4).contains(&changed));
    }
}

pub(super) fn look(now: &str, all: bool) -> Look {
    Look { from: on(DAYS.0), to: on(DAYS.1), now: at(now), all }
}

/// What a test says of a row: its day, or the start of its period; measure, difference, explanations
/// with their quantities, and what is left.
pub(super) fn told(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| format!("{} {}", place(row), words(row))).collect()
}

fn place(row: &Row) -> String {
    match row.scope {
        Scope::Day(date) => format!("{date} {}", row.measure.as_str()),
        Scope::Period { start, .. } => format!("{} {}", period_name(start), row.measure.as_str()),
    }
}

fn words(row: &Row) -> String {
    let mut words = row.difference.to_string();
    for explanation in &row.explanations {
        words = format!("{words} {} {:+}", explanation.reason.as_str(), explanation.quantity);
    }
    if row.unexplained != 0 {
        words = format!("{words} UNEXPLAINED {}", row.unexplained);
    }
    words
}

/// The rows of one measure.
pub(super) fn of(rows: &[Row], measure: Measure) -> Vec<Row> {
    rows.iter().filter(|row| row.measure == measure).cloned().collect()
}
