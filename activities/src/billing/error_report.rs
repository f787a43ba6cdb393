//! `billing.read_error_report`: what Stripe took and could not bill after all.

use chrono::TimeDelta;
use contract::{billing::ErrorReportRead, failure::UNAVAILABLE};
use providers::stripe::StripeClient;
use store::billing;
use temporalio_sdk::activities::ActivityError;

use super::{BillingActivities, report::again};
use crate::failure::{failure, of_store_until_done};

/// Stripe takes usage of so long ago.
const REPORTABLE: TimeDelta = TimeDelta::days(35);
/// Reports read at a time.
const PAGE: i64 = 200;
/// Why a report is rejected that Stripe took, and names no error of.
const NOT_COUNTED: &str = "not-counted";

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
/// has counted. Gives how many reports it has not.
async fn look_at_all(
    room: &BillingActivities,
    stripe: &StripeClient,
) -> Result<u32, ActivityError> {
    let since = room.clock.now() - REPORTABLE;
    let (mut missing, mut unclear, mut after) = (0_u32, 0_u32, None);
    loop {
        let page = billing::accepted(&room.db, since, after, PAGE).await;
        let page = page.map_err(|error| of_store_until_done(&error))?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for report in page {
            let (from, until) = (report.minute.start, report.minute.end);
            let counted = stripe
                .counted(&report.event_name, &report.customer, from, until)
                .await
                .map_err(|error| failure(UNAVAILABLE, error.to_string(), true, None))?;
            match counted {
                Some(0) | None => {
                    let now = room.clock.now();
                    let rejected = billing::reject_by_identifier(
                        &room.db,
                        &report.identifier,
                        NOT_COUNTED,
                        now,
                    );
                    let rejected = rejected.await.map_err(|error| of_store_until_done(&error))?;
                    missing += u32::from(rejected == Some(true));
                }
                Some(counted) if i64::try_from(counted).is_ok_and(|it| it < report.together) => {
                    unclear += 1;
                }
                Some(_) => {}
            }
        }
    }
    if missing + unclear > 0 {
        tracing::error!(missing, unclear, "Stripe has not counted all that it took");
    }
    Ok(missing)
}
