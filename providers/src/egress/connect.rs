//! From a URL's host to a connection at one of its checked addresses.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use hyper::{Uri, http::uri::Scheme};
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        dns::{GaiResolver, Name},
    },
    rt::TokioIo,
};
use rustls_platform_verifier::Verifier;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, crypto::aws_lc_rs, pki_types::ServerName},
};
use tower::Service;

use super::{
    Code, Egress, Failure, Refused,
    stream::{Bounded, Count, Io},
};

/// How often the kernel asks after a silent peer.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Connects for the client's pool.
#[derive(Clone)]
pub(super) struct Connector(Arc<Shared>);

struct Shared {
    egress: Egress,
    tls: Arc<ClientConfig>,
    /// Bytes of one answer.
    bound: usize,
    open: Count,
}

impl Connector {
    pub(super) fn new(
        egress: Egress,
        bound: Option<usize>,
        open: Count,
    ) -> Result<Self, rustls::Error> {
        let tls = Arc::new(tls_settings(&egress)?);
        let bound = bound.unwrap_or(usize::MAX);
        Ok(Self(Arc::new(Shared { egress, tls, bound, open })))
    }
}

/// Certificates are judged by the machine's own list of authorities.
fn tls_settings(egress: &Egress) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = egress.roots.iter().cloned();
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(settings)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Bounded>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let within = shared.egress.connect_timeout;
            match timeout(within, shared.connect(&uri)).await {
                Ok(Ok(io)) => {
                    let open = shared.open.one();
                    Ok(TokioIo::new(Bounded::new(io, shared.bound, open)))
                }
                Ok(Err(failure)) => Err(failure),
                Err(elapsed) => Err(Failure::new(Code::Timeout, elapsed)),
            }
        })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<Box<dyn Io>, Failure> {
        let blocked = |why: Refused| Failure::new(Code::Blocked, why);
        let host = uri.host().ok_or_else(|| blocked(Refused::NotAUrl))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses = self.egress.addresses(host, port).await?;
        // What is not encrypted stays on this machine.
        if !is_tls && !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(blocked(Refused::Scheme));
        }
        let io: Box<dyn Io> = match &self.egress.proxy {
            Some(proxy) => proxy.connect(&addresses, &self.tls).await?,
            None => Box::new(to_one_of(addresses, self.egress.connect_timeout).await?),
        };
        if is_tls { secure(host, io, &self.tls).await } else { Ok(io) }
    }
}

/// Speaks TLS with the receiver of that name, whatever lies between.
pub(super) async fn secure(
    host: &str,
    io: Box<dyn Io>,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Io>, Failure> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| Failure::new(Code::Dns, error))?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, io).await;
    Ok(Box::new(stream.map_err(|error| Failure::new(Code::Tls, error))?))
}

/// Tries the addresses, those of the other family side by side after 300 ms (RFC 6555). The
/// connector is given a name that only stands for the list, so it has nothing to resolve.
async fn to_one_of(addresses: Vec<SocketAddr>, within: Duration) -> Result<TcpStream, Failure> {
    let port = addresses.first().map_or(0, SocketAddr::port);
    let listed =
        tower::service_fn(move |_: Name| ready(Ok::<_, Infallible>(addresses.clone().into_iter())));
    connected(HttpConnector::new_with_resolver(listed), "checked.invalid", port, within).await
}

/// Connects to a host of the operator's choice, unguarded.
pub(super) async fn to_trusted(
    host: &str,
    port: u16,
    within: Duration,
) -> Result<TcpStream, Failure> {
    connected(HttpConnector::new_with_resolver(GaiResolver::new()), host, port, within).await
}

async fn connected<R>(
    mut connector: HttpConnector<R>,
    host: &str,
    port: u16,
    within: Duration,
) -> Result<TcpStream, Failure>
where
    HttpConnector<R>: Service<Uri, Response = TokioIo<TcpStream>>,
    <HttpConnector<R> as Service<Uri>>::Error: std::error::Error + Send + Sync + 'static,
    <HttpConnector<R> as Service<Uri>>::Future: Future + Send,
    R: Clone,
{
    connector.set_connect_timeout(Some(within));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_nodelay(true);
    let uri: Uri = format!("http://{host}:{port}")
        .parse()
        .map_err(|error| Failure::new(Code::Connect, error))?;
    connector.call(uri).await.map(TokioIo::into_inner).map_err(Failure::of)
}
