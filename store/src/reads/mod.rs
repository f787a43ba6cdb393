//! What the API shows: reads only, one bounded page at a time, each list newest first.

pub mod billing;
mod call_rows;
pub mod calls;
pub mod dashboard;
pub mod inbox;
pub mod recordings;
pub mod results;
pub mod search;
pub mod timeline;
pub mod transcripts;
pub mod usage;
pub mod webhooks;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A place in a list that is ordered by time, then id, both descending. What follows lies before
/// it in time; the place itself is not part of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Time of the row, to the microsecond.
    pub at: DateTime<Utc>,
    /// Id of the row.
    pub id: Uuid,
}

impl Place {
    /// The place that every row before `at` follows.
    pub const fn before(at: DateTime<Utc>) -> Self {
        Self { at, id: Uuid::nil() }
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows, at most as many as asked for.
    pub items: Vec<T>,
    /// Whether more rows follow.
    pub more: bool,
}

impl<T> Page<T> {
    /// A page of `rows`, of which one more than `limit` was asked for.
    pub(crate) fn cut(mut rows: Vec<T>, limit: u16) -> Self {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        Self { items: rows, more }
    }
}

/// One row more than the page, which tells whether there is a next one.
pub(crate) fn one_more(limit: u16) -> i64 {
    i64::from(limit) + 1
}
