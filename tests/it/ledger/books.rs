//! An organization whose calls are finished at any time, and what its books say then.

use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Provider},
    calls::FinishCall,
    ids::{CallId, OrganizationId},
    merge::{self, CallEvent, CallFacts},
};
use store::{Database, Role, StoreError, finish, inbox::Folded, usage};
use uuid::Uuid;

use crate::harness::{Options, World};

impl World {
    /// Nobody but the test finishes calls here.
    pub(super) async fn postgres_only() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }
}

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A call that was answered then and lasted so long.
pub(super) fn answered(started: DateTime<Utc>, seconds: u32) -> CallFacts {
    CallFacts {
        status: Some(CallStatus::Completed),
        created_at: Some(started),
        started_at: Some(started),
        duration_seconds: Some(seconds),
        ..CallFacts::default()
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) meter: String,
    pub(super) revision: i32,
    pub(super) quantity: i64,
    pub(super) reason: String,
    pub(super) occurred_at: DateTime<Utc>,
}

impl Row {
    pub(super) fn new(
        meter: &str,
        revision: i32,
        quantity: i64,
        reason: &str,
        occurred_at: DateTime<Utc>,
    ) -> Self {
        Self { meter: meter.into(), revision, quantity, reason: reason.into(), occurred_at }
    }
}

/// What a call's row says of its length.
pub(super) struct CallRow {
    pub(super) seconds: Option<i32>,
    pub(super) minutes: Option<i32>,
    pub(super) flag: Option<String>,
}

/// An organization of its own.
pub(super) struct Books<'a> {
    world: &'a World,
    pub(super) db: Database,
    pub(super) organization: OrganizationId,
}

impl<'a> Books<'a> {
    pub(super) async fn open(world: &'a World, timezone: &str, anchor_day: i16) -> Self {
        let id = Uuid::now_v7();
        let sql = "insert into organizations (id, name, slug, plan_minutes, timezone,
                       billing_anchor_day)
                   values ($1, 'Books', $2, 1000, $3, $4)";
        let slug = id.to_string();
        world.db.execute(sql, &[&id, &slug, &timezone, &anchor_day]).await.unwrap();
        let db = Database::connect(&world.database_url(), Role::Worker, 20).unwrap();
        Self { world, db, organization: OrganizationId(id) }
    }

    /// A call of which a report came in November.
    pub(super) async fn call(&self, name: &str) -> CallId {
        self.call_told(name, at("2026-11-20T12:00:00Z")).await
    }

    /// A call of which a report came then. Nothing is believed to have occurred months before or after.
    pub(super) async fn call_told(&self, name: &str, received_at: DateTime<Utc>) -> CallId {
        let call = CallId::derive(self.organization, Provider::Vapi, name);
        let sql = "insert into inbox (id, organization_id, provider, event_key, event_kind,
                       provider_call_id, call_id, life, body_sha256, origin, status, received_at)
                   values ($1, $2, 'vapi', $3, 'end-of-call-report', $3, $4, 'report',
                       sha256(''), 'webhook', 'received', $5)";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&Uuid::now_v7(), &self.organization.0, &name, &call.0, &received_at];
        self.world.db.execute(sql, &parameters).await.unwrap();
        call
    }

    /// Finishes the call as if its report said this.
    pub(super) async fn finish(
        &self,
        call: CallId,
        facts: &CallFacts,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let report = CallEvent { kind: EventKind::Report, at: now, facts: facts.clone() };
        let fold = move |_, _: &[_], _: Option<&CallEvent>| Folded {
            facts: merge::fold([&report]),
            hole: None,
        };
        finish::finish(&self.db, &self.input(call), now, fold).await.map(drop)
    }

    /// Finishes the call when its report cannot be read any more.
    pub(super) async fn finish_from_row(
        &self,
        call: CallId,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let fold = |_, _: &[_], row: Option<&CallEvent>| Folded {
            facts: merge::fold(row),
            hole: Some(EventKind::Report),
        };
        finish::finish(&self.db, &self.input(call), now, fold).await.map(drop)
    }

    fn input(&self, call: CallId) -> FinishCall {
        FinishCall { organization_id: self.organization, call_id: call, retry: Vec::new() }
    }

    /// The rows of a call.
    pub(super) async fn ledger(&self, call: CallId) -> Vec<Row> {
        let sql = "select meter, revision, quantity, reason, occurred_at from usage_ledger
                   where organization_id = $1 and call_id = $2 order by revision > 0, meter, revision";
        let rows = self.world.db.query(sql, &[&self.organization.0, &call.0]).await.unwrap();
        let row = |row: tokio_postgres::Row| Row {
            meter: row.get(0),
            revision: row.get(1),
            quantity: row.get(2),
            reason: row.get(3),
            occurred_at: row.get(4),
        };
        rows.into_iter().map(row).collect()
    }

    pub(super) async fn call_row(&self, call: CallId) -> CallRow {
        let sql = "select duration_seconds, billed_minutes, duration_flag from calls where id = $1";
        let row = self.world.db.query_one(sql, &[&call.0]).await.unwrap();
        CallRow { seconds: row.get(0), minutes: row.get(1), flag: row.get(2) }
    }

    /// The open period's total.
    pub(super) async fn total(&self) -> usage::Total {
        let totals = usage::unprojected_totals(&self.db, self.organization).await.unwrap();
        *totals.last().expect("an open period")
    }

    /// Days to be aggregated again.
    pub(super) async fn touched(&self) -> Vec<String> {
        let sql = "select date::text from usage_days_touched where organization_id = $1 order by 1";
        let rows = self.world.db.query(sql, &[&self.organization.0]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Periods in order: start, end, status, and the minutes that are booked to each.
    pub(super) async fn periods(&self) -> Vec<(DateTime<Utc>, DateTime<Utc>, String, i64)> {
        let sql = "select period_start, period_end, status, coalesce((select sum(quantity)::bigint
                       from usage_ledger l where l.period_id = p.id and meter = 'call_minutes'), 0)
                   from billing_periods p where organization_id = $1 order by period_start";
        let rows = self.world.db.query(sql, &[&self.organization.0]).await.unwrap();
        let period = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2), row.get(3));
        rows.iter().map(period).collect()
    }

    /// Calls that are not voided, ledger and totals agree: at every time, on every meter.
    pub(super) async fn are_even(&self) {
        let differing = "with said as (
                select occurred_at, sum(billed_minutes)::bigint as minutes,
                    sum(duration_seconds)::bigint as seconds,
                    sum(coalesce(cost_usd, 0) * 1000000)::bigint as cost
                from calls where organization_id = $1 and billed_minutes is not null
                group by occurred_at
            ), booked as (
                select occurred_at,
                    sum(quantity) filter (where meter = 'call_minutes')::bigint as minutes,
                    sum(quantity) filter (where meter = 'call_seconds')::bigint as seconds,
                    sum(quantity) filter (where meter = 'call_cost')::bigint as cost
                from usage_ledger where organization_id = $1 group by occurred_at
            )
            select occurred_at::text from said full join booked using (occurred_at)
            where (coalesce(said.minutes, 0), coalesce(said.seconds, 0), coalesce(said.cost, 0))
                is distinct from (coalesce(booked.minutes, 0), coalesce(booked.seconds, 0),
                    coalesce(booked.cost, 0))
            union all
            select p.period_start || ' ' || m.meter from billing_periods p
            cross join (select distinct meter from usage_ledger) m
            where p.organization_id = $1
              and coalesce((select sum(quantity) from usage_ledger l
                      where l.period_id = p.id and l.meter = m.meter), 0)
                <> coalesce((select total from usage_totals t
                      where t.period_id = p.id and t.meter = m.meter), 0)";
        let rows = self.world.db.query(differing, &[&self.organization.0]).await.unwrap();
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(rows.is_empty(), "{rows:?}");
    }
}
