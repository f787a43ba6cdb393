//! What comes of a change that may not go together with what is there.

/// What came of a change.
#[derive(Debug, Clone)]
pub enum Written<T> {
    /// The row as it is now.
    Done(T),
    /// There is no such row, or no more.
    Unknown,
    /// Somebody changed it since: it has another version than was expected.
    Stale,
    /// Another row has what only one may have.
    Taken,
    /// The organization has no such assistant.
    UnknownAssistant,
}

impl<T> Written<T> {
    /// What was refused, for a result of another kind.
    pub(crate) fn refused<U>(self) -> Written<U> {
        match self {
            Self::Done(_) | Self::Unknown => Written::Unknown,
            Self::Stale => Written::Stale,
            Self::Taken => Written::Taken,
            Self::UnknownAssistant => Written::UnknownAssistant,
        }
    }
}

/// Whether a statement failed because another row has what only one may have.
pub(crate) fn is_taken<T>(done: &Result<T, sqlx::Error>, index: &str) -> bool {
    matches!(done, Err(sqlx::Error::Database(error)) if error.constraint() == Some(index))
}
