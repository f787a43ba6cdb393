//! `POST /stripe`: every webhook of Stripe, snapshot events and thin ones.
//!
//! There is no spool behind it: Stripe repeats for three days what is not answered with a 2xx.

mod parked;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, Utc};
use providers::stripe::{self, Meaning, Mode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use store::{
    Database, StoreError,
    stripe_events::{self, Content, Customer, Invoice, Place, StripeEvent, Subscription, Taken},
};
use tokio::time::timeout;

use super::{
    Receiver,
    request::{TIMEOUT, measure, read_body, refuse},
    unavailable,
};
use crate::http_server::PeerAddress;

const PROVIDER: &str = "stripe";
const SIGNATURE: &str = "stripe-signature";
/// Longest body, in bytes. An invoice carries its first ten lines: some 20 KB.
const MAX_BODY: usize = 1024 * 1024;

/// What the receiver of Stripe's events needs.
#[derive(Clone)]
pub(super) struct Stripe {
    db: Database,
    secrets: Arc<[SecretString]>,
    /// Which our key opens; nothing where nobody knows.
    mode: Option<Mode>,
}

impl Stripe {
    pub(super) fn new(db: Database, secrets: Vec<SecretString>, mode: Option<Mode>) -> Self {
        // Whoever signs with nothing knows no secret.
        let is_secret = |secret: &SecretString| !secret.expose_secret().is_empty();
        let secrets: Arc<[SecretString]> = secrets.into_iter().filter(is_secret).collect();
        if secrets.is_empty() {
            tracing::warn!("POST /stripe refuses everything: STRIPE_WEBHOOK_SECRET is not set");
        } else {
            if mode.is_none() {
                tracing::warn!(
                    "events of Stripe's live and test mode are taken alike: STRIPE_SECRET_KEY, which \
                     says the mode, is not set or of another kind"
                );
            }
            tokio::spawn(parked::keep_counting(db.clone()));
        }
        Self { db, secrets, mode }
    }

    /// Stores an event and does what follows from it.
    async fn take(&self, body: &[u8], now: DateTime<Utc>) -> Result<Taken, StoreError> {
        let event = match stripe::read(body) {
            Ok(read) => known(read, self.mode),
            Err(error) => unreadable(body, now, error.to_string()),
        };
        match stripe_events::take(&self.db, &event, body, now).await {
            // It is signed, and would be refused again for three days.
            Err(error) if !error.can_retry() => {
                tracing::error!(%error, event = event.id, "an event of Stripe is parked");
                let event = unreadable(body, now, error.operation_failed());
                stripe_events::take(&self.db, &event, body, now).await
            }
            taken => taken,
        }
    }
}

pub(super) fn router() -> Router<Receiver> {
    Router::new().route("/stripe", post(webhook))
}

async fn webhook(State(receiver): State<Receiver>, request: Request) -> Response {
    let started = Instant::now();
    let response = match timeout(TIMEOUT, accept(&receiver, request)).await {
        Ok(Ok(response) | Err(response)) => response,
        Err(_) => unavailable(),
    };
    measure(PROVIDER, &response, started);
    response
}

async fn accept(receiver: &Receiver, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
    let forged = || refuse(receiver, address);
    let Stripe { secrets, .. } = &receiver.stripe;
    let Some(signature) = sole_signature(&parts.headers) else { return Err(forged()) };
    if secrets.is_empty() {
        return Err(forged());
    }
    let held = read_body(receiver, body, MAX_BODY).await?;
    let now = Utc::now();
    if !stripe::is_signed(signature, &held.bytes, secrets, now) {
        return Err(forged());
    }
    let taken = receiver.stripe.take(&held.bytes, now).await.map_err(|error| {
        tracing::error!(%error, "an event of Stripe could not be kept");
        unavailable()
    })?;
    if taken == Taken::Conflict {
        tracing::warn!("an event of Stripe came again with another body; the first stays");
    }
    metrics::counter!("postcall_stripe_events_total", "outcome" => outcome(taken)).increment(1);
    Ok(StatusCode::OK.into_response())
}

/// The header, if there is exactly one: of two, one may be somebody else's.
fn sole_signature(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(SIGNATURE).iter();
    let signature = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(signature)
}

fn unreadable(body: &[u8], now: DateTime<Utc>, reason: String) -> StripeEvent {
    StripeEvent {
        id: format!("unreadable/{}", hex::encode(Sha256::digest(body))),
        event_type: "unreadable".to_owned(),
        created: now,
        place: Place::Here,
        content: Content::Unreadable { reason },
    }
}

/// An event in the words of the store, seen from a key that opens `mode`.
fn known(event: stripe::StripeEvent, mode: Option<Mode>) -> StripeEvent {
    let place = place(&event, mode);
    let content = match event.meaning {
        Meaning::Subscription(read) => Content::Subscription(subscription(read)),
        Meaning::Invoice(read) => Content::Invoice(invoice(read)),
        Meaning::Customer { customer, organization_id } => {
            Content::Customer(Customer { id: customer, organization_id })
        }
        Meaning::MeterError => Content::MeterError,
        Meaning::Other { customer } => Content::Other { customer },
    };
    let stripe::StripeEvent { id, event_type, created, .. } = event;
    StripeEvent { id, event_type, created, place, content }
}

fn place(event: &stripe::StripeEvent, mode: Option<Mode>) -> Place {
    match (event.mode, mode) {
        _ if event.is_of_connected_account => Place::ConnectedAccount,
        (Some(told), Some(ours)) if told != ours => Place::OtherMode { is_live: told.is_live() },
        _ => Place::Here,
    }
}

fn subscription(read: stripe::Subscription) -> Subscription {
    Subscription {
        is_metered: read.is_metered,
        id: read.id,
        customer: read.customer,
        organization_id: read.organization_id,
        status: read.status,
        current_period_start: read.current_period_start,
        current_period_end: read.current_period_end,
        billing_cycle_anchor: read.billing_cycle_anchor,
        cancel_at_period_end: read.cancel_at_period_end,
    }
}

fn invoice(read: stripe::Invoice) -> Invoice {
    Invoice {
        id: read.id,
        customer: read.customer,
        subscription: read.subscription,
        status: read.status,
        amount_due: read.amount_due,
        amount_paid: read.amount_paid,
        currency: read.currency,
    }
}

const fn outcome(taken: Taken) -> &'static str {
    match taken {
        Taken::New => "new",
        Taken::Duplicate => "duplicate",
        Taken::Conflict => "conflict",
        Taken::Parked => "parked",
    }
}
