//! The HTTP API: what customers read of their calls. One file per resource: types in, types out,
//! handlers, `router()`.
//!
//! Deliberately absent: SQL, Temporal and providers' formats. A handler gets an organization only
//! from [`auth::Caller`], and reads only through `store`, whose transactions are bound to it.

pub mod access;
pub mod api_keys;
mod assistants;
pub(crate) mod audit_log;
pub mod auth;
pub mod billing;
mod body;
pub mod calls;
pub(crate) mod configuration;
pub mod credentials;
mod cursor;
pub mod dashboard;
pub(crate) mod days;
mod docs;
mod etag;
pub mod event_types;
pub mod events;
pub(crate) mod export;
pub mod extract;
pub mod health;
mod html;
mod idempotency;
pub mod inbox;
pub mod live;
mod members;
mod openapi;
mod organization;
mod phone_numbers;
pub mod problem;
mod problem_kinds;
pub mod rate_limits;
pub mod reconcile;
pub mod recordings;
pub mod request_id;
pub mod results;
mod schema;
pub mod search;
mod templates;
pub mod timeline;
pub mod timestamp;
pub mod transcripts;
pub mod usage;
pub mod webhooks;
mod wrong;

use std::any::Any;

use axum::{
    Router,
    extract::FromRef,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use contract::ids::OrganizationId;
use providers::egress::Egress;
use store::{
    Database,
    assistants::Assistant,
    cache::{Cache, Key, Rows},
    members::User,
    objects::Objects,
    phone_numbers::PhoneNumber,
    reads::{Page, dashboard::Dashboards},
    sealing::Sealer,
    signals::{EVENTS, INBOX, Teller},
    templates::Template,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::{
    access::Access,
    health::Health,
    live::Live,
    problem::{Kind, Problem},
};

/// What the handlers need.
#[derive(Clone)]
pub struct ApiState {
    /// Rows, as role [`store::Role::Api`].
    pub db: Database,
    /// Recordings.
    pub objects: Objects,
    /// Wake-ups of the live streams.
    pub live: Live,
    /// What readiness looks at.
    pub health: Health,
    /// Seals secrets that customers set.
    pub sealer: Sealer,
    /// Signs cursors. The same in all processes, or their pages do not fit together.
    pub cursor_key: [u8; 32],
    /// Wakes the dispatcher after a replay.
    inbox: Teller,
    /// Wakes whoever delivers events, after a test or a resend.
    events: Teller,
    /// What endpoints' URLs are judged by.
    egress: Egress,
    /// What requests are judged by.
    access: Access,
    cache: Cache,
    dashboards: Dashboards,
    kept: Kept,
}

/// Rows that Redis may have.
#[derive(Debug, Clone)]
struct Kept {
    assistants: Rows<Assistant>,
    templates: Rows<Template>,
    users: Rows<User>,
    /// The first page of an organization's, without a filter.
    phone_numbers: Rows<Page<PhoneNumber>>,
}

impl Kept {
    fn in_cache(cache: &Cache) -> Self {
        Self {
            assistants: Rows::new(cache.clone()),
            templates: Rows::new(cache.clone()),
            users: Rows::new(cache.clone()),
            phone_numbers: Rows::new(cache.clone()),
        }
    }
}

/// What the API is built from.
pub struct ApiSetup {
    /// Rows, as role [`store::Role::Api`].
    pub db: Database,
    /// What Redis keeps of them.
    pub cache: Cache,
    /// Recordings.
    pub objects: Objects,
    /// Wake-ups of the live streams.
    pub live: Live,
    /// What readiness looks at.
    pub health: Health,
    /// Seals secrets that customers set.
    pub sealer: Sealer,
    /// What endpoints' URLs are judged by.
    pub egress: Egress,
    /// What requests are judged by.
    pub access: Access,
}

impl ApiState {
    /// The state of an API whose secrets are sealed, and whose cursors are signed, with the key
    /// of its sealer. Needs a runtime.
    pub fn new(setup: ApiSetup) -> Self {
        let ApiSetup { db, cache, objects, live, health, sealer, egress, access } = setup;
        let cursor_key = sealer.derive("api cursor");
        let inbox = Teller::start(&db, INBOX);
        let events = Teller::start(&db, EVENTS);
        let dashboards = Dashboards::new(db.clone(), cache.clone());
        Self {
            db,
            objects,
            live,
            health,
            sealer,
            cursor_key,
            inbox,
            events,
            egress,
            access,
            kept: Kept::in_cache(&cache),
            cache,
            dashboards,
        }
    }

    /// Has what an organization sets read anew, once a change of it is committed.
    async fn forget_settings(&self, organization: OrganizationId) {
        self.cache.forget(&Key::of_settings(organization)).await;
    }

    /// The same, and one row of it.
    async fn forget_one(&self, organization: OrganizationId, key: Key) {
        let keys: Vec<Key> = Key::of_settings(organization).into_iter().chain([key]).collect();
        self.cache.forget(&keys).await;
    }
}

impl FromRef<ApiState> for Health {
    fn from_ref(api: &ApiState) -> Self {
        api.health.clone()
    }
}

/// The whole API, with the `others` of the process: what no route answers is a problem too.
pub fn router(state: ApiState, others: Router) -> Router {
    let document = openapi();
    let (routes, _) = routes().split_for_parts();
    // The last one comes first.
    let exports = export::Exports::new(&document, state.clone());
    let routes = routes
        .layer(from_fn_with_state(exports, export::export))
        .layer(from_fn_with_state(state.clone(), idempotency::once))
        .layer(from_fn_with_state(state.clone(), rate_limits::guard));
    finished(routes.with_state(state).merge(docs::router(&document)).merge(others))
}

/// The OpenAPI 3.1 document of [`router`].
pub fn openapi() -> OpenApi {
    openapi::complete(routes().into_openapi())
}

fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(calls::router())
        .merge(transcripts::router())
        .merge(recordings::router())
        .merge(results::router())
        .merge(timeline::router())
        .merge(search::router())
        .merge(dashboard::router())
        .merge(usage::router())
        .merge(reconcile::router())
        .merge(billing::router())
        .merge(api_keys::router())
        .merge(webhooks::router())
        .merge(credentials::router())
        .merge(events::router())
        .merge(event_types::router())
        .merge(inbox::router())
        .merge(organization::router())
        .merge(members::router())
        .merge(assistants::router())
        .merge(templates::router())
        .merge(phone_numbers::router())
        .merge(audit_log::router())
        .merge(health::router())
}

/// What is true of every answer: a problem where it is an error, and an id.
fn finished(routes: Router) -> Router {
    routes
        .fallback(|| async { Problem::not_found("route") })
        .method_not_allowed_fallback(|| async { Problem::new(Kind::MethodNotAllowed) })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(request_id::identify))
}

/// The panic itself is written by the process' panic hook; its message may hold anything.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request panicked");
    Problem::new(Kind::Internal).into_response()
}

#[cfg(test)]
mod tests;
