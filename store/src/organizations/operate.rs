//! Organizations as whoever runs the installation changes them. All of it needs the owner's connection.

use contract::{billing::UsageLimit, ids::OrganizationId};
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::json;
use sqlx::query;

use super::{Profile, profile::find_in};
use crate::{
    StoreError,
    audit::{Actor, Changer},
    database::{Owner, Tx, commit},
    error::During,
    written::{Written, is_taken},
};

/// What is to change. All of it was checked; what is none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Its name.
    pub name: Option<String>,
    /// Its name in URLs.
    pub slug: Option<String>,
    /// Name of its plan.
    pub plan: Option<String>,
    /// Minutes of a period that the plan includes, from the next period on.
    pub plan_minutes: Option<i32>,
    /// Price of a further minute in US dollars, from the next period on.
    pub overage_price: Option<Decimal>,
    /// What happens when the included minutes are used up, from the next period on.
    pub usage_limit: Option<UsageLimit>,
}

/// One organization, also one that was deleted.
pub async fn show(
    admin_url: &SecretString,
    organization: OrganizationId,
) -> Result<Option<Profile>, StoreError> {
    const OPERATION: &str = "organization.show";
    let mut tx = Owner::connect(admin_url)?.inside(organization, OPERATION).await?;
    find_in(&mut tx, organization, OPERATION).await
}

/// Changes name, slug and plan. [`Written::Taken`]: another organization has the slug.
pub async fn set_terms(
    admin_url: &SecretString,
    organization: OrganizationId,
    terms: &Terms,
) -> Result<Written<Profile>, StoreError> {
    const OPERATION: &str = "organization.set_terms";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.inside(organization, OPERATION).await?;
    let Some(before) = lock(&mut tx, organization, OPERATION).await? else {
        return Ok(Written::Unknown);
    };
    let done = query!(
        "update organizations set name = coalesce($2, name), slug = coalesce($3, slug),
             plan = coalesce($4, plan), plan_minutes = coalesce($5, plan_minutes),
             overage_price = coalesce($6, overage_price),
             usage_limit = coalesce($7, usage_limit), version = version + 1, updated_at = now()
         where id = $1",
        organization.0,
        terms.name.as_deref(),
        terms.slug.as_deref(),
        terms.plan.as_deref(),
        terms.plan_minutes,
        terms.overage_price,
        terms.usage_limit.map(|limit| limit.as_str()),
    )
    .execute(&mut *tx)
    .await;
    if is_taken(&done, "organizations_slug") {
        return Ok(Written::Taken);
    }
    done.during(OPERATION)?;
    let after = find_in(&mut tx, organization, OPERATION).await?;
    let Some(after) = after else { return Ok(Written::Unknown) };
    let (was, is) = (Some(before.audited()), Some(after.audited()));
    changer(organization).record(&mut tx, OPERATION, "organization", was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(after))
}

/// Deletes an organization: its keys and its providers' webhooks work no more, nothing is sent to its endpoints,
/// and its slug is free. What it had stays, to be billed and exported.
pub async fn delete(
    admin_url: &SecretString,
    organization: OrganizationId,
) -> Result<Written<()>, StoreError> {
    const OPERATION: &str = "organization.delete";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.inside(organization, OPERATION).await?;
    let Some(before) = lock(&mut tx, organization, OPERATION).await? else {
        return Ok(Written::Unknown);
    };
    query!(
        "update organizations set deleted_at = now(), version = version + 1, updated_at = now()
         where id = $1",
        organization.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let keys = query!(
        "update api_keys set enabled = false, updated_at = now()
         where organization_id = $1 and enabled",
        organization.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    // What waits for them ends when its turn comes.
    let endpoints = query!(
        "update webhooks set enabled = false, disabled_reason = 'organization-deleted',
             disabled_at = now(), version = version + 1, updated_at = now()
         where id = any(array(select id from webhooks where organization_id = $1 and enabled
                              order by id for no key update))",
        organization.0,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let is = Some(json!({
        "deleted": true,
        "disabled_keys": keys.rows_affected(),
        "disabled_endpoints": endpoints.rows_affected(),
    }));
    let was = Some(before.audited());
    changer(organization).record(&mut tx, OPERATION, "organization", was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(()))
}

/// One that is live, which nobody else changes meanwhile.
async fn lock(
    tx: &mut Tx,
    organization: OrganizationId,
    operation: &'static str,
) -> Result<Option<Profile>, StoreError> {
    query!("select id from organizations where id = $1 for update", organization.0)
        .fetch_optional(&mut **tx)
        .await
        .during(operation)?;
    let found = find_in(tx, organization, operation).await?;
    Ok(found.filter(|found| found.deleted_at.is_none()))
}

fn changer(organization: OrganizationId) -> Changer {
    Changer { organization, actor: Actor::command_line() }
}
