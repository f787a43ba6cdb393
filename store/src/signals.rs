//! Wake-ups between processes by Postgres NOTIFY. Polling stands behind them: a lost one costs
//! time, never an event.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contract::ids::OrganizationId;
use futures::FutureExt;
use secrecy::SecretString;
use sqlx::{
    postgres::{PgListener, PgPoolOptions},
    query,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{Database, StoreError, database::connect_options, error::During};

/// What there may be news of.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    name: &'static str,
    /// NOTIFY takes a lock of the whole database at commit and wakes all who listen to anything, so it stays
    /// out of the transactions that people wait for, and each teller sends it at most this often.
    pause: Duration,
}

/// Something new lies in the inbox.
pub const INBOX: Channel = Channel { name: "postcall_inbox", pause: Duration::from_millis(5) };
/// Something new lies in `events`. Deliveries wait for it: with 5 ms, half of them arrive 2 ms later.
pub const EVENTS: Channel = Channel { name: "postcall_events", pause: Duration::from_millis(1) };

/// Somebody may do less or more than before; sent by triggers.
const ACCESS: &str = "postcall_access";

/// Polling goes on without a connection; one that hangs must not stop it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries to hear of changes again.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(500);

/// Tells other processes that there is something new, soon and only once for many.
#[derive(Debug, Clone)]
pub struct Teller {
    pending: Arc<Notify>,
}

impl Teller {
    /// A teller of `channel`. Its task ends with the last clone's owner's runtime.
    pub fn start(db: &Database, channel: Channel) -> Self {
        let pending = Arc::new(Notify::new());
        let (db, wait) = (db.clone(), pending.clone());
        tokio::spawn(async move {
            loop {
                wait.notified().await;
                let began = Instant::now();
                if let Err(error) = notify(&db, channel.name).await {
                    tracing::debug!(%error, channel = channel.name, "a wake-up was lost; polling stands in");
                }
                // Where it takes long, it is sent less often.
                tokio::time::sleep(channel.pause.max(began.elapsed())).await;
            }
        });
        Self { pending }
    }

    /// There is something new.
    pub fn tell(&self) {
        self.pending.notify_one();
    }
}

async fn notify(db: &Database, channel: &str) -> Result<(), StoreError> {
    query!("select pg_notify($1, '')", channel)
        .execute(db.pool())
        .await
        .map(drop)
        .during("signals.notify")
}

/// Waits for wake-ups of other processes.
#[derive(Debug)]
pub struct Listener {
    url: SecretString,
    channel: Channel,
    inner: Option<PgListener>,
    poll: Duration,
}

impl Listener {
    /// A listener of `channel` that also wakes every `poll`.
    pub fn new(url: &SecretString, channel: Channel, poll: Duration) -> Self {
        Self { url: url.clone(), channel, inner: None, poll }
    }

    /// Returns when there may be something new: told so, or the time to poll has come.
    pub async fn wait(&mut self) {
        if self.inner.is_none() {
            self.inner = tokio::time::timeout(CONNECT_TIMEOUT, self.connect())
                .await
                .ok()
                .and_then(Result::ok);
        }
        let Some(listener) = &mut self.inner else {
            tokio::time::sleep(self.poll).await;
            return;
        };
        let heard = tokio::time::timeout(self.poll, listener.try_recv()).await;
        if matches!(heard, Ok(Err(_) | Ok(None))) {
            // The connection is gone; the next wait makes a new one.
            self.inner = None;
            tokio::time::sleep(self.poll).await;
            return;
        }
        // What else was told meanwhile is the same news.
        while let Some(Ok(Some(_))) = listener.try_recv().now_or_never() {}
    }

    async fn connect(&self) -> Result<PgListener, StoreError> {
        connect(&self.url, self.channel.name).await
    }
}

async fn connect(url: &SecretString, channel: &str) -> Result<PgListener, StoreError> {
    const OPERATION: &str = "signals.listen";
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(3))
        .connect_lazy_with(connect_options(url)?);
    let mut listener = PgListener::connect_with(&pool).await.during(OPERATION)?;
    listener.listen(channel).await.during(OPERATION)?;
    Ok(listener)
}

/// What is to be forgotten of who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessChange {
    /// An API key was changed or revoked.
    Key(Uuid),
    /// A user joined or left an organization, or got another role there.
    User(Uuid),
    /// An organization was deleted, or brought back.
    Organization(OrganizationId),
    /// Nobody listened for a while: anything may have changed.
    Anything,
}

/// Hears what changed of who may do what, as it is committed.
#[derive(Debug)]
pub struct AccessChanges {
    url: SecretString,
    inner: Option<PgListener>,
}

impl AccessChanges {
    /// Connects when first asked.
    pub fn new(url: &SecretString) -> Self {
        Self { url: url.clone(), inner: None }
    }

    /// The next change. Goes on for ever: without a connection it tries to get one.
    pub async fn next(&mut self) -> AccessChange {
        loop {
            let Some(listener) = &mut self.inner else {
                let connecting = connect(&self.url, ACCESS);
                match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                    Ok(Ok(listener)) => {
                        self.inner = Some(listener);
                        return AccessChange::Anything;
                    }
                    Ok(Err(_)) | Err(_) => tokio::time::sleep(BETWEEN_CONNECTIONS).await,
                }
                continue;
            };
            match listener.try_recv().await {
                Ok(Some(heard)) => return read(heard.payload()),
                Ok(None) | Err(_) => self.inner = None,
            }
        }
    }
}

/// What no release of ours says may mean anything.
fn read(payload: &str) -> AccessChange {
    let parse = || {
        let (kind, id) = payload.split_once(':')?;
        let id = id.parse().ok()?;
        match kind {
            "key" => Some(AccessChange::Key(id)),
            "user" => Some(AccessChange::User(id)),
            "organization" => Some(AccessChange::Organization(OrganizationId(id))),
            _ => None,
        }
    };
    parse().unwrap_or(AccessChange::Anything)
}
