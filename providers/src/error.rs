//! Why a request to a provider did not do its work, and whether trying again can help.

use std::{error::Error, fmt, time::Duration};

use contract::failure;

type Source = Box<dyn Error + Send + Sync>;

/// A failed request to a provider. Its text names the provider, the operation and a code, never an
/// address, a number or a key: it goes to logs and histories.
#[derive(Debug)]
pub struct ProviderError {
    /// Which provider, as in `twilio`.
    pub provider: &'static str,
    /// Which operation, as in `send_sms`.
    pub operation: &'static str,
    /// What happened, as far as the next step depends on it.
    pub kind: ErrorKind,
    source: Option<Source>,
}

/// What is known of the request's effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// Refused for good; the same request will be refused again.
    Rejected {
        /// The provider's own code or error name, else `http-<status>`.
        code: String,
    },
    /// Certainly not done; may be tried again.
    Unavailable {
        /// Status of the answer, if there was one.
        status: Option<u16>,
        /// How long the provider asks to wait, at most an hour.
        retry_after: Option<Duration>,
    },
    /// Sent, but the answer was lost or was a 5xx: it may have been done.
    Ambiguous {
        /// Status of the answer, if there was one.
        status: Option<u16>,
        /// Whether the same request has no second effect (idempotency key, or harmless).
        repeatable: bool,
    },
    /// Answered with success, but not with what the provider promises.
    Malformed,
}

impl ProviderError {
    /// An error without a deeper cause.
    pub fn new(provider: &'static str, operation: &'static str, kind: ErrorKind) -> Self {
        Self { provider, operation, kind, source: None }
    }

    /// A permanent refusal with the provider's code.
    pub fn rejected(
        provider: &'static str,
        operation: &'static str,
        code: impl Into<String>,
    ) -> Self {
        Self::new(provider, operation, ErrorKind::Rejected { code: code.into() })
    }

    /// The same error with its cause, which must carry no address.
    pub(crate) fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same request may simply be made again.
    ///
    /// False for an ambiguous one that is not repeatable: look up first what became of it.
    pub fn can_retry(&self) -> bool {
        match self.kind {
            ErrorKind::Rejected { .. } => false,
            ErrorKind::Unavailable { .. } | ErrorKind::Malformed => true,
            ErrorKind::Ambiguous { repeatable, .. } => repeatable,
        }
    }

    /// How long the provider asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ErrorKind::Unavailable { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// The failure's type name, as `contract::failure` writes it.
    pub fn class(&self) -> &'static str {
        match self.kind {
            ErrorKind::Rejected { .. } => failure::REJECTED,
            ErrorKind::Ambiguous { repeatable: false, .. } => failure::UNKNOWN_OUTCOME,
            ErrorKind::Unavailable { .. }
            | ErrorKind::Malformed
            | ErrorKind::Ambiguous { repeatable: true, .. } => failure::UNAVAILABLE,
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}: ", self.provider, self.operation)?;
        match &self.kind {
            ErrorKind::Rejected { code } => write!(f, "rejected ({code})"),
            ErrorKind::Unavailable { status: Some(status), .. } => {
                write!(f, "unavailable (http {status})")
            }
            ErrorKind::Unavailable { status: None, .. } => f.write_str("unavailable"),
            ErrorKind::Ambiguous { status: Some(status), .. } => {
                write!(f, "unknown outcome (http {status})")
            }
            ErrorKind::Ambiguous { status: None, .. } => f.write_str("unknown outcome (no answer)"),
            ErrorKind::Malformed => f.write_str("malformed answer"),
        }
    }
}

impl Error for ProviderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> ProviderError {
        ProviderError::new("twilio", "send_sms", kind)
    }

    #[test]
    fn the_text_names_operation_and_code() {
        let rejected = ProviderError::rejected("twilio", "send_sms", "21610");
        assert_eq!(rejected.to_string(), "twilio.send_sms: rejected (21610)");
        let lost = error(ErrorKind::Ambiguous { status: None, repeatable: false });
        assert_eq!(lost.to_string(), "twilio.send_sms: unknown outcome (no answer)");
    }

    #[test]
    fn only_what_has_no_second_effect_is_repeated() {
        let ambiguous = |repeatable| error(ErrorKind::Ambiguous { status: Some(502), repeatable });
        let unavailable = error(ErrorKind::Unavailable { status: Some(429), retry_after: None });
        let cases = [
            (ProviderError::rejected("x", "y", "1"), false, failure::REJECTED),
            (unavailable, true, failure::UNAVAILABLE),
            (ambiguous(false), false, failure::UNKNOWN_OUTCOME),
            (ambiguous(true), true, failure::UNAVAILABLE),
            (error(ErrorKind::Malformed), true, failure::UNAVAILABLE),
        ];
        for (error, can_retry, class) in cases {
            assert_eq!((error.can_retry(), error.class()), (can_retry, class), "{error}");
        }
    }
}
