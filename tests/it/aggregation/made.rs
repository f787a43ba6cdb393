//! An organization with calls at any time, and what its days say.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use contract::{
    ids::OrganizationId,
    period,
    usage::{Days, PageAggregated, UsageAggregated},
};
use store::{Database, Role, daily};
use uuid::Uuid;

use crate::harness::World;

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(super) fn on(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(super) fn between(from: &str, to: &str) -> Days {
    Days::Between { from: on(from), to: on(to) }
}

/// A call's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) assistant: Option<Uuid>,
    pub(super) status: &'static str,
    /// Nothing where it was not counted.
    pub(super) seconds: Option<i32>,
    pub(super) cost: &'static str,
}

impl Call {
    /// One that lasted for a minute and a half.
    pub(super) fn answered() -> Self {
        Self::answered_at(DateTime::UNIX_EPOCH)
    }

    pub(super) fn answered_at(occurred_at: DateTime<Utc>) -> Self {
        let assistant = Some(Uuid::from_u128(1));
        Self { occurred_at, assistant, status: "completed", seconds: Some(90), cost: "0.15" }
    }
}

/// A row of `daily_usage`; the one without an assistant is all of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) assistant: Option<Uuid>,
    pub(super) calls: i64,
    pub(super) completed: i64,
    pub(super) failed: i64,
    pub(super) minutes: i64,
    pub(super) seconds: i64,
    pub(super) average: String,
    pub(super) cost: String,
}

/// Calls of each day.
pub(super) fn totals(days: &[Day]) -> Vec<(NaiveDate, i64)> {
    let totals = days.iter().filter(|day| day.assistant.is_none());
    totals.map(|day| (day.date, day.calls)).collect()
}

/// An organization of its own.
pub(super) struct Household<'a> {
    pub(super) world: &'a World,
    pub(super) db: Database,
    pub(super) id: Uuid,
    zone: &'static str,
}

impl<'a> Household<'a> {
    pub(super) async fn open(world: &'a World, zone: &'static str) -> Self {
        let id = Uuid::now_v7();
        let sql =
            "insert into organizations (id, name, slug, timezone) values ($1, 'House', $2, $3)";
        world.db.execute(sql, &[&id, &id.to_string(), &zone]).await.unwrap();
        let db = Database::connect(&world.database_url(), Role::Worker, 4).unwrap();
        Self { world, db, id, zone }
    }

    /// No longer a customer: nothing of it is aggregated.
    pub(super) async fn close(&self) {
        let sql = "update organizations set deleted_at = now() where id = $1";
        self.world.db.execute(sql, &[&self.id]).await.unwrap();
    }

    pub(super) fn local(&self, at: DateTime<Utc>) -> NaiveDate {
        period::local_date(at, period::zone_or_utc(self.zone))
    }

    /// Some time well within a day.
    pub(super) fn noon(&self, day: NaiveDate) -> DateTime<Utc> {
        let start = period::day_start(day, period::zone_or_utc(self.zone));
        start + chrono::TimeDelta::hours(12)
    }

    /// A call whose row was made when it occurred, as late ones' are, too.
    pub(super) async fn called(&self, call: Call) -> Uuid {
        let id = Uuid::now_v7();
        let minutes = call.seconds.map(|seconds| (seconds + 59) / 60);
        let sql = "insert into calls (id, organization_id, provider, provider_call_id, assistant_id,
                status, duration_seconds, billed_minutes, cost_usd, origin, created_at, occurred_at)
            values ($1, $2, 'vapi', $1::uuid::text, $3, $4, $5, $6, $7::text::numeric, 'webhook', $8, $8)";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 8] = [
            &id,
            &self.id,
            &call.assistant,
            &call.status,
            &call.seconds,
            &minutes,
            &call.cost,
            &call.occurred_at,
        ];
        self.world.db.execute(sql, &parameters).await.unwrap();
        id
    }

    pub(super) async fn void(&self, call: Uuid) {
        let sql =
            "insert into usage_voids (organization_id, call_id, reason) values ($1, $2, 'test')";
        self.world.db.execute(sql, &[&self.id, &call]).await.unwrap();
    }

    /// As a finished call does it whose day is over.
    pub(super) async fn touch(&self, day: NaiveDate) {
        self.world.db.execute(TOUCH, &[&self.id, &day]).await.unwrap();
    }

    /// Days that wait for their aggregation.
    pub(super) async fn touched(&self) -> Vec<NaiveDate> {
        let sql = "select date from usage_days_touched where organization_id = $1 order by date";
        let rows = self.world.db.query(sql, &[&self.id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Aggregates days of every organization.
    pub(super) async fn aggregate(&self, days: Days) -> UsageAggregated {
        self.aggregate_at(days, Utc::now()).await
    }

    pub(super) async fn aggregate_at(&self, days: Days, now: DateTime<Utc>) -> UsageAggregated {
        let page = daily::aggregate_page(&self.db, days, None, daily::PAGE, now).await.unwrap();
        assert_eq!(page.next, None);
        page.aggregated
    }

    pub(super) async fn page(
        &self,
        days: Days,
        after: Option<OrganizationId>,
        limit: i64,
    ) -> PageAggregated {
        daily::aggregate_page(&self.db, days, after, limit, Utc::now()).await.unwrap()
    }

    /// What its days say, the whole of each before its assistants.
    pub(super) async fn days(&self) -> Vec<Day> {
        let sql = "select date, assistant_id, total_calls::bigint, completed_calls::bigint,
                failed_calls::bigint, total_minutes, total_seconds, average_duration_seconds::text,
                cost_usd::text
            from daily_usage where organization_id = $1 order by date, assistant_id nulls first";
        let rows = self.world.db.query(sql, &[&self.id]).await.unwrap();
        let day = |row: &tokio_postgres::Row| Day {
            date: row.get(0),
            assistant: row.get(1),
            calls: row.get(2),
            completed: row.get(3),
            failed: row.get(4),
            minutes: row.get(5),
            seconds: row.get(6),
            average: row.get(7),
            cost: row.get(8),
        };
        rows.iter().map(day).collect()
    }
}

pub(super) const TOUCH: &str =
    "insert into usage_days_touched (organization_id, date) values ($1, $2)
     on conflict (organization_id, date) do update set touched_at = excluded.touched_at";

/// The calls of one whole day, for the days of a page.
pub(super) fn whole_day(day: NaiveDate) -> Days {
    Days::Around { at: (day.and_time(NaiveTime::MIN)).and_utc() + chrono::TimeDelta::hours(26) }
}
