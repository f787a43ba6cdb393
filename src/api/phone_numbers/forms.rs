//! What the routes of phone numbers take and give.

use contract::call::Provider;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::{body::some, schema, timestamp::Timestamp};

/// Which numbers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PhoneNumbersQuery {
    /// Only numbers at this provider.
    #[param(schema_with = schema::provider)]
    pub(super) provider: Option<Provider>,
    /// Only numbers where this assistant answers.
    pub(super) assistant_id: Option<Uuid>,
    /// Only this number, in E.164.
    pub(super) number: Option<String>,
    /// Numbers in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    pub(super) cursor: Option<String>,
}

/// A page of numbers, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PhoneNumbersPage {
    /// The numbers.
    pub(super) data: Vec<PhoneNumber>,
    /// Where the next page begins; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// What an organization is called at, and calls from.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PhoneNumber {
    /// Its id.
    id: Uuid,
    /// The number in E.164.
    #[schema(example = "+14155550100")]
    number: String,
    /// Whose network it is in.
    #[schema(schema_with = schema::provider)]
    provider: String,
    /// The provider's id of it: calls find their number by it.
    provider_phone_number_id: Option<String>,
    /// Who answers there.
    assistant_id: Option<Uuid>,
    /// Grows with each change; also the `ETag`.
    version: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When somebody last changed it.
    updated_at: Timestamp,
}

impl From<store::phone_numbers::PhoneNumber> for PhoneNumber {
    fn from(number: store::phone_numbers::PhoneNumber) -> Self {
        Self {
            id: number.id.0,
            number: number.number,
            provider: number.provider,
            provider_phone_number_id: number.provider_phone_number_id,
            assistant_id: number.assistant_id.map(|id| id.0),
            version: number.version,
            created_at: Timestamp(number.created_at),
            updated_at: Timestamp(number.updated_at),
        }
    }
}

/// A number to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatePhoneNumber {
    /// The number in E.164.
    #[schema(example = "+14155550100")]
    pub(super) number: String,
    /// Whose network it is in.
    #[schema(schema_with = schema::provider)]
    pub(super) provider: String,
    /// The provider's id of it: calls find their number by it.
    #[schema(max_length = 200)]
    pub(super) provider_phone_number_id: Option<String>,
    /// Who answers there.
    pub(super) assistant_id: Option<Uuid>,
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdatePhoneNumber {
    /// The provider's id of it; null for none.
    #[schema(value_type = Option<String>, max_length = 200)]
    #[serde(default, deserialize_with = "some")]
    pub(super) provider_phone_number_id: Option<Option<String>>,
    /// Who answers there; null for nobody.
    #[schema(value_type = Option<Uuid>)]
    #[serde(default, deserialize_with = "some")]
    pub(super) assistant_id: Option<Option<Uuid>>,
}
