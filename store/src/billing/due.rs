//! Which periods are over: `BillingCycle` is asked for each of them.

use chrono::{DateTime, Utc};
use contract::{
    billing::{BillingTiming, ClosePeriod, PeriodsSwept},
    ids::{OrganizationId, PeriodId},
    names::billing_workflow_id,
};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::freeze::roll;
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    starts::StartKind,
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
    for_new_customers(&mut tx, now).await?;
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
async fn for_new_customers(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), StoreError> {
    let codes = CUSTOMER_CODES.map(str::to_owned);
    query!(
        "insert into stripe_reports (id, organization_id, period_id, kind, revision, identifier,
             customer, event_name, quantity, reported_for, state, created_at)
         select gen_random_uuid(), r.organization_id, r.period_id, r.kind, r.revision + 1,
             format('usage-%s-overage-%s', r.period_id, r.revision + 1), o.stripe_customer_id,
             r.event_name, r.quantity, r.reported_for, 'pending', $1
         from stripe_reports r
         join organizations o on o.id = r.organization_id
         where r.state = 'rejected' and r.error = any($2) and o.stripe_customer_id <> r.customer
             and not exists (select from stripe_reports l
                 where l.period_id = r.period_id and l.kind = r.kind and l.revision > r.revision)
         on conflict (organization_id, period_id, kind, revision) do nothing",
        now,
        &codes,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
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
    let ids: Vec<Uuid> = due.iter().map(|_| Uuid::now_v7()).collect();
    let organizations: Vec<Uuid> = due.iter().map(|due| due.organization_id).collect();
    let workflows: Vec<String> = due
        .iter()
        .map(|due| billing_workflow_id(OrganizationId(due.organization_id), due.period_start))
        .collect();
    let inputs: Vec<Value> = due
        .iter()
        .map(|due| {
            let input = ClosePeriod {
                organization_id: OrganizationId(due.organization_id),
                period_id: PeriodId(due.period_id),
                timing: BillingTiming::default(),
            };
            serde_json::to_value(input).unwrap_or_default()
        })
        .collect();
    let inserted = query!(
        "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
         select t.id, t.organization_id, $5, t.workflow_id, t.input
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[])
             as t (id, organization_id, workflow_id, input)
         on conflict (kind, workflow_id) do nothing",
        &ids,
        &organizations,
        &workflows,
        &inputs,
        StartKind::BillingCycle.as_str(),
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(u32::try_from(inserted.rows_affected()).unwrap_or(u32::MAX))
}
