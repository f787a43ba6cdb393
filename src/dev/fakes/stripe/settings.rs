//! How the fake behaves where Stripe's accounts differ.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::super::script::LONGEST_DELAY_MS;

/// What a test or `postcall dev` may set. They do not survive a restart of the fakes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StripeSettings {
    /// Whether every id of a customer is taken for one. Otherwise only those that were made here, or
    /// are among `known_customers`.
    pub any_customer: bool,
    /// Ids of customers that were not made here.
    pub known_customers: Vec<String>,
    /// Names of the events that have an active meter. Unset: `voice_minutes` and every name used.
    pub meters: Option<Vec<String>>,
    /// How often usage of these customers is counted, where that is not once. 0 loses it, 2 doubles it,
    /// and nothing tells of either.
    pub counted_times: BTreeMap<String, u64>,
    /// Where events are posted.
    pub webhook_url: Option<String>,
    /// What they are signed with.
    #[serde(deserialize_with = "secret")]
    pub webhook_secret: Option<SecretString>,
    /// Milliseconds after which a thin event tells of usage that is not counted, at most 10 minutes.
    pub report_after_ms: u64,
}

impl Default for StripeSettings {
    fn default() -> Self {
        Self {
            any_customer: true,
            known_customers: Vec::new(),
            meters: None,
            counted_times: BTreeMap::new(),
            webhook_url: None,
            webhook_secret: None,
            report_after_ms: 1_000,
        }
    }
}

impl StripeSettings {
    /// What is wrong with settings that came from outside.
    pub(super) fn fault(&self) -> Option<&'static str> {
        (self.report_after_ms > LONGEST_DELAY_MS).then_some("report_after_ms: at most 600000")
    }
}

fn secret<'de, D: Deserializer<'de>>(written: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(written).map(|text| text.map(SecretString::from))
}
