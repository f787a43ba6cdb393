//! The customer at Stripe: claimed before Stripe is asked, linked once.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use secrecy::SecretString;
use serde_json::json;
use sqlx::query;

use super::steps::{Part, lock, note_in, save};
use crate::{
    Database, StoreError, billing,
    database::commit,
    error::During,
    organizations::{self, Organization},
};

/// What is to be done about the customer at Stripe.
#[derive(Debug)]
pub enum CustomerStep {
    /// Nothing: there is one.
    Done,
    /// To be made.
    Due {
        /// Name of the organization.
        name: String,
        /// Where invoices go.
        email: Option<SecretString>,
        /// When it was first tried, where it was: the answer may have been lost.
        tried_at: Option<DateTime<Utc>>,
    },
}

/// Claims the making of the customer: that it is tried is committed before Stripe is asked.
///
/// # Errors
/// When the database fails, or nobody onboards such an organization.
pub async fn begin_customer(
    db: &Database,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<CustomerStep, StoreError> {
    const OPERATION: &str = "onboarding.begin_customer";
    let mut tx = db.tenant(organization).await?;
    let mut steps = lock(&mut tx, organization).await?;
    let Organization { name, settings } = organizations::get_in(&mut tx, organization).await?;
    let row = query!("select stripe_customer_id from organizations where id = $1", organization.0)
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    if row.stripe_customer_id.is_some() {
        commit(tx, OPERATION).await?;
        return Ok(CustomerStep::Done);
    }
    let tried = steps.iter().find(|step| step.is(Part::Customer));
    let tried_at = tried.map(|step| step.first_tried_at);
    if tried_at.is_none() {
        note_in(&mut steps, Part::Customer, false, None, now);
        save(&mut tx, organization, &steps).await?;
    }
    commit(tx, OPERATION).await?;
    let email = settings.billing_recipients().into_iter().next().map(SecretString::from);
    Ok(CustomerStep::Due { name, email, tried_at })
}

/// Writes down which customer the organization is. False where it is one already, which it stays.
///
/// # Errors
/// When the database fails, or the customer is another organization's.
pub async fn link_customer(
    db: &Database,
    organization: OrganizationId,
    customer: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "onboarding.link_customer";
    let mut tx = db.tenant(organization).await?;
    let mut steps = lock(&mut tx, organization).await?;
    let linked = query!(
        "update organizations set stripe_customer_id = $2
         where id = $1 and stripe_customer_id is null",
        organization.0,
        customer,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?
    .rows_affected()
        > 0;
    if linked {
        let details = json!({ "customer": customer, "by": "onboarding" });
        billing::log(&mut tx, organization, None, "customer.linked", details).await?;
    }
    note_in(&mut steps, Part::Customer, true, None, now);
    save(&mut tx, organization, &steps).await?;
    commit(tx, OPERATION).await?;
    Ok(linked)
}
