//! What Stripe's webhooks tell: snapshot events (`event`) and thin ones (`v2.core.event`).
//!
//! An endpoint's API version may be older than ours, so both shapes of what moved in 2025-03-31 are
//! read, and fields that nobody here needs may be anything.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{incoming::Unreadable, json};

/// Longest id, type or other word that is taken over, in bytes; Stripe's own stay under 70.
const MAX_WORD_BYTES: usize = 255;
/// 1 January 2000 and 2100, in seconds since 1970. A time beyond them is none that Stripe meant, and a
/// period until then would never be billed.
const TIMES: std::ops::Range<f64> = 946_684_800.0..4_102_444_800.0;

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq)]
pub struct StripeEvent {
    /// Stripe's id, the same for every repetition; at most 255 bytes.
    pub id: String,
    /// Its type, as `invoice.paid`; at most 255 bytes.
    pub event_type: String,
    /// When it happened.
    pub created: DateTime<Utc>,
    /// The mode that it happened in (`livemode`); nothing where it does not say.
    pub mode: Option<Mode>,
    /// It happened in an account that is connected to ours by Connect (`account`), and so means nothing
    /// here. A thin event has no such field.
    pub is_of_connected_account: bool,
    /// What it means to postcall.
    pub meaning: Meaning,
}

/// A half of an account at Stripe: neither knows the other's objects. A sandbox is of test mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Money moves.
    Live,
    /// Nothing is real.
    Test,
}

impl Mode {
    /// The mode that a secret key (`sk_live_…`, `sk_test_…`) or a restricted one (`rk_…`) opens; nothing
    /// for a key of another kind.
    pub fn of_key(key: &SecretString) -> Option<Self> {
        let key = key.expose_secret();
        let kind = key.strip_prefix("sk_").or_else(|| key.strip_prefix("rk_"))?;
        [("live_", Self::Live), ("test_", Self::Test)]
            .into_iter()
            .find_map(|(word, mode)| kind.starts_with(word).then_some(mode))
    }

    /// Whether money moves in it: `livemode`, as Stripe writes it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Live)
    }

    /// `live` or `test`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// What an event means to postcall.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// How a subscription stands (`customer.subscription.*`).
    Subscription(Subscription),
    /// What became of an invoice (`invoice.*`).
    Invoice(Invoice),
    /// A customer is whose it says (`checkout.session.completed`): Stripe's id, and the organization
    /// that its metadata names.
    Customer {
        /// Stripe's id.
        customer: String,
        /// Ours.
        organization_id: Option<OrganizationId>,
    },
    /// A thin event: usage could not be billed.
    MeterError,
    /// Anything else.
    Other {
        /// The customer it is about, where it names one.
        customer: Option<String>,
    },
}

/// How a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Stripe's id.
    pub id: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// The organization that its metadata names.
    pub organization_id: Option<OrganizationId>,
    /// Stripe's word, as `active` or `canceled`.
    pub status: String,
    /// From the first item that is metered, else from the first, or from the subscription itself before
    /// API version 2025-03-31. Both ends or neither, the start before the end.
    pub current_period_start: Option<DateTime<Utc>>,
    /// Likewise.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Its day is the anchor day.
    pub billing_cycle_anchor: Option<DateTime<Utc>>,
    /// Whether it ends with its period.
    pub cancel_at_period_end: bool,
    /// Whether an item of it bills usage (`price.recurring.usage_type`, before prices
    /// `plan.usage_type`).
    pub is_metered: bool,
}

/// What became of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Stripe's id.
    pub id: String,
    /// Stripe's id of the customer.
    pub customer: String,
    /// Of which subscription: from `parent.subscription_details`, or `subscription` before API version
    /// 2025-03-31.
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

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableEvent(pub String);

impl From<Unreadable> for UnreadableEvent {
    fn from(unreadable: Unreadable) -> Self {
        Self(unreadable.to_string())
    }
}

/// Reads a webhook's body. Both shapes of period fields and of invoices; unknown types are `Other`,
/// as are invoices and check-outs without an id or a customer, and whatever a connected account tells.
///
/// # Errors
/// When it is no JSON object, has no id, type or time, or is a subscription of ours without id, customer
/// or status.
pub fn read(body: &[u8]) -> Result<StripeEvent, UnreadableEvent> {
    let root = json::parse(body)?;
    let id = word(&root, &["/id"]).ok_or_else(|| missing("id"))?;
    let event_type = word(&root, &["/type"]).ok_or_else(|| missing("type"))?;
    let created = time(&root, &["/created"]).ok_or_else(|| missing("created"))?;
    let mode = root["livemode"].as_bool().map(|live| if live { Mode::Live } else { Mode::Test });
    // "Each event for a connected account also contains a top-level account property" (Connect webhooks).
    let is_of_connected_account = !root["account"].is_null();
    let meaning = if is_of_connected_account {
        Meaning::Other { customer: None }
    } else {
        meaning(&event_type, &root["data"]["object"])?
    };
    Ok(StripeEvent { id, event_type, created, mode, is_of_connected_account, meaning })
}

fn missing(path: &'static str) -> UnreadableEvent {
    Unreadable::Field { path, problem: "is missing, or not what Stripe writes there" }.into()
}

fn meaning(event_type: &str, object: &Value) -> Result<Meaning, UnreadableEvent> {
    let meaning = match event_type {
        "v1.billing.meter.error_report_triggered" | "v1.billing.meter.no_meter_found" => {
            Some(Meaning::MeterError)
        }
        "checkout.session.completed" => word(object, CUSTOMER).map(|customer| {
            // Not by client_reference_id: behind a payment link whoever pays writes that.
            let written = ["/metadata/organization_id"];
            Meaning::Customer { customer, organization_id: organization(object, &written) }
        }),
        subscription if subscription.starts_with("customer.subscription.") => {
            Some(Meaning::Subscription(read_subscription(object)?))
        }
        invoice if invoice.starts_with("invoice.") => read_invoice(object).map(Meaning::Invoice),
        _ => None,
    };
    Ok(meaning.unwrap_or_else(|| Meaning::Other { customer: customer(object) }))
}

/// An id, or an object that stands in its place.
const CUSTOMER: &[&str] = &["/customer", "/customer/id"];

fn customer(object: &Value) -> Option<String> {
    let is_customer = object["object"] == "customer";
    word(object, if is_customer { &["/id"] } else { CUSTOMER })
}

fn read_subscription(object: &Value) -> Result<Subscription, UnreadableEvent> {
    let items = object["items"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let metered = items.iter().position(bills_usage);
    let item = format!("/items/data/{}", metered.unwrap_or(0));
    let period = |name: &str| time(object, &[&format!("{item}/{name}"), &format!("/{name}")]);
    let (start, end) = (period("current_period_start"), period("current_period_end"));
    let period = start.zip(end).filter(|(start, end)| start < end);
    Ok(Subscription {
        id: word(object, &["/id"]).ok_or_else(|| missing("data.object.id"))?,
        customer: word(object, CUSTOMER).ok_or_else(|| missing("data.object.customer"))?,
        organization_id: organization(object, &["/metadata/organization_id"]),
        status: word(object, &["/status"]).ok_or_else(|| missing("data.object.status"))?,
        current_period_start: period.map(|(start, _)| start),
        current_period_end: period.map(|(_, end)| end),
        billing_cycle_anchor: time(object, &["/billing_cycle_anchor"]),
        cancel_at_period_end: object["cancel_at_period_end"].as_bool().unwrap_or(false),
        is_metered: metered.is_some(),
    })
}

fn bills_usage(item: &Value) -> bool {
    let usage_type = json::text(item, &["/price/recurring/usage_type", "/plan/usage_type"]);
    usage_type == Some("metered")
}

/// Nothing for what has no id (`invoice.upcoming`) or no customer.
fn read_invoice(object: &Value) -> Option<Invoice> {
    let details = "/parent/subscription_details/subscription";
    let subscription = [details, &format!("{details}/id"), "/subscription", "/subscription/id"];
    Some(Invoice {
        id: word(object, &["/id"])?,
        customer: word(object, CUSTOMER)?,
        subscription: word(object, &subscription),
        status: word(object, &["/status"]),
        amount_due: object["amount_due"].as_i64(),
        amount_paid: object["amount_paid"].as_i64(),
        currency: word(object, &["/currency"]),
    })
}

/// The first of these that is a text of sensible length.
fn word(root: &Value, pointers: &[&str]) -> Option<String> {
    let sensible =
        |pointer: &&str| json::text(root, &[pointer]).filter(|text| text.len() <= MAX_WORD_BYTES);
    pointers.iter().find_map(sensible).map(str::to_owned)
}

fn organization(root: &Value, pointers: &[&str]) -> Option<OrganizationId> {
    pointers.iter().find_map(|pointer| json::text(root, &[pointer])?.parse().ok())
}

/// The first of these that is a time between 2000 and 2100: RFC 3339 in thin events, seconds in others.
fn time(root: &Value, pointers: &[&str]) -> Option<DateTime<Utc>> {
    pointers.iter().find_map(|pointer| {
        let written = json::text(root, &[pointer]);
        if let Some(time) = written.and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
            let time = time.with_timezone(&Utc);
            return TIMES.contains(&(time.timestamp() as f64)).then_some(time);
        }
        let seconds = json::number(root, &[pointer]).filter(|seconds| TIMES.contains(seconds))?;
        DateTime::from_timestamp(seconds as i64, 0)
    })
}
