//! The endpoints: they verify, note when, and answer in their time.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::Utc;
use providers::webhook_out::verify;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::cli::bench::latency::{Latency, Percentiles};

/// How old a message may be, as the standard says.
const TOLERANCE: Duration = Duration::from_secs(300);

/// How an endpoint behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    /// Answers after this.
    pub(super) answer: Duration,
    /// Whether what it gets is measured.
    pub(super) counts: bool,
}

/// All endpoints of the bench.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    secret: SecretString,
    began: Instant,
    hooks: Mutex<HashMap<String, Hook>>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    ids: HashSet<String>,
    repeated: u64,
    unverified: u64,
    latency: Latency,
    /// When what counts arrived, by what the event is of.
    arrivals: HashMap<Uuid, u64>,
    last: Instant,
}

impl Receiver {
    pub(super) async fn start(secret: SecretString) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let now = Instant::now();
        let seen = Seen {
            ids: HashSet::new(),
            repeated: 0,
            unverified: 0,
            latency: Latency::new()?,
            arrivals: HashMap::new(),
            last: now,
        };
        let this = Arc::new(Self {
            address: listener.local_addr()?,
            secret,
            began: now,
            hooks: Mutex::default(),
            seen: Mutex::new(seen),
        });
        let router = Router::new().route("/{name}", post(receive)).with_state(this.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(this)
    }

    /// Opens an endpoint; gives its URL.
    pub(super) fn open(&self, name: &str, hook: Hook) -> String {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), hook);
        format!("http://{}/{name}", self.address)
    }

    /// A time, by the bench's clock.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    /// What comes from now on is refused or counted anew.
    pub(super) fn begin(&self) {
        let mut seen = self.seen();
        (seen.repeated, seen.unverified) = (0, 0);
        seen.ids.clear();
    }

    /// Waits for so many that count, or until they have taken too long.
    pub(super) async fn has(&self, count: u32, limit: Duration) {
        let until = Instant::now() + limit;
        while self.arrived() < u64::from(count) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Events that count and arrived, each once.
    pub(super) fn arrived(&self) -> u64 {
        self.seen().ids.len() as u64
    }

    /// Deliveries that came again, and those whose signature was wrong.
    pub(super) fn faults(&self) -> (u64, u64) {
        let seen = self.seen();
        (seen.repeated, seen.unverified)
    }

    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        self.seen().latency.percentiles()
    }

    /// From when each was committed until it arrived.
    pub(super) fn delivery(
        &self,
        committed: &[(Uuid, u64)],
    ) -> anyhow::Result<Option<Percentiles>> {
        let (seen, mut delivery) = (self.seen(), Latency::new()?);
        for (id, committed) in committed {
            if let Some(arrived) = seen.arrivals.get(id) {
                delivery.record(Duration::from_micros(arrived.saturating_sub(*committed)));
            }
        }
        Ok(delivery.percentiles())
    }

    pub(super) fn last(&self) -> Instant {
        self.seen().last
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, headers: &HeaderMap, body: &Bytes, at: Instant) {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let id = header("webhook-id");
        let (timestamp, signature) = (header("webhook-timestamp"), header("webhook-signature"));
        let secrets = std::slice::from_ref(&self.secret);
        let verified = verify(id, timestamp, signature, body, secrets, Utc::now(), TOLERANCE);
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let due = value["data"]["due_us"].as_u64();
        let mut seen = self.seen();
        seen.unverified += u64::from(verified.is_err());
        // To warm up.
        let Some(due) = due else { return };
        if !seen.ids.insert(id.to_owned()) {
            seen.repeated += 1;
            return;
        }
        let arrived = self.micros(at);
        if let Some(id) = value["data"]["id"].as_str().and_then(|id| id.parse().ok()) {
            seen.arrivals.insert(id, arrived);
        }
        seen.latency.record(Duration::from_micros(arrived.saturating_sub(due)));
        seen.last = seen.last.max(at);
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let at = Instant::now();
    let hook = receiver.hooks.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
    let Some(hook) = hook else { return StatusCode::NOT_FOUND };
    if hook.counts {
        receiver.note(&headers, &body, at);
    }
    tokio::time::sleep(hook.answer).await;
    StatusCode::NO_CONTENT
}
