//! What Retell's `call_status` and `disconnection_reason` say of a call.
//!
//! The reasons are those of `retell-sdk` 5.66.1; which of them mean that nobody was ever connected
//! is in docs.retellai.com/reliability/debug-call-disconnect.
//!
//! | `disconnection_reason` | status | connected |
//! |---|---|---|
//! | `user_hangup` `agent_hangup` `call_transfer` `transfer_bridged` `transfer_cancelled` `inactivity` `max_duration_reached` `ivr_reached` `manual_stopped` `call_take_over` | completed | yes |
//! | `voicemail_reached` `machine_detected` (until 2025) | no-answer | yes: a machine picked up |
//! | `dial_busy` | busy | no |
//! | `dial_no_answer` `user_declined` | no-answer | no |
//! | `dial_failed` and other `dial_*`, `invalid_destination` `sip_routing_error` `marked_as_spam` `telephony_*` | failed | no |
//! | `concurrency_limit_reached` `no_concurrency_fallback` `no_valid_payment` `registered_call_timeout` `error_user_not_joined` | failed | no |
//! | `scam_detected`, everything else with `error` in it | failed | yes |
//! | any other word | completed | yes |
//! | none | by `call_status` | by `call_status` |
//!
//! | `call_status` | without a reason we know | connected |
//! |---|---|---|
//! | `not_connected` | no-answer; canceled if `manual_stopped` | never, whatever the reason |
//! | `error` | failed | yes |
//! | `registered` | failed: it was over before it began | no |
//! | `ended`, any other, none | completed | yes |
//!
//! Connected calls are billed by their times, the others have no start and last 0 s.

use contract::call::CallStatus;

/// How a call that is over went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// One of the final statuses.
    pub(super) status: CallStatus,
    /// Whether anyone or anything picked up.
    pub(super) connected: bool,
}

/// The outcome of a call that is over, by the tables above.
pub(super) fn outcome(call_status: Option<&str>, reason: Option<&str>) -> Outcome {
    let by_reason = reason.and_then(by_reason);
    let (status, connected) = match (call_status, by_reason) {
        (Some("not_connected"), Some((CallStatus::Completed, _)) | None) => {
            let stopped = reason == Some("manual_stopped");
            (if stopped { CallStatus::Canceled } else { CallStatus::NoAnswer }, false)
        }
        (Some("not_connected"), Some((status, _))) => (status, false),
        (_, Some(known)) => known,
        (Some("error"), None) => (CallStatus::Failed, true),
        (Some("registered"), None) => (CallStatus::Failed, false),
        _ => (CallStatus::Completed, true),
    };
    Outcome { status, connected }
}

/// Status and connection that a reason stands for; nothing where the reason is a new word.
fn by_reason(reason: &str) -> Option<(CallStatus, bool)> {
    Some(match reason {
        "user_hangup"
        | "agent_hangup"
        | "call_transfer"
        | "transfer_bridged"
        | "transfer_cancelled"
        | "inactivity"
        | "max_duration_reached"
        | "ivr_reached"
        | "manual_stopped"
        | "call_take_over" => (CallStatus::Completed, true),
        "voicemail_reached" | "machine_detected" => (CallStatus::NoAnswer, true),
        "dial_busy" => (CallStatus::Busy, false),
        "dial_no_answer" | "user_declined" => (CallStatus::NoAnswer, false),
        "invalid_destination"
        | "sip_routing_error"
        | "marked_as_spam"
        | "concurrency_limit_reached"
        | "no_concurrency_fallback"
        | "no_valid_payment"
        | "registered_call_timeout"
        | "error_user_not_joined" => (CallStatus::Failed, false),
        "scam_detected" => (CallStatus::Failed, true),
        _ if reason.starts_with("dial_") || reason.starts_with("telephony_") => {
            (CallStatus::Failed, false)
        }
        _ if reason.contains("error") => (CallStatus::Failed, true),
        _ => return None,
    })
}

/// Whether a call of Retell's API is over. Where the status does not say, an end or a reason does.
pub(super) fn is_over(call_status: Option<&str>, has_end: bool) -> bool {
    match call_status {
        Some("ended" | "not_connected" | "error") => true,
        Some("ongoing") => false,
        _ => has_end,
    }
}

/// The status of a call that is not over.
pub(super) fn running(call_status: Option<&str>) -> Option<CallStatus> {
    match call_status? {
        "registered" => Some(CallStatus::Queued),
        "ongoing" => Some(CallStatus::InProgress),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use CallStatus::{Busy, Canceled, Completed, Failed, NoAnswer};

    use super::*;

    /// Every reason of the SDK, with the `call_status` that Retell's documentation gives for it.
    const REASONS: [(&str, &str, CallStatus, bool); 35] = [
        ("user_hangup", "ended", Completed, true),
        ("agent_hangup", "ended", Completed, true),
        ("call_transfer", "ended", Completed, true),
        ("voicemail_reached", "ended", NoAnswer, true),
        ("ivr_reached", "ended", Completed, true),
        ("inactivity", "ended", Completed, true),
        ("max_duration_reached", "ended", Completed, true),
        ("concurrency_limit_reached", "error", Failed, false),
        ("no_concurrency_fallback", "error", Failed, false),
        ("no_valid_payment", "error", Failed, false),
        ("scam_detected", "error", Failed, true),
        ("dial_busy", "not_connected", Busy, false),
        ("dial_failed", "not_connected", Failed, false),
        ("dial_no_answer", "not_connected", NoAnswer, false),
        ("invalid_destination", "not_connected", Failed, false),
        ("telephony_provider_permission_denied", "not_connected", Failed, false),
        ("telephony_provider_unavailable", "not_connected", Failed, false),
        ("sip_routing_error", "not_connected", Failed, false),
        ("marked_as_spam", "not_connected", Failed, false),
        ("user_declined", "not_connected", NoAnswer, false),
        ("error_llm_websocket_open", "error", Failed, true),
        ("error_llm_websocket_lost_connection", "error", Failed, true),
        ("error_llm_websocket_runtime", "error", Failed, true),
        ("error_llm_websocket_corrupt_payload", "error", Failed, true),
        ("error_no_audio_received", "error", Failed, true),
        ("error_asr", "error", Failed, true),
        ("error_retell", "error", Failed, true),
        ("error_unknown", "error", Failed, true),
        ("error_user_not_joined", "error", Failed, false),
        ("registered_call_timeout", "error", Failed, false),
        ("transfer_bridged", "ended", Completed, true),
        ("transfer_cancelled", "ended", Completed, true),
        ("manual_stopped", "ended", Completed, true),
        ("call_take_over", "ended", Completed, true),
        ("machine_detected", "ended", NoAnswer, true),
    ];

    #[test]
    fn every_known_reason_has_its_outcome_whatever_the_status() {
        for (reason, call_status, status, connected) in REASONS {
            let expected = Outcome { status, connected };
            assert_eq!(outcome(Some(call_status), Some(reason)), expected, "{reason}");
            assert_eq!(outcome(None, Some(reason)), expected, "{reason} without a status");
            assert!(by_reason(reason).is_some(), "{reason} is known");
        }
        let mut words: Vec<&str> = REASONS.iter().map(|(reason, ..)| *reason).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), REASONS.len());
    }

    #[test]
    fn the_status_decides_where_the_reason_does_not() {
        for (call_status, reason, status, connected) in [
            (Some("ended"), None, Completed, true),
            (None, None, Completed, true),
            (Some("of_next_year"), None, Completed, true),
            (Some("ended"), Some("of_next_year"), Completed, true),
            (Some("ended"), Some("some_error_of_next_year"), Failed, true),
            (Some("ended"), Some("dial_of_next_year"), Failed, false),
            (Some("ended"), Some("telephony_of_next_year"), Failed, false),
            (Some("error"), None, Failed, true),
            (Some("error"), Some("of_next_year"), Failed, true),
            (Some("registered"), None, Failed, false),
            // The sample of Retell's webhook documentation.
            (Some("registered"), Some("user_hangup"), Completed, true),
            (Some("not_connected"), None, NoAnswer, false),
            (Some("not_connected"), Some("of_next_year"), NoAnswer, false),
            (Some("not_connected"), Some("user_hangup"), NoAnswer, false),
            (Some("not_connected"), Some("manual_stopped"), Canceled, false),
            (Some("not_connected"), Some("error_asr"), Failed, false),
        ] {
            let expected = Outcome { status, connected };
            assert_eq!(outcome(call_status, reason), expected, "{call_status:?} {reason:?}");
        }
    }

    #[test]
    fn a_call_is_over_by_its_status_or_by_having_an_end() {
        for status in ["ended", "not_connected", "error"] {
            assert!(is_over(Some(status), false), "{status}");
        }
        assert!(!is_over(Some("ongoing"), true), "the status knows better");
        for status in [Some("registered"), Some("of_next_year"), None] {
            assert!(is_over(status, true) && !is_over(status, false), "{status:?}");
        }
        assert_eq!(running(Some("registered")), Some(CallStatus::Queued));
        assert_eq!(running(Some("ongoing")), Some(CallStatus::InProgress));
        assert_eq!(running(Some("of_next_year")), None);
    }
}
