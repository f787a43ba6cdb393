//! A transaction of ours, which a request that is done once only may hold back.

use std::ops::{Deref, DerefMut};

use sqlx::{PgConnection, Postgres, Transaction};

use crate::idempotency::Once;

/// A transaction bound to one role, and to one organization or scope. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Tx {
    /// None only while it is dropped.
    inner: Option<Transaction<'static, Postgres>>,
    /// Holds the end back until the answer of the request is written, too.
    once: Option<Once>,
}

impl Tx {
    pub(crate) fn new(inner: Transaction<'static, Postgres>) -> Self {
        Self { inner: Some(inner), once: None }
    }

    /// A part of a longer transaction, which `once` ends.
    pub(crate) fn part(inner: Transaction<'static, Postgres>, once: Once) -> Self {
        Self { inner: Some(inner), once: Some(once) }
    }

    /// Ends it; a part ends with the whole.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        match (self.inner.take(), self.once.take()) {
            (Some(inner), None) => inner.commit().await,
            (Some(inner), Some(once)) => {
                once.hold(inner, true);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Undoes it.
    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        match (self.inner.take(), self.once.take()) {
            (Some(inner), None) => inner.rollback().await,
            (Some(inner), Some(once)) => {
                once.hold(inner, false);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// The transaction itself, of which nothing is held back any more.
    pub(crate) fn into_inner(mut self) -> Option<Transaction<'static, Postgres>> {
        self.once = None;
        self.inner.take()
    }
}

impl Drop for Tx {
    /// A part that was not committed is undone, and the whole goes on.
    fn drop(&mut self) {
        if let (Some(inner), Some(once)) = (self.inner.take(), self.once.take()) {
            once.hold(inner, false);
        }
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "only what is dropped has none")]
    fn deref(&self) -> &PgConnection {
        self.inner.as_ref().expect("a transaction that is not over")
    }
}

impl DerefMut for Tx {
    #[expect(clippy::expect_used, reason = "only what is dropped has none")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.inner.as_mut().expect("a transaction that is not over")
    }
}
