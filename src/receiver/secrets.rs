//! Secrets of organizations in memory: a burst of webhooks asks Postgres once, and while Postgres is
//! down they are checked by what was known.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use contract::{call::Provider, ids::OrganizationId};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use secrecy::SecretString;
use store::{
    Database, StoreError,
    credentials::{self, Credentials},
    sealing::Sealer,
};

/// What was read is believed this long.
const FRESH: Duration = Duration::from_secs(5);
/// A request that does not fit what is remembered is checked again by what is read now, so that a
/// rotated secret works at once. For each organization so many times in a row, then once a second:
/// forgeries must not become queries.
const REREADS_IN_A_ROW: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
const REREADS_A_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("not zero");
/// What is known is used when Postgres takes longer to tell it anew.
const PATIENCE: Duration = Duration::from_millis(50);
/// Longest wait for what is not known.
const LONG_PATIENCE: Duration = Duration::from_secs(3);
/// Bounds the memory that requests with invented organizations can take.
const MAX_UNKNOWN: usize = 10_000;

type Key = (OrganizationId, Provider);
type Found = Result<Option<Arc<Credentials>>, Arc<StoreError>>;
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
#[error("secrets cannot be read: {0}")]
pub(super) struct Unknown(String);

/// Looks secrets up.
#[derive(Clone)]
pub(super) struct Secrets {
    source: Arc<Source>,
    memory: Arc<Mutex<Memory>>,
    rereads: Arc<DefaultKeyedRateLimiter<OrganizationId>>,
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
    read_at: Instant,
    credentials: Option<Arc<Credentials>>,
}

impl Secrets {
    pub(super) fn new(db: Database, sealer: Sealer, fallbacks: Fallbacks) -> Self {
        let source = Arc::new(Source { db, sealer, fallbacks });
        let rereads = Quota::per_second(REREADS_A_SECOND).allow_burst(REREADS_IN_A_ROW);
        Self { source, memory: Arc::default(), rereads: Arc::new(RateLimiter::keyed(rereads)) }
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
        let before = match known {
            Some(entry) if entry.read_at.elapsed() < FRESH => return Ok(entry.credentials),
            known => known.and_then(|entry| entry.credentials),
        };
        let patience = if before.is_some() { PATIENCE } else { LONG_PATIENCE };
        let why = match tokio::time::timeout(patience, self.ask(key)).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => error.operation_failed(),
            Err(_) => "no answer in time".to_owned(),
        };
        // Not asked again for a while, or each request would wait.
        let before = before.ok_or(Unknown(why))?;
        self.remember(key, Some(before.clone()));
        Ok(Some(before))
    }

    /// The same, read now; for a request that did not fit [`Self::get`]'s. Nothing where that was
    /// done too often lately, or Postgres does not answer.
    pub(super) async fn get_anew(
        &self,
        organization: OrganizationId,
        provider: Provider,
    ) -> Option<Arc<Credentials>> {
        if self.rereads.len() > MAX_UNKNOWN {
            self.rereads.retain_recent();
        }
        self.rereads.check_key(&organization).ok()?;
        let key = (organization, provider);
        // Not the answer to an earlier question, which may be older than the rotation.
        let read = tokio::time::timeout(LONG_PATIENCE, self.source.read(key)).await;
        let found = read.ok()?.ok()?;
        self.remember(key, found.clone());
        found
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
            let found = this.source.read(key).await.map_err(Arc::new);
            if let Ok(credentials) = &found {
                this.remember(key, credentials.clone());
            }
            this.lock().asking.remove(&key);
            drop(told.send(found));
        });
        let asking: Asking = async move {
            let lost = || {
                let problem = store::error::Problem::Invalid("the question was lost".to_owned());
                Err(Arc::new(StoreError::new("credentials.get", problem)))
            };
            telling.await.unwrap_or_else(|_| lost())
        }
        .boxed()
        .shared();
        memory.asking.insert(key, asking.clone());
        asking
    }

    fn remember(&self, key: Key, credentials: Option<Arc<Credentials>>) {
        let mut memory = self.lock();
        if credentials.is_none() && memory.known.len() >= MAX_UNKNOWN {
            memory.known.retain(|_, entry| entry.credentials.is_some());
        }
        memory.known.insert(key, Entry { read_at: Instant::now(), credentials });
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    async fn read(&self, key: Key) -> Result<Option<Arc<Credentials>>, StoreError> {
        let (organization, provider) = key;
        let own = credentials::get(&self.db, &self.sealer, organization, provider).await?;
        let found = match (own, self.fallbacks.of(provider)) {
            (None, Some(secret)) => {
                credentials::fallback(&self.db, organization, secret).await?
            }
            (own, _) => own,
        };
        Ok(found.map(Arc::new))
    }
}
