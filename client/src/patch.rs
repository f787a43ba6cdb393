//! What a change does with a member that may be null.

use serde::{Serialize, Serializer};

/// Leave it, put back its default, or set it. `None` clears: `Patch::from(option)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The member is not sent: it stays as it is.
    #[default]
    Keep,
    /// Null is sent: nothing, or the default, as the member says.
    Clear,
    /// The new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether nothing is sent.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T> From<T> for Patch<T> {
    fn from(value: T) -> Self {
        Self::Set(value)
    }
}

impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    /// Fields that are kept are skipped before it comes to this.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}
