//! Reports to Stripe, and what is to be done about them.

use chrono::{DateTime, Utc};
use contract::{
    billing::ReportState,
    ids::{OrganizationId, PeriodId},
    period::Span,
};
use sqlx::query;
use uuid::Uuid;

use crate::{StoreError, calls::word, database::Tx, error::During};

/// What Stripe is told of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub id: Uuid,
    /// Of which period.
    pub period_id: PeriodId,
    /// From 0; a rejected report is followed by the next revision.
    pub revision: i32,
    /// How Stripe knows it: `usage-{period_id}-overage-{revision}`.
    pub identifier: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// Name of the meter's events.
    pub event_name: String,
    /// Minutes.
    pub quantity: i64,
    /// The time that Stripe is told.
    pub reported_for: DateTime<Utc>,
    /// Where it stands.
    pub state: ReportState,
    /// When it was first about to be sent.
    pub first_sent_at: Option<DateTime<Utc>>,
    /// When it was last about to be sent.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// Stripe's code, where it refused.
    pub error: Option<String>,
}

/// What is to be done about a period's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No minute is to be billed.
    Nothing,
    /// There is no account at Stripe to report to; so many minutes wait.
    NotConfigured(i64),
    /// The organization has no customer at Stripe; so many minutes wait.
    NoCustomer(i64),
    /// Send it now, under its identifier. The claim is committed.
    Send(Report),
    /// It may have been sent, too long ago to be repeated: look at what Stripe has counted.
    InDoubt(Doubt),
    /// It is accepted, rejected or unknown.
    Settled(Report),
}

/// A report that may have been taken, and what else of the customer's lies in the same minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The report.
    pub report: Report,
    /// The whole minute that it was reported for: nothing else of postcall's carries that time, but
    /// for the reports counted below.
    pub minute: Span,
    /// Minutes of accepted reports for that time.
    pub others_accepted: i64,
    /// Further reports for that time that may have been taken.
    pub others_in_doubt: i64,
}

/// The newest report of a period.
pub(super) async fn newest(
    tx: &mut Tx,
    organization: OrganizationId,
    period: PeriodId,
) -> Result<Option<Report>, StoreError> {
    let row = query!(
        "select id, revision, identifier, customer, event_name, quantity, reported_for, state,
             first_sent_at, last_sent_at, error
         from stripe_reports
         where organization_id = $1 and period_id = $2 and kind = 'overage'
         order by revision desc limit 1",
        organization.0,
        period.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("billing.report_of")?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Report {
        id: row.id,
        period_id: period,
        revision: row.revision,
        identifier: row.identifier,
        customer: row.customer,
        event_name: row.event_name,
        quantity: row.quantity,
        reported_for: row.reported_for,
        state: word("billing.newest", &row.state)?,
        first_sent_at: row.first_sent_at,
        last_sent_at: row.last_sent_at,
        error: row.error,
    }))
}

/// How Stripe knows a report.
pub(super) fn identifier(period: PeriodId, revision: i32) -> String {
    format!("usage-{period}-overage-{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_fits_stripes_limit() {
        assert!(identifier(PeriodId(Uuid::max()), i32::MAX).len() <= 100);
    }
}
