//! Certificates of the scripted servers; `certificates/make` made them.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

/// A name for which the certificates are.
pub(crate) const NAME: &str = "receiver.test";

const KEY: &str = include_str!("certificates/receiver.key");

/// Who vouches for [`good`] and [`expired`].
pub(crate) fn authority() -> CertificateDer<'static> {
    certificate(include_str!("certificates/authority.pem"))
}

/// Valid for [`NAME`] and 127.0.0.1.
pub(crate) fn good() -> TlsAcceptor {
    acceptor(include_str!("certificates/receiver.pem"), false)
}

/// The same, but its time is over.
pub(crate) fn expired() -> TlsAcceptor {
    acceptor(include_str!("certificates/expired.pem"), false)
}

/// Valid, but the client must show a certificate too.
pub(crate) fn asking() -> TlsAcceptor {
    acceptor(include_str!("certificates/receiver.pem"), true)
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

fn acceptor(pem: &str, asks: bool) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let settings = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let settings = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(authority()).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        settings.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        settings.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
    let settings = settings.with_single_cert(vec![certificate(pem)], key).expect("they fit");
    TlsAcceptor::from(Arc::new(settings))
}
