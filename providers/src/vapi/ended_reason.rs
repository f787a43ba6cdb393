//! Vapi's `endedReason`: 597 words in `@vapi-ai/server-sdk` 2.0.1, read by rule because it grows.

use contract::call::CallStatus;

/// SIP answers of the far end that mean nobody was reached, after `…outbound-sip-`.
const UNREACHED_SIP: [&str; 5] = ["403-", "407-", "408-", "480-", "503-"];

/// Beginnings of reasons that are failures, most of them without saying "error".
const FAILED_PREFIXES: [&str; 9] = [
    "assistant-request-",
    "assistant-not-",
    "assistant-join-timed-out",
    "phone-call-provider-",
    "pipeline-error-",
    "call.in-progress.error-",
    "call.start.error-",
    "call-start-error-",
    "call.ringing.error-",
];

/// The final status that a reason stands for. The first row that fits decides.
///
/// | reason | status |
/// |---|---|
/// | `customer-busy`, `call.forwarding.operator-busy` | busy |
/// | `customer-did-not-answer`, `voicemail`, `call.forwarding.no-answer` | no-answer |
/// | `twilio-reported-customer-misdialed`, `vonage-rejected` | no-answer |
/// | `twilio-failed-to-connect-call`, `vonage-failed-to-connect-call` | no-answer |
/// | `call.in-progress.error-providerfault-outbound-sip-{403,407,408,480,503}-…` | no-answer |
/// | `manually-canceled`, `scheduled-call-deleted`, `call-deleted`, `worker-shutdown` | canceled |
/// | `pipeline-error-…`, `call.in-progress.error-…`, `call.ringing.error-…` | failed |
/// | `call.start.error-…`, `call-start-error-…` | failed |
/// | `assistant-request-…`, `assistant-not-…`, `assistant-join-timed-out` | failed |
/// | `phone-call-provider-…` | failed |
/// | anything else with "error" in it, as `call.start.assistant-version-error-validation` | failed |
/// | anything else: who hung up, a limit that was reached, a word never seen before | completed |
pub fn classify_ended_reason(reason: &str) -> CallStatus {
    match reason {
        "customer-busy" | "call.forwarding.operator-busy" => CallStatus::Busy,
        "customer-did-not-answer"
        | "voicemail"
        | "call.forwarding.no-answer"
        | "twilio-reported-customer-misdialed"
        | "vonage-rejected"
        | "twilio-failed-to-connect-call"
        | "vonage-failed-to-connect-call" => CallStatus::NoAnswer,
        "manually-canceled" | "scheduled-call-deleted" | "call-deleted" | "worker-shutdown" => {
            CallStatus::Canceled
        }
        _ if unreached_by_sip(reason) => CallStatus::NoAnswer,
        _ if FAILED_PREFIXES.iter().any(|prefix| reason.starts_with(prefix)) => CallStatus::Failed,
        _ if reason.contains("error") => CallStatus::Failed,
        _ => CallStatus::Completed,
    }
}

fn unreached_by_sip(reason: &str) -> bool {
    reason
        .strip_prefix("call.in-progress.error-providerfault-outbound-sip-")
        .is_some_and(|answer| UNREACHED_SIP.iter().any(|code| answer.starts_with(code)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KNOWN: &str = include_str!("../../../tests/fixtures/vapi/ended_reasons_597.txt");

    fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.lines().filter(|line| !line.is_empty())
    }

    fn of(status: CallStatus) -> Vec<&'static str> {
        let mut reasons: Vec<&str> =
            known().filter(|reason| classify_ended_reason(reason) == status).collect();
        reasons.sort_unstable();
        reasons
    }

    #[test]
    fn every_known_reason_has_its_status() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in known() {
            *counts.entry(classify_ended_reason(reason).as_str()).or_default() += 1;
        }
        let expected =
            [("busy", 2), ("canceled", 4), ("completed", 21), ("failed", 558), ("no-answer", 12)];
        assert_eq!(counts, BTreeMap::from(expected));
        assert_eq!(counts.values().sum::<usize>(), 597);
    }

    #[test]
    fn whoever_is_not_failed_is_known_by_name() {
        let sip =
            |answer: &str| format!("call.in-progress.error-providerfault-outbound-sip-{answer}");
        let sips = [
            sip("403-forbidden"),
            sip("407-proxy-authentication-required"),
            sip("408-request-timeout"),
            sip("480-temporarily-unavailable"),
            sip("503-service-unavailable"),
        ];
        let mut unreached = vec!["call.forwarding.no-answer"];
        unreached.extend(sips.iter().map(String::as_str));
        unreached.extend([
            "customer-did-not-answer",
            "twilio-failed-to-connect-call",
            "twilio-reported-customer-misdialed",
            "voicemail",
            "vonage-failed-to-connect-call",
            "vonage-rejected",
        ]);
        assert_eq!(of(CallStatus::NoAnswer), unreached);
        assert_eq!(of(CallStatus::Busy), ["call.forwarding.operator-busy", "customer-busy"]);
        let canceled =
            ["call-deleted", "manually-canceled", "scheduled-call-deleted", "worker-shutdown"];
        assert_eq!(of(CallStatus::Canceled), canceled);
        let completed = [
            "assistant-ended-call",
            "assistant-ended-call-after-message-spoken",
            "assistant-ended-call-with-hangup-task",
            "assistant-forwarded-call",
            "assistant-said-end-call-phrase",
            "call.ending.hook-executed-say",
            "call.ending.hook-executed-transfer",
            "call.in-progress.sip-completed-call",
            "call.in-progress.twilio-completed-call",
            "call.ringing.hook-executed-say",
            "call.ringing.hook-executed-transfer",
            "call.ringing.sip-inbound-caller-hungup-before-call-connect",
            "customer-did-not-give-microphone-permission",
            "customer-ended-call",
            "customer-ended-call-after-warm-transfer-attempt",
            "customer-ended-call-before-warm-transfer",
            "customer-ended-call-during-transfer",
            "exceeded-max-duration",
            "silence-timed-out",
            "vonage-completed",
            "vonage-disconnected",
        ];
        assert_eq!(of(CallStatus::Completed), completed);
    }

    #[test]
    fn a_word_inside_an_error_does_not_decide() {
        for (reason, status) in [
            ("pipeline-error-eleven-labs-system-busy-and-requested-upgrade", CallStatus::Failed),
            ("pipeline-error-microsoft-voice-request-canceled", CallStatus::Failed),
            ("pipeline-error-deepgram-returning-econnreset", CallStatus::Failed),
            ("pipeline-error-openai-503-server-overloaded-error", CallStatus::Failed),
            ("call.start.assistant-version-error-validation", CallStatus::Failed),
            ("call.in-progress.error-sip-outbound-call-failed-to-connect", CallStatus::Failed),
            ("call.in-progress.error-warm-transfer-assistant-cancelled", CallStatus::Failed),
            ("call.in-progress.error-assistant-did-not-receive-customer-audio", CallStatus::Failed),
            ("call.in-progress.error-providerfault-outbound-sip-486-busy", CallStatus::Failed),
            ("call.in-progress.error-vapifault-outbound-sip-403-forbidden", CallStatus::Failed),
            ("phone-call-provider-closed-websocket", CallStatus::Failed),
            ("assistant-request-returned-forwarding-phone-number", CallStatus::Failed),
            ("assistant-not-valid", CallStatus::Failed),
            ("assistant-join-timed-out", CallStatus::Failed),
            ("customer-busy-2", CallStatus::Completed),
            ("some-error-of-next-year", CallStatus::Failed),
            ("something-of-next-year", CallStatus::Completed),
            ("", CallStatus::Completed),
        ] {
            assert_eq!(classify_ended_reason(reason), status, "{reason}");
        }
    }
}
