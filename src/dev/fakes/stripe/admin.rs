//! Routes of the fakes' own that are about Stripe.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post, put},
};
use serde_json::{Value, json};

use super::{
    super::{admin::Refusal, world::World},
    NotSent, StripeSettings,
};

/// What lies below `/admin/stripe`.
pub(in super::super) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/settings", put(configure))
        .route("/events", post(send))
        .route("/billed", get(billed))
}

async fn configure(
    State(world): State<Arc<World>>,
    Json(settings): Json<StripeSettings>,
) -> Result<StatusCode, Refusal> {
    if let Some(fault) = settings.fault() {
        return Err(Refusal(StatusCode::BAD_REQUEST, fault.to_owned()));
    }
    world.stripe.configure(settings);
    Ok(StatusCode::NO_CONTENT)
}

async fn send(
    State(world): State<Arc<World>>,
    Json(event): Json<Value>,
) -> Result<Json<Value>, Refusal> {
    let status = world.stripe.send(&event).await?;
    Ok(Json(json!({ "status": status })))
}

async fn billed(State(world): State<Arc<World>>) -> Json<BTreeMap<String, u64>> {
    Json(world.stripe.books.all())
}

impl From<NotSent> for Refusal {
    fn from(error: NotSent) -> Self {
        let status = match error {
            NotSent::NoTarget => StatusCode::CONFLICT,
            NotSent::Client(_) | NotSent::Unanswered(_) => StatusCode::BAD_GATEWAY,
        };
        Self(status, error.to_string())
    }
}
