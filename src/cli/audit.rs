//! `postcall audit list`: who changed what.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use store::audit;

use super::{Failed, Format, installation::Installation, output, target::TargetArgs};
use crate::api::audit_log::AuditEntry;

const COLUMNS: [&str; 7] = ["created_at", "actor", "ip", "action", "target", "before", "after"];

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List changes, newest first: by whom, from where, before and after.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only changes by this actor, such as api_key:ID or command-line.
    #[arg(long)]
    actor: Option<String>,
    /// Only changes of this kind, such as webhooks.update.
    #[arg(long)]
    action: Option<String>,
    /// Only changes to this, such as webhooks:ID.
    #[arg(long = "target", value_name = "TARGET")]
    what: Option<String>,
    /// Only changes at this time or later (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Only changes before this time.
    #[arg(long)]
    to: Option<String>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=250))]
    limit: u16,
    /// What operators changed of templates and users, which belong to no organization. Reads the database.
    #[arg(long, conflicts_with_all = ["actor", "action", "what", "from", "to"])]
    installation: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(command: AuditCommand) -> Result<(), Failed> {
    let AuditCommand::List(args) = command;
    if args.installation {
        let admin_url = Installation::of(&args.target)?.admin_url;
        let found = audit::of_installation(&admin_url, args.limit).await;
        let found = found.map_err(anyhow::Error::from)?.into_iter().map(AuditEntry::from);
        let rows: Vec<Value> = found.map(|entry| json!(entry)).collect();
        output::rows(args.output, &COLUMNS, &rows);
        return Ok(());
    }
    let given = [
        ("actor", args.actor),
        ("action", args.action),
        ("target", args.what),
        ("from", args.from),
        ("to", args.to),
        ("limit", Some(args.limit.to_string())),
    ];
    let query: Vec<_> =
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page = args.target.api()?.get("/v1/audit-log", &query).await?;
    output::rows(args.output, &COLUMNS, page["data"].as_array().map_or(&[], Vec::as_slice));
    if page["next_cursor"].is_string() {
        eprintln!("there are more; narrow the filters, or raise --limit");
    }
    Ok(())
}
