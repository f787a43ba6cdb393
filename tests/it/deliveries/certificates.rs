//! Receivers within TLS, by a worker whose machine trusts the tests' authority and nobody else.

use std::{path::PathBuf, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use uuid::Uuid;

use super::{
    made::{Logged, PATIENCE},
    receiver::Receiver,
};
use crate::harness::{Options, World, wait::until};

const FINE: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"];

/// A certificate for 127.0.0.1, or its key; made beside the tests of the guard.
fn pem(name: &str) -> PathBuf {
    let folder = "providers/src/canned/certificates";
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(name)
}

fn with_certificate(name: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(pem(name)).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(pem("receiver.key")).expect("a key");
    let settings = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    TlsAcceptor::from(Arc::new(settings))
}

impl World {
    async fn endpoint_within_tls(&self, receiver: &Receiver) -> Uuid {
        let url = format!("url = 'https://127.0.0.1:{}/', schedule = '{{3600}}'", receiver.port);
        self.open_endpoint("tls", &url).await
    }

    /// What came of the first attempt at a new event.
    async fn came_of_one(&self, endpoint: Uuid) -> Logged {
        let event = self.enqueue(endpoint, None, 1).await[0];
        until("the attempt is in the log", PATIENCE, || async {
            self.logged(endpoint, event).await.into_iter().next()
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_that_is_trusted_and_not_over_gets_a_message() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let good = Receiver::within(with_certificate("receiver.pem"), FINE).await;
    let expired = Receiver::within(with_certificate("expired.pem"), FINE).await;
    let failed = || (1, Some("tls".to_owned()), None);

    let authority = pem("authority.pem").display().to_string();
    world.start_worker(&[("SSL_CERT_FILE", authority)]).await;
    let of_good = world.endpoint_within_tls(&good).await;
    let of_expired = world.endpoint_within_tls(&expired).await;
    assert_eq!(world.came_of_one(of_good).await, (1, None, Some(200)));
    assert_eq!(world.came_of_one(of_expired).await, failed());
    assert_eq!((good.connections(), good.requests()), (1, 1));
    assert_eq!((expired.connections(), expired.requests()), (1, 0));

    world.kill_worker().await;
    world.start_worker(&[]).await;
    assert_eq!(world.came_of_one(of_good).await, failed(), "nobody vouches for the authority");
    assert_eq!((good.connections(), good.requests()), (2, 1));
}
