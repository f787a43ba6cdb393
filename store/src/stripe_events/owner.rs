//! Whose a customer of Stripe's is.

use contract::ids::OrganizationId;
use serde_json::json;
use sqlx::query;

use crate::{StoreError, billing, database::Tx, error::During};

/// The organization of a customer.
pub(super) struct Owner {
    pub(super) organization_id: OrganizationId,
    /// Name of the zone in which its days begin.
    pub(super) timezone: String,
}

/// Takes the events of a customer one by one: each sees what the one before did, and whoever links the
/// customer sees what was parked for it.
pub(super) async fn lock(tx: &mut Tx, customer: &str) -> Result<(), StoreError> {
    let name = format!("stripe-customer/{customer}");
    query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name)
        .fetch_one(&mut **tx)
        .await
        .during("stripe_events.lock")
        .map(drop)
}

pub(super) async fn find(tx: &mut Tx, customer: &str) -> Result<Option<Owner>, StoreError> {
    let row =
        query!("select id, timezone from organizations where stripe_customer_id = $1", customer,)
            .fetch_optional(&mut **tx)
            .await
            .during("stripe_events.find")?;
    Ok(row.map(|row| Owner { organization_id: OrganizationId(row.id), timezone: row.timezone }))
}

/// Makes a customer that belongs to nobody the one of an organization, if that exists and has none, or the
/// one that it replaces. `by` is what the history says it was: the type of an event, or who did it.
pub(super) async fn link(
    tx: &mut Tx,
    customer: &str,
    organization: OrganizationId,
    replacing: Option<&str>,
    by: &str,
) -> Result<Option<Owner>, StoreError> {
    let row = query!(
        "update organizations set stripe_customer_id = $1
         where id = $2 and stripe_customer_id is not distinct from $3 and deleted_at is null
         returning timezone",
        customer,
        organization.0,
        replacing,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("stripe_events.link")?;
    let Some(row) = row else { return Ok(None) };
    let mut details = json!({ "customer": customer, "by": by });
    if let Some(replaced) = replacing {
        details["instead_of"] = replaced.into();
    }
    billing::log(tx, organization, None, "customer.linked", details).await?;
    Ok(Some(Owner { organization_id: organization, timezone: row.timezone }))
}

/// Stripe's id of the organization's customer.
pub(super) async fn customer_of(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Option<String>, StoreError> {
    let row = query!("select stripe_customer_id from organizations where id = $1", organization.0)
        .fetch_optional(&mut **tx)
        .await
        .during("stripe_events.customer_of")?;
    Ok(row.and_then(|row| row.stripe_customer_id))
}
