//! Usage: of the current period, from the totals beside the ledger, and of days, as aggregated.

use chrono::{DateTime, NaiveDate, Utc};
use contract::{
    billing::{Statement, UsageLimit},
    ids::OrganizationId,
    period::{Span, local_date, period_after, period_of, zone_or_utc},
};
use rust_decimal::Decimal;
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, calls::word, database::commit, error::During};

/// What an organization used in its current period.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    /// From when to when.
    pub span: Span,
    /// Its zone, as it is named; what nobody knows counts as UTC.
    pub timezone: String,
    /// The organization's plan.
    pub plan: String,
    /// Minutes, and what they come to so far.
    pub statement: Statement,
    /// Seconds on the ledger.
    pub used_seconds: i64,
    /// What providers charged, in US dollars.
    pub cost_usd: Decimal,
    /// Price of a further minute, in US dollars.
    pub overage_price: Decimal,
    /// What happens when the included minutes are used up.
    pub usage_limit: UsageLimit,
}

/// Reads the current period. Where nothing was used yet there may be none: then it is the one that
/// there will be.
pub async fn current(
    db: &Database,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Option<Current>, StoreError> {
    const OPERATION: &str = "reads.usage.current";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select o.timezone, o.plan, o.billing_anchor_day, o.plan_minutes::bigint as "plan_minutes!",
             o.overage_price as plan_price, o.usage_limit as plan_limit,
             p.period_start as "period_start?", p.period_end as "period_end?",
             p.included_minutes::bigint as "included_minutes?", p.overage_price as "overage_price?",
             p.usage_limit as "usage_limit?", p.carried_minutes as "carried_minutes?",
             t.minutes, t.seconds, t.cost
         from organizations o
         left join billing_periods p on p.organization_id = o.id and p.status = 'open'
         left join lateral (
             select max(total) filter (where meter = 'call_minutes') as minutes,
                 max(total) filter (where meter = 'call_seconds') as seconds,
                 max(total) filter (where meter = 'call_cost') as cost
             from usage_totals where organization_id = o.id and period_id = p.id) t on true
         where o.id = $1"#,
        organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let Some(row) = row else { return Ok(None) };
    let zone = zone_or_utc(&row.timezone);
    let anchor = u32::try_from(row.billing_anchor_day).unwrap_or(1);
    let open = row.period_start.zip(row.period_end).map(|(start, end)| Span { start, end });
    // One that is over gives way to the next with the first use, or when it is closed.
    let is_current = open.is_some_and(|span| now < span.end);
    let mut span = open.unwrap_or_else(|| period_of(now, anchor, zone));
    while span.end <= now {
        span = period_after(span.end, anchor, zone);
    }
    let limit = row.usage_limit.filter(|_| is_current).unwrap_or(row.plan_limit);
    let usage_limit = word(OPERATION, &limit)?;
    let of_period = |value: Option<i64>| value.filter(|_| is_current).unwrap_or(0);
    let included = row.included_minutes.filter(|_| is_current).unwrap_or(row.plan_minutes);
    let statement = Statement::of(
        of_period(row.minutes),
        of_period(row.carried_minutes),
        included,
        usage_limit,
    );
    Ok(Some(Current {
        span,
        timezone: row.timezone,
        plan: row.plan,
        statement,
        used_seconds: of_period(row.seconds),
        cost_usd: Decimal::new(of_period(row.cost), 6),
        overage_price: row.overage_price.filter(|_| is_current).unwrap_or(row.plan_price),
        usage_limit,
    }))
}

/// A day of an organization, or of one of its assistants.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// The day, where the organization is.
    pub date: NaiveDate,
    /// Whose calls; absent for all of them.
    pub assistant_id: Option<Uuid>,
    /// Calls that ended.
    pub total_calls: i32,
    /// Those among them that were talked through.
    pub completed_calls: i32,
    /// The others.
    pub failed_calls: i32,
    /// Begun minutes.
    pub minutes: i64,
    /// Seconds.
    pub seconds: i64,
    /// Seconds of a call on average.
    pub average_duration_seconds: Option<Decimal>,
    /// What providers charged, in US dollars.
    pub cost_usd: Decimal,
    /// When this was last found to be so.
    pub computed_at: DateTime<Utc>,
}

/// Whose days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Those of the whole organization.
    Everything,
    /// Those of each assistant.
    EachAssistant,
    /// Those of one assistant.
    Assistant(Uuid),
}

/// Aggregated days, in order; a day without calls has no row. `from` and `to` are included.
pub async fn days(
    db: &Database,
    organization: OrganizationId,
    from: NaiveDate,
    to: NaiveDate,
    of: Of,
) -> Result<Vec<Day>, StoreError> {
    const OPERATION: &str = "reads.usage.days";
    let assistant = if let Of::Assistant(id) = of { Some(id) } else { None };
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        "select date, assistant_id, total_calls, completed_calls, failed_calls, total_minutes,
             total_seconds, average_duration_seconds, cost_usd, computed_at
         from daily_usage
         where organization_id = $1 and date between $2 and $3
             and (assistant_id is null) = $4 and ($5::uuid is null or assistant_id = $5)
         order by date, assistant_id",
        organization.0,
        from,
        to,
        of == Of::Everything,
        assistant,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let days = rows.into_iter().map(|row| Day {
        date: row.date,
        assistant_id: row.assistant_id,
        total_calls: row.total_calls,
        completed_calls: row.completed_calls,
        failed_calls: row.failed_calls,
        minutes: row.total_minutes,
        seconds: row.total_seconds,
        average_duration_seconds: row.average_duration_seconds,
        cost_usd: row.cost_usd,
        computed_at: row.computed_at,
    });
    Ok(days.collect())
}

/// The day that it is where the organization is.
pub async fn today(
    db: &Database,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<NaiveDate, StoreError> {
    const OPERATION: &str = "reads.usage.today";
    let mut tx = db.tenant(organization).await?;
    let row = query!("select timezone from organizations where id = $1", organization.0)
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(local_date(now, zone_or_utc(&row.timezone)))
}
