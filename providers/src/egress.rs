//! The guard of every request whose address a customer or a provider's message chose (SSRF).
//!
//! Names are resolved inside the connector, and what was checked is what is connected to: between
//! check and use there is no second look-up in which a name could change. All addresses of a name
//! must be allowed, because which of them is taken is the sender's luck. A kept connection goes
//! where it went when it was checked; it is used for 5 minutes at most, and every new one is checked
//! anew.
//!
//! The proxies of the environment (`HTTP_PROXY` and so on) are never used. With a proxy of our own
//! ([`Egress::with_proxy`]) names are still resolved and checked here, and the proxy is told the
//! checked address, never the name.
//!
//! Only HTTP/1.1 is spoken. There a connection carries one exchange at a time, and the worst that
//! a hostile receiver can do is to spoil its own: it has no streams to reset in masses, no settings,
//! pings, windows or header tables with which to keep us busy, and all that it sends is counted in
//! one place. A webhook is one small POST, for which HTTP/2 would gain nothing.

mod address;
mod client;
mod connect;
mod failure;
mod proxy;
mod resolve;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::Uri;
use tokio_rustls::rustls::pki_types::CertificateDer;
use url::{Host, Url};

use crate::http::{CONNECT_TIMEOUT, SetupError};

pub use address::is_public;
pub(crate) use client::Client;
pub(crate) use failure::{Code, Failure};
pub(crate) use resolve::Lookup;
#[cfg(test)]
pub(crate) use stream::Counted;

use proxy::Proxy;
use resolve::{Lookups, System};

/// Addresses of one name that are tried; a name may have thousands.
const MAX_ADDRESSES: usize = 8;

/// How long a connection is used again, however busy: then the name is looked up anew. Receivers
/// that move would be sent to at their old place for as long as there is work.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// Decides which addresses may be reached, and how.
#[derive(Debug, Clone)]
pub struct Egress {
    allow_loopback: bool,
    lookups: Lookups,
    proxy: Option<Arc<Proxy>>,
    /// For name, connection, proxy and TLS together.
    connect_timeout: Duration,
    max_age: Duration,
    /// Trusted beside the machine's own.
    roots: Vec<CertificateDer<'static>>,
}

/// Why an address is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a URL with a host.
    #[error("not a URL with a host")]
    NotAUrl,
    /// Neither https nor, where allowed, http to this machine.
    #[error("only https is allowed")]
    Scheme,
    /// `user:password@`, which would be sent on and logged.
    #[error("user and password in a URL are not allowed")]
    Userinfo,
    /// Private, local, reserved or a cloud's metadata service.
    #[error("the address is not public")]
    NotPublic,
}

impl Egress {
    /// `allow_loopback` lets this machine be reached, also by http: for development only.
    pub fn new(allow_loopback: bool) -> Self {
        Self::with_lookup(allow_loopback, Arc::new(System))
    }

    fn with_lookup(allow_loopback: bool, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            allow_loopback,
            lookups: Lookups::new(lookup),
            proxy: None,
            connect_timeout: CONNECT_TIMEOUT,
            max_age: MAX_AGE,
            roots: Vec::new(),
        }
    }

    /// Sends everything through an HTTP or HTTPS proxy: `http://[user:password@]host[:port]`, by
    /// `CONNECT` also for http. The proxy itself is the operator's word and may be private.
    ///
    /// What holds: we resolve a name, check all its addresses and ask the proxy to connect to one of
    /// those by number (`CONNECT 192.0.2.7:443`); TLS and its certificate are between us and the
    /// receiver. So neither a name that changes nor the proxy's own name server can lead elsewhere.
    /// The price: rules of the proxy that go by the name see it only in the TLS handshake (SNI), and
    /// this machine must be able to resolve public names. What the proxy refuses (403) is
    /// `blocked`, and any other answer of it than 2xx `connect`.
    ///
    /// # Errors
    /// When it is no http or https URL with a host.
    pub fn with_proxy(self, url: &str) -> Result<Self, SetupError> {
        Ok(Self { proxy: Some(Arc::new(Proxy::new(url)?)), ..self })
    }

    /// Whether this machine may be reached.
    pub const fn allows_loopback(&self) -> bool {
        self.allow_loopback
    }

    /// A client that connects to allowed addresses only. It follows no redirects, keeps no cookies
    /// and unpacks nothing; the caller sets the time limit. An answer may have `max_answer_bytes`
    /// with all that belongs to it, or any number.
    ///
    /// # Errors
    /// When the machine's TLS set-up does not allow one.
    pub(crate) fn client(&self, max_answer_bytes: Option<usize>) -> Result<Client, SetupError> {
        Client::new(self.clone(), max_answer_bytes)
    }

    /// Checks everything about a URL that can be known without resolving its name.
    ///
    /// The `url` crate has turned `0x7f.1`, `2130706433` and `127.1` into `127.0.0.1` before.
    ///
    /// # Errors
    /// When the URL must not be requested.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        self.target(url).map(drop)
    }

    /// The checked URL as HTTP writes it.
    fn target(&self, url: &Url) -> Result<Uri, Refused> {
        let host = url.host().ok_or(Refused::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Userinfo);
        }
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        let is_local = match host {
            Host::Domain(name) => is_localhost(name),
            Host::Ipv4(_) | Host::Ipv6(_) => address.is_some_and(|address| address.is_loopback()),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.allow_loopback && is_local => {}
            _ => return Err(Refused::Scheme),
        }
        if is_local && !self.allow_loopback {
            return Err(Refused::NotPublic);
        }
        match address {
            Some(address) if !self.allows(address) => Err(Refused::NotPublic),
            _ => url.as_str().parse().map_err(|_| Refused::NotAUrl),
        }
    }

    /// Whether an address may be connected to.
    pub fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || (self.allow_loopback && address.is_loopback())
    }

    /// The addresses of a host, a name or a number, after all of them were checked.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let mut found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                self.lookups.find(host).await.map_err(|error| Failure::new(Code::Dns, error))?
            }
        };
        if !found.iter().all(|address| self.allows(*address)) {
            return Err(Failure::new(Code::Blocked, Refused::NotPublic));
        }
        if found.is_empty() {
            return Err(Failure::new(Code::Dns, "the name has no address"));
        }
        found.truncate(MAX_ADDRESSES);
        Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

/// `localhost` and everything below it is this machine (RFC 6761).
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}
