//! A customer that a person says is an organization's.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;

use super::{owner, waiting};
use crate::{Database, StoreError, database::commit};

const OPERATION: &str = "stripe_events.link";
/// Who the billing history says it was.
const BY: &str = "command-line";

/// What became of a customer that was to be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It is the organization's.
    Linked {
        /// Since now.
        is_new: bool,
        /// Events that waited for it and are applied.
        applied: u32,
    },
    /// It is another organization's, which it stays.
    OfAnother(OrganizationId),
    /// The organization has another customer, which it keeps.
    HasAnother(String),
    /// There is no such organization, or no more.
    NoOrganization,
}

/// Makes a customer at Stripe an organization's, if it is nobody's and the organization has none, or has the
/// one that is replaced, and applies what Stripe told of it so far. Done twice it changes nothing. What was
/// reported for a replaced customer stays with it.
///
/// `db` is of role [`crate::Role::Worker`].
///
/// # Errors
/// When the database fails.
pub async fn link(
    db: &Database,
    organization: OrganizationId,
    customer: &str,
    replacing: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Link, StoreError> {
    let mut tx = db.billing().await?;
    owner::lock(&mut tx, customer).await?;
    let (owner, is_new) = match owner::find(&mut tx, customer).await? {
        None => (owner::link(&mut tx, customer, organization, replacing, BY).await?, true),
        found => (found, false),
    };
    let link = match owner {
        Some(owner) if owner.organization_id != organization => {
            Link::OfAnother(owner.organization_id)
        }
        Some(owner) => {
            let applied = waiting::apply_all(&mut tx, &owner, customer, now).await?;
            Link::Linked { is_new, applied }
        }
        None => match owner::customer_of(&mut tx, organization).await? {
            Some(other) => Link::HasAnother(other),
            None => Link::NoOrganization,
        },
    };
    commit(tx, OPERATION).await?;
    Ok(link)
}
