//! `postcall billing`: what is billed, was billed and will be.

mod link_customer;
mod stripe_events;

use clap::{Args, Subcommand};
use contract::ids::{OrganizationId, PeriodId};
use store::{Role, audit::Actor, billing, error::Problem};

use super::{Failed, Format, installation::Installation, output, target::TargetArgs};

#[derive(Debug, Subcommand)]
pub(super) enum BillingCommand {
    /// Show what would be billed if the period ended now.
    Preview(ShowArgs),
    /// List billing periods, newest first.
    Periods(PeriodsArgs),
    /// List what happened, newest first.
    Events(EventsArgs),
    /// Report a period once more: Stripe rejected the report, or its fate is unknown and it is not billed.
    Report(ReportArgs),
    /// List what Stripe sent, newest first, and why something of it waits; or take an event that waits
    /// once more.
    StripeEvents(stripe_events::StripeEventsArgs),
    /// Make an organization a customer at Stripe: one that is there, or else a new one. For those that
    /// were made before there was a STRIPE_SECRET_KEY.
    LinkCustomer(link_customer::LinkCustomerArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct PeriodsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Print all of them as comma-separated values instead.
    #[arg(long, conflicts_with_all = ["output", "limit"])]
    csv: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only those about this period.
    #[arg(long)]
    period: Option<PeriodId>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Print all of them as comma-separated values instead.
    #[arg(long, conflicts_with_all = ["output", "limit"])]
    csv: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Whose period.
    #[arg(long)]
    organization: OrganizationId,
    /// The period.
    period: PeriodId,
}

pub(super) async fn run(command: BillingCommand) -> Result<(), Failed> {
    match command {
        BillingCommand::Preview(args) => {
            let preview = args.target.api()?.get("/v1/billing/preview", &[]).await?;
            output::object(args.output, &preview);
            Ok(())
        }
        BillingCommand::Periods(args) => periods(&args).await,
        BillingCommand::Events(args) => events(&args).await,
        BillingCommand::Report(args) => report(&args).await,
        BillingCommand::StripeEvents(args) => stripe_events::run(&args).await,
        BillingCommand::LinkCustomer(args) => link_customer::run(&args).await,
    }
}

async fn periods(args: &PeriodsArgs) -> Result<(), Failed> {
    let mut query = vec![("limit", args.limit.to_string())];
    let api = args.target.api()?;
    if args.csv {
        query.push(("format", "csv".to_owned()));
        output::text(&api.get_text("/v1/billing/periods", &query).await?);
        return Ok(());
    }
    let page = api.get("/v1/billing/periods", &query).await?;
    let periods = page["data"].as_array().cloned().unwrap_or_default();
    let columns =
        ["id", "period_start", "period_end", "status", "used_minutes", "overage_minutes", "report"];
    output::rows(args.output, &columns, &periods);
    if page["next_cursor"].is_string() {
        eprintln!("there are more; raise --limit");
    }
    Ok(())
}

async fn events(args: &EventsArgs) -> Result<(), Failed> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.period.map(|period| ("period_id", period.to_string())));
    let api = args.target.api()?;
    if args.csv {
        query.push(("format", "csv".to_owned()));
        output::text(&api.get_text("/v1/billing/events", &query).await?);
        return Ok(());
    }
    let page = api.get("/v1/billing/events", &query).await?;
    let events = page["data"].as_array().cloned().unwrap_or_default();
    output::rows(args.output, &["created_at", "event", "period_id", "details"], &events);
    if page["next_cursor"].is_string() {
        eprintln!("there are more; narrow with --period, or raise --limit");
    }
    Ok(())
}

/// Goes to the database: whether something is billed twice is the installation's to say.
async fn report(args: &ReportArgs) -> Result<(), Failed> {
    let db = Installation::of(&args.target)?.database(Role::Worker)?;
    match billing::report_again(&db, args.organization, args.period, &Actor::command_line()).await {
        Ok(true) => {
            eprintln!(
                "the next revision of the report is on its way; `billing events` tells of it"
            );
            Ok(())
        }
        Ok(false) => {
            let text = "the newest report is neither rejected, nor of unknown fate, nor given up"
                .to_owned();
            Err(Failed::Conflict(text))
        }
        Err(error) if matches!(error.problem(), Problem::Invalid(_)) => {
            Err(Failed::NotFound(error.to_string()))
        }
        Err(error) => Err(anyhow::Error::from(error).into()),
    }
}
