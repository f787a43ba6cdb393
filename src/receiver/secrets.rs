//! Secrets of organizations in memory: a burst of webhooks asks Postgres once, and while Postgres is
//! down they are checked by what was known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contract::{call::Provider, ids::OrganizationId};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use secrecy::SecretString;
use store::{
    Database, StoreError,
    credentials::{self, Credentials},
    sealing::Sealer,
};

/// What was read is believed this long.
const FRESH: Duration = Duration::from_secs(5);
/// A request that does not fit what is known is checked again by what is read after it came: a
/// rotated secret works at once. Between two such questions lies this pause, in which requests
/// gather: forgeries cost an organization five queries a second at most.
const BETWEEN_DOUBTS: Duration = Duration::from_millis(200);
/// What is known is used when Postgres takes longer to tell it anew.
const PATIENCE: Duration = Duration::from_millis(50);
/// Longest wait for what is not known.
const LONG_PATIENCE: Duration = Duration::from_secs(3);
/// A connection may hang for longer than anyone waits.
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// Bounds the memory that requests with invented organizations can take.
const MAX_UNKNOWN: usize = 10_000;

type Key = (OrganizationId, Provider);
type Found = Result<Entry, Arc<StoreError>>;
type Asking = Shared<BoxFuture<'static, Found>>;

/// Secrets for organizations that have none of their own for a provider.
#[derive(Debug, Clone, Default)]
pub struct Fallbacks {
    /// `VAPI_WEBHOOK_SECRET`.
    pub vapi: Option<SecretString>,
    /// `RETELL_API_KEY`.
    pub retell: Option<SecretString>,
    /// `TWILIO_AUTH_TOKEN`.
    pub twilio: Option<SecretString>,
}

impl Fallbacks {
    fn of(&self, provider: Provider) -> Option<&SecretString> {
        match provider {
            Provider::Vapi => self.vapi.as_ref(),
            Provider::Retell => self.retell.as_ref(),
            Provider::Twilio => self.twilio.as_ref(),
        }
    }
}

/// Secrets cannot be read, and are not known from before.
#[derive(Debug, Clone, thiserror::Error)]
#[error("secrets cannot be read: {why}")]
pub(super) struct Unknown {
    why: String,
    /// Whether they are there and do not open.
    is_sealed: bool,
}

/// Looks secrets up.
#[derive(Clone)]
pub(super) struct Secrets {
    source: Arc<Source>,
    memory: Arc<Mutex<Memory>>,
}

struct Source {
    db: Database,
    sealer: Sealer,
    fallbacks: Fallbacks,
}

#[derive(Default)]
struct Memory {
    known: HashMap<Key, Entry>,
    asking: HashMap<Key, Asking>,
}

#[derive(Clone)]
struct Entry {
    /// Since when it is believed.
    since: Instant,
    /// When Postgres was asked: what was committed before is in it.
    asked_at: Instant,
    credentials: Option<Arc<Credentials>>,
}

impl Secrets {
    pub(super) fn new(db: Database, sealer: Sealer, fallbacks: Fallbacks) -> Self {
        let source = Arc::new(Source { db, sealer, fallbacks });
        Self { source, memory: Arc::default() }
    }

    /// The installation's own secrets.
    pub(super) fn fallbacks(&self) -> &Fallbacks {
        &self.source.fallbacks
    }

    /// The secrets that an organization's provider may sign with; none where either is unknown.
    pub(super) async fn get(
        &self,
        organization: OrganizationId,
        provider: Provider,
    ) -> Result<Option<Arc<Credentials>>, Unknown> {
        let key = (organization, provider);
        let known = self.lock().known.get(&key).cloned();
        match known {
            Some(entry) if entry.since.elapsed() < FRESH => return Ok(entry.credentials),
            _ => {}
        }
        let before = known.filter(|entry| entry.credentials.is_some());
        let patience = if before.is_some() { PATIENCE } else { LONG_PATIENCE };
        match (self.read(key, patience).await, before) {
            (Ok(entry), _) => Ok(entry.credentials),
            (Err(unknown), Some(before)) if !unknown.is_sealed => {
                // Not asked again for a while, or each request would wait.
                if let Some(entry) = self.lock().known.get_mut(&key) {
                    entry.since = Instant::now();
                }
                Ok(before.credentials)
            }
            (Err(unknown), _) => Err(unknown),
        }
    }

    /// The same, as it was when a request came or later; for one that did not fit [`Self::get`]'s.
    pub(super) async fn get_anew(
        &self,
        organization: OrganizationId,
        provider: Provider,
        came_at: Instant,
    ) -> Result<Option<Arc<Credentials>>, Unknown> {
        let key = (organization, provider);
        loop {
            let known = self.lock().known.get(&key).cloned();
            let entry = match known {
                Some(entry) if entry.asked_at < came_at => {
                    let pause = BETWEEN_DOUBTS.saturating_sub(entry.asked_at.elapsed());
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                        // Somebody may have asked meanwhile.
                        continue;
                    }
                    self.read(key, LONG_PATIENCE).await?
                }
                Some(entry) => entry,
                None => self.read(key, LONG_PATIENCE).await?,
            };
            // A question that was under way already may have missed the change.
            if entry.asked_at >= came_at {
                return Ok(entry.credentials);
            }
        }
    }

    async fn read(&self, key: Key, patience: Duration) -> Result<Entry, Unknown> {
        match tokio::time::timeout(patience, self.ask(key)).await {
            Ok(Ok(entry)) => Ok(entry),
            Ok(Err(error)) => {
                Err(Unknown { why: error.operation_failed(), is_sealed: is_sealed(&error) })
            }
            Err(_) => Err(Unknown { why: "no answer in time".to_owned(), is_sealed: false }),
        }
    }

    /// Asks Postgres, once for all who ask at the same time. Goes on when they stop waiting.
    fn ask(&self, key: Key) -> Asking {
        let mut memory = self.lock();
        if let Some(asking) = memory.asking.get(&key) {
            return asking.clone();
        }
        let this = self.clone();
        let (told, telling) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let asked_at = Instant::now();
            let found = this.source.read(key).await.map_err(Arc::new).map(|credentials| Entry {
                since: Instant::now(),
                asked_at,
                credentials,
            });
            match &found {
                Ok(entry) => this.remember(key, entry.clone()),
                Err(error) if is_sealed(error) => drop(this.lock().known.remove(&key)),
                Err(_) => {}
            }
            this.lock().asking.remove(&key);
            drop(told.send(found));
        });
        let asking: Asking = async move {
            telling.await.unwrap_or_else(|_| Err(Arc::new(failed("the question was lost"))))
        }
        .boxed()
        .shared();
        memory.asking.insert(key, asking.clone());
        asking
    }

    fn remember(&self, key: Key, entry: Entry) {
        let mut memory = self.lock();
        if entry.credentials.is_none() && memory.known.len() >= MAX_UNKNOWN {
            memory.known.retain(|_, entry| entry.credentials.is_some());
        }
        memory.known.insert(key, entry);
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Ends in any case: a question that hangs must not be the last one.
    async fn read(&self, key: Key) -> Result<Option<Arc<Credentials>>, StoreError> {
        let read = tokio::time::timeout(READ_TIMEOUT, self.read_patiently(key)).await;
        read.unwrap_or_else(|_| Err(failed("no answer in time")))
    }

    async fn read_patiently(&self, key: Key) -> Result<Option<Arc<Credentials>>, StoreError> {
        let (organization, provider) = key;
        let own = credentials::get(&self.db, &self.sealer, organization, provider).await?;
        let found = match (own, self.fallbacks.of(provider)) {
            (None, Some(secret)) => credentials::fallback(&self.db, organization, secret).await?,
            (own, _) => own,
        };
        Ok(found.map(Arc::new))
    }
}

/// Whether secrets are there and do not open: somebody changed them, and memory must not help.
fn is_sealed(error: &StoreError) -> bool {
    matches!(error.problem(), store::error::Problem::Sealed(_))
}

fn failed(why: &str) -> StoreError {
    StoreError::new("credentials.get", store::error::Problem::Invalid(why.to_owned()))
}
