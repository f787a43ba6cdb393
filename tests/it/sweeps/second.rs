//! Further organizations in a world, with credentials of their own.

use base64::{Engine, engine::general_purpose::STANDARD};
use contract::{call::Provider, ids::OrganizationId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use store::{
    organizations::Settings,
    sealing::Sealer,
    seed::{self, NewOrganization, ProviderCredentials},
};
use uuid::Uuid;

use crate::harness::World;

/// Another organization: it gives no access to Vapi's API, and has an account of its own at Twilio.
pub(super) struct Second {
    pub(super) id: OrganizationId,
    pub(super) twilio_account: String,
    vapi_secret: SecretString,
}

impl World {
    /// Makes another organization.
    pub(super) async fn second(&self) -> Second {
        let id = Uuid::now_v7();
        let twilio_account = format!("AC{}", id.simple());
        let vapi_secret = SecretString::from(format!("vapi_{}", id.simple()));
        let key = self.secrets.encryption_key();
        let key = STANDARD.decode(key.expose_secret()).expect("base64");
        let sealer = Sealer::new(key.try_into().expect("32 bytes"));
        let new = NewOrganization {
            id: OrganizationId(id),
            name: "Second organization",
            slug: &format!("second-{id}"),
            settings: &Settings::default(),
            api_key: &format!("pc_test_{}", id.simple()).into(),
            credentials: &[
                ProviderCredentials {
                    provider: Provider::Vapi,
                    secret: &vapi_secret,
                    api_key: None,
                    settings: json!({}),
                },
                ProviderCredentials {
                    provider: Provider::Twilio,
                    secret: &"a token".into(),
                    api_key: None,
                    settings: json!({ "account_sid": twilio_account }),
                },
            ],
            vapi_assistant_id: None,
            endpoint: None,
        };
        seed::organization(&self.database_url(), &sealer, &new).await.expect("an organization");
        Second { id: OrganizationId(id), twilio_account, vapi_secret }
    }

    /// Posts a message of Vapi to another organization; gives the status.
    pub(super) async fn post_to_second(&self, second: &Second, body: Vec<u8>) -> u16 {
        let url = format!("{}/vapi/{}", self.api_url, second.id);
        let request =
            self.http.post(url).header("x-vapi-secret", second.vapi_secret.expose_secret());
        request.body(body).send().await.expect("serve answers").status().as_u16()
    }
}
