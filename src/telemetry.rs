//! Logs and metrics of a process.

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogConfig;

/// Starts logging to stderr; stdout belongs to the data of commands.
pub fn start_logging(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|error| {
        eprintln!("POSTCALL_LOG is wrong ({error}); logging at info");
        EnvFilter::new("info")
    });
    let registry = tracing_subscriber::registry().with(filter);
    if config.json {
        let json = tracing_subscriber::fmt::layer().json().flatten_event(true);
        registry.with(json.with_writer(std::io::stderr)).init();
    } else {
        let text = tracing_subscriber::fmt::layer().with_target(false);
        registry.with(text.with_writer(std::io::stderr)).init();
    }
}

/// Starts collecting metrics. Bounds in seconds fit both an acknowledgement and a model's answer.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    const SECONDS: &[f64] =
        &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
    let builder = PrometheusBuilder::new().set_buckets(SECONDS)?;
    Ok(builder.install_recorder()?)
}

/// `GET /metrics` in Prometheus' text format.
pub fn metrics_router(handle: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(move || std::future::ready(handle.render())))
}
