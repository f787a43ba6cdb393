//! The connection to Temporal, made once and shared by dispatcher, workers and commands.

use std::time::Duration;

use anyhow::{Context, anyhow};
use contract::{
    call::{CallStatus, Provider},
    ids::{CallId, OrganizationId},
    names::{
        CALL_ID_ATTRIBUTE, CALL_STATUS_ATTRIBUTE, ORGANIZATION_ID_ATTRIBUTE, PROVIDER_ATTRIBUTE,
        PROVIDER_CALL_ID_ATTRIBUTE, SEARCH_ATTRIBUTES,
    },
};
use secrecy::ExposeSecret;
use temporalio_client::{
    Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, NamespacedClient,
    TlsOptions,
    envconfig::LoadClientConfigProfileOptions,
    tonic::{Code, IntoRequest},
};
use temporalio_common::{
    protos::temporal::api::{
        enums::v1::IndexedValueType, operatorservice::v1::AddSearchAttributesRequest,
    },
    search_attributes::{SearchAttributeKey, SearchAttributes},
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

/// Registers our search attributes, however long it takes; where the server lets only an operator do
/// it (Temporal Cloud), that is told and no reason not to work.
pub async fn register_patiently(client: &Client) {
    loop {
        match register_search_attributes(client).await {
            Ok(()) => return,
            Err(RegisterError::Refused { name, text }) => {
                tracing::warn!(name, text, "a search attribute has to be made by an operator");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "waiting for Temporal");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}

/// Why a search attribute was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The server does not let this client do it.
    #[error("search attribute {name} is refused: {text}")]
    Refused {
        /// Its name.
        name: &'static str,
        /// The server's words.
        text: String,
    },
    /// The server did not do it now.
    #[error("search attribute {name}: {text}")]
    Unavailable {
        /// Its name.
        name: &'static str,
        /// The server's words.
        text: String,
    },
}

/// Registers our search attributes; those that are there stay.
pub async fn register_search_attributes(client: &Client) -> Result<(), RegisterError> {
    let mut operator = client.connection().operator_service();
    for name in SEARCH_ATTRIBUTES {
        let request = AddSearchAttributesRequest {
            namespace: client.namespace(),
            search_attributes: [((*name).to_owned(), IndexedValueType::Keyword as i32)].into(),
        };
        match operator.add_search_attributes(request.into_request()).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::AlreadyExists => {}
            Err(status) => {
                let text = status.message().to_owned();
                return Err(match status.code() {
                    Code::PermissionDenied | Code::Unimplemented => {
                        RegisterError::Refused { name, text }
                    }
                    _ => RegisterError::Unavailable { name, text },
                });
            }
        }
    }
    Ok(())
}

const ORGANIZATION_ID: SearchAttributeKey<String> =
    SearchAttributeKey::keyword(ORGANIZATION_ID_ATTRIBUTE);
const CALL_ID: SearchAttributeKey<String> = SearchAttributeKey::keyword(CALL_ID_ATTRIBUTE);
const PROVIDER_CALL_ID: SearchAttributeKey<String> =
    SearchAttributeKey::keyword(PROVIDER_CALL_ID_ATTRIBUTE);
const PROVIDER: SearchAttributeKey<String> = SearchAttributeKey::keyword(PROVIDER_ATTRIBUTE);
const CALL_STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword(CALL_STATUS_ATTRIBUTE);

/// What a call's run is found by. Ids and states only: search attributes are stored in clear.
pub fn search_attributes(
    organization: OrganizationId,
    call: CallId,
    provider: Provider,
    provider_call_id: &str,
    status: CallStatus,
) -> SearchAttributes {
    SearchAttributes::new([
        ORGANIZATION_ID.value_set(organization.to_string()),
        CALL_ID.value_set(call.to_string()),
        PROVIDER_CALL_ID.value_set(provider_call_id.to_owned()),
        PROVIDER.value_set(provider.to_string()),
        CALL_STATUS.value_set(status.to_string()),
    ])
}

/// What a run is found by that is of an organization rather than of a call.
pub fn of_organization(organization: OrganizationId) -> SearchAttributes {
    SearchAttributes::new([ORGANIZATION_ID.value_set(organization.to_string())])
}
