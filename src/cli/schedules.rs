//! `postcall schedules`: the list, Temporal made equal to it, and a run by hand.

use std::time::Duration;

use ::schedules::{AGGREGATION, MOST_DAYS, Run, RunError, Triggered, aggregate_days};
use anyhow::{Context, anyhow};
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use temporalio_client::Client;

use super::{Failed, output, target::TargetArgs};
use crate::{config, temporal};

/// A run that waits for one under way to end may take as long as that one.
const START_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Between two looks whether the run has started.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Subcommand)]
pub(super) enum SchedulesCommand {
    /// List the schedules that postcall has.
    List,
    /// Make Temporal's schedules equal to the list.
    Apply,
    /// Run a schedule now, wait for it and print its result as JSON.
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The schedule, as `provider-sweep-vapi`.
    id: String,
    #[command(flatten)]
    days: DaysArgs,
}

/// Days of `usage-aggregation`: each is added up anew. Without any, the run is as by schedule.
#[derive(Debug, Args)]
struct DaysArgs {
    /// For this day, as 2026-11-20, of each organization's own time zone.
    #[arg(long, value_parser = day, conflicts_with_all = ["from", "to"])]
    date: Option<NaiveDate>,
    /// For the days from this one on; at most 400.
    #[arg(long, value_parser = day, requires = "to")]
    from: Option<NaiveDate>,
    /// To this day, included.
    #[arg(long, value_parser = day, requires = "from")]
    to: Option<NaiveDate>,
}

impl DaysArgs {
    /// The first and the last day, where days are named.
    fn range(&self) -> Result<Option<(NaiveDate, NaiveDate)>, Failed> {
        let range = self.date.map(|date| (date, date)).or_else(|| self.from.zip(self.to));
        match range {
            Some((from, to)) if from > to => {
                Err(Failed::Usage(format!("--from {from} is after --to {to}")))
            }
            Some((from, to)) if (to - from).num_days() >= MOST_DAYS => {
                Err(Failed::Usage(format!("--from {from} --to {to} is more than {MOST_DAYS} days")))
            }
            range => Ok(range),
        }
    }
}

/// A day as people write it to the command line.
pub(super) fn day(text: &str) -> Result<NaiveDate, String> {
    let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // `%Y` takes a sign and more digits, `%m` and `%d` take fewer.
    let day = parsed.filter(|day| text.len() == 10 && day.to_string() == text);
    day.ok_or_else(|| "there is no such day; days are written as 2026-11-20".to_owned())
}

pub(super) async fn run(command: SchedulesCommand) -> Result<(), Failed> {
    match command {
        SchedulesCommand::List => {
            for (id, cron, what) in ::schedules::list() {
                output::line(format_args!("{id}\t{cron}\t{what}"));
            }
        }
        SchedulesCommand::Apply => {
            let config = super::config()?;
            let identity = config::identity("schedules");
            let client = temporal::connect(&config.temporal, &identity).await?;
            let applied = ::schedules::apply(&client).await.context("schedules")?;
            for (id, applied) in applied {
                output::line(format_args!("{id}\t{applied:?}"));
            }
        }
        SchedulesCommand::Run(args) => run_now(&args).await?,
    }
    Ok(())
}

async fn run_now(args: &RunArgs) -> Result<(), Failed> {
    let days = args.days.range()?;
    if days.is_some() && args.id != AGGREGATION {
        return Err(Failed::Usage(format!("only {AGGREGATION} takes days; {} does not", args.id)));
    }
    let client = args.target.temporal().await?;
    let run = match days {
        Some((from, to)) => aggregate_days(&client, from, to).await.map_err(failed)?,
        None => {
            let triggered = ::schedules::trigger(&client, &args.id).await.map_err(failed)?;
            started(&client, &triggered).await?
        }
    };
    eprintln!("workflow {} runs; its end is waited for", run.workflow_id);
    let result = run.result(&client).await.map_err(failed)?;
    output::line(String::from_utf8_lossy(&result));
    Ok(())
}

async fn started(client: &Client, triggered: &Triggered) -> Result<Run, Failed> {
    let looks = async {
        loop {
            if let Some(run) = triggered.started(client).await.map_err(failed)? {
                return Ok(run);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let limit = START_LIMIT.as_secs() / 60;
    tokio::time::timeout(START_LIMIT, looks)
        .await
        .map_err(|_| anyhow!("no run has started within {limit} minutes"))?
}

fn failed(error: RunError) -> Failed {
    match error {
        RunError::Unknown(_) => Failed::NotFound(error.to_string()),
        error => Failed::Other(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar_are_days() {
        for text in ["2026-11-20", "2028-02-29"] {
            assert_eq!(day(text).map(|day| day.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["2026-02-29", "2026-13-01", "2026-11-31", "20.11.2026", "2026-1-2", "", "+12026-01-01"]
        {
            assert!(day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_has_an_order_and_an_end() {
        let range = |from: &str, to: &str| {
            DaysArgs { date: None, from: day(from).ok(), to: day(to).ok() }.range().is_ok()
        };
        assert!(range("2026-11-20", "2026-11-20"));
        assert!(range("2026-01-01", "2027-02-04"));
        assert!(!range("2026-01-01", "2027-02-05"), "the 401st day");
        assert!(!range("2026-11-20", "2026-11-19"));
    }
}
