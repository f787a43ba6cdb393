//! `postcall bench aggregation`: a month of generated calls, added up by day.

mod memory;
mod report;

use std::time::Instant;

use anyhow::{Context, anyhow};
use chrono::{DateTime, Datelike, Days as Length, Months, NaiveDate, Utc};
use clap::Args;
use contract::usage::{Days, UsageAggregated};
use secrecy::SecretString;
use store::{
    Database, Role,
    daily::{
        self, PAGE,
        generated::{self, Generated, Scratch},
        plan,
    },
};

use self::{
    memory::Memory,
    report::{DaysFigures, Report, RunFigures},
};
use crate::cli::{Failed, Format, output, stop_signal, target::TargetArgs};

/// The day that is aggregated alone, counted from the month's first.
const DAY: u64 = 19;

/// Adds up a month of generated calls, and one day of it, as `UsageAggregation` does.
///
/// In a database of its own on the Postgres of `postcall dev`, which goes when all is measured: it needs
/// about 4 GB of disk for 10 million calls. The calls are of the month before this one, four in five of
/// them answered, by three assistants of each organization, in a dozen time zones. First a day is
/// aggregated, then the month, each of them twice, by pages, through the same function as in the worker;
/// the second run has nothing to change, or the measurement is void. Beside it stands how long one bare
/// GROUP BY of all calls takes. JSON is one object whose names carry the units.
#[derive(Debug, Args)]
pub(in crate::cli) struct AggregationArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Calls to generate, 1 to 100000000.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    calls: u64,
    /// Organizations that they are of, 1 to 1000000.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    organizations: u64,
    /// Leaves the database there, and says its name.
    #[arg(long)]
    keep: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &AggregationArgs) -> Result<(), Failed> {
    let server: SecretString = args.target.dev()?.database_url.into();
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say little");
    }
    let name = format!("bench_aggregation_{}", std::process::id());
    let scratch = Scratch::create(&server, &name).await.context("a database for the bench")?;
    let mut stop = stop_signal();
    // The database must go, also after Ctrl-C.
    let report = tokio::select! {
        report = Box::pin(measure(args, &scratch)) => report,
        _ = stop.wait_for(|stop| *stop) => Err(anyhow!("interrupted")),
    };
    if args.keep {
        eprintln!("the calls stay in the database {}", scratch.name());
    } else {
        scratch.drop().await.with_context(|| format!("the database {name} is still there"))?;
    }
    let report = report?;
    output::line(report.text(args.output)?);
    report.check()?;
    Ok(())
}

async fn measure(args: &AggregationArgs, scratch: &Scratch) -> anyhow::Result<Report> {
    let now = Utc::now();
    let started_at = store::events::timestamp(now);
    let month = month_before(now);
    store::database::migrate(scratch.url(), scratch.url()).await?;
    eprintln!("{} calls of {} are generated", args.calls, month.format("%Y-%m"));
    let began = Instant::now();
    let generated = Generated { month, calls: args.calls, organizations: args.organizations };
    Box::pin(generated::fill(scratch.url(), generated)).await?;
    let generate_seconds = began.elapsed().as_secs_f64();
    // One connection, so that all is done by one process of Postgres.
    let db = Database::connect(scratch.url(), Role::Worker, 1)?;
    let memory = Memory::watch(generated::backend(&db).await?);
    let bench = Bench { db, url: scratch.url(), now };
    let day = month + Length::new(DAY);
    let last = month + Months::new(1) - Length::new(1);
    let day = Box::pin(bench.days("day", day, day)).await?;
    let month = Box::pin(bench.days("month", month, last)).await?;
    let (bench_memory, postgres_memory, postgres_own_memory) = memory.finish().await;
    let bare_group_by_seconds = bench.bare().await?;
    bench.db.close().await;
    Ok(Report {
        bench: "aggregation",
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        started_at,
        calls: args.calls,
        organizations: args.organizations,
        page_organizations: PAGE,
        generate_seconds,
        day,
        month,
        bare_group_by_seconds,
        bench_peak_memory_mib: bench_memory,
        postgres_peak_memory_mib: postgres_memory,
        postgres_own_peak_memory_mib: postgres_own_memory,
    })
}

struct Bench<'a> {
    db: Database,
    url: &'a SecretString,
    now: DateTime<Utc>,
}

impl Bench<'_> {
    /// Twice, and once more to see how it is done.
    async fn days(
        &self,
        what: &'static str,
        from: NaiveDate,
        to: NaiveDate,
    ) -> anyhow::Result<DaysFigures> {
        eprintln!("a {what} is aggregated");
        let days = Days::Between { from, to };
        let first = self.run(days).await?;
        let after_first = generated::fingerprint(self.url).await?;
        let second = self.run(days).await?;
        let after_second = generated::fingerprint(self.url).await?;
        let plan = Box::pin(plan::explain(&self.db, days, PAGE, self.now)).await?;
        Ok(DaysFigures {
            what,
            first_day: from,
            last_day: to,
            identical: after_first == after_second,
            daily_rows: after_second.0,
            first,
            second,
            rows_read: plan.rows_read,
            blocks_read: plan.blocks_read,
            partitions: plan.partitions,
            partitions_pruned: plan.pruned,
            partitions_read_in_full: plan.read_in_full.into_iter().collect(),
        })
    }

    /// As `UsageAggregation` does it: page after page.
    async fn run(&self, days: Days) -> anyhow::Result<RunFigures> {
        let began = Instant::now();
        let (mut all, mut after, mut pages) = (UsageAggregated::default(), None, 0);
        loop {
            let page = daily::aggregate_page(&self.db, days, after, PAGE, self.now).await?;
            all = all.and(page.aggregated);
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(RunFigures {
            seconds: began.elapsed().as_secs_f64(),
            pages,
            organizations: all.organizations,
            rows_written: all.rows_written,
            rows_removed: all.rows_removed,
        })
    }

    async fn bare(&self) -> anyhow::Result<f64> {
        let began = Instant::now();
        generated::bare_count(self.url).await?;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// First day of the month before.
fn month_before(now: DateTime<Utc>) -> NaiveDate {
    let today = now.date_naive();
    today.with_day(1).unwrap_or(today) - Months::new(1)
}
