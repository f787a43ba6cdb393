//! Secrets go over the wire, and nowhere else.

use std::fmt::Debug;

use postcall_client::{
    Client,
    models::{ApiKeyWithKey, CreateApiKey, CreateWebhook, Provider, SetProviderCredentials},
};
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use crate::server::{Server, json};

fn shows_nothing(value: &impl Debug) {
    let text = format!("{value:?} {value:#?}");
    assert!(!text.contains("sesame"), "{text}");
}

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let server = Server::start(|_, _| {
        json(
            201,
            &json!({
                "id": Uuid::from_u128(1), "name": "n", "key_prefix": "vx_", "scopes": ["*"], "enabled": true,
                "usage_count": 0, "version": 1, "created_at": "2026-01-31T09:30:00Z",
                "updated_at": "2026-01-31T09:30:00Z", "key": "vx_sesame",
            }),
        )
    })
    .await;
    let builder = Client::builder(server.url(), "sesame");
    shows_nothing(&builder);
    let client = builder.build().unwrap();
    shows_nothing(&client);

    let request = client.create_api_key(&CreateApiKey::new("n", ["*"]));
    shows_nothing(&request);
    let answer = request.answer().await.unwrap();
    shows_nothing(&answer);
    let ApiKeyWithKey { key, .. } = answer.value;
    assert_eq!(key.expose_secret(), "vx_sesame");
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer sesame"));
}

#[tokio::test]
async fn bodies_carry_secrets_and_show_none() {
    let server = Server::start(|_, _| json(200, &json!({}))).await;
    let client = server.client();
    let new = CreateWebhook::new("https://example.com", ["*"])
        .headers([("authorization", "sesame")])
        .secret("whsec_sesame");
    shows_nothing(&new);
    let request = client.create_webhook(&new);
    shows_nothing(&request);
    request.await.unwrap_err();
    let set = SetProviderCredentials::new().api_key("sesame");
    shows_nothing(&set);
    client.set_provider_credentials(Provider::Vapi, &set).await.unwrap_err();
    let asked = server.asked();
    let body = json!({
        "url": "https://example.com", "events": ["*"], "headers": { "authorization": "sesame" },
        "secret": "whsec_sesame",
    });
    assert_eq!(asked[0].json(), body);
    assert_eq!(asked[1].uri, "/v1/provider-credentials/vapi");
    assert_eq!(asked[1].json(), json!({ "api_key": "sesame" }));
}
