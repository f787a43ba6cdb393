//! `billing.report`: a claim, one request to Stripe, a settlement.

use chrono::{DateTime, Utc};
use contract::{
    billing::{ClosePeriod, ReportOutcome, UsageReported},
    failure::UNAVAILABLE,
};
use providers::{
    error::{ErrorKind, ProviderError},
    stripe::{MeterEvent, MeterEventError, StripeClient},
};
use store::billing::{self, Claim, Fate, Report, ReportState};
use temporalio_sdk::activities::ActivityError;

use super::{BillingActivities, doubt};
use crate::failure::{failure, of_provider, of_store_until_done};

/// Keys that one attempt tries. Stripe keeps a 500 under its key for a day; the identifier, which stays
/// the same, is what keeps the usage from counting twice under another key.
const MOST_KEYS: u32 = 5;

pub(super) async fn report(
    room: &BillingActivities,
    input: ClosePeriod,
) -> Result<UsageReported, ActivityError> {
    room.faults.point("report.before").await?;
    let now = room.clock.now();
    let mut claimed = claim(room, input, now).await?;
    if let Claim::InDoubt(doubt) = &claimed {
        let settled = doubt::clear_up(room, input, doubt, now).await?;
        // A report that was not counted is followed by its next revision.
        claimed = match settled.state {
            ReportState::Pending => claim(room, input, now).await?,
            _ => Claim::Settled(settled),
        };
    }
    match claimed {
        Claim::Nothing => Ok(UsageReported::default()),
        Claim::Settled(report) => Ok(reported(&report)),
        Claim::NotConfigured(quantity) => {
            waiting(room, input, ReportOutcome::NotConfigured, quantity, None).await
        }
        Claim::NoCustomer(quantity) => {
            waiting(room, input, ReportOutcome::NoCustomer, quantity, None).await
        }
        Claim::Send(report) => send(room, input, &report).await,
        Claim::InDoubt(_) => Err(again("the report is still in doubt")),
    }
}

async fn claim(
    room: &BillingActivities,
    input: ClosePeriod,
    now: DateTime<Utc>,
) -> Result<Claim, ActivityError> {
    let event_name = room.stripe.as_ref().map(|_| room.event_name.as_str());
    billing::claim_report(&room.db, input.organization_id, input.period_id, event_name, now)
        .await
        .map_err(|error| of_store_until_done(&error))
}

async fn send(
    room: &BillingActivities,
    input: ClosePeriod,
    report: &Report,
) -> Result<UsageReported, ActivityError> {
    room.faults.point("report.claimed").await?;
    let Some(stripe) = &room.stripe else { return Err(again("Stripe is not configured")) };
    let posted = post(stripe, report).await;
    room.faults.point("report.posted").await?;
    let fate = match &posted {
        Posted::Accepted => Some(Fate::Accepted),
        Posted::Rejected { code } => Some(Fate::Rejected { code: code.clone() }),
        Posted::Unauthorized { .. } | Posted::NotSent(_) => Some(Fate::NotSent),
        Posted::InDoubt(_) => None,
    };
    let mut settled = report.clone();
    if let Some(fate) = fate {
        settled = settle(room, input, report, &fate).await?;
        room.faults.point("report.settled").await?;
    }
    match posted {
        Posted::Accepted | Posted::Rejected { .. } => Ok(reported(&settled)),
        Posted::Unauthorized { code } => {
            let outcome = ReportOutcome::NotConfigured;
            waiting(room, input, outcome, report.quantity, Some(code)).await
        }
        Posted::NotSent(error) => Err(of_provider(&error)),
        // Whatever the last answer was: what may have been taken is asked for until it is known.
        Posted::InDoubt(error) => {
            Err(failure(UNAVAILABLE, error.to_string(), true, error.retry_after()))
        }
    }
}

/// What is known after the request.
enum Posted {
    Accepted,
    Rejected { code: String },
    Unauthorized { code: String },
    NotSent(ProviderError),
    InDoubt(ProviderError),
}

impl Posted {
    /// `in_doubt`: an earlier request of this attempt may have been taken.
    fn of(answer: Result<(), MeterEventError>, in_doubt: bool) -> Self {
        let error = match answer {
            Ok(()) => return Self::Accepted,
            Err(error) => error,
        };
        let is_unauthorized = matches!(error, MeterEventError::Unauthorized(_));
        let is_stored = matches!(error, MeterEventError::Stored(_));
        let error = ProviderError::from(error);
        match &error.kind {
            _ if is_stored || (in_doubt && (is_unauthorized || error.can_retry())) => {
                Self::InDoubt(error)
            }
            ErrorKind::Rejected { code } if is_unauthorized => {
                Self::Unauthorized { code: code.clone() }
            }
            ErrorKind::Rejected { code } => Self::Rejected { code: code.clone() },
            ErrorKind::Unavailable { .. } => Self::NotSent(error),
            ErrorKind::Ambiguous { .. } | ErrorKind::Malformed => Self::InDoubt(error),
        }
    }
}

async fn post(stripe: &StripeClient, report: &Report) -> Posted {
    let event = MeterEvent {
        event_name: report.event_name.clone(),
        customer: report.customer.clone(),
        quantity: u64::try_from(report.quantity).unwrap_or(0),
        identifier: report.identifier.clone(),
        at: report.reported_for,
    };
    let mut number = 1;
    loop {
        let answer = stripe.meter_event(&event, &key(&report.identifier, number)).await;
        let is_stored = matches!(answer, Err(MeterEventError::Stored(_)));
        if !is_stored || number >= MOST_KEYS {
            return Posted::of(answer, number > 1);
        }
        number += 1;
    }
}

/// The identifier itself, then `{identifier}-2` and so on.
fn key(identifier: &str, number: u32) -> String {
    if number > 1 { format!("{identifier}-{number}") } else { identifier.to_owned() }
}

/// Writes down what became of a report, and counts it.
pub(super) async fn settle(
    room: &BillingActivities,
    input: ClosePeriod,
    report: &Report,
    fate: &Fate,
) -> Result<Report, ActivityError> {
    let now = room.clock.now();
    let settled = billing::settle_report(&room.db, input.organization_id, report, fate, now)
        .await
        .map_err(|error| of_store_until_done(&error))?;
    let (organization, identifier) = (input.organization_id, &report.identifier);
    let fate = match fate {
        Fate::Accepted => "accepted",
        Fate::Rejected { code } => {
            tracing::error!(%organization, identifier, code, "Stripe refused a report of usage");
            "rejected"
        }
        Fate::Unknown => {
            tracing::error!(%organization, identifier, "nobody can tell whether Stripe has a report");
            "unknown"
        }
        Fate::NotCounted => "not-counted",
        Fate::NotSent => return Ok(settled),
    };
    metrics::counter!("postcall_billing_reports_total", "fate" => fate).increment(1);
    Ok(settled)
}

/// Written down once; the workflow waits and asks again.
async fn waiting(
    room: &BillingActivities,
    input: ClosePeriod,
    outcome: ReportOutcome,
    quantity: i64,
    code: Option<String>,
) -> Result<UsageReported, ActivityError> {
    let ClosePeriod { organization_id, period_id, .. } = input;
    let is_new =
        billing::note_waiting(&room.db, organization_id, period_id, outcome, code.as_deref())
            .await
            .map_err(|error| of_store_until_done(&error))?;
    if is_new {
        tracing::warn!(organization = %organization_id, ?outcome, "a report of usage waits");
    }
    Ok(UsageReported { outcome, quantity, code })
}

fn reported(report: &Report) -> UsageReported {
    let outcome = match report.state {
        ReportState::Accepted => ReportOutcome::Accepted,
        ReportState::Rejected => ReportOutcome::Rejected,
        ReportState::Unknown => ReportOutcome::Unknown,
        ReportState::Pending | ReportState::Sending => ReportOutcome::Pending,
    };
    UsageReported { outcome, quantity: report.quantity, code: report.error.clone() }
}

/// Nothing is wrong for good.
pub(super) fn again(text: &str) -> ActivityError {
    failure(UNAVAILABLE, text.to_owned(), true, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> ProviderError {
        ProviderError::new("stripe", "meter_event", kind)
    }

    fn word(posted: &Posted) -> &'static str {
        match posted {
            Posted::Accepted => "accepted",
            Posted::Rejected { .. } => "rejected",
            Posted::Unauthorized { .. } => "unauthorized",
            Posted::NotSent(_) => "not sent",
            Posted::InDoubt(_) => "in doubt",
        }
    }

    #[test]
    fn answers_are_told_apart() {
        use MeterEventError::{Failed, Stored, Unauthorized};
        let rejected = || ErrorKind::Rejected { code: "no_meter".to_owned() };
        let busy = || ErrorKind::Unavailable { status: Some(429), retry_after: None };
        let lost = || ErrorKind::Ambiguous { status: None, repeatable: true };
        let cases = [
            (Ok(()), false, "accepted"),
            (Err(Failed(error(rejected()))), false, "rejected"),
            (Err(Failed(error(rejected()))), true, "rejected"),
            (Err(Unauthorized(error(rejected()))), false, "unauthorized"),
            (Err(Unauthorized(error(rejected()))), true, "in doubt"),
            (Err(Failed(error(busy()))), false, "not sent"),
            // The key before it had a stored 500, which may have been taken.
            (Err(Failed(error(busy()))), true, "in doubt"),
            (Err(Failed(error(lost()))), false, "in doubt"),
            (Err(Failed(error(ErrorKind::Malformed))), false, "in doubt"),
            (Err(Stored(error(lost()))), false, "in doubt"),
        ];
        for (answer, in_doubt, expected) in cases {
            let text = format!("{answer:?}");
            assert_eq!(word(&Posted::of(answer, in_doubt)), expected, "{text}");
        }
    }

    #[test]
    fn the_first_key_is_the_identifier_itself() {
        assert_eq!([key("usage-1", 1), key("usage-1", 2)], ["usage-1", "usage-1-2"]);
    }
}
