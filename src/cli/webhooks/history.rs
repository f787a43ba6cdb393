//! What became of an endpoint's events, and one of them once more.

use anyhow::anyhow;
use clap::Args;
use contract::ids::DeliveryId;
use reqwest::Method;
use serde_json::{Value, json};

use super::OneArgs;
use crate::cli::{Failed, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    #[command(flatten)]
    of: OneArgs,
    /// An example of this type, whatever the endpoint subscribes to. Default: webhook.test.
    #[arg(long = "event", value_name = "TYPE")]
    event_type: Option<String>,
    /// Do not wait for the first attempt.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Only events of this type.
    #[arg(long)]
    event: Option<String>,
    /// Only answers with this HTTP status.
    #[arg(long)]
    status_code: Option<String>,
    /// Only failures of this class, such as timeout, or events skipped for this reason.
    #[arg(long)]
    error: Option<String>,
    /// Only rows that tell of an attempt, or of a skip.
    #[arg(long)]
    kind: Option<String>,
    /// Only attempts that were delivered, or failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Only this event.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Only attempts at this delivery.
    #[arg(long, value_name = "ID")]
    delivery_id: Option<String>,
    /// At or after this time (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeliveriesArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Only deliveries that are pending, delivered, failed or disabled.
    #[arg(long)]
    state: Option<String>,
    /// Only events of this type.
    #[arg(long)]
    event: Option<String>,
    /// Made at or after this time (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Made before this time (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResendArgs {
    #[command(flatten)]
    of: OneArgs,
    /// The delivery's id.
    delivery_id: DeliveryId,
}

/// Fails where the attempt did: the endpoint is to be tested, after all.
pub(super) async fn test(args: &TestArgs) -> Result<(), Failed> {
    let mut body = json!({ "wait": !args.no_wait });
    if let Some(event_type) = &args.event_type {
        body["event_type"] = event_type.clone().into();
    }
    let sent = args.of.send(Method::POST, "/test", Some(&body)).await?;
    let attempt = &sent["attempt"];
    match attempt.is_null() {
        true => output::object(args.of.output, &sent),
        false => output::object(args.of.output, attempt),
    }
    if attempt.is_null() && !args.no_wait {
        return Err(anyhow!("nobody made the attempt in time; does a `worker` run?").into());
    }
    match attempt["error"].as_str() {
        Some(error) => Err(anyhow!("the endpoint did not take the event: {error}").into()),
        None => Ok(()),
    }
}

pub(super) async fn logs(args: &LogsArgs) -> Result<(), Failed> {
    let given = [
        ("event", &args.event),
        ("status_code", &args.status_code),
        ("error", &args.error),
        ("kind", &args.kind),
        ("outcome", &args.outcome),
        ("event_id", &args.event_id),
        ("delivery_id", &args.delivery_id),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let columns = [
        "created_at",
        "kind",
        "event",
        "status_code",
        "error",
        "attempt_number",
        "latency_ms",
        "delivery_id",
    ];
    page(&args.of, "logs", &given, args.limit, &columns).await
}

pub(super) async fn deliveries(args: &DeliveriesArgs) -> Result<(), Failed> {
    let given =
        [("state", &args.state), ("event", &args.event), ("from", &args.from), ("to", &args.to)];
    let columns =
        ["id", "created_at", "event", "state", "attempts", "next_attempt_at", "settled_at"];
    page(&args.of, "deliveries", &given, args.limit, &columns).await
}

pub(super) async fn page(
    of: &OneArgs,
    what: &str,
    given: &[(&'static str, &Option<String>)],
    limit: u32,
    columns: &[&str],
) -> Result<(), Failed> {
    let given = given.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?)));
    let query: Vec<(&str, String)> = given.chain([("limit", limit.to_string())]).collect();
    let path = format!("/v1/webhooks/{}/{what}", of.id);
    let page: Value = of.target.api()?.get(&path, &query).await?;
    output::rows(of.output, columns, page["data"].as_array().map_or(&[], Vec::as_slice));
    if page["next_cursor"].is_string() {
        eprintln!("there are more; narrow with --from and --to, or raise --limit");
    }
    Ok(())
}

pub(super) async fn resend(args: &ResendArgs) -> Result<(), Failed> {
    let path = format!("/deliveries/{}/resend", args.delivery_id);
    let due = args.of.send(Method::POST, &path, None).await?;
    output::object(args.of.output, &due);
    Ok(())
}
