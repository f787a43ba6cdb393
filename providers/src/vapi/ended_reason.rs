//! Vapi's `endedReason`: 597 words in `@vapi-ai/server-sdk` 2.0.1, read by rule because it grows.

use contract::call::CallStatus;

/// SIP answers of the far end that mean nobody was reached, after `…outbound-sip-`.
const UNREACHED_SIP: [&str; 5] = ["403-", "407-", "408-", "480-", "503-"];

/// Beginnings of reasons that are failures without saying "error".
const FAILED_PREFIXES: [&str; 4] =
    ["assistant-request-", "assistant-not-", "assistant-join-timed-out", "phone-call-provider-"];

/// The final status that a reason stands for.
///
/// A reason never seen before is a failure if it says "error", else an ordinary end.
pub fn classify_ended_reason(reason: &str) -> CallStatus {
    match reason {
        "customer-busy" | "call.forwarding.operator-busy" => CallStatus::Busy,
        "customer-did-not-answer"
        | "voicemail"
        | "twilio-reported-customer-misdialed"
        | "twilio-failed-to-connect-call"
        | "vonage-failed-to-connect-call"
        | "vonage-rejected"
        | "call.forwarding.no-answer" => CallStatus::NoAnswer,
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

    #[test]
    fn every_known_reason_has_its_status() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in KNOWN.lines().filter(|line| !line.is_empty()) {
            let status = classify_ended_reason(reason);
            assert!(status.is_final(), "{reason}");
            *counts.entry(status.as_str()).or_default() += 1;
        }
        let expected =
            [("busy", 2), ("canceled", 4), ("completed", 21), ("failed", 558), ("no-answer", 12)];
        assert_eq!(counts, BTreeMap::from(expected));
    }

    #[test]
    fn a_word_inside_an_error_does_not_decide() {
        for (reason, status) in [
            ("customer-ended-call-during-transfer", CallStatus::Completed),
            ("silence-timed-out", CallStatus::Completed),
            ("call.in-progress.twilio-completed-call", CallStatus::Completed),
            ("pipeline-error-eleven-labs-system-busy-and-requested-upgrade", CallStatus::Failed),
            ("pipeline-error-microsoft-voice-request-canceled", CallStatus::Failed),
            ("call.start.assistant-version-error-validation", CallStatus::Failed),
            ("assistant-join-timed-out", CallStatus::Failed),
            ("some-error-of-next-year", CallStatus::Failed),
            ("something-of-next-year", CallStatus::Completed),
            ("", CallStatus::Completed),
        ] {
            assert_eq!(classify_ended_reason(reason), status, "{reason}");
        }
    }
}
