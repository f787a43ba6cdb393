//! Requests that are done once only: the effect and the answer are written in one transaction.
//!
//! [`Once::database`] gives a database whose transactions of the organization are parts of one: what
//! begins there first takes the lock of the request's key and looks whether it was done before; what
//! commits there is held back until [`Once::finish`] has written the answer; what is dropped there is
//! undone alone. So no store function knows of this, and a request that fails, or a process that dies,
//! leaves neither effect nor answer.

mod aged;
mod row;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, Transaction};

use crate::{
    Database, StoreError,
    database::Tx,
    error::{During, Problem},
    sealing::Sealer,
};

pub use aged::forget_aged;

/// A request that is to be done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose rows it changes.
    pub organization: OrganizationId,
    /// Who asks: nobody else gets the answer.
    pub caller: String,
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub hash: [u8; 32],
}

/// What was answered. Sealed at rest: a new key or secret may be in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers that belong to the answer itself, as its media type.
    pub headers: Vec<(String, String)>,
    /// The body, a text.
    pub body: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why a request is not done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was done before; this was answered.
    Done(Answer),
    /// Its key was used for another request.
    OtherRequest,
    /// The same key is at work at this moment.
    UnderWay,
}

/// A request that is done once only.
#[derive(Clone)]
pub struct Once(Arc<Inner>);

struct Inner {
    request: Request,
    sealer: Sealer,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Between two parts of the request.
    held: Option<Held>,
    found: Option<Found>,
}

struct Held {
    whole: Transaction<'static, Postgres>,
    /// Whether its last part was committed.
    stays: bool,
}

impl Held {
    async fn resumed(mut self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        if !self.stays {
            sqlx::raw_sql("rollback to savepoint part").execute(&mut *self.whole).await?;
        }
        Ok(self.whole)
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.0.request.key).finish()
    }
}

impl Once {
    /// Nothing happens yet.
    pub fn new(request: Request, sealer: Sealer) -> Self {
        Self(Arc::new(Inner { request, sealer, state: Mutex::default() }))
    }

    /// `db` for the time of this request. Its first transaction of the organization fails where the
    /// request must not be done; [`Self::found`] then says why.
    pub fn database(&self, db: &Database) -> Database {
        db.with_once(self.clone())
    }

    /// Why it is not done; none while nothing speaks against it.
    pub fn found(&self) -> Option<Found> {
        self.state(|state| state.found.clone())
    }

    /// Writes the answer and commits all that the request did. False where it did not look at the
    /// database of [`Self::database`].
    ///
    /// # Errors
    /// When the database fails. Then nothing was done, or it is not known whether: the same request
    /// again finds out.
    pub async fn finish(&self, answer: &Answer) -> Result<bool, StoreError> {
        const OPERATION: &str = "idempotency.finish";
        let Some(held) = self.state(|state| state.held.take()) else { return Ok(false) };
        let mut tx = Tx::new(held.resumed().await.during(OPERATION)?);
        row::insert(&mut tx, &self.0.sealer, &self.0.request, answer).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(true)
    }

    /// Undoes all that the request did, so that it may come again at once.
    pub async fn abandon(&self) {
        if let Some(held) = self.state(|state| state.held.take()) {
            drop(held.whole.rollback().await);
        }
    }

    /// Goes on with the transaction that is held back, else begins one and looks whether the request was
    /// done before.
    pub(crate) async fn enter(
        &self,
        organization: OrganizationId,
        begin: impl Future<Output = Result<Tx, StoreError>>,
    ) -> Result<Tx, StoreError> {
        const OPERATION: &str = "idempotency.enter";
        if organization != self.0.request.organization {
            let rule = "a request that is done once stays in its organization".to_owned();
            return Err(StoreError::new(OPERATION, Problem::Invalid(rule)));
        }
        let mut whole = match self.state(|state| state.held.take()) {
            Some(held) => held.resumed().await.during(OPERATION)?,
            None => {
                let mut tx = begin.await?;
                let found = row::look(&mut tx, &self.0.sealer, &self.0.request).await?;
                if found.is_some() {
                    // Not dropped, which would keep the lock for a moment longer than the answer takes.
                    tx.rollback().await.during(OPERATION)?;
                    self.state(|state| state.found = found);
                    return Err(StoreError::new(OPERATION, Problem::NotNow));
                }
                tx.into_inner().ok_or_else(|| StoreError::new(OPERATION, Problem::NotNow))?
            }
        };
        sqlx::raw_sql("savepoint part").execute(&mut *whole).await.during(OPERATION)?;
        Ok(Tx::part(whole, self.clone()))
    }

    /// Takes the transaction back from a part of it, which is to stay or to be undone.
    pub(crate) fn hold(&self, whole: Transaction<'static, Postgres>, stays: bool) {
        self.state(|state| state.held = Some(Held { whole, stays }));
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
