//! Why a request got no whole answer, in words that a customer may read.

use std::{error::Error, fmt, io, iter};

use tokio_rustls::rustls;

type Source = Box<dyn Error + Send + Sync>;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The guard refuses the address, or the operator's proxy does.
    Blocked,
    /// The name has no address, or nobody could be asked.
    Dns,
    /// No connection, a broken one, or an answer that is not HTTP.
    Connect,
    /// There was a connection, but no trusted TLS on it.
    Tls,
    /// The time for the connection or for everything was up.
    Timeout,
    /// The head or the whole answer is larger than its bound.
    TooLarge,
}

impl Code {
    /// As it stands in the log of deliveries.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
        }
    }
}

/// A request that got no whole answer. Its text names no address and no URL.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    source: Source,
}

impl Failure {
    pub(crate) fn new(code: Code, source: impl Into<Source>) -> Self {
        Self { code, source: source.into() }
    }

    /// Judges by what lies under the error of a client or of a body.
    pub(crate) fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self { code: code_of(&error), source: error.into() }
    }

    pub(crate) const fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no whole answer: ")?;
        f.write_str(self.code.as_str())
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// An answer went on beyond the bound of its connection.
#[derive(Debug, thiserror::Error)]
#[error("more was sent than an answer may have")]
pub(super) struct Flood;

fn code_of(error: &(dyn Error + 'static)) -> Code {
    let mut chain = iter::successors(Some(error), |error| (*error).source());
    chain.find_map(code_of_one).unwrap_or(Code::Connect)
}

fn code_of_one(error: &(dyn Error + 'static)) -> Option<Code> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.code);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return error.is_parse_too_large().then_some(Code::TooLarge);
    }
    // An I/O error does not count what it wraps among its sources.
    let mut wrapped = error.downcast_ref::<io::Error>();
    while let Some(error) = wrapped {
        if error.kind() == io::ErrorKind::TimedOut {
            return Some(Code::Timeout);
        }
        let inner = error.get_ref()?;
        if inner.is::<Flood>() {
            return Some(Code::TooLarge);
        }
        // TLS 1.3 refuses a client after its handshake, in place of the answer.
        if inner.is::<rustls::Error>() {
            return Some(Code::Tls);
        }
        wrapped = inner.downcast_ref();
    }
    None
}
