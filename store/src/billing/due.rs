//! Which periods are over: `BillingCycle` is asked for each of them.

use chrono::{DateTime, Utc};
use contract::{
    billing::{BillingTiming, ClosePeriod, PeriodsSwept},
    ids::{OrganizationId, PeriodId},
    names::billing_workflow_id,
};
use sqlx::query;
use uuid::Uuid;

use super::{ReportState, freeze::roll, reports::Report, settle::pending};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    starts::{self, Requested, StartKind},
};

const OPERATION: &str = "billing.due";
/// Codes of a report that another customer at Stripe mends.
const CUSTOMER_CODES: [&str; 3] =
    ["meter_event_customer_not_found", "meter_event_no_customer_defined", "resource_missing"];

/// A period that something is to be done about.
struct Due {
    organization_id: Uuid,
    period_id: Uuid,
    period_start: DateTime<Utc>,
    is_closed: bool,
}

/// Opens the next period where one is over, and asks for `BillingCycle` of every period that is over and
/// not closed, and of every closed one whose report can still be made.
///
/// Without usage nobody else opens an organization's next period.
///
/// # Errors
/// When the database fails. One organization whose period cannot be opened stops no other: its
/// `BillingCycle` tries again, and shows why.
pub async fn due(db: &Database, now: DateTime<Utc>) -> Result<PeriodsSwept, StoreError> {
    for organization in behind(db, now).await? {
        if let Err(error) = roll(db, organization, now).await {
            tracing::warn!(%organization, error = error.operation_failed(), "no next period");
        }
    }
    let mut tx = db.billing().await?;
    for_new_customers(&mut tx).await?;
    let due = over(&mut tx, now).await?;
    let started = request(&mut tx, &due).await?;
    commit(tx, OPERATION).await?;
    let unclosed = due.iter().filter(|due| !due.is_closed).count();
    Ok(PeriodsSwept { due: u32::try_from(unclosed).unwrap_or(u32::MAX), started })
}

/// Organizations whose open period is over.
async fn behind(db: &Database, now: DateTime<Utc>) -> Result<Vec<OrganizationId>, StoreError> {
    let mut tx = db.billing().await?;
    let rows = query!(
        "select organization_id from billing_periods
         where status = 'open' and period_end <= $1 order by organization_id",
        now,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows.into_iter().map(|row| OrganizationId(row.organization_id)).collect())
}

/// A report that was refused for its customer goes out again to the one that the organization has now.
async fn for_new_customers(tx: &mut Tx) -> Result<(), StoreError> {
    let codes = CUSTOMER_CODES.map(str::to_owned);
    let rows = query!(
        r#"select r.id, r.organization_id, r.period_id, r.revision, r.identifier,
             o.stripe_customer_id as "customer!", r.event_name, r.quantity, r.reported_for, r.error
         from stripe_reports r
         join organizations o on o.id = r.organization_id
         where r.state = 'rejected' and r.error = any($1) and o.stripe_customer_id <> r.customer
             and not exists (select from stripe_reports l
                 where l.period_id = r.period_id and l.kind = r.kind and l.revision > r.revision)"#,
        &codes,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    for row in rows {
        let report = Report {
            id: row.id,
            period_id: PeriodId(row.period_id),
            revision: row.revision,
            identifier: row.identifier,
            customer: row.customer,
            event_name: row.event_name,
            quantity: row.quantity,
            reported_for: row.reported_for,
            state: ReportState::Rejected,
            first_sent_at: None,
            last_sent_at: None,
            error: row.error,
        };
        pending(tx, OrganizationId(row.organization_id), &report).await?;
    }
    Ok(())
}

async fn over(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<Due>, StoreError> {
    // One that was given up is a person's: `billing report` asks for it again.
    let rows = query!(
        r#"select p.organization_id, p.id, p.period_start, p.status = 'closed' as "is_closed!"
         from billing_periods p
         left join lateral (
             select r.state from stripe_reports r where r.period_id = p.id
             order by r.revision desc limit 1
         ) r on p.status = 'closed' and p.overage_minutes > 0
         where p.period_end <= $1 and (p.status <> 'closed'
             or p.overage_minutes > 0
                 and (r.state is null or r.state in ('pending', 'sending'))
                 and not exists (select from billing_events e
                     where e.period_id = p.id and e.event = 'period.unreported'
                         and not exists (select from billing_events q
                         where q.period_id = p.id and q.event = 'report.requested'
                             and q.created_at > e.created_at)))
         order by p.period_start"#,
        now,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    let due = rows.into_iter().map(|row| Due {
        organization_id: row.organization_id,
        period_id: row.id,
        period_start: row.period_start,
        is_closed: row.is_closed,
    });
    Ok(due.collect())
}

/// Gives how many were not asked for already.
async fn request(tx: &mut Tx, due: &[Due]) -> Result<u32, StoreError> {
    let asked = due.iter().map(|due| {
        let organization = OrganizationId(due.organization_id);
        let input = ClosePeriod {
            organization_id: organization,
            period_id: PeriodId(due.period_id),
            timing: BillingTiming::default(),
        };
        Requested {
            organization,
            workflow_id: billing_workflow_id(organization, due.period_start),
            input: serde_json::to_value(input).unwrap_or_default(),
        }
    });
    let asked = starts::request_all(tx, StartKind::BillingCycle, asked.collect()).await?;
    Ok(u32::try_from(asked).unwrap_or(u32::MAX))
}
