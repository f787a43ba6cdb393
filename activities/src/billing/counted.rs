//! `billing.verify_reports`: what Stripe has counted of what it took.

use std::pin::pin;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::{ReportsVerified, VerifyReports},
    failure::UNAVAILABLE,
    period::Span,
};
use futures::{StreamExt, TryStreamExt, stream};
use providers::{
    error::{ErrorKind, ProviderError},
    stripe::{Meters, StripeClient},
};
use store::billing::{self, AcceptedReport, Taken};
use temporalio_sdk::activities::ActivityError;
use uuid::Uuid;

use super::BillingActivities;
use crate::failure::{failure, of_store_until_done};

/// Stripe counts with a delay of minutes. So long after the last request what is not counted was not
/// taken.
pub(super) const COUNTED_AFTER: TimeDelta = TimeDelta::hours(1);
/// Stripe takes usage of so long ago.
const REPORTABLE: TimeDelta = TimeDelta::days(35);
/// Reports of a page.
const PAGE: usize = 200;
/// Questions at once. Stripe answers 25 a second of one kind (docs.stripe.com/rate-limits); where it
/// refuses one, what it said of others stays written, and the rest of the page is asked for again.
const AT_ONCE: usize = 8;
/// Why a report is rejected that Stripe took, and names no error of.
const NOT_COUNTED: &str = "not-counted";

/// A page of the reports that were not seen counted yet. Nothing without an account at Stripe.
pub(super) async fn verify(
    room: &BillingActivities,
    input: VerifyReports,
) -> Result<ReportsVerified, ActivityError> {
    let Some(stripe) = &room.stripe else { return Ok(ReportsVerified::default()) };
    look_at_page(room, stripe, false, input.after).await
}

/// Compares a page of what Stripe took with what it has counted, and writes down what it finds. What
/// was taken in the last hour is left alone: Stripe may not have counted it yet.
pub(super) async fn look_at_page(
    room: &BillingActivities,
    stripe: &StripeClient,
    also_counted: bool,
    after: Option<Uuid>,
) -> Result<ReportsVerified, ActivityError> {
    let now = room.clock.now();
    let within = Span { start: now - REPORTABLE, end: now - COUNTED_AFTER };
    let page = billing::accepted(&room.db, Taken { within, also_counted }, after, PAGE as i64)
        .await
        .map_err(|error| of_store_until_done(&error))?;
    let last = page.last().filter(|_| page.len() >= PAGE);
    let mut verified = ReportsVerified { next: last.map(|report| report.id), ..Default::default() };
    if page.is_empty() {
        return Ok(verified);
    }
    let meters = stripe.meters().await.map_err(|error| unanswered(&error))?;
    let (page, unread): (Vec<_>, Vec<_>) =
        page.into_iter().partition(|report| meters.has(&report.event_name));
    if !unread.is_empty() {
        // It may have been archived since, and have counted all the same.
        tracing::warn!(reports = unread.len(), "the meter of reports is not active any more");
        verified.unclear += u32::try_from(unread.len()).unwrap_or(u32::MAX);
    }
    let asked = stream::iter(page).map(|report| ask(&meters, report)).buffer_unordered(AT_ONCE);
    let mut asked = pin!(asked);
    while let Some((report, counted)) = asked.try_next().await? {
        let verdict = verdict(&report, counted);
        match verdict {
            Verdict::AsTold => verified.counted += 1,
            Verdict::Missing => verified.missing += 1,
            Verdict::Otherwise(_) | Verdict::Unclear => verified.unclear += 1,
        }
        write(room, &report, verdict, now).await?;
    }
    Ok(verified)
}

/// What Stripe has counted of the minute of a report; nothing where it does not say.
async fn ask(
    meters: &Meters<'_>,
    report: AcceptedReport,
) -> Result<(AcceptedReport, Option<u64>), ActivityError> {
    let (from, until) = (report.minute.start, report.minute.end);
    let counted = meters.counted(&report.event_name, &report.customer, from, until).await;
    let (organization, identifier) = (report.organization_id, &report.identifier);
    let counted = match counted {
        Ok(counted) => counted,
        Err(error) => match &error.kind {
            // This one's own trouble, as a customer that was deleted: the others are asked for.
            ErrorKind::Rejected { .. } | ErrorKind::Malformed => {
                let error = error.to_string();
                tracing::warn!(%organization, identifier, error, "Stripe does not say what it counted");
                None
            }
            ErrorKind::Unavailable { .. } | ErrorKind::Ambiguous { .. } => {
                return Err(unanswered(&error));
            }
        },
    };
    Ok((report, counted))
}

/// Asked again whatever the answer was: also a key that is not taken is mended by a person.
fn unanswered(error: &ProviderError) -> ActivityError {
    let text = error.to_string();
    tracing::warn!(error = text, "Stripe cannot be asked what it has counted");
    failure(UNAVAILABLE, text, true, error.retry_after())
}

/// What is known of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is counted.
    AsTold,
    /// Nothing of its minute is.
    Missing,
    /// So many minutes of it are, fewer or more than were told.
    Otherwise(i64),
    /// Nobody can tell now.
    Unclear,
}

fn verdict(report: &AcceptedReport, counted: Option<u64>) -> Verdict {
    let Some(counted) = counted.and_then(|counted| i64::try_from(counted).ok()) else {
        return Verdict::Unclear;
    };
    match counted - report.together {
        0 => Verdict::AsTold,
        _ if counted == 0 => Verdict::Missing,
        // It may be that of another report, which is on its way.
        _ if report.under_way > 0 => Verdict::Unclear,
        more => Verdict::Otherwise(report.quantity.saturating_add(more).max(0)),
    }
}

/// Writes a verdict down, and tells of it where it is new.
async fn write(
    room: &BillingActivities,
    report: &AcceptedReport,
    verdict: Verdict,
    now: DateTime<Utc>,
) -> Result<(), ActivityError> {
    let (organization, identifier) = (report.organization_id, &report.identifier);
    let fate = match verdict {
        Verdict::Unclear => return Ok(()),
        Verdict::AsTold => return note(room, report, report.quantity, now).await.map(drop),
        Verdict::Missing => {
            let db = &room.db;
            let rejected = billing::reject_by_identifier(db, identifier, NOT_COUNTED, now).await;
            if rejected.map_err(|error| of_store_until_done(&error))? != Some(true) {
                return Ok(());
            }
            tracing::error!(%organization, identifier, "Stripe has not counted a report that it took");
            "not-counted"
        }
        Verdict::Otherwise(counted) => {
            if !note(room, report, counted, now).await? {
                return Ok(());
            }
            let told = report.quantity;
            tracing::error!(
                %organization, identifier, told, counted,
                "Stripe has counted another quantity than it was told"
            );
            "miscounted"
        }
    };
    metrics::counter!("postcall_billing_reports_total", "fate" => fate).increment(1);
    Ok(())
}

async fn note(
    room: &BillingActivities,
    report: &AcceptedReport,
    counted: i64,
    now: DateTime<Utc>,
) -> Result<bool, ActivityError> {
    let noted = billing::note_counted(&room.db, report, counted, now).await;
    noted.map_err(|error| of_store_until_done(&error))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::ids::OrganizationId;

    use super::*;

    fn report(quantity: i64, together: i64, under_way: i64) -> AcceptedReport {
        let start: DateTime<Utc> = "2026-11-30T23:59:00Z".parse().unwrap();
        AcceptedReport {
            id: Uuid::nil(),
            organization_id: OrganizationId(Uuid::nil()),
            identifier: "usage-1-overage-0".to_owned(),
            customer: "cus_1".to_owned(),
            event_name: "voice_minutes".to_owned(),
            quantity,
            minute: Span { start, end: start + TimeDelta::minutes(1) },
            together,
            under_way,
        }
    }

    #[test]
    fn what_stripe_has_counted_is_compared_with_all_that_it_was_told_of_the_minute() {
        use Verdict::{AsTold, Missing, Otherwise, Unclear};
        let alone = report(200, 200, 0);
        let beside = report(200, 250, 0);
        let busy = report(200, 250, 1);
        for (report, counted, expected) in [
            (&alone, Some(200), AsTold),
            (&alone, Some(0), Missing),
            (&alone, Some(150), Otherwise(150)),
            (&alone, Some(400), Otherwise(400)),
            (&alone, None, Unclear),
            (&alone, Some(u64::MAX), Unclear),
            (&beside, Some(250), AsTold),
            (&beside, Some(200), Otherwise(150)),
            (&beside, Some(300), Otherwise(250)),
            (&beside, Some(0), Missing),
            (&report(20, 250, 0), Some(200), Otherwise(0)),
            (&busy, Some(250), AsTold),
            (&busy, Some(200), Unclear),
            (&busy, Some(450), Unclear),
            (&busy, Some(0), Missing),
        ] {
            assert_eq!(verdict(report, counted), expected, "{report:?} {counted:?}");
        }
    }
}
