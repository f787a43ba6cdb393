//! `postcall schedules`: the list, Temporal made equal to it, and a run by hand.

use std::time::Duration;

use ::schedules::{Run, RunError, Triggered};
use anyhow::{Context, anyhow};
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
    let client = args.target.temporal().await?;
    let triggered = ::schedules::trigger(&client, &args.id).await.map_err(failed)?;
    let run = started(&client, &triggered).await?;
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
