//! Redis: projections of what Postgres knows. Losing it loses nothing.

use std::time::Duration;

use contract::{ids::OrganizationId, names};
use redis::{AsyncCommands, Script, aio::ConnectionManager, aio::ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::{
    StoreError,
    cache::Key,
    error::{During, Problem},
    usage::{DayTotal, Projection, Total},
};

/// No step waits longer for a cache.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// TCP, TLS and log-in to a Redis on another continent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sets totals and sequence unless newer ones are there, so that no order of writers can lower them.
const PROJECT: &str = r"
local stored = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '-1')
if tonumber(ARGV[1]) > stored then
    redis.call('HSET', KEYS[1], 'sequence', ARGV[1], 'minutes', ARGV[2], 'seconds', ARGV[3],
        'cost_micros', ARGV[4])
    return 1
end
return 0";

/// Sets a day unless a later one, or newer totals of the same, are there.
const PROJECT_DAY: &str = r"
local stored = redis.call('GET', KEYS[1])
if stored and string.sub(stored, 1, string.len(ARGV[1])) == ARGV[1] then
    local read, day = pcall(cjson.decode, string.sub(stored, string.len(ARGV[1]) + 1))
    if read and type(day) == 'table' and (day.date > ARGV[2]
            or (day.date == ARGV[2] and day.sequence >= tonumber(ARGV[3]))) then
        return 0
    end
end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[4], 'EX', ARGV[5])
redis.call('DEL', KEYS[1] .. ':lease')
return 1";

/// What Redis has of an organization's period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Billed minutes.
    pub minutes: i64,
    /// Seconds.
    pub seconds: i64,
    /// Millionths of a US dollar.
    pub cost_micros: i64,
    /// Counts the changes of the three.
    pub sequence: i64,
}

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

    pub(crate) async fn connection(&self) -> Result<ConnectionManager, redis::RedisError> {
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

    /// Shows what there is of an organization, and has its last calls read anew.
    pub async fn show(&self, id: OrganizationId, new: &Projection) -> Result<(), StoreError> {
        let mut shown = self.project_day(id, &new.today).await;
        shown = shown.and(self.set_active(id, new.active).await);
        for total in &new.totals {
            shown = shown.and(self.project(total).await);
        }
        shown.and(self.forget_recent_calls(id).await)
    }

    /// Sets an organization's usage if it is newer than what Redis has.
    pub async fn project(&self, total: &Total) -> Result<(), StoreError> {
        let period = names::period_name(total.period_start);
        let write = async {
            let mut connection = self.connection().await?;
            Script::new(PROJECT)
                .key(usage_key(total.organization_id, &period))
                .arg(total.sequence)
                .arg(total.minutes)
                .arg(total.seconds)
                .arg(total.cost_micros)
                .invoke_async::<i64>(&mut connection)
                .await
        };
        within(write).await.map(drop).during("counters.project")
    }

    /// What Redis has of the period of this name (see [`names::period_name`]). Nothing where it has
    /// nothing, or not all of it.
    pub async fn stored(
        &self,
        organization: OrganizationId,
        period_name: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let read = async {
            let mut connection = self.connection().await?;
            let fields = ["minutes", "seconds", "cost_micros", "sequence"];
            let key = usage_key(organization, period_name);
            connection.hmget::<_, _, [Option<i64>; 4]>(key, &fields).await
        };
        let [minutes, seconds, cost_micros, sequence] =
            within(read).await.during("counters.stored")?;
        let whole = minutes.zip(seconds).zip(cost_micros.zip(sequence));
        Ok(whole.map(|((minutes, seconds), (cost_micros, sequence))| Stored {
            minutes,
            seconds,
            cost_micros,
            sequence,
        }))
    }

    /// Forgets an organization's usage of the period of this name, whatever it says.
    pub async fn forget_usage(
        &self,
        organization: OrganizationId,
        period_name: &str,
    ) -> Result<(), StoreError> {
        let write = async {
            let mut connection = self.connection().await?;
            connection.del::<_, ()>(usage_key(organization, period_name)).await
        };
        within(write).await.during("counters.forget_usage")
    }

    /// Sets what an organization's calls of a day come to if it is newer than what Redis has.
    async fn project_day(&self, id: OrganizationId, day: &DayTotal) -> Result<(), StoreError> {
        let key = Key::CallsToday(id);
        let json = serde_json::to_string(day).unwrap_or_default();
        let write = async {
            let mut connection = self.connection().await?;
            Script::new(PROJECT_DAY)
                .key(key.name())
                .arg(key.shape())
                .arg(day.date.to_string())
                .arg(day.sequence)
                .arg(json)
                .arg(key.seconds())
                .invoke_async::<i64>(&mut connection)
                .await
        };
        within(write).await.map(drop).during("counters.project_day")
    }

    /// Sets how many calls of an organization are in progress.
    pub async fn set_active(&self, id: OrganizationId, calls: i64) -> Result<(), StoreError> {
        let write = async {
            let mut connection = self.connection().await?;
            let key = Key::ActiveCalls(id);
            let mut both = redis::pipe();
            both.atomic().set_ex(key.name(), calls, key.seconds()).ignore();
            // What somebody read before this is not to be kept after it.
            both.del(format!("{}:lease", key.name())).ignore();
            both.query_async::<()>(&mut connection).await
        };
        within(write).await.during("counters.set_active")
    }

    /// Forgets an organization's cached list of recent calls.
    async fn forget_recent_calls(&self, id: OrganizationId) -> Result<(), StoreError> {
        let write = async {
            let mut connection = self.connection().await?;
            let key = Key::RecentCalls(id).name();
            connection.del::<_, ()>(&[format!("{key}:lease"), key]).await
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

fn usage_key(organization: OrganizationId, period_name: &str) -> String {
    format!("org:{organization}:usage:{period_name}")
}

async fn within<T>(
    work: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, redis::RedisError> {
    within_time(ANSWER_TIMEOUT, work).await
}

/// An error where the work is not done within `limit`.
pub(crate) async fn within_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, redis::RedisError> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        Err(redis::RedisError::from((
            redis::ErrorKind::Io,
            "no answer within the time for a cache",
        )))
    })
}
