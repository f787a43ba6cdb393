//! From names to addresses, so that a name server that never answers holds up nobody else.

use std::{
    collections::HashMap,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::sync::Semaphore;

/// Look-ups at once. Each holds a thread of the runtime's pool for blocking work (512 threads), also
/// long after the one who asked has given up: files must find a thread too.
pub(super) const MAX_LOOKUPS: usize = 128;

/// What a look-up found; the error is shared by all who asked.
pub(crate) type Found = Result<Vec<IpAddr>, Arc<io::Error>>;

/// Whoever knows the addresses of names.
pub(crate) trait Lookup: fmt::Debug + Send + Sync {
    /// All addresses of a name, in the order in which they should be tried.
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The machine's own resolver, `getaddrinfo`.
#[derive(Debug)]
pub(super) struct System;

impl Lookup for System {
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// One look-up per name at a time, whoever asks, and nothing kept afterwards: a name that hangs
/// costs one thread, and a name that changes is seen by the next connection.
#[derive(Debug, Clone)]
pub(super) struct Lookups {
    source: Arc<dyn Lookup>,
    running: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, Found>>>>>,
    slots: Arc<Semaphore>,
}

impl Lookups {
    pub(super) fn new(source: Arc<dyn Lookup>) -> Self {
        Self { source, running: Arc::default(), slots: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    pub(super) async fn find(&self, name: &str) -> Found {
        let asked = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            match running.get(name) {
                Some(asked) => asked.clone(),
                None => {
                    let asked = self.ask(name.to_owned());
                    running.insert(name.to_owned(), asked.clone());
                    asked
                }
            }
        };
        asked.await
    }

    /// In a task of its own: `getaddrinfo` goes on when nobody waits for it any more, and whoever
    /// asks for the name meanwhile must wait for that one instead of starting another.
    fn ask(&self, name: String) -> Shared<BoxFuture<'static, Found>> {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let slot = this.slots.acquire().await;
            let found = this.source.addresses(name.clone()).await;
            drop(slot);
            this.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            found.map_err(Arc::new)
        });
        let found =
            async move { task.await.unwrap_or_else(|gone| Err(Arc::new(io::Error::other(gone)))) };
        found.boxed().shared()
    }
}
