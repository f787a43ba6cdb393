//! The guard of every request whose address a customer or a provider's message chose (SSRF).
//!
//! Names are resolved inside the connector, so that the address that was checked is the one that is
//! connected to: a name that changes between check and use gains nothing.

use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::{Host, Url};

use crate::http::{self, SetupError};

/// Decides which addresses may be reached.
#[derive(Debug, Clone, Copy)]
pub struct Egress {
    allow_loopback: bool,
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
    pub const fn new(allow_loopback: bool) -> Self {
        Self { allow_loopback }
    }

    /// Whether this machine may be reached.
    pub const fn allows_loopback(self) -> bool {
        self.allow_loopback
    }

    /// A client that connects to public addresses only. No redirects; the caller sets the time limit.
    ///
    /// [`Self::check_url`] must be asked as well: addresses written as numbers need no resolving.
    ///
    /// # Errors
    /// When the machine's TLS set-up does not allow one.
    pub fn client(self) -> Result<Client, SetupError> {
        http::builder().dns_resolver(Guard(self)).build().map_err(SetupError::Client)
    }

    /// Checks everything about a URL that can be known without resolving its name.
    ///
    /// The `url` crate has turned `0x7f.1`, `2130706433` and `127.1` into `127.0.0.1` before.
    ///
    /// # Errors
    /// When the URL must not be requested.
    pub fn check_url(self, url: &Url) -> Result<(), Refused> {
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
            Host::Domain(name) => name.trim_end_matches('.') == "localhost",
            Host::Ipv4(_) | Host::Ipv6(_) => address.is_some_and(|address| address.is_loopback()),
        };
        match url.scheme() {
            "https" => {}
            "http" if self.allow_loopback && is_local => {}
            _ => return Err(Refused::Scheme),
        }
        match address {
            Some(address) if !self.allows(address) => Err(Refused::NotPublic),
            _ => Ok(()),
        }
    }

    /// Whether an address may be connected to.
    pub fn allows(self, address: IpAddr) -> bool {
        is_public(address) || (self.allow_loopback && address.is_loopback())
    }
}

struct Guard(Egress);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            // One bad address is enough: which of them is taken is the sender's luck.
            if addresses.iter().any(|address| !egress.allows(address.ip())) {
                return Err(Refused::NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet (IANA special-purpose registries).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let within = |network: [u8; 4], length: u32| {
        (bits ^ u32::from(Ipv4Addr::from(network))) >> (32 - length) == 0
    };
    const RESERVED: [([u8; 4], u32); 16] = [
        ([0, 0, 0, 0], 8),        // this network
        ([10, 0, 0, 0], 8),       // private
        ([100, 64, 0, 0], 10),    // carrier-grade NAT; Alibaba's metadata
        ([127, 0, 0, 0], 8),      // loopback
        ([168, 63, 129, 16], 32), // Azure's platform address, public by number only
        ([169, 254, 0, 0], 16),   // link-local; most clouds' metadata
        ([172, 16, 0, 0], 12),    // private
        ([192, 0, 0, 0], 24),     // protocol assignments; Oracle's metadata
        ([192, 0, 2, 0], 24),     // documentation
        ([192, 88, 99, 0], 24),   // 6to4 relays
        ([192, 168, 0, 0], 16),   // private
        ([198, 18, 0, 0], 15),    // benchmarking
        ([198, 51, 100, 0], 24),  // documentation
        ([203, 0, 113, 0], 24),   // documentation
        ([224, 0, 0, 0], 4),      // multicast
        ([240, 0, 0, 0], 4),      // reserved and broadcast
    ];
    !RESERVED.iter().any(|(network, length)| within(*network, *length))
}

/// Only global unicast, 2000::/3, less what carries other addresses or is for documents. Outside
/// lie loopback, v4-mapped, NAT64 (64:ff9b::/96), ULA, link-local, site-local and multicast.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global = first & 0xE000 == 0x2000;
    let protocols = first == 0x2001 && second < 0x0200; // Teredo, ORCHID and others
    let documentation =
        (first == 0x2001 && second == 0x0DB8) || (first == 0x3FFF && second < 0x1000);
    let six_to_four = first == 0x2002;
    global && !protocols && !documentation && !six_to_four
}

/// A short word for why a request got no answer: `blocked`, `dns`, `timeout`, `tls` or `connect`.
pub(crate) fn failure_code(error: &reqwest::Error) -> &'static str {
    if chain(error).any(|cause| cause.is::<Refused>()) {
        "blocked"
    } else if error.is_timeout() {
        "timeout"
    } else if error.is_dns() {
        "dns"
    } else if error.is_connect() && chain(error).any(is_tls) {
        "tls"
    } else {
        "connect"
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// rustls reports a failed handshake as an I/O error of invalid data, or of an early end. It comes
/// wrapped in another one, and an I/O error does not count what it wraps among its sources.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let mut wrapped = error.downcast_ref::<io::Error>();
    while let Some(error) = wrapped {
        if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
            return true;
        }
        wrapped = error.get_ref().and_then(|inner| inner.downcast_ref());
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canned::{Reply, serve};

    fn check(egress: Egress, url: &str) -> Result<(), Refused> {
        Url::parse(url).map_err(|_| Refused::NotAUrl).and_then(|url| egress.check_url(&url))
    }

    const STRICT: Egress = Egress::new(false);
    const DEVELOPMENT: Egress = Egress::new(true);

    #[test]
    fn addresses_of_every_special_class_are_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = text.parse().expect(text);
            assert!(!STRICT.allows(address), "{text}");
        }
    }

    #[test]
    fn public_addresses_and_the_edges_of_ranges_are_allowed() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:db7::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            let address: IpAddr = text.parse().expect(text);
            assert!(STRICT.allows(address), "{text}");
        }
        let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert!(DEVELOPMENT.allows(loopback) && !STRICT.allows(loopback));
        assert!(!DEVELOPMENT.allows([10, 0, 0, 1].into()));
    }

    #[test]
    fn numbers_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "0177.0.0.1",
            "①②⑦.0.0.1",
            "%31%32%37.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::a00:1]",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "0",
            "10.1",
        ] {
            let result = check(STRICT, &format!("https://{host}/x"));
            assert_eq!(result, Err(Refused::NotPublic), "{host}");
        }
        assert_eq!(check(STRICT, "https://8.8.8.8/"), Ok(()));
    }

    #[test]
    fn only_https_without_a_user_and_http_only_to_this_machine_in_development() {
        assert_eq!(check(STRICT, "https://example.com/hook?x=1"), Ok(()));
        for url in ["http://example.com/", "ftp://example.com/", "http://127.0.0.1/", "ws://x/"] {
            assert_eq!(check(STRICT, url), Err(Refused::Scheme), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/"] {
            assert_eq!(check(DEVELOPMENT, url), Err(Refused::Scheme), "{url}");
        }
        for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/"] {
            assert_eq!(check(DEVELOPMENT, url), Ok(()), "{url}");
        }
        for url in ["https://user@example.com/", "https://:secret@example.com/", "https://a:b@x/"] {
            assert_eq!(check(DEVELOPMENT, url), Err(Refused::Userinfo), "{url}");
        }
        for url in ["", "example.com", "data:text/plain,x", "file:///etc/passwd", "https://"] {
            assert_eq!(check(STRICT, url), Err(Refused::NotAUrl), "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        let server = serve([Reply::Json(200, "{}".into())]).await;
        let url = server.url.replace("127.0.0.1", "localhost");
        let strict = STRICT.client().expect("client");
        let error = strict.get(&url).send().await.expect_err("refused");
        assert_eq!(failure_code(&error), "blocked");
        assert!(server.requests().is_empty());
        let development = DEVELOPMENT.client().expect("client");
        assert_eq!(development.get(&url).send().await.expect("answer").status(), 200);
    }

    #[tokio::test]
    async fn failures_are_named() {
        let client = DEVELOPMENT.client().expect("client");
        let unknown = client.get("https://nothing.invalid/").send().await.expect_err("no name");
        assert_eq!(failure_code(&unknown), "dns");
        let closed = client.get("http://127.0.0.1:1/").send().await.expect_err("closed");
        assert_eq!(failure_code(&closed), "connect");
        let server = serve([Reply::Json(200, "{}".into())]).await;
        let plain = server.url.replace("http:", "https:");
        let no_tls = client.get(&plain).send().await.expect_err("no TLS there");
        assert_eq!(failure_code(&no_tls), "tls", "{no_tls:?}");
    }

    proptest! {
        #[test]
        fn the_url_guard_never_panics_and_never_lets_a_private_number_through(
            text in "(https?|ftp)://[a-z0-9.:@\\[\\]%x-]{0,24}(/[ -~]{0,8})?",
            number in any::<u32>(),
        ) {
            let _ = check(DEVELOPMENT, &text);
            let address = Ipv4Addr::from(number);
            for host in [number.to_string(), format!("{number:#x}"), address.to_string()] {
                let allowed = check(STRICT, &format!("https://{host}/")).is_ok();
                prop_assert_eq!(allowed, is_public(address.into()));
            }
        }
    }
}
