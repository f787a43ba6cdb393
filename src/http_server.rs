//! The HTTP server: connections are bounded in number, in all and for each address, and the heads of
//! requests in time and length.
//!
//! HTTP/1.1 only: what stands before it in production speaks HTTP/2 to the world, and a connection
//! that is still to choose its version would have no time limit.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

/// Open connections; more wait to be accepted. Each costs about 20 KB, and up to [`HEAD_BYTES`]
/// more while a head arrives.
const MAX_CONNECTIONS: usize = 8_192;
/// Of them, for one network: nobody alone can take all places. Nearly all, because behind a proxy
/// everybody has its address.
const MAX_CONNECTIONS_OF_ONE: usize = 7_168;
/// From the start of waiting for a request to the end of its head: also the longest that an idle
/// connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head, and most of a body that is read ahead.
const HEAD_BYTES: usize = 64 * 1024;
/// After a failed accept: out of file descriptors, mostly, which others give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address of the other end, in a request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Whom an address belongs to, as far as that can be told: an IPv4 address stands for itself, however
/// it is written, and whoever has one IPv6 address has its network of 64 bits.
pub fn peer_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Serves until `stop` ends, then lets requests in progress finish.
pub async fn serve(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http1().max_buf_size(HEAD_BYTES);
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    let places = Places::default();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut stop => break,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let routes = routes.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(PeerAddress(peer));
            request.map(Body::new)
        });
        let service = TowerToHyperService::new(routes);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn accept(listener: &TcpListener, places: &Places) -> Option<(TcpStream, SocketAddr, Place)> {
    let permit = places.all.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let place = places.take(peer_network(peer.ip()), permit)?;
            // An acknowledgement is one small packet that nobody should wait for.
            drop(stream.set_nodelay(true));
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Room for connections.
#[derive(Clone)]
struct Places {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's room; given back when dropped.
struct Place {
    places: Places,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_CONNECTIONS)), taken: Arc::default() }
    }
}

impl Places {
    /// Nothing where the address has too many: its connection is closed at once.
    fn take(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= MAX_CONNECTIONS_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), address, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let network = |text: &str| peer_network(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn one_address_cannot_take_every_place_and_gives_its_own_back() {
        let places = Places::default();
        let take = |last| {
            let permit = places.all.clone().try_acquire_owned().unwrap();
            places.take(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), permit)
        };
        let mut held: Vec<Place> = (0..MAX_CONNECTIONS_OF_ONE).map(|_| take(1).unwrap()).collect();
        assert!(take(1).is_none());
        assert!(take(2).is_some());
        held.pop();
        assert!(take(1).is_some());
        drop(held);
        assert!(places.taken.lock().unwrap().is_empty());
        assert_eq!(places.all.available_permits(), MAX_CONNECTIONS);
    }
}
