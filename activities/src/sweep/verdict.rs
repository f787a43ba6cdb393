//! What is to be done about a call, once its provider was asked.

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{CallStatus, EventKind, Provider},
    merge::CallEvent,
    sweep::SweepTiming,
};
use providers::calls_api::ListedCall;
use store::sweeps::Known;

/// Vapi takes calls that are to be made days later; further ahead than this nobody plans.
const LONGEST_AHEAD: TimeDelta = TimeDelta::days(30);

/// A call that the provider is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) provider_call_id: String,
    /// What the inbox holds of it; nothing where it is new to us.
    pub(super) known: Option<Known>,
    /// Whether our row says that it waits to be dialled.
    pub(super) is_queued: bool,
    /// When it was made, for one that is asked for because nobody told its end.
    pub(super) stuck_since: Option<DateTime<Utc>>,
}

/// What the provider says of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told<'a> {
    /// How it stands.
    Event(&'a CallEvent),
    /// That it knows no such call.
    Unknown,
    /// Nothing that can be used.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It tells something new: into the inbox.
    Append,
    /// Nobody will tell its end any more.
    Close,
    /// Nothing new, or nothing yet.
    Leave,
}

/// Whether a listed call is fetched: it is new to us, it was answered and we do not know it, or it is
/// over and its report is missing.
///
/// A leg of another call is the customer's to count by its own callbacks, and none of ours without.
/// The end of a call that nobody took is all there is to tell.
pub(super) fn is_wanted(listed: &ListedCall, known: Option<Known>) -> bool {
    match known {
        None => !listed.is_leg,
        Some(known) if known.ended && listed.is_unanswered => false,
        Some(known) if listed.is_answered => !known.answered && !known.ended && !known.report,
        Some(known) => listed.has_ended && !known.report,
    }
}

/// What follows from what the provider says of a call.
pub(super) fn verdict(
    provider: Provider,
    wanted: &Wanted,
    told: Told<'_>,
    timing: SweepTiming,
    now: DateTime<Utc>,
) -> Verdict {
    let is_older = |than: u32| {
        let limit = now - TimeDelta::seconds(than.into());
        wanted.stuck_since.is_some_and(|since| since < limit)
    };
    let close_if = |condition| if condition { Verdict::Close } else { Verdict::Leave };
    let event = match told {
        Told::Event(event) => event,
        Told::Unknown => return close_if(is_older(timing.unknown_seconds)),
        Told::Nothing => {
            let waits = wanted.is_queued && may_be_planned(provider, wanted, now);
            return close_if(is_older(timing.abandoned_seconds) && !waits);
        }
    };
    match event.kind {
        EventKind::Ended | EventKind::Report if is_fresh(event, timing, now) => Verdict::Leave,
        EventKind::Report => Verdict::Append,
        EventKind::Ended if wanted.known.is_some_and(|known| known.ended) => Verdict::Leave,
        EventKind::Ended => Verdict::Append,
        EventKind::Progress if is_further(wanted, event) && !is_older(timing.abandoned_seconds) => {
            Verdict::Append
        }
        EventKind::Progress if is_planned(provider, wanted, event, now) => Verdict::Leave,
        EventKind::Progress | EventKind::Message | EventKind::Other => {
            close_if(is_older(timing.abandoned_seconds))
        }
    }
}

/// Whether its webhook may still be under way.
fn is_fresh(event: &CallEvent, timing: SweepTiming, now: DateTime<Utc>) -> bool {
    let settled = now - TimeDelta::seconds(timing.settle_seconds.into());
    event.facts.ended_at.is_some_and(|ended_at| ended_at > settled)
}

/// Whether a call that goes on is new to us, or was answered and we know of its ringing at most.
fn is_further(wanted: &Wanted, event: &CallEvent) -> bool {
    let is_answered = event.facts.status == Some(CallStatus::InProgress);
    wanted.known.is_none_or(|known| is_answered && !known.answered)
}

fn is_planned(provider: Provider, wanted: &Wanted, event: &CallEvent, now: DateTime<Utc>) -> bool {
    event.facts.status == Some(CallStatus::Queued) && may_be_planned(provider, wanted, now)
}

fn may_be_planned(provider: Provider, wanted: &Wanted, now: DateTime<Utc>) -> bool {
    provider == Provider::Vapi
        && wanted.stuck_since.is_some_and(|since| since > now - LONGEST_AHEAD)
}

#[cfg(test)]
mod tests {
    use contract::merge::CallFacts;

    use super::*;

    const ENDED: Known = Known { report: false, ended: true, answered: true };
    const REPORT: Known = Known { report: true, ended: false, answered: true };
    const OPEN: Known = Known { report: false, ended: false, answered: true };
    const RINGING: Known = Known { report: false, ended: false, answered: false };

    fn minutes_ago(minutes: i64) -> DateTime<Utc> {
        now() - TimeDelta::minutes(minutes)
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }

    fn event(kind: EventKind, status: CallStatus, ended_at: Option<DateTime<Utc>>) -> CallEvent {
        let started_at = Some(minutes_ago(90)).filter(|_| status == CallStatus::Completed);
        let facts =
            CallFacts { status: Some(status), started_at, ended_at, ..CallFacts::default() };
        CallEvent { kind, at: now(), facts }
    }

    fn listed(known: Option<Known>) -> Wanted {
        Wanted { provider_call_id: "c".to_owned(), known, is_queued: false, stuck_since: None }
    }

    fn stuck(since: DateTime<Utc>) -> Wanted {
        Wanted { stuck_since: Some(since), ..listed(Some(OPEN)) }
    }

    fn of(provider: Provider, wanted: &Wanted, told: Told<'_>) -> Verdict {
        verdict(provider, wanted, told, SweepTiming::default(), now())
    }

    #[test]
    fn what_is_new_or_over_without_a_report_is_fetched() {
        let call = |has_ended| ListedCall {
            provider_call_id: "c".to_owned(),
            has_ended,
            ..ListedCall::default()
        };
        assert!(is_wanted(&call(true), None));
        assert!(is_wanted(&call(true), Some(OPEN)));
        assert!(is_wanted(&call(true), Some(ENDED)), "the report was lost");
        assert!(!is_wanted(&call(true), Some(REPORT)));
        assert!(is_wanted(&call(false), None));
        assert!(!is_wanted(&call(false), Some(OPEN)));
        let answered = ListedCall { is_answered: true, ..call(false) };
        assert!(is_wanted(&answered, Some(RINGING)));
        for known in [OPEN, ENDED, REPORT] {
            assert!(!is_wanted(&answered, Some(known)));
        }
        let unanswered = ListedCall { is_unanswered: true, ..call(true) };
        assert!(!is_wanted(&unanswered, Some(ENDED)), "there is no more to tell");
        assert!(is_wanted(&unanswered, None));
        let leg = ListedCall { is_leg: true, ..call(true) };
        assert!(!is_wanted(&leg, None), "a forwarded call is one call");
        assert!(is_wanted(&leg, Some(OPEN)));
    }

    #[test]
    fn an_end_is_taken_unless_it_is_known_or_its_webhook_may_come() {
        let provider = Provider::Retell;
        for (kind, known, minutes, verdict) in [
            (EventKind::Report, None, 3, Verdict::Append),
            (EventKind::Report, Some(ENDED), 3, Verdict::Append),
            (EventKind::Report, Some(ENDED), 1, Verdict::Leave),
            (EventKind::Ended, None, 3, Verdict::Append),
            (EventKind::Ended, None, 1, Verdict::Leave),
            (EventKind::Ended, Some(OPEN), 3, Verdict::Append),
            (EventKind::Ended, Some(ENDED), 3, Verdict::Leave),
        ] {
            let event = event(kind, CallStatus::Completed, Some(minutes_ago(minutes)));
            assert_eq!(
                of(provider, &listed(known), Told::Event(&event)),
                verdict,
                "{kind} {known:?}"
            );
        }
        // A call that was never answered may have no time of its end.
        let untimed = event(EventKind::Report, CallStatus::NoAnswer, None);
        assert_eq!(of(provider, &listed(None), Told::Event(&untimed)), Verdict::Append);
    }

    #[test]
    fn a_running_call_is_taken_once() {
        let running = event(EventKind::Progress, CallStatus::InProgress, None);
        let twilio = Provider::Twilio;
        assert_eq!(of(twilio, &listed(None), Told::Event(&running)), Verdict::Append);
        assert_eq!(of(twilio, &listed(Some(OPEN)), Told::Event(&running)), Verdict::Leave);
        assert_eq!(of(twilio, &listed(Some(RINGING)), Told::Event(&running)), Verdict::Append);
        let ringing = event(EventKind::Progress, CallStatus::Ringing, None);
        assert_eq!(of(twilio, &listed(Some(RINGING)), Told::Event(&ringing)), Verdict::Leave);
        let other = event(EventKind::Other, CallStatus::InProgress, None);
        assert_eq!(of(twilio, &listed(None), Told::Event(&other)), Verdict::Leave);
    }

    #[test]
    fn a_call_that_the_provider_does_not_know_is_closed_after_an_hour() {
        let vapi = Provider::Vapi;
        assert_eq!(of(vapi, &stuck(minutes_ago(59)), Told::Unknown), Verdict::Leave);
        assert_eq!(of(vapi, &stuck(minutes_ago(61)), Told::Unknown), Verdict::Close);
        assert_eq!(of(vapi, &listed(None), Told::Unknown), Verdict::Leave, "listed, then deleted");
    }

    #[test]
    fn a_call_that_does_not_end_is_closed_after_a_day_and_an_hour() {
        let day = 25 * 60;
        for kind in [EventKind::Progress, EventKind::Other] {
            let running = event(kind, CallStatus::InProgress, None);
            let at =
                |minutes| of(Provider::Vapi, &stuck(minutes_ago(minutes)), Told::Event(&running));
            assert_eq!((at(day - 1), at(day + 1)), (Verdict::Leave, Verdict::Close), "{kind}");
        }
        let silent = |minutes| of(Provider::Vapi, &stuck(minutes_ago(minutes)), Told::Nothing);
        assert_eq!((silent(day - 1), silent(day + 1)), (Verdict::Leave, Verdict::Close));
        let ended = event(EventKind::Report, CallStatus::Completed, Some(minutes_ago(60)));
        let late = stuck(minutes_ago(day + 1));
        let unanswered = Wanted { known: Some(RINGING), ..late.clone() };
        let running = event(EventKind::Progress, CallStatus::InProgress, None);
        assert_eq!(of(Provider::Vapi, &unanswered, Told::Event(&running)), Verdict::Close);
        assert_eq!(of(Provider::Vapi, &late, Told::Event(&ended)), Verdict::Append);
    }

    #[test]
    fn a_call_planned_ahead_waits_longer_where_there_are_such() {
        let queued = event(EventKind::Progress, CallStatus::Queued, None);
        let days = |days: i64| stuck(now() - TimeDelta::days(days));
        assert_eq!(of(Provider::Vapi, &days(3), Told::Event(&queued)), Verdict::Leave);
        assert_eq!(of(Provider::Vapi, &days(31), Told::Event(&queued)), Verdict::Close);
        assert_eq!(of(Provider::Retell, &days(3), Told::Event(&queued)), Verdict::Close);
    }
}
