//! Templates: what assistants can be made from. They are the installation's: organizations read the
//! active ones, operators write them with the owner's connection.

mod operate;

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::commit,
    error::During,
    reads::{Page, one_more},
};

pub use operate::{Changes, Deleted, NewTemplate, all, any, create, delete, update};

/// What an assistant can be made from. Also what Redis keeps of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Template {
    /// Its id.
    pub id: Uuid,
    /// Its name in URLs, unique.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Whom it is for.
    pub industry_id: Option<String>,
    /// Whether it is shown first.
    pub is_featured: bool,
    /// Whether organizations see it.
    pub is_active: bool,
    /// What it does.
    pub description: String,
    /// What an assistant begins with, a JSON object.
    pub configuration: Value,
    /// Grows with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Template {
    /// What the audit log says of it.
    fn audited(&self) -> Value {
        json!({
            "slug": self.slug,
            "name": self.name,
            "industry_id": self.industry_id,
            "is_featured": self.is_featured,
            "is_active": self.is_active,
            "description": self.description,
            "configuration": self.configuration,
            "version": self.version,
        })
    }
}

/// Templates, by the rest of the statement.
macro_rules! rows {
    ($rest:tt $(, $argument:expr)* $(,)?) => {
        query_as!(
            Template,
            "select id, slug, name, industry_id, is_featured, is_active, description, configuration,
                 version, created_at, updated_at
             from templates where " + $rest
            $(, $argument)*
        )
    };
}
use rows;

/// Which templates. All that is given must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// For this industry.
    pub industry: Option<&'a str>,
    /// Shown first, or not.
    pub is_featured: Option<bool>,
}

/// A page of the active templates in the order of their slugs, beginning after one.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    filter: Filter<'_>,
    after: &str,
    limit: u16,
) -> Result<Page<Template>, StoreError> {
    const OPERATION: &str = "templates.page";
    let mut tx = db.tenant(organization).await?;
    let rows = rows!(
        "is_active and slug > $1 and ($2::text is null or industry_id = $2)
         and ($3::boolean is null or is_featured = $3) order by slug limit $4",
        after,
        filter.industry,
        filter.is_featured,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows, limit))
}

/// One active template; none where there is no such one.
pub async fn get(
    db: &Database,
    organization: OrganizationId,
    slug: &str,
) -> Result<Option<Template>, StoreError> {
    const OPERATION: &str = "templates.get";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, slug).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found.filter(|template| template.is_active))
}

async fn find(connection: &mut PgConnection, slug: &str) -> Result<Option<Template>, sqlx::Error> {
    rows!("slug = $1", slug).fetch_optional(connection).await
}
