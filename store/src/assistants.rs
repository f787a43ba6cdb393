//! Assistants: who answers or makes an organization's calls, and how.
//!
//! A change grows the version and stands in the audit log, or did not happen. One that is deleted keeps
//! its row: calls, days and endpoints go on to tell whose they were.

mod change;

use chrono::{DateTime, Utc};
use contract::{call::Provider, ids::OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    audit::without_secrets,
    database::{Tx, commit},
    error::During,
    ids::AssistantId,
    reads::{Page, Place, one_more},
};

pub use change::{Changes, NewAssistant, create, delete, update};

/// An organization's assistant. Also what Redis keeps of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assistant {
    /// Its id.
    pub id: AssistantId,
    /// Its name.
    pub name: String,
    /// Where it lives.
    pub provider: String,
    /// The provider's id of it: calls find their assistant by it.
    pub provider_assistant_id: Option<String>,
    /// The template that it was made from.
    pub template: Option<String>,
    /// The customer's own words about it, a JSON object.
    pub configuration: Value,
    /// Whether it is in use.
    pub is_active: bool,
    /// Grows with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Assistant {
    /// What the audit log says of it.
    fn audited(&self) -> Value {
        json!({
            "name": self.name,
            "provider": self.provider,
            "provider_assistant_id": self.provider_assistant_id,
            "template": self.template,
            "configuration": without_secrets(&self.configuration),
            "is_active": self.is_active,
            "version": self.version,
        })
    }
}

/// Which assistants. All that is given must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Of this provider.
    pub provider: Option<Provider>,
    /// In use, or not.
    pub is_active: Option<bool>,
}

struct Row {
    id: Uuid,
    name: String,
    provider: String,
    provider_assistant_id: Option<String>,
    template: Option<String>,
    configuration: Value,
    is_active: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Assistant {
    fn from(row: Row) -> Self {
        Self {
            id: AssistantId(row.id),
            name: row.name,
            provider: row.provider,
            provider_assistant_id: row.provider_assistant_id,
            template: row.template,
            configuration: row.configuration,
            is_active: row.is_active,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Assistants that were not deleted, by the rest of the statement.
macro_rules! rows {
    ($rest:tt, $($argument:expr),+ $(,)?) => {
        query_as!(
            Row,
            r#"select a.id, a.name, a.provider, a.provider_assistant_id, t.slug as "template?",
                 a.configuration, a.is_active, a.version, a.created_at, a.updated_at
               from assistants a left join templates t on t.id = a.template_id
               where a.organization_id = $1 and a.deleted_at is null and "# + $rest,
            $($argument),+
        )
    };
}

/// A page of an organization's assistants, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    filter: Filter,
    after: Place,
    limit: u16,
) -> Result<Page<Assistant>, StoreError> {
    const OPERATION: &str = "assistants.page";
    let mut tx = db.tenant(organization).await?;
    let rows = rows!(
        "(a.created_at, a.id) < ($2, $3) and ($4::text is null or a.provider = $4)
         and ($5::boolean is null or a.is_active = $5)
         order by a.created_at desc, a.id desc limit $6",
        organization.0,
        after.at,
        after.id,
        filter.provider.map(Provider::as_str),
        filter.is_active,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows.into_iter().map(Assistant::from).collect(), limit))
}

/// One assistant; none where the organization has no such one, or no more.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    id: AssistantId,
) -> Result<Option<Assistant>, StoreError> {
    const OPERATION: &str = "assistants.get";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, organization, id).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found)
}

async fn find(
    tx: &mut Tx,
    organization: OrganizationId,
    id: AssistantId,
) -> Result<Option<Assistant>, sqlx::Error> {
    let row = rows!("a.id = $2", organization.0, id.0).fetch_optional(&mut **tx).await?;
    Ok(row.map(Assistant::from))
}

/// Whether the organization has such an assistant; if so, it has it until the transaction ends.
pub(crate) async fn is_live(
    tx: &mut Tx,
    organization: OrganizationId,
    assistant: Uuid,
    operation: &'static str,
) -> Result<bool, StoreError> {
    let found = query!(
        "select id from assistants
         where id = $1 and organization_id = $2 and deleted_at is null for share",
        assistant,
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    Ok(found.is_some())
}
