//! `postcall histories save`: the history of a workflow as protobuf bytes, for replay in CI.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use prost::Message;
use temporalio_client::WorkflowFetchHistoryOptions;
use temporalio_common::protos::temporal::api::history::v1::History;
use workflows::CallProcessing;

use super::{Failed, target::TargetArgs};

#[derive(Debug, Subcommand)]
pub(super) enum HistoriesCommand {
    /// Save the newest run of a workflow, as in
    /// `save call-… tests/histories/CallProcessing/full.bin`.
    Save(SaveArgs),
}

#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The workflow's id.
    workflow_id: String,
    /// Where to write it.
    file: PathBuf,
}

pub(super) async fn run(command: HistoriesCommand) -> Result<(), Failed> {
    let HistoriesCommand::Save(args) = command;
    let client = args.target.temporal().await?;
    // The type does not matter: the history is read, not run.
    let handle = client.get_workflow_handle::<CallProcessing>(args.workflow_id.as_str());
    let fetched = handle.fetch_history(WorkflowFetchHistoryOptions::default()).into_events().await;
    let events = fetched.map_err(|error| anyhow!("{}: {error}", args.workflow_id))?;
    let bytes = History { events }.encode_to_vec();
    if let Some(folder) = args.file.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::write(&args.file, &bytes).with_context(|| args.file.display().to_string())?;
    eprintln!("{} bytes in {}", bytes.len(), args.file.display());
    Ok(())
}
