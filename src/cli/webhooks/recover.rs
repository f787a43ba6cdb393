//! Deliveries made again in bulk.

use clap::Args;
use contract::ids::RecoveryId;
use reqwest::Method;
use serde_json::json;

use super::{OneArgs, history::page};
use crate::cli::{Failed, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct RecoverArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Events told at this time or later (RFC 3339).
    #[arg(long)]
    since: String,
    /// Events told before this time (RFC 3339). Default: now.
    #[arg(long)]
    until: Option<String>,
    /// What it did not get while it was disabled or not there, instead of what failed.
    #[arg(long)]
    missing: bool,
    /// Only events of these types.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    events: Vec<String>,
    /// Deliveries a second, 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
    rate: i32,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    of: OneArgs,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ItemsArgs {
    #[command(flatten)]
    of: OneArgs,
    /// The recovery's id.
    recovery_id: RecoveryId,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeArgs {
    #[command(flatten)]
    of: OneArgs,
    /// The recovery's id.
    recovery_id: RecoveryId,
}

pub(super) async fn recover(args: &RecoverArgs) -> Result<(), Failed> {
    let body = json!({
        "kind": if args.missing { "missing" } else { "failed" },
        "since": args.since,
        "until": args.until,
        "events": args.events,
        "rate": args.rate,
        "dry_run": args.dry_run,
    });
    let begun = args.of.send(Method::POST, "/recover", Some(&body)).await?;
    output::object(args.of.output, &begun);
    if let Some(id) = begun["id"].as_str() {
        eprintln!("see how it goes: postcall webhooks recovery {} {id}", args.of.id);
    }
    Ok(())
}

pub(super) async fn list(args: &ListArgs) -> Result<(), Failed> {
    let columns =
        ["id", "created_at", "kind", "state", "total", "begun", "rate", "created_by", "ended_at"];
    page(&args.of, "recoveries", &[], args.limit, &columns).await
}

pub(super) async fn items(args: &ItemsArgs) -> Result<(), Failed> {
    let what = format!("recoveries/{}/items", args.recovery_id);
    let columns = ["event_id", "event", "delivery_id", "state", "attempts"];
    page(&args.of, &what, &[], args.limit, &columns).await
}

pub(super) async fn change(args: &ChangeArgs, change: &str) -> Result<(), Failed> {
    let path = format!("/recoveries/{}/{change}", args.recovery_id);
    let changed = args.of.send(Method::POST, &path, None).await?;
    output::object(args.of.output, &changed);
    Ok(())
}
