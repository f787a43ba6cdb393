//! Phone numbers: what an organization is called at, and calls from.
//!
//! A number at a provider belongs to one organization of the installation. One that is deleted keeps its
//! row for the calls that came by it, and may belong to somebody else.

mod change;

use chrono::{DateTime, Utc};
use contract::{call::Provider, ids::OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::query_as;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    ids::{AssistantId, PhoneNumberId},
    reads::{Page, Place, one_more},
};

pub(crate) use change::let_go;
pub use change::{Changes, NewPhoneNumber, create, delete, update};

/// An organization's phone number. Also what Redis keeps of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhoneNumber {
    /// Its id.
    pub id: PhoneNumberId,
    /// The number in E.164.
    pub number: String,
    /// Whose network it is in.
    pub provider: String,
    /// The provider's id of it: calls find their number by it.
    pub provider_phone_number_id: Option<String>,
    /// Who answers there.
    pub assistant_id: Option<AssistantId>,
    /// Grows with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl PhoneNumber {
    /// What the audit log says of it. An organization's own number names no person.
    fn audited(&self) -> Value {
        json!({
            "number": self.number,
            "provider": self.provider,
            "provider_phone_number_id": self.provider_phone_number_id,
            "assistant_id": self.assistant_id,
            "version": self.version,
        })
    }
}

/// Which numbers. All that is given must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Of this provider.
    pub provider: Option<Provider>,
    /// Where this assistant answers.
    pub assistant: Option<AssistantId>,
    /// This very number.
    pub number: Option<&'a str>,
}

struct Row {
    id: Uuid,
    number: String,
    provider: String,
    provider_phone_number_id: Option<String>,
    assistant_id: Option<Uuid>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for PhoneNumber {
    fn from(row: Row) -> Self {
        Self {
            id: PhoneNumberId(row.id),
            number: row.number,
            provider: row.provider,
            provider_phone_number_id: row.provider_phone_number_id,
            assistant_id: row.assistant_id.map(AssistantId),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Numbers that were not deleted, by the rest of the statement.
macro_rules! rows {
    ($rest:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            "select id, number, provider, provider_phone_number_id, assistant_id, version, created_at,
                 updated_at
             from phone_numbers where organization_id = $1 and deleted_at is null and " + $rest,
            $($argument),+
        )
    };
}

/// A page of an organization's numbers, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    filter: &Filter<'_>,
    after: Place,
    limit: u16,
) -> Result<Page<PhoneNumber>, StoreError> {
    const OPERATION: &str = "phone_numbers.page";
    let mut tx = db.tenant(organization).await?;
    let rows = rows!(
        "(created_at, id) < ($2, $3) and ($4::text is null or provider = $4)
         and ($5::uuid is null or assistant_id = $5) and ($6::text is null or number = $6)
         order by created_at desc, id desc limit $7",
        organization.0,
        after.at,
        after.id,
        filter.provider.map(Provider::as_str),
        filter.assistant.map(|id| id.0),
        filter.number,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows.into_iter().map(PhoneNumber::from).collect(), limit))
}

/// One number; none where the organization has no such one, or no more.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    id: PhoneNumberId,
) -> Result<Option<PhoneNumber>, StoreError> {
    const OPERATION: &str = "phone_numbers.get";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, organization, id).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found)
}

async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    id: PhoneNumberId,
) -> Result<Option<PhoneNumber>, sqlx::Error> {
    let row = rows!("id = $2", organization.0, id.0).fetch_optional(&mut **tx).await?;
    Ok(row.map(PhoneNumber::from))
}
