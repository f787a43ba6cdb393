//! What can go wrong.

use std::time::Duration;

use crate::problem::{Problem, ProblemKind};

/// Characters of an answer that is no problem, as an error keeps them.
const EXCERPT: usize = 500;

/// Why there is no answer. `operation` is method and route, as `GET /v1/calls/{id}`, without any
/// value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API refused it, and says why.
    #[error("{operation}: {problem}")]
    Problem {
        /// What was asked for.
        operation: &'static str,
        /// Why not.
        problem: Box<Problem>,
    },
    /// Something refused it that does not speak as the API does: a proxy, or another server.
    #[error("{operation}: HTTP status {status} without a problem that says why: {excerpt:?}")]
    Status {
        /// What was asked for.
        operation: &'static str,
        /// HTTP status.
        status: u16,
        /// How the answer begins.
        excerpt: String,
        /// The header `Retry-After`: how long to wait before another try.
        retry_after: Option<Duration>,
    },
    /// There was no answer, or it broke off: no connection, or too late.
    #[error("{operation}: no whole answer came")]
    Transport {
        /// What was asked for.
        operation: &'static str,
        /// Why not. Names no URL.
        source: reqwest::Error,
    },
    /// The answer is not of the documented form.
    #[error("{operation}: the answer is not of the documented form")]
    Decode {
        /// What was asked for.
        operation: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The answer is larger than this client takes.
    #[error("{operation}: the answer has more than {limit} bytes where it must not")]
    TooLarge {
        /// What was asked for.
        operation: &'static str,
        /// How many bytes it may have.
        limit: usize,
    },
    /// The client cannot be made, or the request cannot be sent, as it was asked for.
    #[error("{what} {detail}")]
    Invalid {
        /// Which setting or argument.
        what: &'static str,
        /// What is wrong with it. Quotes no secret.
        detail: String,
    },
}

impl Error {
    /// The problem, where the API refused the request.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// What kind of problem it is, where the API refused the request.
    pub fn kind(&self) -> Option<&ProblemKind> {
        self.problem().map(|problem| &problem.kind)
    }

    /// HTTP status, where there was an answer that refused the request.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { problem, .. } => Some(problem.status),
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server asks to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { problem, .. } => problem.retry_after,
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may succeed later: 429, 503 and what proxies say in their place, a
    /// POST whose `Idempotency-Key` is under way, and connections that break.
    pub fn can_retry(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_builder(),
            _ if self.kind() == Some(&ProblemKind::IdempotencyUnderWay) => true,
            _ => self.status().is_some_and(|status| matches!(status, 429 | 502 | 503 | 504)),
        }
    }

    /// A URL may name what somebody searched for.
    pub(crate) fn transport(operation: &'static str, source: reqwest::Error) -> Self {
        Self::Transport { operation, source: source.without_url() }
    }

    /// What an answer says that is no success.
    pub(crate) fn refused(
        operation: &'static str,
        status: u16,
        body: &[u8],
        retry_after: Option<Duration>,
    ) -> Self {
        match Problem::read(status, body, retry_after) {
            Some(problem) => Self::Problem { operation, problem: Box::new(problem) },
            None => {
                let excerpt = String::from_utf8_lossy(body).chars().take(EXCERPT).collect();
                Self::Status { operation, status, excerpt, retry_after }
            }
        }
    }

    pub(crate) fn invalid(what: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { what, detail: detail.into() }
    }
}
