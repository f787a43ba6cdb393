//! Webhooks in: verify the raw bytes, append to the inbox, answer.
//!
//! Deliberately absent: Temporal and Redis. An acknowledgement needs Postgres only, and while that
//! is down the spool.

mod budget;
mod drain;
mod keep;
mod limits;
mod request;
mod retell;
mod secrets;
mod spool;
mod stripe;
mod twilio;
mod vapi;

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use store::{Database, credentials::Credentials, intake::Intake, sealing::Sealer, signals::Teller};

use self::{budget::Budget, keep::Keeper, limits::Limits, secrets::Secrets, spool::Spool};

pub use secrets::Fallbacks;

/// Commits of the inbox at once: one is under way while the other is prepared. More only make
/// smaller groups.
const WRITERS: usize = 2;

/// What the receivers need.
#[derive(Clone)]
pub struct Receiver {
    secrets: Secrets,
    keeper: Keeper,
    limits: Limits,
    budget: Budget,
    public_url: String,
    /// What a request for an unknown organization is checked against.
    nobody: Arc<Credentials>,
    stripe: stripe::Stripe,
}

/// How a receiver is set up.
#[derive(Debug)]
pub struct Setup {
    /// A pool of its own, of role `Intake`: a busy API cannot hold up an acknowledgement.
    pub db: Database,
    /// Another for the organizations' secrets: whoever asks with invented organizations must not
    /// hold up a commit.
    pub secrets_db: Database,
    /// Opens the organizations' secrets.
    pub sealer: Sealer,
    /// Secrets for organizations without their own.
    pub fallbacks: Fallbacks,
    /// What providers call, without a slash at the end.
    pub public_url: String,
    /// Where webhooks lie while Postgres is down.
    pub spool_dir: PathBuf,
    /// Most bytes of them.
    pub spool_max_bytes: u64,
    /// Most webhooks in one commit.
    pub inbox_group: usize,
    /// Messages of an organization that drive no call and are stored.
    pub chatter_per_second: NonZeroU32,
    /// A third, of role `Api`: an event of Stripe does more in its transaction than be stored.
    pub stripe_db: Database,
    /// What Stripe's events may be signed with. Without, all are refused.
    pub stripe_secrets: Vec<SecretString>,
    /// The mode of our key at Stripe, which events have to be of. Without, both are taken.
    pub stripe_mode: Option<providers::stripe::Mode>,
}

impl Receiver {
    /// A receiver, with its writers and the task that empties the spool.
    ///
    /// # Errors
    /// When the spool's folder cannot be used.
    pub fn start(setup: Setup) -> anyhow::Result<Self> {
        let Setup { db, sealer, fallbacks, public_url, .. } = setup;
        let folder = setup.spool_dir;
        let spool = Spool::open(folder.clone(), setup.spool_max_bytes)
            .with_context(|| format!("POSTCALL_SPOOL_DIR {}", folder.display()))?;
        let intake = Intake::start(&db, WRITERS, setup.inbox_group);
        let teller = Teller::start(&db, store::signals::INBOX);
        let keeper = Keeper::new(intake, spool, teller);
        tokio::spawn(drain::keep_draining(keeper.clone(), db, folder));
        Ok(Self {
            secrets: Secrets::new(setup.secrets_db, sealer, fallbacks),
            keeper,
            limits: Limits::new(setup.chatter_per_second),
            budget: Budget::default(),
            public_url,
            nobody: Arc::new(request::nobody()),
            stripe: stripe::Stripe::new(setup.stripe_db, setup.stripe_secrets, setup.stripe_mode),
        })
    }
}

/// The routes that providers post to.
pub fn router(receiver: Receiver) -> Router {
    Router::new()
        .merge(vapi::router())
        .merge(retell::router())
        .merge(twilio::router())
        .merge(stripe::router())
        .with_state(receiver)
}

/// The one answer to every request that does not prove itself: an unknown organization looks like a
/// wrong secret.
fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, "the request is not signed by a known secret\n").into_response()
}

/// Not stored, so not acknowledged: the provider may try again.
fn unavailable() -> Response {
    let retry = [(RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, retry, "not stored; try again\n").into_response()
}
