//! Claims on reports to Stripe: written before the request, settled after it.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use contract::{
    billing::ReportOutcome,
    ids::{OrganizationId, PeriodId},
    period::Span,
};
use serde_json::json;
use sqlx::query;
use uuid::Uuid;

use super::{
    ReportState, invalid, log,
    reports::{Claim, Doubt, Report, identifier, newest},
};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

const OPERATION: &str = "billing.claim_report";
/// Stripe forgets an identifier after 24 hours; an hour before that nothing is repeated any more.
const IDENTIFIER_LIVES: TimeDelta = TimeDelta::hours(23);
/// The invoice of a period takes usage of it until it is finalized, by default an hour after the end
/// (docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period). Usage of a time that is
/// invoiced counts on Stripe's meter, and on no invoice.
const INVOICE_IS_OPEN: TimeDelta = TimeDelta::minutes(50);

/// What a period has to be reported with.
struct Bill {
    span: Span,
    overage: Option<i64>,
    is_frozen: bool,
    customer: Option<String>,
    /// When the customer's first subscription began.
    subscribed_at: Option<DateTime<Utc>>,
}

/// Claims the report of a frozen period. `event_name` is that of the meter's events, None without an
/// account at Stripe.
///
/// # Errors
/// When there is no such period, it is not frozen, or the database fails.
pub async fn claim_report(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    event_name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Claim, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let claim = claim(&mut tx, organization, period, event_name, now).await?;
    commit(tx, OPERATION).await?;
    Ok(claim)
}

async fn claim(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
    event_name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Claim, StoreError> {
    let bill = bill(tx, organization, period).await?;
    if !bill.is_frozen {
        return Err(invalid(OPERATION, "the period is not frozen"));
    }
    let overage = bill.overage.unwrap_or(0);
    if overage == 0 {
        return Ok(Claim::Nothing);
    }
    let newest = newest(tx, organization, period).await?;
    if let Some(report) = &newest
        && !matches!(report.state, ReportState::Pending | ReportState::Sending)
    {
        return Ok(Claim::Settled(report.clone()));
    }
    let Some(event_name) = event_name else { return Ok(Claim::NotConfigured(overage)) };
    if let Some(report) = newest.clone().filter(|report| report.state == ReportState::Sending) {
        let first = report.first_sent_at.unwrap_or(now);
        if now - first >= IDENTIFIER_LIVES {
            return doubt(tx, organization, report).await.map(Claim::InDoubt);
        }
        return again(tx, organization, report, now).await.map(Claim::Send);
    }
    let Some(customer) = bill.customer.clone() else { return Ok(Claim::NoCustomer(overage)) };
    let revision = newest.map_or(0, |pending| pending.revision);
    let end = bill.span.end - TimeDelta::seconds(1);
    let report = Report {
        id: Uuid::now_v7(),
        period_id: period,
        revision,
        identifier: identifier(period, revision),
        customer,
        event_name: event_name.to_owned(),
        quantity: overage,
        reported_for: if bill.is_billable_at(end, now) { end } else { now.trunc_subsecs(0) },
        state: ReportState::Sending,
        first_sent_at: Some(now),
        last_sent_at: Some(now),
        error: None,
    };
    first(tx, organization, &report).await?;
    Ok(Claim::Send(report))
}

/// The period is locked: two attempts claim one after the other.
async fn bill(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<Bill, StoreError> {
    let row = query!(
        r#"select p.period_start, p.period_end, p.overage_minutes, o.stripe_customer_id,
             p.watermark is not null as "is_frozen!",
             (select min(s.billing_cycle_anchor) from stripe_subscriptions s
                 where s.organization_id = p.organization_id
                     and s.customer = o.stripe_customer_id) as subscribed_at
         from billing_periods p join organizations o on o.id = p.organization_id
         where p.organization_id = $1 and p.id = $2 for no key update of p"#,
        organization.0,
        period.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?
    .ok_or_else(|| invalid(OPERATION, "no such period"))?;
    Ok(Bill {
        span: Span { start: row.period_start, end: row.period_end },
        overage: row.overage_minutes.map(i64::from),
        is_frozen: row.is_frozen,
        customer: row.stripe_customer_id,
        subscribed_at: row.subscribed_at,
    })
}

impl Bill {
    /// Whether usage of this time comes on an invoice, told now: neither from before the first
    /// subscription nor of a period that is invoiced. What does not is reported for now, and comes on
    /// the next one.
    fn is_billable_at(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        now - at <= INVOICE_IS_OPEN && self.subscribed_at.is_none_or(|start| start <= at)
    }
}

async fn first(
    tx: &mut Tx,
    organization: OrganizationId,
    report: &Report,
) -> Result<(), StoreError> {
    query!(
        "insert into stripe_reports as r (id, organization_id, period_id, kind, revision,
             identifier, customer, event_name, quantity, reported_for, state, first_sent_at,
             last_sent_at)
         values ($1, $2, $3, 'overage', $4, $5, $6, $7, $8, $9, 'sending', $10, $10)
         on conflict (organization_id, period_id, kind, revision) do update set
             customer = excluded.customer, event_name = excluded.event_name,
             quantity = excluded.quantity, reported_for = excluded.reported_for,
             state = 'sending', first_sent_at = excluded.first_sent_at,
             last_sent_at = excluded.last_sent_at, error = null
             where r.state = 'pending'",
        report.id,
        organization.0,
        report.period_id.0,
        report.revision,
        report.identifier,
        report.customer,
        report.event_name,
        report.quantity,
        report.reported_for,
        report.first_sent_at,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
}

/// Later than the first time, whatever the clock says: that is how a second try is known.
async fn again(
    tx: &mut Tx,
    organization: OrganizationId,
    report: Report,
    now: DateTime<Utc>,
) -> Result<Report, StoreError> {
    let sent = query!(
        "update stripe_reports
         set last_sent_at = greatest($3, first_sent_at + interval '1 microsecond')
         where organization_id = $1 and identifier = $2
         returning last_sent_at",
        organization.0,
        report.identifier,
        now,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(Report { last_sent_at: sent.last_sent_at, ..report })
}

async fn doubt(
    tx: &mut Tx,
    organization: OrganizationId,
    report: Report,
) -> Result<Doubt, StoreError> {
    let minute = minute_of(report.reported_for);
    let others = query!(
        r#"select
             coalesce(sum(quantity) filter (where state = 'accepted'), 0)::bigint as "accepted!",
             count(*) filter (where state in ('sending', 'unknown')) as "in_doubt!"
         from stripe_reports
         where organization_id = $1 and customer = $2 and event_name = $3 and identifier <> $4
             and reported_for >= $5 and reported_for < $6"#,
        organization.0,
        report.customer,
        report.event_name,
        report.identifier,
        minute.start,
        minute.end,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(Doubt { report, minute, others_accepted: others.accepted, others_in_doubt: others.in_doubt })
}

/// Stripe sums up usage by whole minutes.
pub(super) fn minute_of(at: DateTime<Utc>) -> Span {
    let start = at - TimeDelta::seconds(at.timestamp().rem_euclid(60));
    let start = start - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
    Span { start, end: start + TimeDelta::minutes(1) }
}

/// Writes down, once for each reason, that a report waits. False where it was written down before.
///
/// # Errors
/// When the database fails.
pub async fn note_waiting(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    reason: ReportOutcome,
    code: Option<&str>,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "billing.note_waiting";
    let details = json!({ "reason": reason, "code": code });
    let mut tx = db.tenant(organization).await?;
    // The lock keeps a second attempt from writing it a second time.
    bill(&mut tx, organization, period).await?;
    let known = query!(
        r#"select exists (select from billing_events where organization_id = $1
             and period_id = $2 and event = 'report.waiting' and details = $3) as "known!""#,
        organization.0,
        period.0,
        details,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?
    .known;
    if !known {
        log(&mut tx, organization, Some(period), "report.waiting", details).await?;
    }
    commit(tx, OPERATION).await?;
    Ok(!known)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_report_lies_within_its_minute() {
        let at: DateTime<Utc> = "2026-11-30T23:59:59.250Z".parse().unwrap();
        let minute = minute_of(at);
        assert_eq!(minute.start.to_rfc3339(), "2026-11-30T23:59:00+00:00");
        assert_eq!(minute.end.to_rfc3339(), "2026-12-01T00:00:00+00:00");
        assert_eq!(minute_of(minute.end).start, minute.end);
    }
}
