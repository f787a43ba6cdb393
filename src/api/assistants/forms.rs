//! What the routes of assistants take and give.

use contract::call::Provider;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::{body::some, schema, timestamp::Timestamp};

/// Which assistants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AssistantsQuery {
    /// Only assistants of this provider.
    #[param(schema_with = schema::provider)]
    pub(super) provider: Option<Provider>,
    /// Only assistants in use, or only those that are not.
    pub(super) is_active: Option<bool>,
    /// Assistants in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    pub(super) cursor: Option<String>,
}

/// A page of assistants, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssistantsPage {
    /// The assistants.
    pub(super) data: Vec<Assistant>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// Who answers or makes calls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assistant {
    /// Its id.
    id: Uuid,
    /// Its name.
    #[schema(example = "Front desk")]
    name: String,
    /// Where it lives.
    #[schema(schema_with = schema::provider)]
    provider: String,
    /// The provider's id of it: calls find their assistant by it.
    provider_assistant_id: Option<String>,
    /// The template that it was made from.
    #[schema(example = "front-desk")]
    template: Option<String>,
    /// Your own words about it.
    #[schema(value_type = Object, example = json!({ "language": "en" }))]
    configuration: Value,
    /// Whether it is in use.
    is_active: bool,
    /// Grows with each change; also the `ETag`.
    version: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When somebody last changed it.
    updated_at: Timestamp,
}

impl From<store::assistants::Assistant> for Assistant {
    fn from(assistant: store::assistants::Assistant) -> Self {
        Self {
            id: assistant.id.0,
            name: assistant.name,
            provider: assistant.provider,
            provider_assistant_id: assistant.provider_assistant_id,
            template: assistant.template,
            configuration: assistant.configuration,
            is_active: assistant.is_active,
            version: assistant.version,
            created_at: Timestamp(assistant.created_at),
            updated_at: Timestamp(assistant.updated_at),
        }
    }
}

/// An assistant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateAssistant {
    /// Its name. Default: the template's.
    #[schema(max_length = 200)]
    pub(super) name: Option<String>,
    /// Where it lives.
    #[schema(schema_with = schema::provider)]
    pub(super) provider: String,
    /// The provider's id of it: calls find their assistant by it. No two assistants share one.
    #[schema(max_length = 200)]
    pub(super) provider_assistant_id: Option<String>,
    /// A template to make it from.
    #[schema(example = "front-desk")]
    pub(super) template: Option<String>,
    /// Your own words about it, up to 64 KB and 20 levels. Default: none, or the template's.
    #[schema(value_type = Option<Object>, example = json!({ "language": "en" }))]
    pub(super) configuration: Option<Value>,
    /// Whether it is in use. Default: true.
    pub(super) is_active: Option<bool>,
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateAssistant {
    /// Its name.
    #[schema(value_type = String, max_length = 200)]
    #[serde(default, deserialize_with = "some")]
    pub(super) name: Option<String>,
    /// The provider's id of it; null for none.
    #[schema(value_type = Option<String>, max_length = 200)]
    #[serde(default, deserialize_with = "some")]
    pub(super) provider_assistant_id: Option<Option<String>>,
    /// Your own words about it, all of them.
    #[schema(value_type = Object)]
    #[serde(default, deserialize_with = "some")]
    pub(super) configuration: Option<Value>,
    /// Whether it is in use.
    #[schema(value_type = bool)]
    #[serde(default, deserialize_with = "some")]
    pub(super) is_active: Option<bool>,
}

/// One of the providers that run calls.
pub(in crate::api) fn provider(word: &str) -> Result<Provider, String> {
    let found = Provider::ALL.iter().copied().find(|provider| provider.as_str() == word);
    found.ok_or_else(|| {
        let words: Vec<&str> = Provider::ALL.iter().map(|provider| provider.as_str()).collect();
        format!("must be one of {}", words.join(", "))
    })
}
