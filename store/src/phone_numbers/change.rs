//! Phone numbers made, changed and deleted.

use contract::call::Provider;
use sqlx::{query, query_scalar};
use uuid::Uuid;

use super::{PhoneNumber, find};
use crate::{
    Database, StoreError,
    assistants::is_live,
    audit::Changer,
    database::{Tx, commit},
    error::{During, Problem},
    ids::{AssistantId, PhoneNumberId},
    written::{Written, is_taken},
};

/// A provider's number is one organization's.
const ONLY_ONE: &str = "phone_numbers_number";

/// A number to be made. All of it was checked, but for the assistant.
#[derive(Debug)]
pub struct NewPhoneNumber<'a> {
    /// In E.164.
    pub number: &'a str,
    /// Whose network it is in.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_phone_number_id: Option<&'a str>,
    /// Who answers there.
    pub assistant_id: Option<AssistantId>,
}

/// What is to change. All of it was checked, but for the assistant; what is none stays as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// The provider's id of it.
    pub provider_phone_number_id: Option<Option<String>>,
    /// Who answers there.
    pub assistant_id: Option<Option<AssistantId>>,
}

/// Makes a number. [`Written::Taken`]: some organization has it at this provider.
pub async fn create(
    db: &Database,
    changer: &Changer,
    new: &NewPhoneNumber<'_>,
) -> Result<Written<PhoneNumber>, StoreError> {
    const OPERATION: &str = "phone_numbers.create";
    let organization = changer.organization;
    let mut tx = db.tenant(organization).await?;
    if let Some(assistant) = new.assistant_id
        && !is_live(&mut tx, organization, assistant.0, OPERATION).await?
    {
        return Ok(Written::UnknownAssistant);
    }
    let id = PhoneNumberId(Uuid::now_v7());
    let done = query!(
        "insert into phone_numbers (id, organization_id, number, provider, provider_phone_number_id,
             assistant_id)
         values ($1, $2, $3, $4, $5, $6)",
        id.0,
        organization.0,
        new.number,
        new.provider.as_str(),
        new.provider_phone_number_id,
        new.assistant_id.map(|id| id.0),
    )
    .execute(&mut *tx)
    .await;
    if is_taken(&done, ONLY_ONE) {
        return Ok(Written::Taken);
    }
    done.during(OPERATION)?;
    let made = find(&mut tx, organization, id).await.during(OPERATION)?;
    let made = made.ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))?;
    changer.record(&mut tx, OPERATION, &target(id), None, Some(made.audited())).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(made))
}

/// Changes a number, if it still has a version that is `expected`, where some are.
pub async fn update(
    db: &Database,
    changer: &Changer,
    id: PhoneNumberId,
    expected: Option<&[i64]>,
    changes: &Changes,
) -> Result<Written<PhoneNumber>, StoreError> {
    const OPERATION: &str = "phone_numbers.update";
    let organization = changer.organization;
    let mut tx = db.tenant(organization).await?;
    // The assistant before its numbers, like whoever deletes one.
    if let Some(Some(assistant)) = changes.assistant_id
        && !is_live(&mut tx, organization, assistant.0, OPERATION).await?
    {
        let known = find(&mut tx, organization, id).await.during(OPERATION)?;
        return Ok(known.map_or(Written::Unknown, |_| Written::UnknownAssistant));
    }
    let before = match lock(&mut tx, changer, id, expected, OPERATION).await? {
        Written::Done(before) => before,
        refused => return Ok(refused),
    };
    query!(
        "update phone_numbers set
             provider_phone_number_id = case when $3 then $4 else provider_phone_number_id end,
             assistant_id = case when $5 then $6 else assistant_id end,
             version = version + 1, updated_at = now()
         where id = $1 and organization_id = $2",
        id.0,
        organization.0,
        changes.provider_phone_number_id.is_some(),
        changes.provider_phone_number_id.as_ref().and_then(Option::as_deref),
        changes.assistant_id.is_some(),
        changes.assistant_id.flatten().map(|id| id.0),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let after = find(&mut tx, organization, id).await.during(OPERATION)?;
    let Some(after) = after else { return Ok(Written::Unknown) };
    let (was, is) = (Some(before.audited()), Some(after.audited()));
    changer.record(&mut tx, OPERATION, &target(id), was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(after))
}

/// Deletes a number: from now on it may be somebody else's.
pub async fn delete(
    db: &Database,
    changer: &Changer,
    id: PhoneNumberId,
    expected: Option<&[i64]>,
) -> Result<Written<()>, StoreError> {
    const OPERATION: &str = "phone_numbers.delete";
    let mut tx = db.tenant(changer.organization).await?;
    let before = match lock(&mut tx, changer, id, expected, OPERATION).await? {
        Written::Done(before) => before,
        refused => return Ok(refused.refused()),
    };
    query!(
        "update phone_numbers set deleted_at = now(), version = version + 1, updated_at = now()
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

/// Takes an assistant from all numbers where it answers, which its transaction has locked.
pub(crate) async fn let_go(
    tx: &mut Tx,
    changer: &Changer,
    assistant: AssistantId,
) -> Result<(), StoreError> {
    const OPERATION: &str = "phone_numbers.let_go";
    let numbers = query_scalar!(
        "update phone_numbers set assistant_id = null, version = version + 1, updated_at = now()
         where organization_id = $1 and assistant_id = $2 and deleted_at is null returning id",
        changer.organization.0,
        assistant.0,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)?;
    for id in numbers {
        let (was, is) = (Some(assistant), None::<AssistantId>);
        let of = |assistant| Some(serde_json::json!({ "assistant_id": assistant }));
        let target = target(PhoneNumberId(id));
        changer.record(tx, "phone_numbers.update", &target, of(was), of(is)).await?;
    }
    Ok(())
}

async fn lock(
    tx: &mut Tx,
    changer: &Changer,
    id: PhoneNumberId,
    expected: Option<&[i64]>,
    operation: &'static str,
) -> Result<Written<PhoneNumber>, StoreError> {
    query!(
        "select id from phone_numbers where id = $1 and organization_id = $2 for update",
        id.0,
        changer.organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    let found = find(tx, changer.organization, id).await.during(operation)?;
    let Some(before) = found else { return Ok(Written::Unknown) };
    if expected.is_some_and(|versions| !versions.contains(&before.version)) {
        return Ok(Written::Stale);
    }
    Ok(Written::Done(before))
}

fn target(id: PhoneNumberId) -> String {
    format!("phone_numbers:{id}")
}
