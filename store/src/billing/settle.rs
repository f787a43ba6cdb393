//! What became of a report.

use chrono::{DateTime, Utc};
use contract::{
    billing::{BillingTiming, ClosePeriod},
    events::{ReportFailed, ReportRefused, Timestamp},
    ids::{OrganizationId, PeriodId},
    names::billing_workflow_id,
};
use serde_json::{Value, json};
use sqlx::query;
use uuid::Uuid;

use super::{
    REPORT_FAILED, ReportState, invalid, log,
    reports::{Report, identifier, newest},
};
use crate::{
    Database, StoreError,
    audit::{self, Actor, Entry},
    database::{Tx, commit},
    error::During,
    events::{self, timestamp},
    periods,
    starts::{self, StartKind},
};

const OPERATION: &str = "billing.settle_report";
/// Why a report that Stripe did not refuse is rejected: it had it for a day and has not counted it.
const NOT_COUNTED: &str = "not-counted";

/// What is known of a report that was about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Stripe has taken it.
    Accepted,
    /// Stripe refused it for good, with this code.
    Rejected {
        /// Stripe's own.
        code: String,
    },
    /// Certainly not taken this time: it waits again, if no earlier attempt is in doubt.
    NotSent,
    /// In doubt for a day, and not counted: the next revision is to be sent.
    NotCounted,
    /// In doubt for a day, and what Stripe has counted does not tell.
    Unknown,
}

/// Writes down what became of a claimed report; gives how it stands then. Another attempt may have been
/// faster: what it wrote stays.
///
/// # Errors
/// When the database fails.
pub async fn settle_report(
    db: &Database,
    organization: OrganizationId,
    report: &Report,
    fate: &Fate,
    now: DateTime<Utc>,
) -> Result<Report, StoreError> {
    let mut tx = db.tenant(organization).await?;
    periods::lock(&mut tx, organization, report.period_id).await?;
    match fate {
        Fate::NotSent => release(&mut tx, organization, report).await?,
        Fate::Accepted => {
            if set(&mut tx, organization, report, ReportState::Accepted, None, now).await? {
                let told = details(report, None);
                log(&mut tx, organization, Some(report.period_id), "report.accepted", told).await?;
            }
        }
        Fate::Rejected { code } => {
            if set(&mut tx, organization, report, ReportState::Rejected, Some(code), now).await? {
                failed(&mut tx, organization, report, "rejected", Some(code)).await?;
            }
        }
        Fate::NotCounted => {
            let state = ReportState::Rejected;
            if set(&mut tx, organization, report, state, Some(NOT_COUNTED), now).await? {
                let told = details(report, Some(NOT_COUNTED));
                log(&mut tx, organization, Some(report.period_id), "report.rejected", told).await?;
                pending(&mut tx, organization, report).await?;
            }
        }
        Fate::Unknown => {
            if set(&mut tx, organization, report, ReportState::Unknown, None, now).await? {
                failed(&mut tx, organization, report, "unknown", None).await?;
            }
        }
    }
    let newest = newest(&mut tx, organization, report.period_id).await?;
    commit(tx, OPERATION).await?;
    newest.ok_or_else(|| invalid(OPERATION, "no such report"))
}

/// Whether it was in doubt until now.
async fn set(
    tx: &mut Tx,
    organization: OrganizationId,
    report: &Report,
    state: ReportState,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let updated = query!(
        "update stripe_reports set state = $3, error = $4, settled_at = $5
         where organization_id = $1 and identifier = $2 and state = 'sending'",
        organization.0,
        report.identifier,
        state.as_str(),
        error,
        now,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(updated.rows_affected() > 0)
}

/// Only a first attempt is known to have left nothing behind.
async fn release(
    tx: &mut Tx,
    organization: OrganizationId,
    report: &Report,
) -> Result<(), StoreError> {
    if report.first_sent_at != report.last_sent_at {
        return Ok(());
    }
    query!(
        "update stripe_reports set state = 'pending', first_sent_at = null, last_sent_at = null
         where organization_id = $1 and identifier = $2 and state = 'sending'
             and first_sent_at = last_sent_at",
        organization.0,
        report.identifier,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
}

/// The next revision, to be sent.
pub(super) async fn pending(
    tx: &mut Tx,
    organization: OrganizationId,
    report: &Report,
) -> Result<(), StoreError> {
    let revision = report.revision.saturating_add(1);
    query!(
        "insert into stripe_reports (id, organization_id, period_id, kind, revision, identifier,
             customer, event_name, quantity, reported_for, state)
         values ($1, $2, $3, 'overage', $4, $5, $6, $7, $8, $9, 'pending')
         on conflict (organization_id, period_id, kind, revision) do nothing",
        Uuid::now_v7(),
        organization.0,
        report.period_id.0,
        revision,
        identifier(report.period_id, revision),
        report.customer,
        report.event_name,
        report.quantity,
        report.reported_for,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)
    .map(drop)
}

/// `report.rejected` or `report.unknown` in the history, and the event.
async fn failed(
    tx: &mut Tx,
    organization: OrganizationId,
    report: &Report,
    reason: &str,
    code: Option<&str>,
) -> Result<(), StoreError> {
    let line = if reason == "unknown" { "report.unknown" } else { "report.rejected" };
    log(tx, organization, Some(report.period_id), line, details(report, code)).await?;
    let told = json!(ReportFailed::Refused(ReportRefused {
        identifier: report.identifier.clone(),
        revision: report.revision,
        quantity: report.quantity,
        // Later than the period where the period is older than Stripe allows.
        reported_for: Timestamp(report.reported_for),
        code: code.map(str::to_owned),
        period_id: report.period_id,
        reason: reason.to_owned(),
    }));
    let key = format!("{REPORT_FAILED}/{}/{reason}", report.identifier);
    events::emit_organization(tx, organization, REPORT_FAILED, &key, told).await.map(drop)
}

fn details(report: &Report, code: Option<&str>) -> Value {
    json!({
        "identifier": report.identifier,
        "revision": report.revision,
        "quantity": report.quantity,
        "reported_for": timestamp(report.reported_for),
        "code": code,
    })
}

/// Marks the report with this identifier as rejected: Stripe checks a meter event after it has taken
/// it. True if it was not rejected before; nothing where there is no such report.
///
/// # Errors
/// When the database fails.
pub async fn reject_by_identifier(
    db: &Database,
    identifier: &str,
    code: &str,
    now: DateTime<Utc>,
) -> Result<Option<bool>, StoreError> {
    const OPERATION: &str = "billing.reject_by_identifier";
    let mut tx = db.billing().await?;
    let owner = query!(
        "select organization_id, period_id from stripe_reports where identifier = $1",
        identifier,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let Some(owner) = owner else { return Ok(None) };
    let organization = OrganizationId(owner.organization_id);
    let period = PeriodId(owner.period_id);
    let mut tx = db.tenant(organization).await?;
    periods::lock(&mut tx, organization, period).await?;
    let row = query!(
        "update stripe_reports set state = 'rejected', error = $3, settled_at = $4
         where organization_id = $1 and identifier = $2 and state <> 'rejected'
         returning id, revision, customer, event_name, quantity, reported_for",
        organization.0,
        identifier,
        code,
        now,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let is_new = row.is_some();
    if let Some(row) = row {
        let report = Report {
            id: row.id,
            period_id: period,
            revision: row.revision,
            identifier: identifier.to_owned(),
            customer: row.customer,
            event_name: row.event_name,
            quantity: row.quantity,
            reported_for: row.reported_for,
            state: ReportState::Rejected,
            first_sent_at: None,
            last_sent_at: None,
            error: Some(code.to_owned()),
        };
        failed(&mut tx, organization, &report, "rejected", Some(code)).await?;
    }
    commit(tx, OPERATION).await?;
    Ok(Some(is_new))
}

/// Asks for the next revision of a report that was rejected or whose fate is unknown, or for one that
/// was given up: a person says that it is not billed. False where there is nothing to repeat.
///
/// # Errors
/// When there is no such period, or the database fails.
pub async fn report_again(
    db: &Database,
    organization: OrganizationId,
    period: PeriodId,
    actor: &Actor,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "billing.report_again";
    let mut tx = db.tenant(organization).await?;
    let locked = periods::lock(&mut tx, organization, period).await?;
    let locked = locked.ok_or_else(|| invalid(OPERATION, "no such period"))?;
    let last = newest(&mut tx, organization, period).await?;
    match last {
        Some(last) if matches!(last.state, ReportState::Rejected | ReportState::Unknown) => {
            pending(&mut tx, organization, &last).await?;
        }
        None | Some(Report { state: ReportState::Pending, .. })
            if was_given_up(&mut tx, organization, period).await? => {}
        _ => {
            commit(tx, OPERATION).await?;
            return Ok(false);
        }
    }
    let target = format!("billing_period:{period}");
    let entry = Entry {
        organization_id: organization,
        actor,
        action: "billing.report_again",
        target: &target,
        before: None,
        after: None,
    };
    audit::record(&mut tx, entry).await?;
    log(&mut tx, organization, Some(period), "report.requested", json!({})).await?;
    let input = ClosePeriod {
        organization_id: organization,
        period_id: period,
        timing: BillingTiming::default(),
    };
    let workflow_id = billing_workflow_id(organization, locked.span.start);
    let input = serde_json::to_value(input).unwrap_or_default();
    starts::request(&mut tx, organization, StartKind::BillingCycle, &workflow_id, input).await?;
    commit(tx, OPERATION).await?;
    Ok(true)
}

/// Whether the workflow of the period stopped waiting for its report.
async fn was_given_up(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<bool, StoreError> {
    let row = query!(
        r#"select exists (select from billing_events where organization_id = $1 and period_id = $2
             and event = 'period.unreported') as "is_so!""#,
        organization.0,
        period.0,
    )
    .fetch_one(&mut **tx)
    .await
    .during("billing.was_given_up")?;
    Ok(row.is_so)
}
