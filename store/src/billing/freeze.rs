//! The watermark: from here on a period takes no usage, and what it comes to is final.

use chrono::{DateTime, Utc};
use contract::{
    billing::PeriodFrozen,
    ids::{OrganizationId, PeriodId},
};
use serde_json::json;
use sqlx::query;

use super::{
    invalid, log,
    statement::{Preview, of_period, statement},
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    events::timestamp,
    periods::{self, PeriodStatus},
};

const OPERATION: &str = "billing.freeze";
/// Periods frozen by one call; ten years of months that nobody looked at.
const MOST_BEHIND: usize = 120;

/// Freezes a period and, before it, every earlier one that is not frozen: each passes on what it is
/// owed. The next period is open from then on. A frozen one gives what was written down.
///
/// # Errors
/// When there is no such period, or the database fails.
pub async fn freeze(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    now: DateTime<Utc>,
) -> Result<PeriodFrozen, StoreError> {
    for _ in 0..MOST_BEHIND {
        // The statement of one that is not frozen adds up its ledger.
        let stands = stands(db, organization, period).await?;
        if stands.is_frozen {
            return Ok(frozen(&statement(db, organization, Some(period), now).await?));
        }
        if now < stands.end {
            return Ok(PeriodFrozen { is_early: true, ..PeriodFrozen::default() });
        }
        roll(db, organization, now).await?;
        freeze_earliest(db, organization, period, now).await?;
    }
    Err(invalid(OPERATION, "too many periods before this one are not frozen"))
}

/// How far a period is.
struct Stands {
    end: DateTime<Utc>,
    is_frozen: bool,
}

async fn stands(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<Stands, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select period_end, watermark is not null or status = 'closed' as "is_frozen!"
         from billing_periods where organization_id = $1 and id = $2"#,
        organization.0,
        period.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let row = row.ok_or_else(|| invalid(OPERATION, "no such period"))?;
    Ok(Stands { end: row.period_end, is_frozen: row.is_frozen })
}

fn frozen(found: &Preview) -> PeriodFrozen {
    PeriodFrozen {
        statement: found.statement,
        watermark: found.watermark,
        is_early: false,
        is_closed: found.status == PeriodStatus::Closed,
    }
}

/// Opens the period that `now` lies in. A transaction of its own: it ends up holding the newest period,
/// and everybody locks the earliest first.
pub(super) async fn roll(
    db: &Database,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut tx = db.tenant(organization).await?;
    periods::open(&mut tx, organization, now).await?;
    commit(tx, "billing.roll").await
}

/// Freezes the earliest of the unfrozen periods up to `period`.
async fn freeze_earliest(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut tx = db.tenant(organization).await?;
    // The ledger of a large organization's month has millions of rows.
    query!("set local statement_timeout = '10min'").execute(&mut *tx).await.during(OPERATION)?;
    let earliest = query!(
        "select p.id from billing_periods p
         where p.organization_id = $1 and p.watermark is null and p.status <> 'closed'
             and p.period_start <= (select t.period_start from billing_periods t
                 where t.organization_id = $1 and t.id = $2)
         order by p.period_start limit 1",
        organization.0,
        period.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(earliest) = earliest else { return commit(tx, OPERATION).await };
    let id = PeriodId(earliest.id);
    let locked = periods::lock(&mut tx, organization, id).await?;
    // Another attempt was faster, or Stripe has moved the end meanwhile.
    let is_due = |locked: &periods::Period| {
        locked.status == PeriodStatus::Closing
            && locked.watermark.is_none()
            && locked.span.end <= now
    };
    if locked.as_ref().is_some_and(is_due) {
        let bill = of_period(&mut tx, organization, id).await?;
        write(&mut tx, organization, id, &bill, now).await?;
    }
    commit(tx, OPERATION).await
}

async fn write(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
    bill: &Preview,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let statement = bill.statement;
    let minutes = |minutes: i64| {
        i32::try_from(minutes).map_err(|_| invalid(OPERATION, "more minutes than can be billed"))
    };
    query!(
        "update billing_periods set watermark = $3, used_minutes = $4, overage_minutes = $5,
             used_seconds = $6, cost_micros = $7
         where organization_id = $1 and id = $2",
        organization.0,
        period.0,
        now,
        minutes(statement.used_minutes)?,
        minutes(statement.overage_minutes)?,
        bill.used_seconds,
        bill.cost_micros,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    if statement.carried_on_minutes != 0 {
        carry_on(tx, organization, bill, statement.carried_on_minutes).await?;
    }
    let details = json!({
        "statement": statement,
        "used_seconds": bill.used_seconds,
        "cost_micros": bill.cost_micros,
        "overage_usd": bill.overage_usd(),
        "watermark": timestamp(now),
    });
    log(tx, organization, Some(period), "period.frozen", details).await
}

/// Owes the next period that is not frozen what this one took back too much.
async fn carry_on(
    tx: &mut Tx,
    organization: OrganizationId,
    bill: &Preview,
    minutes: i64,
) -> Result<(), StoreError> {
    let next = query!(
        "update billing_periods set carried_minutes = $3
         where id = (select n.id from billing_periods n
             where n.organization_id = $1 and n.period_start > $2 and n.watermark is null
                 and n.status <> 'closed'
             order by n.period_start limit 1)",
        organization.0,
        bill.span.start,
        minutes,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    if next.rows_affected() == 0 {
        return Err(invalid(OPERATION, "no period that could be owed to"));
    }
    Ok(())
}
