//! Stripe's events: kept once, and applied in any order.
//!
//! One transaction stores an event and does what follows from it, so an event that Stripe repeats
//! finds all done or nothing. An event of an unknown customer is parked, and applied once it is known
//! whose the customer is.

mod invoices;
mod owner;
mod period_end;
mod subscriptions;
mod waiting;

use chrono::{DateTime, Utc};
use contract::{billing::ReadErrorReport, ids::OrganizationId, names};
use serde::{Deserialize, Serialize};
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

use self::owner::Owner;

/// A verified event, in words that are nobody's wire format.
#[derive(Debug, Clone, PartialEq)]
pub struct StripeEvent {
    /// Stripe's id, the same for every repetition; at most 255 characters.
    pub id: String,
    /// Its type, as `invoice.paid`.
    pub event_type: String,
    /// When it happened.
    pub created: DateTime<Utc>,
    /// What it tells.
    pub content: Content,
}

/// What an event tells. Free of personal data: it is kept while the event waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Content {
    /// How a subscription stands.
    Subscription(Subscription),
    /// What became of an invoice.
    Invoice(Invoice),
    /// Whose a customer is.
    Customer(Customer),
    /// Usage could not be billed; Stripe is to be asked which.
    MeterError,
    /// Nothing that matters here.
    Other {
        /// The customer that it names.
        customer: Option<String>,
    },
    /// Signed, and yet it cannot be read.
    Unreadable {
        /// Why, free of personal data.
        reason: String,
    },
}

/// How a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Stripe's id.
    pub id: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// The organization that it names.
    pub organization_id: Option<OrganizationId>,
    /// Stripe's word, as `active` or `canceled`.
    pub status: String,
    /// First instant of the period that is paid for now.
    pub current_period_start: Option<DateTime<Utc>>,
    /// First instant after it.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Its day is the anchor day.
    pub billing_cycle_anchor: Option<DateTime<Utc>>,
    /// Whether it ends with its period.
    pub cancel_at_period_end: bool,
}

/// What became of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Stripe's id.
    pub id: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// Of which subscription.
    pub subscription: Option<String>,
    /// Stripe's word, as `paid` or `open`.
    pub status: Option<String>,
    /// To be paid, in the smallest unit of the currency.
    pub amount_due: Option<i64>,
    /// Paid, likewise.
    pub amount_paid: Option<i64>,
    /// Three letters, lower case.
    pub currency: Option<String>,
}

/// Whose a customer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Stripe's id.
    pub id: String,
    /// The organization that the event names.
    pub organization_id: Option<OrganizationId>,
}

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
    Parked(String),
}

impl Content {
    fn customer(&self) -> Option<&str> {
        match self {
            Self::Subscription(Subscription { customer, .. })
            | Self::Invoice(Invoice { customer, .. })
            | Self::Customer(Customer { id: customer, .. }) => Some(customer),
            Self::Other { customer } => customer.as_deref(),
            Self::MeterError | Self::Unreadable { .. } => None,
        }
    }

    /// The organization that it names itself.
    const fn named(&self) -> Option<OrganizationId> {
        match self {
            Self::Subscription(Subscription { organization_id, .. })
            | Self::Customer(Customer { organization_id, .. }) => *organization_id,
            Self::Invoice(_) | Self::Other { .. } | Self::MeterError | Self::Unreadable { .. } => {
                None
            }
        }
    }
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
        Taken::New => match follow(&mut tx, event, now).await? {
            Outcome::Parked(_) => Taken::Parked,
            Outcome::Processed | Outcome::Ignored => Taken::New,
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
    let owner = match owner::find(tx, customer).await? {
        None => owner::link(tx, customer, event.content.named(), &event.event_type).await?,
        found => found,
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

async fn settle(
    tx: &mut Tx,
    event: &StripeEvent,
    owner: Option<&Owner>,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (status, reason) = match outcome {
        Outcome::Processed => ("processed", None),
        Outcome::Ignored => ("ignored", None),
        Outcome::Parked(reason) => ("parked", Some(reason.as_str())),
    };
    let is_parked = reason.is_some();
    let waits = is_parked && event.content.customer().is_some();
    query!(
        "update stripe_events set organization_id = $2, status = $3, reason = $4, content = $5,
             processed_at = $6
         where id = $1",
        event.id,
        owner.map(|owner| owner.organization_id.0),
        status,
        reason,
        waits.then(|| json!(event.content)),
        (!is_parked).then_some(now),
    )
    .execute(&mut **tx)
    .await
    .during("stripe_events.settle")
    .map(drop)
}
