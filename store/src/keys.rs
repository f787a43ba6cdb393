//! API keys: made, shown, changed, rotated and revoked; known by their SHA-256 alone.
//!
//! A change stands in the audit log and is told to every process as its transaction commits, by a
//! trigger (`postcall_access`, see [`crate::signals::AccessChanges`]); so is one by hand.

mod change;
mod create;
mod find;
mod format;
mod key;
mod rotate;
mod scopes;
mod usage;

use sha2::{Digest, Sha256};

pub use change::{Changed, Changes, revoke, update};
pub use create::{Created, MAX_KEYS, NewKey, create};
pub use find::{ApiKey, find};
pub use format::{generate, is_well_formed};
pub use key::{Day, Key, days, get, page};
pub use rotate::{Rotation, rotate};
pub use scopes::{ALL, Scopes};
pub use usage::{Used, count};

/// What a key begins with, as lists show it: 10 characters say nothing of the other 39.
pub(crate) fn prefix(key: &str) -> String {
    key.chars().take(10).collect()
}

/// SHA-256 of a key, as the database keeps it.
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}
