//! An event of Stripe, in words that are nobody's wire format.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};

use super::subscriptions;

/// A verified event.
#[derive(Debug, Clone, PartialEq)]
pub struct StripeEvent {
    /// Stripe's id, the same for every repetition; at most 255 characters.
    pub id: String,
    /// Its type, as `invoice.paid`.
    pub event_type: String,
    /// When it happened.
    pub created: DateTime<Utc>,
    /// Where it happened.
    pub place: Place,
    /// What it tells.
    pub content: Content,
}

/// Where at Stripe an event happened, seen from our key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In our account, and in the mode of our key as far as anybody can tell.
    Here,
    /// In the mode that our key does not open.
    OtherMode {
        /// Whether money moves there.
        is_live: bool,
    },
    /// In an account that is connected to ours.
    ConnectedAccount,
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
    /// Whether usage is billed by it.
    #[serde(default)]
    pub is_metered: bool,
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

impl Content {
    pub(super) fn customer(&self) -> Option<&str> {
        match self {
            Self::Subscription(Subscription { customer, .. })
            | Self::Invoice(Invoice { customer, .. })
            | Self::Customer(Customer { id: customer, .. }) => Some(customer),
            Self::Other { customer } => customer.as_deref(),
            Self::MeterError | Self::Unreadable { .. } => None,
        }
    }

    /// The organization that it names itself.
    pub(super) const fn named(&self) -> Option<OrganizationId> {
        match self {
            Self::Subscription(Subscription { organization_id, .. })
            | Self::Customer(Customer { organization_id, .. }) => *organization_id,
            Self::Invoice(_) | Self::Other { .. } | Self::MeterError | Self::Unreadable { .. } => {
                None
            }
        }
    }

    /// Whether its customer becomes that of the organization it names. A subscription that was never
    /// paid for, or has ended, is no reason: the organization may subscribe as another customer.
    pub(super) fn can_link(&self) -> bool {
        !matches!(self, Self::Subscription(told) if !subscriptions::is_live(&told.status))
    }
}
