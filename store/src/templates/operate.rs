//! Templates as operators see and write them. All of it needs the owner's connection.

use secrecy::SecretString;
use serde_json::Value;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::{Template, find, rows};
use crate::{
    StoreError,
    audit::record_of_installation,
    database::{Owner, Tx, commit},
    error::{During, Problem},
    written::{Written, is_taken},
};

const ONLY_ONE: &str = "templates_slug_key";
/// No installation has so many.
const MOST: i64 = 1000;

/// A template to be made. All of it was checked.
#[derive(Debug, Clone)]
pub struct NewTemplate {
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
    /// A JSON object.
    pub configuration: Value,
}

/// What is to change. All of it was checked; what is none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Its name.
    pub name: Option<String>,
    /// Whom it is for.
    pub industry_id: Option<String>,
    /// Whether it is shown first.
    pub is_featured: Option<bool>,
    /// Whether organizations see it.
    pub is_active: Option<bool>,
    /// What it does.
    pub description: Option<String>,
    /// A JSON object, the whole of it.
    pub configuration: Option<Value>,
}

/// What came of deleting a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// There is no such template.
    Unknown,
    /// Assistants were made from it, and tell so.
    InUse,
}

/// Every template, also those that organizations do not see, in the order of their slugs.
pub async fn all(admin_url: &SecretString) -> Result<Vec<Template>, StoreError> {
    const OPERATION: &str = "templates.all";
    let mut tx = Owner::connect(admin_url)?.begin(OPERATION).await?;
    let rows = rows!("true order by slug limit $1", MOST).fetch_all(&mut *tx).await;
    rows.during(OPERATION)
}

/// One template, also one that organizations do not see.
pub async fn any(admin_url: &SecretString, slug: &str) -> Result<Option<Template>, StoreError> {
    const OPERATION: &str = "templates.any";
    let mut tx = Owner::connect(admin_url)?.begin(OPERATION).await?;
    find(&mut tx, slug).await.during(OPERATION)
}

/// Makes a template. [`Written::Taken`]: another has its slug.
pub async fn create(
    admin_url: &SecretString,
    new: &NewTemplate,
) -> Result<Written<Template>, StoreError> {
    const OPERATION: &str = "templates.create";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.begin(OPERATION).await?;
    let done = query!(
        "insert into templates (id, slug, name, industry_id, is_featured, is_active, description,
             configuration)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        Uuid::now_v7(),
        new.slug,
        new.name,
        new.industry_id,
        new.is_featured,
        new.is_active,
        new.description,
        new.configuration,
    )
    .execute(&mut *tx)
    .await;
    if is_taken(&done, ONLY_ONE) {
        return Ok(Written::Taken);
    }
    done.during(OPERATION)?;
    let made = find(&mut tx, &new.slug).await.during(OPERATION)?;
    let made = made.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    let target = target(&new.slug);
    record_of_installation(&mut tx, OPERATION, &target, None, Some(made.audited())).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(made))
}

/// Changes a template. Assistants that were made from it stay as they are.
pub async fn update(
    admin_url: &SecretString,
    slug: &str,
    changes: &Changes,
) -> Result<Written<Template>, StoreError> {
    const OPERATION: &str = "templates.update";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.begin(OPERATION).await?;
    let Some(before) = lock(&mut tx, slug, OPERATION).await? else { return Ok(Written::Unknown) };
    query!(
        "update templates set name = coalesce($2, name), industry_id = coalesce($3, industry_id),
             is_featured = coalesce($4, is_featured), is_active = coalesce($5, is_active),
             description = coalesce($6, description), configuration = coalesce($7, configuration),
             version = version + 1, updated_at = now()
         where slug = $1",
        slug,
        changes.name.as_deref(),
        changes.industry_id.as_deref(),
        changes.is_featured,
        changes.is_active,
        changes.description.as_deref(),
        changes.configuration.as_ref(),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let after = find(&mut tx, slug).await.during(OPERATION)?;
    let Some(after) = after else { return Ok(Written::Unknown) };
    let (was, is) = (Some(before.audited()), Some(after.audited()));
    record_of_installation(&mut tx, OPERATION, &target(slug), was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(after))
}

/// Deletes a template that no assistant was made from.
pub async fn delete(admin_url: &SecretString, slug: &str) -> Result<Deleted, StoreError> {
    const OPERATION: &str = "templates.delete";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.begin(OPERATION).await?;
    let Some(before) = lock(&mut tx, slug, OPERATION).await? else { return Ok(Deleted::Unknown) };
    let done = query!("delete from templates where slug = $1", slug).execute(&mut *tx).await;
    if is_taken(&done, "assistants_template_id_fkey") {
        return Ok(Deleted::InUse);
    }
    done.during(OPERATION)?;
    let was = Some(before.audited());
    record_of_installation(&mut tx, OPERATION, &target(slug), was, None).await?;
    commit(tx, OPERATION).await?;
    Ok(Deleted::Done)
}

async fn lock(
    tx: &mut Tx,
    slug: &str,
    operation: &'static str,
) -> Result<Option<Template>, StoreError> {
    query!("select id from templates where slug = $1 for update", slug)
        .fetch_optional(&mut **tx)
        .await
        .during(operation)?;
    find(tx, slug).await.during(operation)
}

fn target(slug: &str) -> String {
    format!("templates:{slug}")
}
