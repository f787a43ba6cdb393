//! Rows of one kind: from Redis, else read by one of many who ask for the same at once.

use std::{slice, sync::Arc};

use contract::ids::OrganizationId;
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Cache, Flights, Key};
use crate::StoreError;

/// A row, none, or why that is not known; shared by all who asked for it at once.
pub type Row<T> = Result<Option<Arc<T>>, Arc<StoreError>>;

/// Rows of one kind.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    cache: Cache,
    flights: Flights<Option<Arc<T>>>,
}

/// A row as Redis has it.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<T> {
    /// Who sees it; none for everybody. A key names no organization, so the value does.
    of: Option<OrganizationId>,
    row: T,
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Rows<T> {
    /// Those that `cache` keeps.
    pub fn new(cache: Cache) -> Self {
        Self { flights: cache.flights(), cache }
    }

    /// A row that everybody sees, or that there is none.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn common(
        &self,
        key: Key,
        read: impl Future<Output = Result<Option<T>, StoreError>> + Send + 'static,
    ) -> BoxFuture<'_, Row<T>> {
        self.get(key, None, read).boxed()
    }

    /// A row that an organization sees. That it sees none is not kept: another may.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn of(
        &self,
        organization: OrganizationId,
        key: Key,
        read: impl Future<Output = Result<Option<T>, StoreError>> + Send + 'static,
    ) -> BoxFuture<'_, Row<T>> {
        self.get(key, Some(organization), read).boxed()
    }

    async fn get(
        &self,
        key: Key,
        of: Option<OrganizationId>,
        read: impl Future<Output = Result<Option<T>, StoreError>> + Send + 'static,
    ) -> Row<T> {
        let found = self.cache.look_up(slice::from_ref(&key)).await;
        match found.value::<Kept<T>>(0, &key) {
            Some(Some(kept)) if kept.of == of => return Ok(Some(Arc::new(kept.row))),
            Some(None) if of.is_none() => return Ok(None),
            _ => {}
        }
        let cache = self.cache.clone();
        let name = format!("{} {of:?}", key.name());
        let read = async move {
            let kept = read.await?.map(|row| Kept { of, row });
            if kept.is_some() || of.is_none() {
                cache.keep(&found, &key, kept.as_ref()).await;
            }
            Ok(kept.map(|kept| Arc::new(kept.row)))
        };
        self.flights.join(name, read).await
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]
mod tests {
    use std::time::Duration;

    use futures::poll;
    use tokio::{sync::oneshot, time::timeout};

    use super::*;
    use crate::counters::Counters;

    #[tokio::test]
    async fn who_asks_after_a_write_does_not_get_what_was_read_before_it() {
        // Nobody listens there: every row is a miss.
        let cache = Cache::new(Counters::new(&"redis://127.0.0.1:1".into()).unwrap());
        let rows = Rows::<u8>::new(cache.clone());
        let [key, ..] = Key::of_settings(OrganizationId(uuid::Uuid::nil()));
        let (go_on, held) = oneshot::channel::<()>();
        let before = rows.common(key.clone(), async move {
            drop(held.await);
            Ok(Some(1))
        });
        let mut before = std::pin::pin!(before);
        while rows.flights.is_empty() {
            assert!(poll!(&mut before).is_pending());
            tokio::task::yield_now().await;
        }
        cache.forget(slice::from_ref(&key)).await;
        let after = rows.common(key, async { Ok(Some(2)) });
        let after = timeout(Duration::from_secs(10), after).await.expect("a reading of its own");
        assert_eq!(after.unwrap().as_deref(), Some(&2));
        go_on.send(()).unwrap();
        assert_eq!(before.await.unwrap().as_deref(), Some(&1));
    }
}
