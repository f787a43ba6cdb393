//! Invoices go into the organization's billing history, with amounts and without names.

use serde_json::json;

use super::{Invoice, Outcome, StripeEvent, owner::Owner};
use crate::{StoreError, billing, database::Tx};

pub(super) async fn apply(
    tx: &mut Tx,
    owner: &Owner,
    event: &StripeEvent,
    invoice: &Invoice,
) -> Result<Outcome, StoreError> {
    let name = match event.event_type.as_str() {
        "invoice.finalized" => "invoice.finalized",
        "invoice.paid" => "invoice.paid",
        "invoice.payment_failed" => "invoice.payment_failed",
        _ => return Ok(Outcome::Ignored),
    };
    let details = json!({
        "event_id": event.id,
        "at": event.created,
        "invoice": invoice.id,
        "subscription": invoice.subscription,
        "status": invoice.status,
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "currency": invoice.currency,
    });
    billing::log(tx, owner.organization_id, None, name, details).await?;
    Ok(Outcome::Processed)
}
