//! `postcall usage`: minutes, days and the books behind them.

mod books;

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Failed, Format, output, schedules::day, target::TargetArgs};

#[derive(Debug, Subcommand)]
pub(super) enum UsageCommand {
    /// Show usage of the current period.
    Current(CurrentArgs),
    /// List usage by day.
    Days(DaysArgs),
    #[command(flatten)]
    Books(books::BooksCommand),
}

#[derive(Debug, Args)]
pub(super) struct CurrentArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct DaysArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// First day, as 2026-11-01. Default: 29 days before --to.
    #[arg(long, value_parser = day)]
    from: Option<NaiveDate>,
    /// Last day, included. Default: today.
    #[arg(long, value_parser = day)]
    to: Option<NaiveDate>,
    /// Only calls of this assistant.
    #[arg(long)]
    assistant: Option<Uuid>,
    /// A row for each assistant and day.
    #[arg(long)]
    by_assistant: bool,
    /// Print comma-separated values instead.
    #[arg(long, conflicts_with = "output")]
    csv: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(command: UsageCommand) -> Result<(), Failed> {
    match command {
        UsageCommand::Current(args) => {
            let usage = args.target.api()?.get("/v1/usage/current", &[]).await?;
            output::object(args.output, &usage);
            Ok(())
        }
        UsageCommand::Days(args) => days(&args).await,
        UsageCommand::Books(command) => books::run(command).await,
    }
}

async fn days(args: &DaysArgs) -> Result<(), Failed> {
    let optional = [
        ("from", args.from.map(|day| day.to_string())),
        ("to", args.to.map(|day| day.to_string())),
        ("assistant_id", args.assistant.map(|id| id.to_string())),
        ("by", args.by_assistant.then(|| "assistant".to_owned())),
        ("format", args.csv.then(|| "csv".to_owned())),
    ];
    let query: Vec<(&str, String)> =
        optional.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let api = args.target.api()?;
    if args.csv {
        output::text(&api.get_text("/v1/usage", &query).await?);
        return Ok(());
    }
    let usage = api.get("/v1/usage", &query).await?;
    let days = usage["data"].as_array().cloned().unwrap_or_default();
    let mut columns = vec!["date", "total_calls", "completed_calls", "failed_calls", "minutes"];
    columns.extend(["seconds", "average_duration_seconds", "cost_usd"]);
    if args.by_assistant {
        columns.insert(1, "assistant_id");
    }
    output::rows(args.output, &columns, &days);
    let total = &usage["total"];
    eprintln!("{} calls, {} minutes in all", total["total_calls"], total["minutes"]);
    Ok(())
}
