//! The process that receives webhooks and answers the API.

use std::time::Duration;

use anyhow::Context;
use providers::{stripe::Mode, supabase::tokens::Tokens};
use store::{
    Database, Role,
    cache::Cache,
    counters::Counters,
    objects::Objects,
    signals::{AccessChanges, EVENTS, Listener},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{
        self,
        access::{Access, AccessSetup},
    },
    config::{Config, ProviderConfig},
    http_server,
    receiver::{self, Fallbacks, Receiver, Setup},
    telemetry,
};

/// Acknowledgements get connections of their own: a flood of API reads cannot take them.
const INTAKE_CONNECTIONS: u32 = 6;
const SECRETS_CONNECTIONS: u32 = 4;
const STRIPE_CONNECTIONS: u32 = 4;
const API_CONNECTIONS: u32 = 16;
/// The live streams look this often without a wake-up.
const EVENTS_POLL: Duration = Duration::from_secs(1);
/// What keys were used for last is written within this time.
const LAST_COUNTS: Duration = Duration::from_secs(1);
/// Requests in progress at a stop have this long.
const GRACE: Duration = Duration::from_secs(8);

/// Runs until `stop` turns true.
pub async fn run(config: Config, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    let db = Database::connect(&config.database_url, Role::Api, API_CONNECTIONS)?;
    let counters = Counters::new(&config.redis_url)?;
    let objects = Objects::new(&config.storage_url, config.storage_options.0.clone())?;
    let stopping = CancellationToken::new();
    let events = Listener::new(&config.database_url, EVENTS, EVENTS_POLL);
    let live = api::live::Live::start(events, stopping.clone());
    let health = api::health::Health::new(db.clone(), counters.clone());
    let cache = Cache::new(counters.clone());
    let access = Access::new(access_setup(&config, db.clone(), counters)?);
    let tasks = access.start(AccessChanges::new(&config.database_url));
    let (sealer, egress) = (config.sealer.clone(), config.egress()?);
    let setup =
        api::ApiSetup { db, cache, objects, live, health, sealer, egress, access: access.clone() };
    let state = api::ApiState::new(setup);
    let receiver = Receiver::start(receiver_setup(&config)?)?;
    let others = receiver::router(receiver).merge(telemetry::metrics_router(metrics));
    let routes = api::router(state, others);
    let listener = tokio::net::TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("POSTCALL_LISTEN {}", config.listen))?;
    tracing::info!(listen = %config.listen, "serve is running");
    let stopped = {
        let mut stop = stop.clone();
        async move {
            drop(stop.wait_for(|stop| *stop).await);
            // Live streams never end by themselves.
            stopping.cancel();
        }
    };
    let serving = http_server::serve(listener, routes, stopped);
    let deadline = async {
        drop(stop.wait_for(|stop| *stop).await);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = serving => {}
        () = deadline => tracing::warn!("requests in progress are cut"),
    }
    // A write that is under way ends first.
    if !matches!(timeout(LAST_COUNTS, access.write_counts()).await, Ok(Ok(()))) {
        tracing::warn!("the last requests of keys were not counted");
    }
    drop(tasks);
    tracing::info!("serve stops");
    Ok(())
}

fn access_setup(config: &Config, db: Database, redis: Counters) -> anyhow::Result<AccessSetup> {
    let ProviderConfig { supabase_url, supabase_jwt_secret, .. } = &config.providers;
    let tokens = Tokens::new(supabase_url.as_deref(), supabase_jwt_secret.as_ref());
    Ok(AccessSetup {
        db,
        redis,
        sealer: config.sealer.clone(),
        tokens: tokens.context("SUPABASE_URL")?,
        limits: config.rate_limits,
    })
}

fn receiver_setup(config: &Config) -> anyhow::Result<Setup> {
    let providers = &config.providers;
    let pool = |role, size| Database::connect(&config.database_url, role, size);
    Ok(Setup {
        db: pool(Role::Intake, INTAKE_CONNECTIONS)?,
        secrets_db: pool(Role::Api, SECRETS_CONNECTIONS)?,
        sealer: config.sealer.clone(),
        fallbacks: Fallbacks {
            vapi: providers.vapi_webhook_secret.clone(),
            retell: providers.retell_api_key.clone(),
            twilio: providers.twilio.as_ref().map(|(_, token, _)| token.clone()),
        },
        public_url: config
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{}", config.listen)),
        spool_dir: config.spool_dir.clone(),
        spool_max_bytes: config.spool_max_bytes,
        inbox_group: config.inbox_group,
        chatter_per_second: config.chatter_per_second,
        stripe_db: pool(Role::Api, STRIPE_CONNECTIONS)?,
        stripe_secrets: providers.stripe_webhook_secrets.clone(),
        stripe_mode: providers.stripe_secret_key.as_ref().and_then(Mode::of_key),
    })
}
