//! The connection to Temporal, made once and shared by dispatcher, workers and commands.

use std::time::Duration;

use anyhow::{Context, anyhow};
use contract::names::SEARCH_ATTRIBUTES;
use secrecy::ExposeSecret;
use temporalio_client::{
    Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, NamespacedClient,
    TlsOptions, envconfig::LoadClientConfigProfileOptions, tonic::IntoRequest,
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType, operatorservice::v1::AddSearchAttributesRequest,
};
use url::Url;

use crate::config::TemporalConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries to reach a server that is not there.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Connects by the SDK's own `TEMPORAL_*` settings and ours.
pub async fn connect(config: &TemporalConfig, identity: &str) -> anyhow::Result<Client> {
    let (mut connection, client) =
        ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())
            .map_err(|error| anyhow!("TEMPORAL_* settings: {error}"))?;
    identity.clone_into(&mut connection.identity);
    connection.connect_timeout = Some(CONNECT_TIMEOUT);
    add_client_certificate(&mut connection, config)?;
    refuse_key_in_clear(&connection)?;
    let target = connection.target.clone();
    let connection = Connection::connect(connection)
        .await
        .with_context(|| format!("Temporal at {target} does not answer"))?;
    Client::new(connection, client).map_err(|error| anyhow!("Temporal client: {error}"))
}

/// Connects, however long it takes: a worker that starts before its server waits for it.
pub async fn connect_patiently(config: &TemporalConfig, identity: &str) -> Client {
    loop {
        match connect(config, identity).await {
            Ok(client) => return client,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "waiting for Temporal");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}

/// Connects to a server and namespace that are known, whatever the environment says.
pub async fn connect_to(address: &str, namespace: &str, identity: &str) -> anyhow::Result<Client> {
    let target = Url::parse(&format!("http://{address}"))
        .with_context(|| format!("{address} is not host:port"))?;
    let options = ConnectionOptions::new(target)
        .identity(identity.to_owned())
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let connection = Connection::connect(options)
        .await
        .with_context(|| format!("Temporal at {address} does not answer"))?;
    Client::new(connection, ClientOptions::new(namespace).build())
        .map_err(|error| anyhow!("Temporal client: {error}"))
}

fn add_client_certificate(
    connection: &mut ConnectionOptions,
    config: &TemporalConfig,
) -> anyhow::Result<()> {
    let (cert, key) = match (&config.client_cert, &config.client_key) {
        (None, None) => return Ok(()),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(anyhow!("TEMPORAL_CLIENT_CERT and TEMPORAL_CLIENT_KEY go together")),
    };
    let identity = ClientTlsOptions::builder()
        .client_cert(cert.expose_secret().as_bytes().to_vec())
        .client_private_key(key.expose_secret().as_bytes().to_vec())
        .build();
    connection.tls_options = Some(TlsOptions::builder().client_tls_options(identity).build());
    // The SDK uses TLS for https only, and would send everything in clear without a word.
    connection
        .target
        .set_scheme("https")
        .map_err(|()| anyhow!("TEMPORAL_ADDRESS cannot be reached by TLS"))
}

fn refuse_key_in_clear(connection: &ConnectionOptions) -> anyhow::Result<()> {
    if connection.api_key.is_some() && connection.target.scheme() != "https" {
        return Err(anyhow!(
            "TEMPORAL_API_KEY would go over the network in clear: TEMPORAL_ADDRESS must be https"
        ));
    }
    Ok(())
}

/// Registers our search attributes; those that are there stay.
pub async fn register_search_attributes(client: &Client) -> anyhow::Result<()> {
    let mut operator = client.connection().operator_service();
    for name in SEARCH_ATTRIBUTES {
        let request = AddSearchAttributesRequest {
            namespace: client.namespace(),
            search_attributes: [((*name).to_owned(), IndexedValueType::Keyword as i32)].into(),
        };
        match operator.add_search_attributes(request.into_request()).await {
            Ok(_) => {}
            Err(status) if status.code() == temporalio_client::tonic::Code::AlreadyExists => {}
            Err(status) => {
                return Err(anyhow!("search attribute {name}: {}", status.message()));
            }
        }
    }
    Ok(())
}
