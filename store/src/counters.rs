//! Redis: projections of what Postgres knows. Losing it loses nothing.

use std::time::Duration;

use contract::ids::OrganizationId;
use redis::{AsyncCommands, Script, aio::ConnectionManager, aio::ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::{
    StoreError,
    error::{During, Problem},
    usage::Total,
};

/// No step waits longer for a cache.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// TCP, TLS and log-in to a Redis on another continent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long `org:{id}:active_calls` lives without being written.
const ACTIVE_CALLS_TTL_SECONDS: u64 = 3600;

/// Sets total and sequence unless a newer one is there, so that no order of writers can lower it.
const PROJECT: &str = r"
local stored = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '-1')
if tonumber(ARGV[2]) > stored then
    redis.call('HSET', KEYS[1], 'minutes', ARGV[1], 'sequence', ARGV[2])
    return 1
end
return 0";

/// The Redis of all processes. Connects when first used, reconnects by itself.
#[derive(Clone)]
pub struct Counters {
    client: redis::Client,
    manager: std::sync::Arc<tokio::sync::OnceCell<ConnectionManager>>,
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

impl Counters {
    /// A client of the Redis at `url`.
    pub fn new(url: &SecretString) -> Result<Self, StoreError> {
        let client = redis::Client::open(url.expose_secret()).map_err(|_| {
            let rule = "REDIS_URL is not a redis:// URL".to_owned();
            StoreError::new("counters.new", Problem::Invalid(rule))
        })?;
        Ok(Self { client, manager: std::sync::Arc::default() })
    }

    async fn connection(&self) -> Result<ConnectionManager, redis::RedisError> {
        if let Some(manager) = self.manager.get() {
            return Ok(manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let (client, manager) = (self.client.clone(), self.manager.clone());
        // In a task of its own: a caller that waits no longer must not undo the connecting.
        let connecting = tokio::spawn(async move {
            let connect = || ConnectionManager::new_with_config(client, config);
            manager.get_or_try_init(connect).await.cloned()
        });
        connecting.await.unwrap_or_else(|_| {
            Err(redis::RedisError::from((redis::ErrorKind::Io, "the connecting task ended")))
        })
    }

    /// Sets an organization's usage if it is newer than what Redis has.
    pub async fn project(&self, total: &Total) -> Result<(), StoreError> {
        let period = total.period_start.format("%Y-%m-%d");
        let key = format!("org:{}:usage:{period}", total.organization_id);
        let write = async {
            let mut connection = self.connection().await?;
            Script::new(PROJECT)
                .key(key)
                .arg(total.total)
                .arg(total.sequence)
                .invoke_async::<i64>(&mut connection)
                .await
        };
        within(write).await.map(drop).during("counters.project")
    }

    /// Sets how many calls of an organization are in progress.
    pub async fn set_active(&self, id: OrganizationId, calls: i64) -> Result<(), StoreError> {
        let write = async {
            let mut connection = self.connection().await?;
            let key = format!("org:{id}:active_calls");
            connection.set_ex::<_, _, ()>(key, calls, ACTIVE_CALLS_TTL_SECONDS).await
        };
        within(write).await.during("counters.set_active")
    }

    /// Forgets an organization's cached list of recent calls.
    pub async fn forget_recent_calls(&self, id: OrganizationId) -> Result<(), StoreError> {
        let write = async {
            let mut connection = self.connection().await?;
            connection.del::<_, ()>(format!("org:{id}:calls:recent")).await
        };
        within(write).await.during("counters.forget_recent_calls")
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let ask = async {
            let mut connection = self.connection().await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await
        };
        within(ask).await.during("counters.ping")
    }
}

async fn within<T>(
    work: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, redis::RedisError> {
    timeout(ANSWER_TIMEOUT, work).await.unwrap_or_else(|_| {
        Err(redis::RedisError::from((
            redis::ErrorKind::Io,
            "no answer within the time for a cache",
        )))
    })
}
