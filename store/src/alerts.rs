//! Thresholds of the included minutes: each is told once per period.
//!
//! The ledger looks after each call, and the aggregation once more: whoever writes a threshold's row
//! first tells of it. One transaction may write several, where a call jumps over them: each is an
//! event for the customer's systems, and people get one email, about the highest.

use std::collections::BTreeMap;

use contract::{
    billing::UsageLimit,
    events::{ThresholdReached, Timestamp},
    ids::{AlertId, OrganizationId, PeriodId},
    names::alert_workflow_id,
    period::Span,
    usage::{Meter, THRESHOLDS, TellUsage},
};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    calls::word,
    database::{Tx, commit},
    error::During,
    events, organizations,
    periods::Period,
    starts::{self, StartKind},
};

/// `organization_emails.kind` of an alert's emails.
pub const EMAIL_KIND: &str = "usage-alert";

/// A threshold that was written down now.
struct Reached {
    id: AlertId,
    organization: OrganizationId,
    period: PeriodId,
    span: Span,
    threshold: i16,
    included_minutes: i64,
    used_minutes: i64,
}

/// Writes down every threshold of the period that `used_minutes` reach and that was not yet told, with
/// its event, its deliveries and its workflow. Gives how many there were. Without included minutes
/// there are no thresholds. What the period before was owed counts against `used_minutes`.
pub(crate) async fn reached(
    tx: &mut Tx,
    period: &Period,
    used_minutes: i64,
) -> Result<u32, StoreError> {
    let used = used_minutes.saturating_add(period.carried_minutes);
    let thresholds = passed(used, period.included_minutes);
    if thresholds.is_empty() {
        return Ok(0);
    }
    let rows = query!(
        "insert into usage_alerts (id, organization_id, period_id, threshold, included_minutes,
             used_minutes)
         select gen_random_uuid(), $1, $2, t.threshold, $4, $5
         from unnest($3::smallint[]) t (threshold)
         on conflict (organization_id, period_id, threshold) do nothing
         returning id, threshold",
        period.organization_id.0,
        period.id.0,
        &thresholds,
        period.included_minutes,
        used,
    )
    .fetch_all(&mut **tx)
    .await
    .during("alerts.reached")?;
    let reached = rows.into_iter().map(|row| Reached {
        id: AlertId(row.id),
        organization: period.organization_id,
        period: period.id,
        span: period.span,
        threshold: row.threshold,
        included_minutes: period.included_minutes,
        used_minutes: used,
    });
    tell(tx, reached.collect()).await
}

/// The same for the open periods of these organizations, by their totals; and people hear of what they
/// were not told, because Temporal lost it. In a transaction of [`crate::Database::billing`].
pub(crate) async fn check(
    tx: &mut Tx,
    organizations: &[OrganizationId],
) -> Result<u32, StoreError> {
    let ids: Vec<_> = organizations.iter().map(|id| id.0).collect();
    let thresholds = THRESHOLDS.map(i16::from);
    let rows = query!(
        r#"with missing as (
             select p.organization_id, p.id as period_id, t.threshold,
                 p.included_minutes::bigint as included_minutes,
                 u.total + p.carried_minutes as used_minutes
             from billing_periods p
             join usage_totals u on u.organization_id = p.organization_id
                 and u.period_id = p.id and u.meter = $3
             cross join unnest($2::smallint[]) t (threshold)
             where p.organization_id = any($1) and p.status = 'open' and p.included_minutes > 0
               and (u.total + p.carried_minutes)::numeric * 100
                   >= t.threshold::numeric * p.included_minutes
               and not exists (
                   select from usage_alerts a
                   where a.organization_id = p.organization_id and a.period_id = p.id
                     and a.threshold = t.threshold)
             order by p.organization_id, t.threshold
         ), written as (
             insert into usage_alerts (id, organization_id, period_id, threshold,
                 included_minutes, used_minutes)
             select gen_random_uuid(), organization_id, period_id, threshold, included_minutes,
                 used_minutes
             from missing
             on conflict (organization_id, period_id, threshold) do nothing
             returning id, organization_id, period_id, threshold, included_minutes, used_minutes
         )
         select w.id as "id!", w.organization_id as "organization_id!",
             w.period_id as "period_id!", w.threshold as "threshold!",
             w.included_minutes as "included_minutes!", w.used_minutes as "used_minutes!",
             p.period_start, p.period_end
         from written w join billing_periods p on p.id = w.period_id"#,
        &ids,
        &thresholds[..],
        Meter::CallMinutes.as_str(),
    )
    .fetch_all(&mut **tx)
    .await
    .during("alerts.check")?;
    let reached = rows.into_iter().map(|row| Reached {
        id: AlertId(row.id),
        organization: OrganizationId(row.organization_id),
        period: PeriodId(row.period_id),
        span: Span { start: row.period_start, end: row.period_end },
        threshold: row.threshold,
        included_minutes: row.included_minutes,
        used_minutes: row.used_minutes,
    });
    let told = tell(tx, reached.collect()).await?;
    tell_again(tx, &ids).await?;
    Ok(told)
}

/// Starts the workflow of a period's highest alert again where its emails are not settled although an
/// hour has passed: it was lost with Temporal's data, or still tries and takes no notice.
async fn tell_again(tx: &mut Tx, organizations: &[Uuid]) -> Result<(), StoreError> {
    let rows = query!(
        "select highest.id, highest.organization_id from (
             select distinct on (a.period_id) a.id, a.organization_id, a.reached_at
             from usage_alerts a join billing_periods p on p.id = a.period_id
             where a.organization_id = any($1) and p.status = 'open'
             order by a.period_id, a.threshold desc
         ) highest
         left join lateral (
             select count(*) as emails, count(*) filter (where e.settled_at is null) as unsettled
             from organization_emails e
             where e.organization_id = highest.organization_id and e.kind = $2
               and e.about = highest.id::text
         ) sent on true
         where highest.reached_at between now() - interval '7 days' and now() - interval '1 hour'
           and (sent.emails = 0 or sent.unsettled > 0)",
        organizations,
        EMAIL_KIND,
    )
    .fetch_all(&mut **tx)
    .await
    .during("alerts.tell_again")?;
    for row in rows {
        start(tx, OrganizationId(row.organization_id), AlertId(row.id)).await?;
    }
    Ok(())
}

/// Thresholds that so many of the included minutes reach.
fn passed(used: i64, included: i64) -> Vec<i16> {
    let reaches =
        |threshold: &i16| i128::from(used) * 100 >= i128::from(*threshold) * i128::from(included);
    let thresholds = THRESHOLDS.into_iter().filter(|_| included > 0).map(i16::from);
    thresholds.filter(reaches).collect()
}

/// An event for each, and one workflow for the highest of each period.
async fn tell(tx: &mut Tx, mut reached: Vec<Reached>) -> Result<u32, StoreError> {
    reached.sort_by_key(|alert| (alert.organization, alert.period, alert.threshold));
    let mut highest = BTreeMap::new();
    for alert in &reached {
        let effect_key =
            format!("{}/{}/{}", events::USAGE_THRESHOLD_REACHED, alert.period, alert.threshold);
        let data = ThresholdReached {
            id: alert.id,
            organization_id: alert.organization,
            threshold_percent: alert.threshold,
            included_minutes: alert.included_minutes,
            used_minutes: alert.used_minutes,
            period_start: Timestamp(alert.span.start),
            period_end: Timestamp(alert.span.end),
        };
        let kind = events::USAGE_THRESHOLD_REACHED;
        events::emit_organization(tx, alert.organization, kind, &effect_key, json!(data)).await?;
        highest.insert((alert.organization, alert.period), alert.id);
    }
    for ((organization, _), alert) in highest {
        start(tx, organization, alert).await?;
    }
    Ok(u32::try_from(reached.len()).unwrap_or(u32::MAX))
}

async fn start(
    tx: &mut Tx,
    organization_id: OrganizationId,
    alert_id: AlertId,
) -> Result<(), StoreError> {
    let input = json!(TellUsage { organization_id, alert_id });
    let workflow = alert_workflow_id(alert_id);
    let kind = StartKind::UsageAlert;
    starts::request(tx, organization_id, kind, &workflow, input).await.map(drop)
}

/// What an alert says, and to whom. Its `Debug` is deliberately missing: it holds addresses.
#[derive(Clone)]
pub struct Alert {
    /// The organization's name.
    pub organization: String,
    /// The organization's time zone, as it wrote it.
    pub timezone: String,
    /// Who hears of it.
    pub recipients: Vec<String>,
    /// Percent of the included minutes: 50, 75, 90 or 100.
    pub threshold: i16,
    /// Minutes that the plan includes in the period; more than 0.
    pub included_minutes: i64,
    /// Minutes that count against them, when the threshold was reached.
    pub used_minutes: i64,
    /// First instant of the period, and the first one after it.
    pub period: Span,
    /// Price of a further minute, in US dollars.
    pub overage_price: Decimal,
    /// What happens when the included minutes are used up.
    pub usage_limit: UsageLimit,
}

/// Reads an alert.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    alert: AlertId,
) -> Result<Alert, StoreError> {
    const OPERATION: &str = "alerts.get";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select a.threshold, a.included_minutes, a.used_minutes, p.period_start, p.period_end,
              p.overage_price, p.usage_limit, o.timezone
         from usage_alerts a
         join billing_periods p on p.id = a.period_id
         join organizations o on o.id = a.organization_id
         where a.id = $1",
        alert.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let told = organizations::get_in(&mut tx, organization).await?;
    commit(tx, OPERATION).await?;
    Ok(Alert {
        organization: told.name,
        timezone: row.timezone,
        recipients: told.settings.billing_recipients(),
        threshold: row.threshold,
        included_minutes: row.included_minutes,
        used_minutes: row.used_minutes,
        period: Span { start: row.period_start, end: row.period_end },
        overage_price: row.overage_price,
        usage_limit: word(OPERATION, &row.usage_limit)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_passed_by_the_minute_that_reaches_it() {
        assert_eq!(passed(499, 1000), [0_i16; 0]);
        assert_eq!(passed(500, 1000), [50]);
        assert_eq!(passed(950, 1000), [50, 75, 90]);
        assert_eq!(passed(1, 1), [50, 75, 90, 100]);
        assert_eq!(passed(i64::MAX, 3), [50, 75, 90, 100]);
        assert_eq!(passed(2, 3), [50], "66.7 percent");
        assert_eq!(passed(5, 0), [0_i16; 0], "nothing is included");
        assert_eq!(passed(-5, 10), [0_i16; 0], "the period before was owed more than was used");
    }
}
