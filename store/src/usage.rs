//! The ledger of usage and its totals.

mod booking;
pub(crate) mod days;
mod difference;
mod totals;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use contract::{
    calls::CallRef, ids::OrganizationId, names::onboarding_workflow_id, period, usage::Meter,
};
use serde_json::Value;
use sqlx::query;

pub use self::days::DayTotal;
pub(crate) use self::totals::unprojected_totals_in;
pub use self::totals::{Total, totals_of, totals_page, unprojected_totals};
use self::{days::Counted, difference::Net};
use crate::{
    Database, StoreError,
    calls::word,
    database::{Tx, commit},
    error::During,
    starts::{self, StartKind},
};

/// A day that ends sooner than this is touched as if it were over: its aggregation may begin before
/// this transaction is through.
const ENDS_SOON: TimeDelta = TimeDelta::minutes(10);

/// What Redis is to show of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// Its usage in every period that is not closed.
    pub totals: Vec<Total>,
    /// What its calls of today come to.
    pub today: DayTotal,
    /// Its calls in progress.
    pub active: i64,
}

/// Reads it.
pub async fn projection(
    db: &Database,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Projection, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let projection = projection_in(&mut tx, organization, now).await?;
    commit(tx, "usage.projection").await?;
    Ok(projection)
}

pub(crate) async fn projection_in(
    tx: &mut Tx,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Projection, StoreError> {
    let totals = unprojected_totals_in(tx, organization).await?;
    let (today, active) = days::today(tx, organization, now).await?;
    Ok(Projection { totals, today, active })
}

/// What a call used, as its row says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// The call.
    pub(crate) call: CallRef,
    /// Begun minutes.
    pub(crate) minutes: u32,
    /// Seconds.
    pub(crate) seconds: u32,
    /// Millionths of a US dollar.
    pub(crate) cost_micros: i64,
    /// Decides its day and its period, in whole microseconds.
    pub(crate) occurred_at: DateTime<Utc>,
}

impl Use {
    fn quantity(&self, meter: Meter) -> i64 {
        match meter {
            Meter::CallMinutes => self.minutes.into(),
            Meter::CallSeconds => self.seconds.into(),
            Meter::CallCost => self.cost_micros,
        }
    }
}

/// Makes the ledger say what a call used, in the transaction that writes the call.
///
/// The first time a revision 0 is written of each meter, also for 0: proof that the call was counted.
/// A later difference is a further revision; no difference writes nothing. A call that turns out to
/// have occurred at another time is taken back there and counted here, so that the ledger of a day is
/// its calls. The caller holds the call's lock, and says how the call was counted and is.
pub(crate) async fn record(
    tx: &mut Tx,
    used: &Use,
    counted: (Option<Counted>, Option<Counted>),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let books = read(tx, used.call).await?;
    let quantity = |meter| if books.is_voided { 0 } else { used.quantity(meter) };
    let changes = difference::changes(&books.nets, quantity, used.occurred_at);
    let mut touched = vec![used.occurred_at];
    if !changes.is_empty() {
        touched.extend(books.nets.iter().map(|net| net.occurred_at));
        booking::write(tx, used.call, &changes, books.is_voided, now).await?;
    }
    let (organization, zone) = (used.call.organization_id, period::zone_or_utc(&books.timezone));
    days::add(tx, organization, zone, counted, &changes, now).await?;
    touch_days(tx, organization, zone, &touched, now).await?;
    if books.is_first {
        note_first_call(tx, used.call.organization_id, used.occurred_at).await?;
    }
    Ok(())
}

/// What is known before a call is counted.
struct Books {
    nets: Vec<Net>,
    is_voided: bool,
    /// No call of the organization has been counted yet.
    is_first: bool,
    timezone: String,
}

async fn read(tx: &mut Tx, call: CallRef) -> Result<Books, StoreError> {
    const OPERATION: &str = "usage.read";
    let rows = query!(
        r#"select o.timezone, o.first_call_at is null as "is_first!",
             exists (select from usage_voids v
                 where v.organization_id = $1 and v.call_id = $2) as "is_voided!",
             l.meter as "meter?", l.occurred_at as "occurred_at?", l.quantity as "quantity?",
             l.revision as "revision?"
         from organizations o
         left join (
             select meter, occurred_at, sum(quantity)::bigint as quantity, max(revision) as revision
             from usage_ledger where organization_id = $1 and call_id = $2
             group by meter, occurred_at
         ) l on true
         where o.id = $1"#,
        call.organization_id.0,
        call.call_id.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound).during(OPERATION)?;
    let (is_voided, is_first) = (first.is_voided, first.is_first);
    let timezone = first.timezone.clone();
    let mut nets = Vec::new();
    for row in rows {
        let (Some(meter), Some(occurred_at)) = (row.meter, row.occurred_at) else { continue };
        nets.push(Net {
            meter: word(OPERATION, &meter)?,
            occurred_at,
            quantity: row.quantity.unwrap_or_default(),
            revision: row.revision.unwrap_or_default(),
        });
    }
    Ok(Books { nets, is_voided, is_first, timezone })
}

/// Days that are over, or nearly so, are aggregated again: the runs that come by themselves look at
/// the newest ones only.
async fn touch_days(
    tx: &mut Tx,
    organization: OrganizationId,
    zone: Tz,
    times: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let days: BTreeSet<NaiveDate> = times
        .iter()
        .map(|at| period::local_date(*at, zone))
        .filter(|date| period::day(*date, zone).end <= now + ENDS_SOON)
        .collect();
    if days.is_empty() {
        return Ok(());
    }
    let days: Vec<NaiveDate> = days.into_iter().collect();
    query!(
        "insert into usage_days_touched (organization_id, date, touched_at)
         select $1, day, $3 from unnest($2::date[]) day order by day
         on conflict (organization_id, date) do update set touched_at = excluded.touched_at",
        organization.0,
        &days,
        now,
    )
    .execute(&mut **tx)
    .await
    .during("usage.touch_days")
    .map(drop)
}

/// Writes down when the organization's first call occurred, and tells its onboarding.
async fn note_first_call(
    tx: &mut Tx,
    organization: OrganizationId,
    occurred_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let noted = query!(
        r#"update organizations set first_call_at = $2 where id = $1 and first_call_at is null
         returning exists (select from onboardings
             where organization_id = $1 and state = 'running') as "is_awaited!""#,
        organization.0,
        occurred_at,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("usage.note_first_call")?;
    if noted.is_some_and(|row| row.is_awaited) {
        let workflow = onboarding_workflow_id(organization);
        starts::request(tx, organization, StartKind::FirstCall, &workflow, Value::Null).await?;
    }
    Ok(())
}
