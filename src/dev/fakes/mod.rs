//! Fakes of the third parties that postcall talks to: real HTTP servers with scripted answers and
//! an append-only effect log, one port, one path prefix for each (`GET /` tells what is here).
//!
//! They speak the providers' own wire formats, errors included, and remember what the real ones
//! remember (idempotency keys, messages, calls), also across a restart on the same log file. What a
//! test wants to go wrong is a [`Script`]; what truly took place is in [`Effects`].
//! A provider's file holds `identify` (what a request asks for), `perform` (do it and answer),
//! `failure` (its error body for a scripted status) and `restore` (remember an effect of the log);
//! `exchange` does the rest for all of them alike.

mod actions;
mod admin;
mod answer;
mod asked;
mod audio;
mod clock;
mod effects;
mod exchange;
mod journal;
mod line;
mod openai;
mod planted;
mod provider;
mod receiver;
mod remembered;
mod reply;
mod resend;
mod retell;
mod retell_list;
mod schema;
mod script;
mod shelf;
mod stripe;
mod supabase;
mod twilio;
mod twilio_calls;
mod twilio_list;
mod vapi;
mod world;

#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    asked::RequestSeen,
    effects::{Effect, Effects, Filter, Kind},
    planted::NotPlanted,
    provider::Provider,
    script::{Answer, Script, Then},
    stripe::{NotSent, Stripe, StripeSettings},
};
use self::{line::Door, world::World};

/// How often the log is handed to the operating system: what a `kill -9` of the fakes may lose.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// How long `stop` waits for answers under way, dripping ones among them, before it cuts them off.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What the fakes need to start.
#[derive(Debug, Clone)]
pub struct FakesOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where effects are kept as JSON Lines and read back at the next start; `None` keeps them in
    /// memory only.
    pub log_file: Option<PathBuf>,
    /// Base latency of every provider's answers. The customer's webhook receiver has it too.
    pub delay: Duration,
}

/// Why the fakes did not start. Trying again helps only once the cause is gone.
#[derive(Debug, thiserror::Error)]
pub enum FakesError {
    /// The address is taken or not ours.
    #[error("fakes: listening on {address} failed")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The effect log cannot be read or written.
    #[error("fakes: opening the effect log {} failed", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Running fakes. Dropping them stops them without waiting.
#[derive(Debug)]
pub struct Fakes {
    url: String,
    world: Arc<World>,
    server: JoinHandle<()>,
    stopping: DropGuard,
}

impl Fakes {
    /// Starts to listen and returns when requests are answered.
    ///
    /// # Errors
    /// When the address cannot be listened on or the log file cannot be opened.
    pub async fn start(options: FakesOptions) -> Result<Self, FakesError> {
        let failed = |source| FakesError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stopping = CancellationToken::new();
        let world =
            World::open(options.log_file.as_deref(), options.delay, stopping.clone()).map_err(
                |source| FakesError::Log { path: options.log_file.unwrap_or_default(), source },
            )?;
        let world = Arc::new(world);
        let server = tokio::spawn(serve(Door::new(listener), Arc::clone(&world)));
        tokio::spawn(flush(Arc::clone(&world)));
        let url = reachable(address);
        Ok(Self { url, world, server, stopping: stopping.drop_guard() })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was asked of the fakes and what took place.
    pub fn effects(&self) -> &Effects {
        &self.world.effects
    }

    /// Lays a script for a provider, or for one key of it (recipient, hook name, idempotency key,
    /// path …), in place of an earlier one for the same.
    pub fn script(&self, provider: Provider, key: Option<&str>, script: Script) {
        self.world.scripts.lay(provider, key.map(str::to_owned), script);
    }

    /// Puts a call there that was not placed through the fake: the provider's own call object, in
    /// the place of an earlier state of it. Look-ups and lists show it; recordings of a Twilio call
    /// lie under `recordings` in it.
    ///
    /// # Errors
    /// When the provider has no calls, or the call no id (`id`, `call_id`, `sid`).
    pub fn plant(&self, provider: Provider, call: serde_json::Value) -> Result<(), NotPlanted> {
        planted::plant(&self.world, provider, call)
    }

    /// What only Stripe's fake can tell and do: what was billed, settings, events.
    pub fn stripe(&self) -> &Stripe {
        &self.world.stripe
    }

    /// Lets the fakes' clock show a time, for tests of simulated months: set it before anything is
    /// remembered, or only forward. At most ten years from now.
    pub fn set_clock(&self, now: DateTime<Utc>) {
        self.world.clock.set(now);
        self.world.effects.clock_is(self.world.clock.ahead_seconds());
    }

    /// Stops listening, gives answers under way one second, and writes the log out.
    pub async fn stop(self) {
        let Self { world, mut server, stopping, .. } = self;
        drop(stopping);
        if tokio::time::timeout(STOP_WITHIN, &mut server).await.is_err() {
            server.abort();
        }
        world.effects.flush();
    }
}

/// The address as a URL that a client on this machine can use.
fn reachable(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{}", v6.port()),
        specified => format!("http://{specified}"),
    }
}

async fn serve(door: Door, world: Arc<World>) {
    let stopping = world.stopping.clone();
    let service = admin::router(world).into_make_service_with_connect_info::<line::Cut>();
    let served =
        axum::serve(door, service).with_graceful_shutdown(stopping.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the fakes stopped serving");
    }
}

async fn flush(world: Arc<World>) {
    while !world.stopping.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            () = world.stopping.cancelled() => {}
        }
        world.effects.flush();
    }
}
