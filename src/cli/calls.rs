//! `postcall calls list|show|timeline|retry-step`.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use contract::{
    calls::ProcessCall,
    ids::CallId,
    names::{CALL_PROCESSING_QUEUE, call_workflow_id},
    steps::Step,
};
use serde_json::Value;
use temporalio_client::{
    WorkflowGetResultOptions, WorkflowStartOptions, errors::WorkflowStartError,
};
use workflows::CallProcessing;

use super::{Failed, Format, output, target::TargetArgs};
use crate::temporal;

/// A step that is tried five times takes half a minute; the model may take minutes.
const RETRY_LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, Subcommand)]
pub(super) enum CallsCommand {
    /// List calls, newest first.
    List(ListArgs),
    /// Show one call with its steps.
    Show(ShowArgs),
    /// Show all that is known of a call, on one clock.
    Timeline(TimelineArgs),
    /// Run one step of a call again.
    RetryStep(RetryArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only calls with this status.
    #[arg(long)]
    status: Option<String>,
    /// Only the call that the provider calls this.
    #[arg(long)]
    provider_call_id: Option<String>,
    /// Created at or after this time (RFC 3339). Default: seven days ago.
    #[arg(long)]
    from: Option<String>,
    /// Created before this time (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The call's id.
    call_id: CallId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct TimelineArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The call's id.
    call_id: CallId,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 250)]
    limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The call's id.
    call_id: CallId,
    /// recording, extract, sms, email or webhooks.
    step: Step,
}

pub(super) async fn run(command: CallsCommand) -> Result<(), Failed> {
    match command {
        CallsCommand::List(args) => list(&args).await,
        CallsCommand::Show(args) => {
            let call = args.target.api()?.get(&format!("/v1/calls/{}", args.call_id), &[]).await?;
            output::object(args.output, &call);
            Ok(())
        }
        CallsCommand::Timeline(args) => timeline(&args).await,
        CallsCommand::RetryStep(args) => Box::pin(retry_step(&args)).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let optional = [
        ("status", &args.status),
        ("provider_call_id", &args.provider_call_id),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let mut query: Vec<(&str, String)> =
        optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    query.push(("limit", args.limit.to_string()));
    let page = args.target.api()?.get("/v1/calls", &query).await?;
    let calls = page["data"].as_array().cloned().unwrap_or_default();
    let columns = ["id", "provider", "provider_call_id", "status", "billed_minutes", "created_at"];
    output::rows(args.output, &columns, &calls);
    if page["next_cursor"].is_string() {
        eprintln!("there are more; narrow with --from and --to, or raise --limit");
    }
    Ok(())
}

async fn timeline(args: &TimelineArgs) -> Result<(), Failed> {
    let path = format!("/v1/calls/{}/timeline", args.call_id);
    let page = args.target.api()?.get(&path, &[("limit", args.limit.to_string())]).await?;
    let entries = page["data"].as_array().cloned().unwrap_or_default();
    output::rows(args.output, &["at", "source", "what", "details"], &entries);
    if page["next_cursor"].is_string() {
        eprintln!("there is more; export it: postcall export calls/{}/timeline", args.call_id);
    }
    Ok(())
}

async fn retry_step(args: &RetryArgs) -> Result<(), Failed> {
    if !args.step.can_be_retried() {
        let text = format!("{} runs in every run; retry one of the other steps", args.step);
        return Err(Failed::Conflict(text));
    }
    let api = args.target.api()?;
    let path = format!("/v1/calls/{}", args.call_id);
    let call = api.get(&path, &[]).await?;
    if call["steps"].as_array().is_none_or(Vec::is_empty) {
        return Err(Failed::Conflict("the call is not processed yet; nothing to retry".to_owned()));
    }
    let organization_id = call["organization_id"].as_str().and_then(|id| id.parse().ok());
    let input = ProcessCall {
        organization_id: organization_id.context("the API told no organization")?,
        call_id: args.call_id,
        retry: vec![args.step],
    };
    let client = args.target.temporal().await?;
    let id = call_workflow_id(args.call_id);
    let options = WorkflowStartOptions::new(CALL_PROCESSING_QUEUE, id.clone())
        .search_attributes(temporal::search_attributes(
            input.organization_id,
            args.call_id,
            word(&call, "provider")?,
            call["provider_call_id"].as_str().unwrap_or_default(),
            word(&call, "status")?,
        ))
        .static_summary(format!("retry of step {}", args.step))
        .build();
    let handle = match client.start_workflow(CallProcessing::run, input, options).await {
        Ok(handle) => handle,
        Err(WorkflowStartError::AlreadyStarted { .. }) => {
            return Err(Failed::Conflict(format!("{id} is running; try when it is done")));
        }
        Err(error) => return Err(anyhow!("Temporal: {error}").into()),
    };
    eprintln!("{id} runs step {} again", args.step);
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let done = tokio::time::timeout(RETRY_LIMIT, result).await;
    let done = done.map_err(|_| anyhow!("{id} is still at work; look at it in the Temporal UI"))?;
    let processed = done.map_err(|error| anyhow!("{id}: {error}"))?;
    let call = api.get(&path, &[]).await?;
    let step = call["steps"].as_array().into_iter().flatten();
    let step = step.into_iter().find(|step| step["name"] == args.step.as_str());
    output::object(Format::Table, step.unwrap_or(&Value::Null));
    if processed.failed_steps.contains(&args.step) {
        return Err(anyhow!("step {} failed again", args.step).into());
    }
    Ok(())
}

/// A literal of the API.
fn word<T: std::str::FromStr>(call: &Value, field: &str) -> anyhow::Result<T> {
    let text = call[field].as_str().unwrap_or_default();
    text.parse().map_err(|_| anyhow!("the API told an unknown {field}: {text:?}"))
}
