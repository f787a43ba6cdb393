mod address;
mod connections;
mod environment;
mod names;
mod proxies;
mod urls;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use url::Url;

use super::{Client, Code, Egress, Lookup};
use crate::canned::{names::Names, tls};

impl Egress {
    /// Asks `names` instead of the machine's resolver and trusts the tests' authority.
    pub(crate) fn asking(allow_loopback: bool, names: &Arc<Names>) -> Self {
        let lookup: Arc<dyn Lookup> = names.clone();
        Self { roots: vec![tls::authority()], ..Self::with_lookup(allow_loopback, lookup) }
    }

    /// Gives up sooner.
    pub(crate) fn within(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Looks names up more often.
    pub(crate) fn keeping(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }
}

/// What came of a POST with nothing in it.
async fn post(client: &Client, url: &str) -> Result<StatusCode, Code> {
    let url = Url::parse(url).expect("a URL");
    let sent = client.send(Method::POST, &url, HeaderMap::new(), Bytes::new()).await;
    sent.map(|response| response.status()).map_err(|failure| failure.code())
}

fn client(egress: &Egress) -> Client {
    egress.client(Some(64 * 1024)).expect("client")
}
