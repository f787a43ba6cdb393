//! The books side by side, the story of one call's minutes, and what is set right by hand.

mod explain;

use anyhow::anyhow;
use chrono::{NaiveDate, Utc};
use clap::{Args, Subcommand};
use contract::ids::{CallId, OrganizationId};
use serde_json::{Value, json};
use store::{
    Database, Role,
    audit::Actor,
    counters::Counters,
    error::Problem,
    reconcile::{self, Books, Look, Row},
};

use crate::{
    api::{
        days::{MAX_DAYS, WrongRange},
        reconcile::{BookRow, range},
    },
    cli::{Failed, Format, installation::Installation, output, schedules::day, target::TargetArgs},
};

/// Organizations that are compared at a time.
const PAGE: u16 = 500;
/// Longest reason of a void, in bytes.
const LONGEST_REASON: usize = 500;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BooksCommand {
    /// Compare calls, ledger, daily usage, totals, Redis and Stripe. Exit code 1 where books differ and
    /// nothing explains it.
    Reconcile(ReconcileArgs),
    /// Tell the whole story of one call's minutes.
    Explain(explain::ExplainArgs),
    /// Make a call count nothing, whatever is told of it later.
    Void(VoidArgs),
    /// Write the counters in Redis anew from Postgres.
    RebuildCounters(RebuildArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReconcileArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only this organization.
    #[arg(long)]
    organization: Option<OrganizationId>,
    /// First day, where each organization is. Default: 35 days before the last.
    #[arg(long, value_parser = day)]
    from: Option<NaiveDate>,
    /// Last day, included. Default: today.
    #[arg(long, value_parser = day)]
    to: Option<NaiveDate>,
    /// Also rows in which all books agree.
    #[arg(long)]
    all: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VoidArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The call's id.
    id: CallId,
    /// Why it is not to be paid for. The organization reads it; no personal data.
    #[arg(long)]
    reason: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RebuildArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only this organization.
    #[arg(long)]
    organization: Option<OrganizationId>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(in crate::cli) async fn run(command: BooksCommand) -> Result<(), Failed> {
    match command {
        BooksCommand::Reconcile(args) => compare(&args).await,
        BooksCommand::Explain(args) => explain::run(&args).await,
        BooksCommand::Void(args) => void(&args).await,
        BooksCommand::RebuildCounters(args) => rebuild(&args).await,
    }
}

const COLUMNS: [&str; 14] = [
    "organization_id",
    "scope",
    "measure",
    "calls",
    "ledger",
    "daily_usage",
    "totals",
    "statement",
    "redis",
    "stripe",
    "difference",
    "explanation",
    "unexplained",
    "note",
];

async fn compare(args: &ReconcileArgs) -> Result<(), Failed> {
    let now = Utc::now();
    let (from, to) = range(args.from, args.to, now).map_err(|wrong| {
        Failed::Usage(match wrong {
            WrongRange::Reversed => "--from must not be after --to".to_owned(),
            WrongRange::TooLong => format!("no more than {MAX_DAYS} days at once"),
            WrongRange::Absurd { .. } => "days must be of 2000 to 2199".to_owned(),
        })
    })?;
    let look = Look { from, to, now, all: args.all };
    let stores = Stores::of(&Installation::of(&args.target)?)?;
    let books = match args.organization {
        Some(organization) => stores.compare_one(organization, look).await?,
        None => stores.compare_all(look).await?,
    };
    let (explained, unexplained) = (books.explained(), books.unexplained());
    let rows: Vec<Value> =
        books.rows.into_iter().map(|row| shown(row, args.output)).collect::<Result<_, _>>()?;
    if !rows.is_empty() || args.output != Format::Table {
        output::rows(args.output, &COLUMNS, &rows);
    }
    eprintln!(
        "organizations: {}, days: {from} to {to}, rows explained: {explained}, unexplained: {unexplained}",
        books.organizations
    );
    if unexplained > 0 {
        return Err(Failed::Other(anyhow!("books differ, and nothing explains it")));
    }
    Ok(())
}

/// As the API shows it; for people with two columns that gather others.
fn shown(row: Row, format: Format) -> anyhow::Result<Value> {
    let explanations = row.explanations.iter();
    let explanation: Vec<_> = explanations
        .map(|explanation| format!("{} {:+}", explanation.reason.as_str(), explanation.quantity))
        .collect();
    let mut shown = serde_json::to_value(BookRow::from(row))?;
    if format == Format::Table {
        let day = shown["date"].as_str().map(str::to_owned);
        let start = || format!("period {}", shown["period_start"].as_str().unwrap_or_default());
        shown["scope"] = day.unwrap_or_else(start).into();
        shown["explanation"] = explanation.into();
    }
    Ok(shown)
}

async fn void(args: &VoidArgs) -> Result<(), Failed> {
    let reason = args.reason.trim();
    if reason.is_empty() || reason.len() > LONGEST_REASON || reason.contains('\0') {
        let rule = format!("--reason must have 1 to {LONGEST_REASON} bytes");
        return Err(Failed::Usage(rule));
    }
    let stores = Stores::of(&Installation::of(&args.target)?)?;
    let voided = reconcile::void(
        &stores.db,
        &stores.counters,
        args.id,
        reason,
        &Actor::command_line(),
        Utc::now(),
    )
    .await;
    let voided = voided.map_err(|error| match error.problem() {
        Problem::NotFound => Failed::NotFound(format!("{} is no call", args.id)),
        _ => Failed::Other(error.into()),
    })?;
    let shown = json!({
        "id": args.id,
        "organization_id": voided.organization_id,
        "minutes_taken_back": voided.minutes,
        "was_void": voided.was_void,
    });
    output::object(args.output, &shown);
    Ok(())
}

async fn rebuild(args: &RebuildArgs) -> Result<(), Failed> {
    let installation = Installation::of(&args.target)?;
    let db = installation.database(Role::Worker)?;
    let rebuilt = reconcile::rebuild(&db, &installation.counters()?, args.organization)
        .await
        .map_err(anyhow::Error::from)?;
    let shown = json!({ "organizations": rebuilt.organizations, "counters": rebuilt.counters });
    output::object(args.output, &shown);
    Ok(())
}

/// The books, and the counters that are compared with them.
struct Stores {
    db: Database,
    counters: Counters,
}

impl Stores {
    fn of(installation: &Installation) -> anyhow::Result<Self> {
        Ok(Self { db: installation.database(Role::Worker)?, counters: installation.counters()? })
    }

    async fn compare_one(&self, organization: OrganizationId, look: Look) -> Result<Books, Failed> {
        let books = reconcile::of_organization(&self.db, &self.counters, organization, look)
            .await
            .map_err(anyhow::Error::from)?;
        if books.organizations == 0 {
            return Err(Failed::NotFound(format!("{organization} is no organization")));
        }
        Ok(books)
    }

    async fn compare_all(&self, look: Look) -> anyhow::Result<Books> {
        let mut all = Books::default();
        let mut after = None;
        loop {
            let page = reconcile::page(&self.db, &self.counters, after, PAGE, look).await?;
            all.organizations += page.organizations;
            all.rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}
