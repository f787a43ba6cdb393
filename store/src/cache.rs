//! What Redis keeps of rows, so that they are read less often. Losing it costs time and nothing else.
//!
//! A value carries the shape that it was written in, so that a process of another release takes it for a
//! miss. Whoever misses takes a lease and stores under it; a write forgets value and lease, so that what
//! was read before it is not stored after it. What cannot be forgotten just now is not read from here
//! until it is. One that Redis makes wait too long is not asked again for a moment.

mod flights;
mod key;
mod rows;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{AsyncCommands, RedisError, Script, aio::ConnectionManager};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;
use uuid::Uuid;

pub use self::{
    flights::Flights,
    key::Key,
    rows::{Row, Rows},
};
use crate::{
    breaker::Breaker,
    counters::{Counters, within_time},
};

/// A request waits no longer for Redis.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);
/// And after one that was not answered, for so long no other asks.
const PAUSE: Duration = Duration::from_millis(500);
/// That there is no such row is believed for so long. Seconds.
const NEGATIVE_TTL: u64 = 30;
/// Reading a row takes far less; after that its value is not stored. Milliseconds.
const LEASE: u64 = 10_000;
/// Between two tries to forget.
const FORGET_AGAIN: Duration = Duration::from_millis(100);

/// Stores a value where the lease is still the caller's.
const STORE: &str = r"
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1";

/// Takes leases for those of the values that are missing, and gives all: one round trip.
const READ: &str = r"
local values = redis.call('MGET', unpack(KEYS))
for place, key in ipairs(KEYS) do
    if not values[place] then
        redis.call('SET', key .. ':lease', ARGV[1], 'PX', ARGV[2])
    end
end
return values";

/// What Redis keeps of rows.
#[derive(Debug, Clone)]
pub struct Cache {
    redis: Counters,
    breaker: Arc<Breaker>,
    dirty: Arc<Mutex<Dirty>>,
    /// Writes of this process, counted.
    writes: Arc<AtomicU64>,
}

/// Names that were written, each with the number of the write.
type Written = BTreeMap<String, u64>;

/// Written, and not forgotten yet: not to be read.
#[derive(Debug, Default)]
struct Dirty {
    written: Written,
    /// Whether a task goes on forgetting.
    is_tended: bool,
}

impl Dirty {
    /// One that was written once more meanwhile is not clean yet: what was stored between may be older.
    fn clean(&mut self, forgotten: &Written) {
        self.written.retain(|name, write| forgotten.get(name) != Some(write));
    }

    /// What is left for the task that goes on forgetting, which ends where nothing is.
    fn left(&mut self) -> Option<Written> {
        self.is_tended = !self.written.is_empty();
        self.is_tended.then(|| self.written.clone())
    }
}

/// What was found under some keys, in their order.
#[derive(Debug)]
pub struct Found {
    values: Vec<Option<String>>,
    lease: Option<String>,
}

impl Found {
    /// The value of the key at this place: a miss, or that there is no such row, or the row.
    pub fn value<T: DeserializeOwned>(&self, place: usize, key: &Key) -> Option<Option<T>> {
        let text = self.values.get(place)?.as_deref();
        let value =
            text.and_then(|text| serde_json::from_str(text.strip_prefix(key.shape())?).ok());
        let outcome = match value {
            None => "miss",
            Some(None) => "absent",
            Some(Some(_)) => "hit",
        };
        metrics::counter!("postcall_cache_reads_total", "key" => key.label(), "outcome" => outcome)
            .increment(1);
        value
    }
}

impl Cache {
    /// The cache in the Redis of `redis`.
    pub fn new(redis: Counters) -> Self {
        Self {
            redis,
            breaker: Arc::new(Breaker::pausing(PAUSE)),
            dirty: Arc::default(),
            writes: Arc::default(),
        }
    }

    /// Readings that many may share, until the next write.
    pub(crate) fn flights<T: Clone + Send + Sync + 'static>(&self) -> Flights<T> {
        Flights::new(self.writes.clone())
    }

    /// Looks all of these up at once. Without Redis each is a miss.
    pub async fn look_up(&self, keys: &[Key]) -> Found {
        let names: Vec<String> = keys.iter().map(Key::name).collect();
        let lease = Uuid::new_v4().simple().to_string();
        let script = Script::new(READ);
        let read = async |mut connection: ConnectionManager| {
            let mut call = script.prepare_invoke();
            for name in &names {
                call.key(name);
            }
            call.arg(&lease).arg(LEASE);
            call.invoke_async::<Vec<Option<String>>>(&mut connection).await
        };
        let Some(mut values) = self.ask(read).await else {
            return Found { values: vec![None; keys.len()], lease: None };
        };
        let dirty = self.dirty();
        for (value, name) in values.iter_mut().zip(&names) {
            if dirty.written.contains_key(name) {
                *value = None;
            }
        }
        Found { values, lease: Some(lease) }
    }

    /// Keeps a row that was missing in what was found, or that there is none. Best effort.
    pub async fn keep<T: Serialize + Sync>(&self, found: &Found, key: &Key, row: Option<&T>) {
        let Some(lease) = &found.lease else { return };
        let Ok(json) = serde_json::to_string(&row) else { return };
        let name = key.name();
        if self.dirty().written.contains_key(&name) {
            return;
        }
        let seconds = if row.is_some() { key.seconds() } else { NEGATIVE_TTL.min(key.seconds()) };
        let store = async |mut connection: ConnectionManager| {
            Script::new(STORE)
                .key(&name)
                .key(format!("{name}:lease"))
                .arg(lease)
                .arg(format!("{}{json}", key.shape()))
                .arg(seconds)
                .invoke_async::<i64>(&mut connection)
                .await
        };
        self.ask(store).await;
    }

    /// Forgets rows that were written, once the write is committed. What Redis does not take now is not
    /// read by this process until it does; another process may for as long as Redis is out of reach of
    /// this one and not of that one, and at most for the value's own time.
    pub async fn forget(&self, keys: &[Key]) {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        let written: Written = keys.iter().map(|key| (key.name(), write)).collect();
        self.dirty().written.extend(written.clone());
        // A task of its own, for whoever asks may go away at any moment.
        drop(tokio::spawn(self.clone().forget_now(written)).await);
    }

    async fn forget_now(self, written: Written) {
        if !self.forget_written(&written).await
            && !std::mem::replace(&mut self.dirty().is_tended, true)
        {
            tokio::spawn(self.forget_later());
        }
    }

    async fn forget_later(self) {
        loop {
            sleep(FORGET_AGAIN).await;
            let Some(left) = self.dirty().left() else { return };
            self.forget_written(&left).await;
        }
    }

    async fn forget_written(&self, written: &Written) -> bool {
        let all: Vec<String> =
            written.keys().flat_map(|name| [name.clone(), format!("{name}:lease")]).collect();
        let delete = async |mut connection: ConnectionManager| connection.del::<_, i64>(&all).await;
        let done = self.ask(delete).await.is_some();
        if done {
            self.dirty().clean(written);
        }
        done
    }

    /// What Redis answers in time; nothing where it does not, or did not lately.
    async fn ask<T>(
        &self,
        work: impl AsyncFnOnce(ConnectionManager) -> Result<T, RedisError>,
    ) -> Option<T> {
        if !self.breaker.may_ask() {
            return None;
        }
        let answer = within_time(ANSWER_TIMEOUT, async {
            let connection = self.redis.connection().await?;
            work(connection).await
        });
        let answer = answer.await;
        self.breaker.heard(answer.is_ok());
        answer
            .inspect_err(|error| tracing::debug!(%error, "rows come from Postgres: Redis fails"))
            .ok()
    }

    fn dirty(&self) -> MutexGuard<'_, Dirty> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(names: &[(&str, u64)]) -> Written {
        names.iter().map(|(name, write)| ((*name).to_owned(), *write)).collect()
    }

    #[test]
    fn what_is_written_again_while_it_is_forgotten_is_forgotten_again() {
        let mut dirty = Dirty { written: written(&[("a", 1), ("b", 1)]), is_tended: true };
        let forgotten = dirty.written.clone();
        dirty.written.extend(written(&[("a", 2)]));
        dirty.clean(&forgotten);
        let left = written(&[("a", 2)]);
        assert_eq!(dirty.left(), Some(left.clone()));
        dirty.clean(&left);
        assert!(dirty.left().is_none() && !dirty.is_tended);
    }
}
