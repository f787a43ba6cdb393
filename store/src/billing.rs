//! Closing periods, and what Stripe is told of them.
//!
//! A period passes three transactions, each of which may be stopped and run again: [`freeze`] sets the
//! watermark and what the period comes to, the claims of [`claim_report`] and [`settle_report`]
//! stand around the request to Stripe, [`close`] writes the close down.

mod accepted;
mod claim;
mod close;
mod due;
mod freeze;
mod reports;
mod settle;
mod statement;

use contract::ids::{OrganizationId, PeriodId};
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use crate::{
    StoreError,
    database::Tx,
    error::{During, Problem},
};

pub use accepted::{AcceptedReport, Taken, accepted, note_counted};
pub use claim::{claim_report, note_waiting};
pub use close::{Closed, close, gave_up};
pub use contract::billing::ReportState;
pub use due::due;
pub use freeze::freeze;
pub use reports::{Claim, Doubt, Report};
pub use settle::{Fate, reject_by_identifier, report_again, settle_report};
pub use statement::{Preview, statement};

/// Webhook event of a period that was closed.
pub const PERIOD_CLOSED: &str = "billing.period_closed";
/// Webhook event of usage that Stripe was not told of, or may not have been.
pub const REPORT_FAILED: &str = "billing.report_failed";

/// Writes a line of an organization's billing history.
pub(crate) async fn log(
    tx: &mut Tx,
    organization: OrganizationId,
    period: Option<PeriodId>,
    event: &'static str,
    details: Value,
) -> Result<(), StoreError> {
    query!(
        "insert into billing_events (id, organization_id, period_id, event, details)
         values ($1, $2, $3, $4, $5)",
        Uuid::now_v7(),
        organization.0,
        period.map(|period| period.0),
        event,
        details,
    )
    .execute(&mut **tx)
    .await
    .during("billing.log")
    .map(drop)
}

fn invalid(operation: &'static str, rule: impl Into<String>) -> StoreError {
    StoreError::new(operation, Problem::Invalid(rule.into()))
}
