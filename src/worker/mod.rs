//! The worker process: dispatcher, workflows and activities, and an orderly stop.

mod counters;
mod deliverer;
mod dispatcher;
mod registration;
mod starts;
mod unread;

use std::time::Duration;

use anyhow::Context;
use contract::names::{BILLING_QUEUE, CALL_PROCESSING_QUEUE, WEBHOOK_DELIVERY_QUEUE};
use store::{Database, Role};
use temporalio_client::Client;
use temporalio_sdk::{Runtime, runtime::RuntimeOptions};
use tokio::sync::watch;

use crate::{config, config::Config, telemetry, temporal};

pub use registration::Room;

/// Every slot of the worker may hold a connection for a moment; Postgres allows 100 by default.
const CONNECTIONS: u32 = 24;
/// After a stop is asked for, work in progress has this long to finish or be handed back.
const GRACE: Duration = Duration::from_secs(25);

/// Runs until `stop` turns true.
pub async fn run(config: Config, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    let db = Database::connect(&config.database_url, Role::Worker, CONNECTIONS)?;
    let identity = config::identity("worker");
    let client = tokio::select! {
        client = connected(&config, &identity) => client,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let telemetry = RuntimeOptions::default();
    let runtime = std::sync::Arc::new(Runtime::from_current_tokio(telemetry)?);
    let (room, unprojected) = Room::furnish(&config, &db)?;
    let projections =
        tokio::spawn(counters::keep_projecting(db.clone(), room.counters.clone(), unprojected));
    let serves = |queue: &str| config.task_queues.iter().any(|served| served == queue);
    let dispatcher = serves(CALL_PROCESSING_QUEUE).then(|| {
        let dispatcher = dispatcher::Dispatcher::new(&config, db.clone(), client.clone(), &room);
        tokio::spawn(dispatcher.run(stop.clone()))
    });
    let deliverer = serves(WEBHOOK_DELIVERY_QUEUE).then(|| {
        let deliverer = deliverer::Deliverer::new(&config, db.clone(), client.clone(), &room);
        tokio::spawn(deliverer.run(stop.clone()))
    });
    let starter = serves(BILLING_QUEUE)
        .then(|| tokio::spawn(starts::keep_starting(db.clone(), client.clone(), stop.clone())));
    let workers: Vec<_> = config
        .task_queues
        .iter()
        .map(|queue| registration::spawn(queue, &room, &runtime, &client, stop.clone()))
        .collect();
    if let Some(listen) = config.worker_listen {
        let listener = tokio::net::TcpListener::bind(listen).await;
        let listener = listener.with_context(|| format!("POSTCALL_WORKER_LISTEN {listen}"))?;
        tokio::spawn(axum::serve(listener, telemetry::metrics_router(metrics)).into_future());
    }
    tracing::info!(queues = ?config.task_queues, "worker is running");
    let mut parts: Vec<_> =
        workers.into_iter().chain(dispatcher).chain(deliverer).chain(starter).collect();
    let ended = futures::future::select_all(&mut parts);
    tokio::select! {
        // Parts that end because they are asked to do not end by themselves.
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        (ended, index, _) = ended => {
            // Half a worker would look alive and do nothing: the supervisor starts a whole one.
            anyhow::bail!("part {index} of the worker ended by itself: {ended:?}");
        }
    }
    tracing::info!("worker stops");
    let drained = futures::future::join_all(parts);
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        tracing::warn!("work in progress is left to other workers");
    }
    projections.abort();
    Ok(())
}

/// Temporal, with our search attributes in it.
async fn connected(config: &Config, identity: &str) -> Client {
    let client = temporal::connect_patiently(&config.temporal, identity).await;
    temporal::register_patiently(&client).await;
    client
}
