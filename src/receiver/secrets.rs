//! Secrets of organizations in memory, so that a burst of webhooks asks Postgres once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use contract::{call::Provider, ids::OrganizationId};
use secrecy::SecretString;
use store::{
    Database, StoreError,
    credentials::{self, Credentials},
    sealing::Sealer,
};

/// A rotated secret is known to every process after this time.
const FRESH: Duration = Duration::from_secs(5);
/// Bounds the memory that requests with invented organizations can take.
const MAX_REMEMBERED: usize = 10_000;

type Remembered = HashMap<(OrganizationId, Provider), (Instant, Option<Arc<Credentials>>)>;

/// Looks secrets up.
#[derive(Debug, Clone)]
pub struct Secrets {
    db: Database,
    sealer: Sealer,
    vapi_fallback: Option<SecretString>,
    remembered: Arc<Mutex<Remembered>>,
}

impl Secrets {
    pub(crate) fn new(db: Database, sealer: Sealer, vapi_fallback: Option<SecretString>) -> Self {
        Self { db, sealer, vapi_fallback, remembered: Arc::default() }
    }

    /// The secrets that an organization's provider may sign with; none where either is unknown.
    pub(crate) async fn get(
        &self,
        organization: OrganizationId,
        provider: Provider,
    ) -> Result<Option<Arc<Credentials>>, StoreError> {
        let key = (organization, provider);
        if let Some((read, known)) = self.lock().get(&key)
            && read.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        let found = credentials::get(&self.db, &self.sealer, organization, provider).await?;
        let found = match (found, provider, &self.vapi_fallback) {
            (None, Provider::Vapi, Some(secret)) => {
                credentials::fallback(&self.db, organization, secret).await?
            }
            (found, _, _) => found,
        };
        let found = found.map(Arc::new);
        let mut remembered = self.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, (Instant::now(), found.clone()));
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
