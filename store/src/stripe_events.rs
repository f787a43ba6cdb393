//! Stripe's events: kept once, and applied in any order.
//!
//! One transaction stores an event and does what follows from it, so an event that Stripe repeats
//! finds all done or nothing. An event of an unknown customer is parked, and applied once it is known
//! whose the customer is. One that happened in the other mode than ours waits for a person.

mod discard;
mod event;
mod invoices;
mod link;
mod list;
mod owner;
mod period_end;
mod retry;
mod settle;
mod subscriptions;
mod waiting;

use chrono::{DateTime, Utc};
use contract::{billing::ReadErrorReport, ids::OrganizationId, names};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::query;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    starts::{self, StartKind},
};

use self::{owner::Owner, settle::settle};

pub use discard::discard;
pub use event::{Content, Customer, Invoice, Place, StripeEvent, Subscription};
pub use link::{Link, link};
pub use list::{Filter, Listed, ParkedEvents, Status, list, parked};
pub use retry::{Retried, retry};

/// What was done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Stored now, and applied.
    New,
    /// Stored before, with the same body.
    Duplicate,
    /// Stored before with another body: the first stays, and the difference is counted.
    Conflict,
    /// Stored now; it waits until its customer is known, or for a person.
    Parked,
}

/// What an event came to.
enum Outcome {
    Processed,
    Ignored,
    /// Nothing of what it tells is ours to know; why is written down.
    Strange(&'static str),
    Parked(String),
}

/// Stores an event and does what follows from it. When this returns, both are on disk.
///
/// `db` is of role [`crate::Role::Api`].
///
/// # Errors
/// When Postgres refuses or does not answer; nothing is stored then.
pub async fn take(
    db: &Database,
    event: &StripeEvent,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Taken, StoreError> {
    let mut tx = db.stripe().await?;
    let taken = match insert(&mut tx, event, body, now).await? {
        Taken::New => match judge(&mut tx, event, now).await? {
            Outcome::Parked(_) => Taken::Parked,
            Outcome::Processed | Outcome::Ignored | Outcome::Strange(_) => Taken::New,
        },
        other => other,
    };
    commit(tx, "stripe_events.take").await?;
    Ok(taken)
}

/// Applies the events that waited for the organization's customer to be known, at most 500; gives how
/// many. For whoever links a customer to an organization; the customer's next event does the same.
///
/// `db` is of role [`crate::Role::Worker`].
///
/// # Errors
/// When Postgres refuses or does not answer.
pub async fn retake(
    db: &Database,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<u32, StoreError> {
    let mut tx = db.billing().await?;
    let retaken = match owner::customer_of(&mut tx, organization).await? {
        None => 0,
        Some(customer) => {
            owner::lock(&mut tx, &customer).await?;
            match owner::find(&mut tx, &customer).await? {
                Some(owner) => waiting::apply_all(&mut tx, &owner, &customer, now).await?,
                None => 0,
            }
        }
    };
    commit(tx, "stripe_events.retake").await?;
    Ok(retaken)
}

async fn insert(
    tx: &mut Tx,
    event: &StripeEvent,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Taken, StoreError> {
    let stored = query!(
        "insert into stripe_events as e (id, customer, type, created_at, received_at,
             body_sha256, status)
         values ($1, $2, $3, $4, $5, $6, 'received')
         on conflict (id) do update set conflicts = e.conflicts + 1
             where e.body_sha256 <> excluded.body_sha256
         returning conflicts",
        event.id,
        event.content.customer(),
        event.event_type,
        event.created,
        now,
        &Sha256::digest(body)[..],
    )
    .fetch_optional(&mut **tx)
    .await
    .during("stripe_events.insert")?;
    Ok(match stored {
        None => Taken::Duplicate,
        Some(row) if row.conflicts > 0 => Taken::Conflict,
        Some(_) => Taken::New,
    })
}

/// Only what happened in our account and our mode has effects. Stripe sends events of both modes to the
/// endpoint of a platform, and recommends to look at `livemode`.
async fn judge(
    tx: &mut Tx,
    event: &StripeEvent,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    let outcome = match event.place {
        Place::Here => return follow(tx, event, now).await,
        Place::ConnectedAccount => Outcome::Strange("it is of a connected account, not of ours"),
        Place::OtherMode { is_live } => match event.content {
            Content::Other { .. } => Outcome::Strange(other_mode(is_live)),
            // Our key may be the wrong one: nothing that matters is lost.
            _ => Outcome::Parked(other_mode(is_live).to_owned()),
        },
    };
    settle(tx, event, None, &outcome, now).await?;
    Ok(outcome)
}

const fn other_mode(is_live: bool) -> &'static str {
    if is_live {
        "it is of live mode, and STRIPE_SECRET_KEY is of test mode"
    } else {
        "it is of test mode, and STRIPE_SECRET_KEY is of live mode"
    }
}

/// Finds out whose an event is, applies it and writes down what it came to.
async fn follow(
    tx: &mut Tx,
    event: &StripeEvent,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    let Some(customer) = event.content.customer() else {
        let outcome = without_customer(tx, event).await?;
        settle(tx, event, None, &outcome, now).await?;
        return Ok(outcome);
    };
    owner::lock(tx, customer).await?;
    let owner = match (owner::find(tx, customer).await?, event.content.named()) {
        (None, Some(named)) if event.content.can_link() => {
            owner::link(tx, customer, named, None, &event.event_type).await?
        }
        (found, _) => found,
    };
    let outcome = match &owner {
        Some(owner) => apply(tx, owner, event, now).await?,
        None if matches!(event.content, Content::Other { .. }) => Outcome::Ignored,
        None => Outcome::Parked("the customer belongs to no organization yet".to_owned()),
    };
    settle(tx, event, owner.as_ref(), &outcome, now).await?;
    if let Some(owner) = &owner {
        waiting::apply_all(tx, owner, customer, now).await?;
    }
    Ok(outcome)
}

async fn without_customer(tx: &mut Tx, event: &StripeEvent) -> Result<Outcome, StoreError> {
    match &event.content {
        Content::MeterError => {
            let input = json!(ReadErrorReport { event_id: event.id.clone() });
            let workflow_id = names::error_report_workflow_id(&event.id);
            // Whose usage it was is only in the report, which the workflow fetches.
            let nobody = OrganizationId(Uuid::nil());
            starts::request(tx, nobody, StartKind::MeterErrorReport, &workflow_id, input).await?;
            Ok(Outcome::Processed)
        }
        Content::Unreadable { reason } => Ok(Outcome::Parked(reason.clone())),
        _ => Ok(Outcome::Ignored),
    }
}

/// Does what follows from an event of a known customer.
async fn apply(
    tx: &mut Tx,
    owner: &Owner,
    event: &StripeEvent,
    now: DateTime<Utc>,
) -> Result<Outcome, StoreError> {
    match &event.content {
        Content::Subscription(told) => {
            subscriptions::apply(tx, owner, event, told, now).await?;
            Ok(Outcome::Processed)
        }
        Content::Invoice(invoice) => invoices::apply(tx, owner, event, invoice).await,
        // It was linked, or was known already.
        Content::Customer(_) => Ok(Outcome::Processed),
        Content::Other { .. } | Content::MeterError | Content::Unreadable { .. } => {
            Ok(Outcome::Ignored)
        }
    }
}
