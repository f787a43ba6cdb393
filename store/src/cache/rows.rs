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
        Self { cache, flights: Flights::default() }
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
        let writes = self.cache.writes();
        let found = self.cache.look_up(slice::from_ref(&key)).await;
        match found.value::<Kept<T>>(0, &key) {
            Some(Some(kept)) if kept.of == of => return Ok(Some(Arc::new(kept.row))),
            Some(None) if of.is_none() => return Ok(None),
            _ => {}
        }
        let cache = self.cache.clone();
        let name = format!("{writes} {} {of:?}", key.name());
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
