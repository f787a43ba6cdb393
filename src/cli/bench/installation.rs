//! The installation that is measured.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, anyhow};
use contract::ids::OrganizationId;
use secrecy::SecretString;
use temporalio_client::Client;

use crate::{
    cli::target::TargetArgs,
    config::{self, ClientConfig, TemporalConfig},
    dev::DevState,
    temporal,
};

/// The stream says something every 15 s, so that this much silence is a lost connection.
const SILENCE: Duration = Duration::from_secs(45);

/// Where calls are posted to, and what can be looked into.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) api_url: String,
    pub(super) api_key: SecretString,
    pub(super) organization: OrganizationId,
    pub(super) vapi_secret: SecretString,
    /// Process ids by name; none where it runs elsewhere.
    pub(super) pids: BTreeMap<String, u32>,
    /// Its clock is ours.
    pub(super) is_on_this_machine: bool,
    temporal: Option<TemporalAt>,
}

#[derive(Debug)]
enum TemporalAt {
    Dev { address: String, namespace: String },
    Environment(TemporalConfig),
}

impl Installation {
    /// What the environment names, else the `postcall dev` of the folder.
    pub(super) fn find(
        target: &TargetArgs,
        organization: Option<OrganizationId>,
    ) -> anyhow::Result<Self> {
        let client = ClientConfig::from_env()?;
        match client.api_url.clone() {
            Some(api_url) => Self::of_environment(api_url, client, organization),
            None => Self::of_dev(target.dev()?),
        }
    }

    fn of_dev(dev: DevState) -> anyhow::Result<Self> {
        let temporal =
            TemporalAt::Dev { address: dev.temporal_address, namespace: dev.temporal_namespace };
        Ok(Self {
            api_url: dev.api_url,
            api_key: dev.demo.api_key.into(),
            organization: dev.demo.organization_id.parse().context("dev.json: organization")?,
            vapi_secret: dev.demo.vapi_secret.into(),
            pids: dev.pids,
            is_on_this_machine: true,
            temporal: Some(temporal),
        })
    }

    /// Another organization of a `postcall dev`.
    pub(super) fn of_organization(
        dev: &DevState,
        organization: OrganizationId,
        api_key: SecretString,
        vapi_secret: SecretString,
    ) -> Self {
        Self {
            api_url: dev.api_url.clone(),
            api_key,
            organization,
            vapi_secret,
            pids: BTreeMap::new(),
            is_on_this_machine: true,
            temporal: None,
        }
    }

    fn of_environment(
        api_url: String,
        client: ClientConfig,
        organization: Option<OrganizationId>,
    ) -> anyhow::Result<Self> {
        let named = |name: &str| client.inherited.0.get(name).filter(|value| !value.is_empty());
        // The SDK's default is this machine's Temporal, which need not be the installation's.
        let temporal = named("TEMPORAL_ADDRESS").map(|_| TemporalConfig::from_env()).transpose()?;
        let vapi_secret = named("VAPI_WEBHOOK_SECRET").map(|secret| secret.as_str().into());
        Ok(Self {
            api_url: api_url.trim_end_matches('/').to_owned(),
            api_key: client.api_key.context("POSTCALL_API_URL needs POSTCALL_API_KEY")?,
            organization: organization.context("POSTCALL_API_URL needs --organization-id")?,
            vapi_secret: vapi_secret.context("POSTCALL_API_URL needs VAPI_WEBHOOK_SECRET")?,
            pids: BTreeMap::new(),
            is_on_this_machine: false,
            temporal: temporal.map(TemporalAt::Environment),
        })
    }

    /// A client for the live stream, which has no end of its own.
    pub(super) fn stream_client() -> anyhow::Result<reqwest::Client> {
        Ok(reqwest::Client::builder().read_timeout(SILENCE).build()?)
    }

    /// Its Temporal, where that is known.
    pub(super) async fn temporal(&self) -> anyhow::Result<Client> {
        let identity = config::identity("bench");
        match &self.temporal {
            Some(TemporalAt::Dev { address, namespace }) => {
                temporal::connect_to(address, namespace, &identity).await
            }
            Some(TemporalAt::Environment(config)) => temporal::connect(config, &identity).await,
            None => Err(anyhow!("TEMPORAL_ADDRESS is not set")),
        }
    }

    /// A server of a test, with this process as its only one.
    #[cfg(test)]
    pub(super) fn of_test(api_url: String, organization: OrganizationId) -> Self {
        Self {
            api_url,
            api_key: "vx_test".into(),
            organization,
            vapi_secret: "secret".into(),
            pids: BTreeMap::from([("serve".to_owned(), std::process::id())]),
            is_on_this_machine: true,
            temporal: None,
        }
    }
}
