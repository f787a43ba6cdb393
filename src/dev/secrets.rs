//! Keys and secrets of a development folder: made once, kept in it.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use contract::{call::Provider, ids::OrganizationId};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    keys,
    organizations::{NotificationSettings, Settings},
    sealing::Sealer,
    seed::{self, NewOrganization, ProviderCredentials},
};
use uuid::Uuid;

use super::state::Demo;

/// The assistant of Vapi's example payloads.
const VAPI_ASSISTANT: &str = "15867747-f6fd-42b3-a353-63687fecc2b4";

/// Opens the fake Vapi's API.
const VAPI_API_KEY: &str = "vapi_demo_key";

/// Secrets of the demo organization and the key that seals them.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoSecrets {
    encryption_key: String,
    organization_id: Uuid,
    api_key: String,
    vapi_secret: String,
    retell_api_key: String,
    twilio_account_sid: String,
    twilio_auth_token: String,
    stripe_webhook_secret: String,
    endpoint_secret: String,
}

impl std::fmt::Debug for DemoSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemoSecrets").field("organization_id", &self.organization_id).finish()
    }
}

impl DemoSecrets {
    /// Reads the folder's secrets, or makes them.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("run/demo.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            let damaged = || format!("{} is damaged", path.display());
            return serde_json::from_str(&text).with_context(damaged);
        }
        let secrets = Self::generate()?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).with_context(|| path.display().to_string())?;
        file.write_all(&serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }

    /// Fresh random secrets.
    pub fn generate() -> anyhow::Result<Self> {
        use secrecy::ExposeSecret;
        Ok(Self {
            encryption_key: STANDARD.encode(random::<32>()?),
            organization_id: Uuid::now_v7(),
            api_key: keys::generate()?.expose_secret().to_owned(),
            vapi_secret: format!("vapi_{}", hex::encode(random::<16>()?)),
            retell_api_key: format!("key_{}", hex::encode(random::<14>()?)),
            twilio_account_sid: format!("AC{}", hex::encode(random::<16>()?)),
            twilio_auth_token: hex::encode(random::<16>()?),
            stripe_webhook_secret: format!("whsec_{}", hex::encode(random::<16>()?)),
            endpoint_secret: format!("whsec_{}", STANDARD.encode(random::<32>()?)),
        })
    }

    /// The key of `POSTCALL_ENCRYPTION_KEY`.
    pub fn encryption_key(&self) -> SecretString {
        self.encryption_key.clone().into()
    }

    /// Seals with that key.
    pub fn sealer(&self) -> anyhow::Result<Sealer> {
        let key = STANDARD.decode(&self.encryption_key)?;
        let key: [u8; 32] = key.try_into().map_err(|_| anyhow::anyhow!("run/demo.json: key"))?;
        Ok(Sealer::new(key))
    }

    /// The secret that the demo endpoint's webhooks are signed with.
    pub fn endpoint_secret(&self) -> SecretString {
        self.endpoint_secret.clone().into()
    }

    /// What a client of the demo organization needs.
    pub fn shown(&self) -> Demo {
        Demo {
            organization_id: self.organization_id.to_string(),
            api_key: self.api_key.clone(),
            vapi_secret: self.vapi_secret.clone(),
            retell_api_key: self.retell_api_key.clone(),
            twilio_account_sid: self.twilio_account_sid.clone(),
            twilio_auth_token: self.twilio_auth_token.clone(),
            stripe_webhook_secret: self.stripe_webhook_secret.clone(),
        }
    }

    /// Writes the demo organization, with credentials of every provider, notifications on and an
    /// endpoint at the fakes.
    pub async fn seed(&self, admin_url: &SecretString, fakes_url: &str) -> anyhow::Result<()> {
        let settings = Settings {
            notifications: NotificationSettings {
                sms: vec!["+14155550123".to_owned()],
                email: vec!["front-desk@example.com".to_owned()],
            },
            ..Settings::default()
        };
        let endpoint_url = format!("{fakes_url}/hooks/demo");
        let new = NewOrganization {
            id: OrganizationId(self.organization_id),
            name: "Demo organization",
            slug: &format!("demo-{}", self.organization_id),
            settings: &settings,
            api_key: &self.api_key.clone().into(),
            credentials: &[
                ProviderCredentials {
                    provider: Provider::Vapi,
                    secret: &self.vapi_secret.clone().into(),
                    api_key: Some(&VAPI_API_KEY.into()),
                    settings: json!({}),
                },
                ProviderCredentials {
                    provider: Provider::Retell,
                    secret: &self.retell_api_key.clone().into(),
                    api_key: None,
                    settings: json!({}),
                },
                ProviderCredentials {
                    provider: Provider::Twilio,
                    secret: &self.twilio_auth_token.clone().into(),
                    api_key: None,
                    settings: json!({ "account_sid": self.twilio_account_sid }),
                },
            ],
            vapi_assistant_id: Some(VAPI_ASSISTANT),
            endpoint: Some((&endpoint_url, &self.endpoint_secret())),
        };
        seed::organization(admin_url, &self.sealer()?, &new).await?;
        Ok(())
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}
