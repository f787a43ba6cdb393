//! The words for a call that every room shares.

use crate::words::words;

words! {
    /// Who runs the phone call.
    Provider, "provider" { Vapi = "vapi", Retell = "retell", Twilio = "twilio" }
}

words! {
    /// Where a call stands. The last five are final.
    CallStatus, "call status" {
        Queued = "queued",
        Ringing = "ringing",
        InProgress = "in-progress",
        Completed = "completed",
        Failed = "failed",
        NoAnswer = "no-answer",
        Busy = "busy",
        Canceled = "canceled",
    }
}

impl CallStatus {
    /// Whether the call is over.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::NoAnswer | Self::Busy | Self::Canceled
        )
    }
}

words! {
    /// Who started the call.
    Direction, "direction" { Inbound = "inbound", Outbound = "outbound", Web = "web" }
}

words! {
    /// How a stored event reached the inbox.
    Origin, "origin" { Webhook = "webhook", Spool = "spool", Sweep = "sweep", Replay = "replay" }
}

words! {
    /// What an event says of the life of its call; decides what the dispatcher does with it.
    EventKind, "event kind" {
        /// Queued, ringing or in progress: opens or moves the call, starts no workflow.
        Progress = "progress",
        /// The call is over and the report with everything about it is still to come.
        Ended = "ended",
        /// Everything the provider will say of the call, or a late part of it.
        Report = "report",
        /// What became of a text message; says nothing of a call.
        Message = "message",
        /// Stored because the organization keeps all events; changes nothing.
        Other = "other",
    }
}

impl EventKind {
    /// Whether the event tells of a call's life and so belongs to its fold.
    pub const fn is_of_call(self) -> bool {
        matches!(self, Self::Progress | Self::Ended | Self::Report)
    }

    /// Whether the event ends the call and so starts its workflow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Report)
    }
}

/// Minutes billed for a call: every started minute counts, an unanswered call counts none.
///
/// `seconds` is the whole duration of the call in seconds, rounded up.
///
/// ```
/// use contract::call::billed_minutes;
/// assert_eq!([0, 1, 60, 61].map(billed_minutes), [0, 1, 1, 2]);
/// ```
pub const fn billed_minutes(seconds: u32) -> u32 {
    seconds.div_ceil(60)
}
