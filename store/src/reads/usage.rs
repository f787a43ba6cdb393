//! Minutes of the current period, from the totals beside the ledger.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use sqlx::query;

use crate::{Database, StoreError, database::commit, error::During, usage::CALL_MINUTES};

/// What an organization used in its open period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// First instant of the period.
    pub period_start: DateTime<Utc>,
    /// First instant after it.
    pub period_end: DateTime<Utc>,
    /// Minutes that the plan includes.
    pub included_minutes: i32,
    /// Minutes on the ledger.
    pub used_minutes: i64,
}

/// Reads the open period. Before the first call there is none yet: the month it will be, unused.
pub async fn current(
    db: &Database,
    organization: OrganizationId,
) -> Result<Option<Current>, StoreError> {
    const OPERATION: &str = "reads.usage.current";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select
             coalesce(p.period_start, month.first at time zone 'UTC') as "period_start!",
             coalesce(p.period_end, (month.first + interval '1 month') at time zone 'UTC')
                 as "period_end!",
             coalesce(p.included_minutes, o.plan_minutes) as "included_minutes!",
             coalesce(t.total, 0) as "used_minutes!"
         from organizations o
         cross join (select date_trunc('month', now() at time zone 'UTC') as first) month
         left join billing_periods p on p.organization_id = o.id and p.status = 'open'
         left join usage_totals t on t.organization_id = o.id and t.period_id = p.id
             and t.meter = $2
         where o.id = $1"#,
        organization.0,
        CALL_MINUTES,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.map(|row| Current {
        period_start: row.period_start,
        period_end: row.period_end,
        included_minutes: row.included_minutes,
        used_minutes: row.used_minutes,
    }))
}
