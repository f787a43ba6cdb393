//! `billing.read_error_report`: what Stripe took and could not bill after all.

use contract::{billing::ErrorReportRead, failure::UNAVAILABLE};
use providers::stripe::StripeClient;
use store::billing;
use temporalio_sdk::activities::ActivityError;

use super::{BillingActivities, counted::look_at_page, report::again};
use crate::failure::{failure, of_store_until_done};

pub(super) async fn read(
    room: &BillingActivities,
    event_id: &str,
) -> Result<ErrorReportRead, ActivityError> {
    let Some(stripe) = &room.stripe else { return Err(again("Stripe is not configured")) };
    // Stripe tells of it once: what is refused is asked for again until a person has mended it.
    let report = stripe
        .meter_error_report(event_id)
        .await
        .map_err(|error| failure(UNAVAILABLE, error.to_string(), true, error.retry_after()))?;
    // It may show a little later than it was told of; or the key is of another account, or of test mode.
    let report = report.ok_or_else(|| again("Stripe does not know the error report"))?;
    let (mut rejected, mut strangers) = (0_u32, 0_u32);
    for (code, identifier) in &report.samples {
        let is_ours = match identifier {
            Some(identifier) => {
                billing::reject_by_identifier(&room.db, identifier, code, room.clock.now())
                    .await
                    .map_err(|error| of_store_until_done(&error))?
            }
            None => None,
        };
        match is_ours {
            Some(is_new) => rejected += u32::from(is_new),
            None => strangers += 1,
        }
    }
    if rejected > 0 {
        tracing::error!(rejected, "Stripe could not bill reports of usage that it had taken");
        metrics::counter!("postcall_billing_reports_total", "fate" => "rejected-later")
            .increment(rejected.into());
    }
    if strangers > 0 {
        tracing::warn!(strangers, "an error report of Stripe tells of usage that is not ours");
    }
    if report.errors as usize > report.samples.len() {
        rejected += look_at_all(room, stripe).await?;
    }
    Ok(ErrorReportRead { errors: report.errors, rejected })
}

/// Stripe names a few examples of its errors only: for all that it has taken lately it is asked what it
/// has counted, also where that was right before. Gives how many reports are rejected for it.
async fn look_at_all(
    room: &BillingActivities,
    stripe: &StripeClient,
) -> Result<u32, ActivityError> {
    let (mut missing, mut unclear, mut after) = (0_u32, 0_u32, None);
    loop {
        let page = look_at_page(room, stripe, true, after).await?;
        missing += page.missing;
        unclear += page.unclear;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if missing + unclear > 0 {
        tracing::error!(missing, unclear, "Stripe has not counted all that it took");
    }
    Ok(missing)
}
