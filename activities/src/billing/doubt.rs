//! A report that may have been taken a day ago: what Stripe has counted decides.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::{billing::ClosePeriod, failure::UNAVAILABLE};
use providers::error::{ErrorKind, ProviderError};
use store::billing::{Doubt, Fate, Report};
use temporalio_sdk::activities::ActivityError;

use super::{
    BillingActivities,
    counted::COUNTED_AFTER,
    report::{again, settle},
};
use crate::failure::{failure, of_provider};

/// Settles a report in doubt; gives how the period's newest report stands then.
pub(super) async fn clear_up(
    room: &BillingActivities,
    input: ClosePeriod,
    doubt: &Doubt,
    now: DateTime<Utc>,
) -> Result<Report, ActivityError> {
    let Some(stripe) = &room.stripe else { return Err(again("Stripe is not configured")) };
    let report = &doubt.report;
    let last = report.last_sent_at.unwrap_or(now);
    if let Ok(wait) = (last + COUNTED_AFTER - now).to_std()
        && !wait.is_zero()
    {
        let text = "Stripe may not have counted the last request yet".to_owned();
        return Err(failure(UNAVAILABLE, text, true, Some(wait.max(Duration::from_secs(1)))));
    }
    let (from, until) = (doubt.minute.start, doubt.minute.end);
    let meters = stripe.meters().await.map_err(|error| unreadable(&error))?;
    let counted = meters
        .counted(&report.event_name, &report.customer, from, until)
        .await
        .map_err(|error| unreadable(&error))?;
    settle(room, input, report, &verdict(doubt, counted)).await
}

/// A refusal to say what was counted says nothing of the report: asked again until a person has mended
/// it.
fn unreadable(error: &ProviderError) -> ActivityError {
    match &error.kind {
        ErrorKind::Rejected { .. } => failure(error.class(), error.to_string(), true, None),
        _ => of_provider(error),
    }
}

fn verdict(doubt: &Doubt, counted: Option<u64>) -> Fate {
    let Some(counted) = counted.and_then(|counted| i64::try_from(counted).ok()) else {
        return Fate::Unknown;
    };
    let surplus = counted - doubt.others_accepted;
    if surplus == 0 {
        return Fate::NotCounted;
    }
    // With a second report in doubt, the surplus may be that one's.
    let is_ours = surplus >= doubt.report.quantity && doubt.others_in_doubt == 0;
    if is_ours { Fate::Accepted } else { Fate::Unknown }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use chrono::TimeDelta;
    use contract::{ids::PeriodId, period::Span};
    use store::billing::ReportState;

    use super::*;

    fn doubt(quantity: i64, others_accepted: i64, others_in_doubt: i64) -> Doubt {
        let at: DateTime<Utc> = "2026-11-30T23:59:00Z".parse().unwrap();
        let id = "00000000-0000-7000-8000-000000000001";
        let report = Report {
            id: id.parse().unwrap(),
            period_id: id.parse::<PeriodId>().unwrap(),
            revision: 0,
            identifier: format!("usage-{id}-overage-0"),
            customer: "cus_1".to_owned(),
            event_name: "voice_minutes".to_owned(),
            quantity,
            reported_for: at,
            state: ReportState::Sending,
            first_sent_at: Some(at),
            last_sent_at: Some(at),
            error: None,
        };
        let minute = Span { start: at, end: at + TimeDelta::minutes(1) };
        Doubt { report, minute, others_accepted, others_in_doubt }
    }

    #[test]
    fn only_what_stripe_has_counted_for_sure_is_believed() {
        assert_eq!(verdict(&doubt(200, 0, 0), Some(200)), Fate::Accepted);
        assert_eq!(verdict(&doubt(200, 0, 0), Some(0)), Fate::NotCounted);
        assert_eq!(verdict(&doubt(200, 50, 0), Some(50)), Fate::NotCounted);
        assert_eq!(verdict(&doubt(200, 50, 0), Some(250)), Fate::Accepted);
        assert_eq!(verdict(&doubt(200, 0, 1), Some(200)), Fate::Unknown, "whose are they?");
        assert_eq!(verdict(&doubt(200, 0, 1), Some(0)), Fate::NotCounted, "nobody's");
        assert_eq!(verdict(&doubt(200, 0, 0), Some(150)), Fate::Unknown);
        assert_eq!(verdict(&doubt(200, 50, 0), Some(0)), Fate::Unknown, "an accepted one is gone");
        assert_eq!(verdict(&doubt(200, 0, 0), None), Fate::Unknown, "no meter to read");
    }
}
