//! Stripe: meter events and what is counted of them, customers, error reports, with its idempotency
//! keys and event identifiers.
//!
//! As at the real one, usage is taken first and judged afterwards: an unknown customer, a meter that
//! does not exist or a value that is no number is answered with 200, is not counted, and is told of by
//! a thin event a little later.

pub(super) mod admin;
mod books;
mod customers;
mod reports;
mod settings;
mod usage;
mod webhook;

use std::sync::Arc;

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::{books::Books, webhook::Webhook};
pub use self::{settings::StripeSettings, webhook::NotSent};
use super::{
    Effect, Kind,
    asked::Asked,
    remembered::{Once, Remembered},
    reply::{Fake, Identity, Reply, phrase},
    shelf::Shelf,
};

/// Stripe's fake, for tests that ask what was billed.
#[derive(Debug)]
pub struct Stripe {
    keys: Remembered,
    identifiers: Remembered,
    books: Books,
    customers: Shelf,
    reports: Shelf,
    webhook: Arc<Webhook>,
}

/// What a path asks for.
#[derive(Debug, Clone, Copy)]
enum Route<'a> {
    MeterEvent,
    Meters,
    Summaries(&'a str),
    NewCustomer,
    Customers,
    Customer(&'a str),
    Event(&'a str),
}

impl<'a> Route<'a> {
    fn of(asked: &'a Asked) -> Option<Self> {
        let is_post = asked.method == Method::POST;
        if !is_post && asked.method != Method::GET {
            return None;
        }
        match (is_post, asked.segments().as_slice()) {
            (true, ["v1", "billing", "meter_events"]) => Some(Self::MeterEvent),
            (true, ["v1", "customers"]) => Some(Self::NewCustomer),
            (false, ["v1", "billing", "meters"]) => Some(Self::Meters),
            (false, ["v1", "billing", "meters", id, "event_summaries"]) => {
                Some(Self::Summaries(id))
            }
            (false, ["v1", "customers", "search"]) => Some(Self::Customers),
            (false, ["v1", "customers", id]) => Some(Self::Customer(id)),
            (false, ["v2", "core", "events", id]) => Some(Self::Event(id)),
            _ => None,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::MeterEvent => Kind::MeterEvent,
            Self::NewCustomer => Kind::Customer,
            _ => Kind::Lookup,
        }
    }
}

impl Fake for Stripe {
    fn identify(&self, asked: &Asked) -> Identity {
        let key = asked.header("idempotency-key");
        let keys = match Route::of(asked) {
            Some(Route::MeterEvent) => {
                [asked.field("identifier"), key, asked.field("payload[stripe_customer_id]")]
            }
            Some(Route::NewCustomer) => [asked.field("email"), asked.field("name"), key],
            Some(_) => [Some(asked.path.as_str()), asked.query("customer"), None],
            None => return Identity::unknown(asked),
        };
        let kind = Route::of(asked).map_or(Kind::Unknown, Route::kind);
        Identity::new(kind, keys.into_iter().flatten())
    }

    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if asked.bearer().is_none() && !asked.header("authorization").is_some_and(is_basic) {
            return self.refuse(401);
        }
        let Some(route) = Route::of(asked) else { return self.refuse(404) };
        let key = asked.header("idempotency-key").filter(|_| route.kind() != Kind::Lookup);
        let Some(key) = key else { return self.answer(route, asked, now) };
        match self.keys.once(key, asked.fingerprint(), now, || self.answer(route, asked, now)) {
            Once::Now(reply) => reply,
            Once::Before(reply) => reply.with("idempotent-replayed", "true"),
            Once::Other => {
                let message = format!(
                    "Keys for idempotent requests can only be used with the same parameters they \
                     were first used with. Try using a key other than '{key}' if you meant to \
                     execute a different request."
                );
                let error = json!({ "message": message, "type": "idempotency_error" });
                Reply::refused(400, json!({ "error": error }))
            }
        }
    }

    fn failure(&self, status: u16) -> Value {
        let error = match status {
            401 => json!({
                "message": "Invalid API Key provided: sk_test_********0000",
                "type": "invalid_request_error",
            }),
            404 => {
                json!({ "message": "Unrecognized request URL.", "type": "invalid_request_error" })
            }
            429 => json!({
                "code": "rate_limit",
                "doc_url": "https://stripe.com/docs/error-codes/rate-limit",
                "message": "Request rate limit exceeded. Learn more about rate limits here \
                    https://stripe.com/docs/rate-limits.",
                "type": "invalid_request_error",
            }),
            500..=599 => json!({
                "message": "An unknown error occurred. (Reference: fake)",
                "type": "api_error",
            }),
            status => json!({ "message": phrase(status), "type": "invalid_request_error" }),
        };
        json!({ "error": error })
    }

    fn keep(&self, asked: &Asked, reply: &Reply, now: DateTime<Utc>) {
        if let Some(key) = asked.header("idempotency-key") {
            self.keys.put_back(key, asked.fingerprint(), reply.clone(), now);
        }
    }

    fn restore(&self, effect: &Effect, at: DateTime<Utc>) {
        let Some(made) = effect.result.clone() else { return };
        let answered = match effect.kind {
            Kind::MeterEvent => self.restore_usage(made, at),
            _ => {
                self.customers.put_back("id", Some(&made));
                made
            }
        };
        if let Some(key) = effect.request.headers.get("idempotency-key") {
            let reply = Reply::made(200, answered);
            self.keys.put_back(key, effect.request.fingerprint(), reply, at);
        }
    }
}

impl Stripe {
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self {
            keys: Remembered::default(),
            identifiers: Remembered::default(),
            books: Books::default(),
            customers: Shelf::default(),
            reports: Shelf::default(),
            webhook: Arc::new(Webhook::new(stopping)),
        }
    }

    /// Sets how it behaves, in the place of everything set before.
    pub fn configure(&self, settings: StripeSettings) {
        self.webhook.configure(settings);
    }

    /// What was counted of a customer's usage, by all meters: what an invoice would say.
    pub fn billed(&self, customer: &str) -> u64 {
        self.books.billed(customer)
    }

    /// The identifiers of all meter events that were taken, oldest first, those included that were
    /// not counted. One that was forgotten and taken again stands there twice.
    pub fn identifiers(&self) -> Vec<String> {
        self.books.identifiers()
    }

    /// Posts an event, signed, to the webhook URL of the settings; gives the status answered.
    ///
    /// # Errors
    /// When no URL or secret is set, or nobody answers there.
    pub async fn send(&self, event: &Value) -> Result<u16, NotSent> {
        self.webhook.post(event).await
    }

    fn answer(&self, route: Route<'_>, asked: &Asked, now: DateTime<Utc>) -> Reply {
        match route {
            Route::MeterEvent => self.take_usage(asked, now),
            Route::Meters => self.list_meters(asked),
            Route::Summaries(meter) => self.summarize(meter, asked),
            Route::NewCustomer => self.make_customer(asked, now),
            Route::Customers => self.search_customers(asked),
            Route::Customer(id) => match self.customers.get(id) {
                Some(customer) => Reply::known(customer),
                None => no_such("customer", id),
            },
            Route::Event(id) => match self.reports.get(id) {
                Some(event) => Reply::known(event),
                None => {
                    let error = json!({ "code": "not_found", "message": "Object not found." });
                    Reply::refused(404, json!({ "error": error }))
                }
            },
        }
    }
}

/// Stripe also takes the key as the user name of Basic authentication, without a password.
fn is_basic(authorization: &str) -> bool {
    authorization.starts_with("Basic ")
}

fn no_such(what: &str, id: &str) -> Reply {
    let error = json!({
        "code": "resource_missing", "message": format!("No such {what}: '{id}'"),
        "type": "invalid_request_error",
    });
    Reply::refused(404, json!({ "error": error }))
}

fn parameter(name: &str, code: &str, message: &str) -> Reply {
    let doc_url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
    let error = json!({
        "code": code, "doc_url": doc_url, "message": message, "param": name,
        "type": "invalid_request_error",
    });
    Reply::refused(400, json!({ "error": error }))
}

fn missing(name: &str) -> Reply {
    parameter(name, "parameter_missing", &format!("Missing required param: {name}."))
}

/// A page of a list: by `limit` (10 if unset, at most 100) and `starting_after`.
fn page(entries: &[Value], asked: &Asked) -> Reply {
    let after = asked.query("starting_after").and_then(|last| {
        entries.iter().position(|entry| entry["id"] == last).map(|place| place + 1)
    });
    let rest = entries.get(after.unwrap_or(0)..).unwrap_or_default();
    let limit = asked.query_number("limit", 10, 100);
    let data = &rest[..limit.min(rest.len())];
    let has_more = rest.len() > data.len();
    Reply::known(json!({ "object": "list", "data": data, "has_more": has_more }))
}
