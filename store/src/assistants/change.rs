//! Assistants made, changed and deleted.

use contract::call::Provider;
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;

use super::{Assistant, find};
use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    error::{During, Problem},
    ids::AssistantId,
    phone_numbers,
    written::{Written, is_taken},
};

/// One of a provider's assistants is one of the organization's.
const ONLY_ONE: &str = "assistants_provider_id";

/// An assistant to be made. All of it was checked.
#[derive(Debug)]
pub struct NewAssistant<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it lives.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_assistant_id: Option<&'a str>,
    /// The template that it is made from.
    pub template_id: Option<Uuid>,
    /// A JSON object.
    pub configuration: &'a Value,
    /// Whether it is in use.
    pub is_active: bool,
}

/// What is to change. All of it was checked; what is none stays as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// Its name.
    pub name: Option<String>,
    /// The provider's id of it.
    pub provider_assistant_id: Option<Option<String>>,
    /// A JSON object, the whole of it.
    pub configuration: Option<Value>,
    /// Whether it is in use.
    pub is_active: Option<bool>,
}

/// Makes an assistant. [`Written::Taken`]: the organization has one with this id at the provider.
pub async fn create(
    db: &Database,
    changer: &Changer,
    new: &NewAssistant<'_>,
) -> Result<Written<Assistant>, StoreError> {
    const OPERATION: &str = "assistants.create";
    let mut tx = db.tenant(changer.organization).await?;
    let id = AssistantId(Uuid::now_v7());
    let done = query!(
        "insert into assistants (id, organization_id, name, provider, provider_assistant_id,
             template_id, configuration, is_active)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.0,
        changer.organization.0,
        new.name,
        new.provider.as_str(),
        new.provider_assistant_id,
        new.template_id,
        new.configuration,
        new.is_active,
    )
    .execute(&mut *tx)
    .await;
    if is_taken(&done, ONLY_ONE) {
        return Ok(Written::Taken);
    }
    done.during(OPERATION)?;
    let made = find(&mut tx, changer.organization, id).await.during(OPERATION)?;
    let made = made.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    changer.record(&mut tx, OPERATION, &target(id), None, Some(made.audited())).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(made))
}

/// Changes an assistant, if it still has a version that is `expected`, where some are.
pub async fn update(
    db: &Database,
    changer: &Changer,
    id: AssistantId,
    expected: Option<&[i64]>,
    changes: &Changes,
) -> Result<Written<Assistant>, StoreError> {
    const OPERATION: &str = "assistants.update";
    let (mut tx, before) = match begin(db, changer, id, expected, OPERATION).await? {
        Written::Done(begun) => begun,
        refused => return Ok(refused.refused()),
    };
    let done = query!(
        "update assistants set name = coalesce($3, name),
             provider_assistant_id = case when $4 then $5 else provider_assistant_id end,
             configuration = coalesce($6, configuration), is_active = coalesce($7, is_active),
             version = version + 1, updated_at = now()
         where id = $1 and organization_id = $2",
        id.0,
        changer.organization.0,
        changes.name.as_deref(),
        changes.provider_assistant_id.is_some(),
        changes.provider_assistant_id.as_ref().and_then(Option::as_deref),
        changes.configuration.as_ref(),
        changes.is_active,
    )
    .execute(&mut *tx)
    .await;
    if is_taken(&done, ONLY_ONE) {
        return Ok(Written::Taken);
    }
    done.during(OPERATION)?;
    let after = find(&mut tx, changer.organization, id).await.during(OPERATION)?;
    let Some(after) = after else { return Ok(Written::Unknown) };
    let (was, is) = (Some(before.audited()), Some(after.audited()));
    changer.record(&mut tx, OPERATION, &target(id), was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(after))
}

/// Deletes an assistant; its phone numbers are nobody's then.
pub async fn delete(
    db: &Database,
    changer: &Changer,
    id: AssistantId,
    expected: Option<&[i64]>,
) -> Result<Written<()>, StoreError> {
    const OPERATION: &str = "assistants.delete";
    let (mut tx, before) = match begin(db, changer, id, expected, OPERATION).await? {
        Written::Done(begun) => begun,
        refused => return Ok(refused.refused()),
    };
    phone_numbers::let_go(&mut tx, changer, id).await?;
    query!(
        "update assistants set deleted_at = now(), is_active = false, version = version + 1,
             updated_at = now()
         where id = $1 and organization_id = $2",
        id.0,
        changer.organization.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    changer.record(&mut tx, OPERATION, &target(id), Some(before.audited()), None).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(()))
}

/// A transaction in which nobody else changes the assistant.
async fn begin(
    db: &Database,
    changer: &Changer,
    id: AssistantId,
    expected: Option<&[i64]>,
    operation: &'static str,
) -> Result<Written<(Tx, Assistant)>, StoreError> {
    let mut tx = db.tenant(changer.organization).await?;
    query!(
        "select id from assistants where id = $1 and organization_id = $2 for update",
        id.0,
        changer.organization.0,
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?;
    let found = find(&mut tx, changer.organization, id).await.during(operation)?;
    let Some(before) = found else { return Ok(Written::Unknown) };
    if expected.is_some_and(|versions| !versions.contains(&before.version)) {
        return Ok(Written::Stale);
    }
    Ok(Written::Done((tx, before)))
}

fn target(id: AssistantId) -> String {
    format!("assistants:{id}")
}
