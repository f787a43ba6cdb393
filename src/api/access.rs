//! What requests are judged by: keys, sessions and memberships that were found lately, counts, limits.
//!
//! What is believed here is forgotten at once when it changes, in every process: a trigger in the
//! database tells of each change as it is committed. Where nobody listens for a while, what is believed
//! ends by itself after five seconds.

mod believed;
mod counts;
mod sessions;

use std::{sync::Arc, time::Duration};

use contract::ids::OrganizationId;
use providers::supabase::tokens::Tokens;
use store::{
    Database, StoreError,
    counters::Counters,
    idempotency,
    keys::{self, ApiKey},
    memberships::{self, Membership},
    sealing::Sealer,
    signals::{AccessChange, AccessChanges},
};
use tokio::{task::JoinHandle, time::interval};
use uuid::Uuid;

use self::{believed::Believed, counts::Counts, sessions::Sessions};
use super::rate_limits::{LimitSettings, Limits};

pub(super) use self::sessions::Token;

/// How long a key or a membership is believed where nothing is heard of changes.
const BELIEVED: Duration = Duration::from_secs(5);
/// Between two writes of counts: what a crash loses.
const BETWEEN_WRITES: Duration = Duration::from_secs(1);
/// Between two looks for what aged out.
const BETWEEN_CLEANINGS: Duration = Duration::from_secs(60);

type Hash = [u8; 32];

/// What requests are judged by. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    keys: Believed<Hash, ApiKey>,
    members: Believed<Uuid, Vec<Membership>>,
    sessions: Sessions,
    counts: Counts,
    limits: Limits,
}

/// What it is made of.
#[derive(Debug)]
pub struct AccessSetup {
    /// Rows, as role [`store::Role::Api`].
    pub db: Database,
    /// Sessions and limits of all processes.
    pub redis: Counters,
    /// Seals sessions.
    pub sealer: Sealer,
    /// What tokens of users are verified by; none where nobody comes with one.
    pub tokens: Option<Tokens>,
    /// How much is too much.
    pub limits: LimitSettings,
}

impl Access {
    /// Nothing is believed yet.
    pub fn new(setup: AccessSetup) -> Self {
        let AccessSetup { db, redis, sealer, tokens, limits } = setup;
        Self {
            inner: Arc::new(Inner {
                db,
                keys: Believed::new(BELIEVED),
                members: Believed::new(BELIEVED),
                sessions: Sessions::new(redis.clone(), sealer, tokens),
                counts: Counts::default(),
                limits: Limits::new(redis, limits),
            }),
        }
    }

    /// Begins to listen for changes, to write counts and to clean up; ends when the tasks are dropped.
    /// Needs a runtime.
    #[must_use]
    pub fn start(&self, mut changes: AccessChanges) -> Tasks {
        // The first requests need not wait for a connection.
        let redis = self.inner.limits.redis();
        tokio::spawn(async move { redis.ping().await });
        let listening = self.clone();
        let listening = tokio::spawn(async move {
            loop {
                let change = changes.next().await;
                listening.forget(change);
            }
        });
        let counting = self.clone();
        let counting = tokio::spawn(async move {
            let mut ticks = interval(BETWEEN_WRITES);
            loop {
                ticks.tick().await;
                if let Err(error) = counting.write_counts().await {
                    tracing::warn!(%error, "requests of keys could not be counted for now");
                }
            }
        });
        let cleaning = self.inner.db.clone();
        let cleaning = tokio::spawn(async move {
            let mut ticks = interval(BETWEEN_CLEANINGS);
            loop {
                ticks.tick().await;
                clean(&cleaning).await;
            }
        });
        Tasks([listening, counting, cleaning])
    }

    /// Writes what was counted and is not written yet.
    ///
    /// # Errors
    /// When the database fails; then it stays counted.
    pub async fn write_counts(&self) -> Result<(), StoreError> {
        self.inner.counts.write(&self.inner.db).await
    }

    /// The key with this hash.
    pub(super) async fn key(&self, hash: Hash) -> Result<Option<Arc<ApiKey>>, StoreError> {
        let Inner { db, keys, .. } = &*self.inner;
        keys.get_or(hash, || keys::find(db, hash)).await
    }

    /// The memberships of a user.
    pub(super) async fn memberships(&self, user: Uuid) -> Result<Arc<Vec<Membership>>, StoreError> {
        let Inner { db, members, .. } = &*self.inner;
        let find = || async { memberships::of_user(db, user).await.map(Some) };
        let found: Result<_, StoreError> = members.get_or(user, find).await;
        Ok(found?.unwrap_or_default())
    }

    /// Who signed in with a token.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// Counts a request; false where the key's quota is used up.
    pub(super) fn count(&self, key: &ApiKey) -> bool {
        // As it was when it was found, in case that was forgotten here meanwhile.
        self.inner.counts.learn(key.id, key.usage_count);
        self.inner.counts.take(key.id, key.usage_quota)
    }

    /// How much is too much.
    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Something of who may ask for an organization was changed and committed by this process, which need not
    /// wait until it hears of it.
    pub(super) fn changed(&self, organization: OrganizationId) {
        self.forget(AccessChange::Organization(organization));
    }

    fn forget(&self, change: AccessChange) {
        let Inner { keys, members, .. } = &*self.inner;
        match change {
            AccessChange::Key(id) => keys.forget(|_, key| key.id == id),
            AccessChange::User(id) => members.forget(|user, _| *user == id),
            AccessChange::Organization(id) => {
                keys.forget(|_, key| key.organization_id == id);
                members.forget(|_, of| of.iter().any(|one| one.organization == id));
            }
            AccessChange::Anything => {
                keys.forget(|_, _| true);
                members.forget(|_, _| true);
            }
        }
    }
}

/// What goes on beside requests. Dropped, it ends.
#[derive(Debug)]
pub struct Tasks([JoinHandle<()>; 3]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn clean(db: &Database) {
    loop {
        match idempotency::forget_aged(db).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "what aged out could not be removed for now");
                return;
            }
        }
    }
}
