//! `/healthz` and `/readyz`: whether the process lives, and whether it can serve.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRef, State},
    http::StatusCode,
};
use serde::Serialize;
use store::{Database, StoreError, counters::Counters, database};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What does not answer within this time does not work for requests either.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What readiness looks at.
#[derive(Clone)]
pub struct Health {
    db: Database,
    counters: Counters,
    others: Vec<(&'static str, Check)>,
}

impl Health {
    /// Looks at Postgres, which is needed, and at Redis, which is reported.
    pub fn new(db: Database, counters: Counters) -> Self {
        Self { db, counters, others: Vec::new() }
    }

    /// Reports something else too. It does not make the process unready.
    #[must_use]
    pub fn report<F>(
        mut self,
        name: &'static str,
        answers: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.others.push((name, Arc::new(move || Box::pin(answers()))));
        self
    }
}

/// The routes of health, for the API or for a process that serves nothing else.
pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Health: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `unready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// What each dependency is: `ok`, `unreachable`, or `behind` where migrations must run first.
    #[schema(value_type = std::collections::HashMap<String, String>,
        example = json!({"postgres": "ok", "migrations": "ok", "redis": "ok"}))]
    checks: BTreeMap<&'static str, &'static str>,
}

/// Is the process alive?
///
/// It answers as long as the process lives, whatever else is down. For restarts.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "operations", responses(
    (status = 200, description = "It is", body = Alive)))]
async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Can the process serve?
///
/// Whether Postgres answers and has this binary's schema, and what Redis does. For load balancers.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "operations", responses(
    (status = 200, description = "Postgres answers and is migrated", body = Readiness),
    (status = 503, description = "It cannot serve", body = Readiness)))]
async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Readiness>) {
    let others = health.others.iter().map(|(name, check)| async move {
        let answers = timeout(ANSWER_TIMEOUT, check()).await.unwrap_or(false);
        (*name, word(answers))
    });
    let (migrated, redis, others) = tokio::join!(
        within(database::is_migrated(&health.db)),
        within(health.counters.ping()),
        futures::future::join_all(others),
    );
    let mut checks = BTreeMap::from([
        ("postgres", word(migrated.is_some())),
        (
            "migrations",
            match migrated {
                Some(true) => "ok",
                Some(false) => "behind",
                None => "unreachable",
            },
        ),
        ("redis", word(redis.is_some())),
    ]);
    checks.extend(others);
    if migrated == Some(true) {
        (StatusCode::OK, Json(Readiness { status: "ready", checks }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "unready", checks }))
    }
}

async fn within<T>(work: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    timeout(ANSWER_TIMEOUT, work).await.ok()?.ok()
}

const fn word(answers: bool) -> &'static str {
    if answers { "ok" } else { "unreachable" }
}
