//! What events about endpoints themselves carry.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{EventData, Timestamp};
use crate::ids::EndpointId;

/// How an endpoint is. What does not apply to the type of event is left out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EndpointHealth {
    /// The endpoint.
    pub id: EndpointId,
    /// The host of its URL; path and query stay away, for they may hold a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_host: Option<String>,
    /// Why it was disabled: `gone` (it answered 410) or `failing` (nothing but failures for 5 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when every attempt fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// When it was disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// How much of the time after which it is disabled is over: 50, 75 or 90 percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

impl EndpointHealth {
    /// Of an endpoint of which nothing more is said.
    pub const fn of(id: EndpointId) -> Self {
        let (url_host, reason) = (None, None);
        Self { id, url_host, reason, failing_since: None, disabled_at: None, percent: None }
    }
}

impl EventData for EndpointHealth {
    fn example(event_type: &str) -> Self {
        const FIVE_DAYS: i64 = 5 * 24 * 60 * 60;
        let failing_since = Some(Timestamp::example(-FIVE_DAYS));
        let url_host = Some("hooks.example.com".to_owned());
        let endpoint = Self { url_host, ..Self::of(example_id()) };
        match event_type {
            "webhook.endpoint_disabled" => Self {
                reason: Some("failing".to_owned()),
                failing_since,
                disabled_at: Some(Timestamp::example(0)),
                ..endpoint
            },
            "webhook.endpoint_failing" => Self {
                failing_since: Some(Timestamp::example(-FIVE_DAYS / 2)),
                percent: Some(50),
                ..endpoint
            },
            _ => endpoint,
        }
    }
}

/// A test that somebody asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TestData {
    /// The endpoint that is tested.
    pub id: EndpointId,
    /// Words for whoever finds it in a log.
    pub message: String,
}

impl TestData {
    /// Of an endpoint.
    pub fn of(id: EndpointId) -> Self {
        let message = "A test of this endpoint: nothing has happened.".to_owned();
        Self { id, message }
    }
}

impl EventData for TestData {
    fn example(_: &str) -> Self {
        Self::of(example_id())
    }
}

fn example_id() -> EndpointId {
    EndpointId(Uuid::from_u128(0x019a_a140_3e2b_7c55_a1f0_5d77_0e3c_9b41))
}
