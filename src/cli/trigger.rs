//! `postcall trigger`: an example webhook, as the provider would post it.

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Failed, output, target::TargetArgs};

const END_OF_CALL_REPORT: &str = include_str!("../../tests/fixtures/vapi/end_of_call_report.json");
const IN_PROGRESS: &str = include_str!("../../tests/fixtures/vapi/status_update_in_progress.json");
const ENDED: &str = include_str!("../../tests/fixtures/vapi/status_update_ended.json");

/// What can be posted.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Event {
    /// Vapi's report of a completed call.
    #[value(name = "vapi.end-of-call-report")]
    EndOfCallReport,
    /// Vapi's word that a call was answered.
    #[value(name = "vapi.status-update.in-progress")]
    InProgress,
    /// Vapi's word that a call is over.
    #[value(name = "vapi.status-update.ended")]
    Ended,
}

#[derive(Debug, Args)]
pub(super) struct TriggerArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Which webhook.
    #[arg(value_enum)]
    event: Event,
    /// The provider's call id; a new one if not given.
    #[arg(long)]
    provider_call_id: Option<String>,
}

pub(super) async fn run(args: &TriggerArgs) -> Result<(), Failed> {
    let dev = args.target.dev()?;
    let body = match args.event {
        Event::EndOfCallReport => END_OF_CALL_REPORT,
        Event::InProgress => IN_PROGRESS,
        Event::Ended => ENDED,
    };
    let id = args.provider_call_id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let body = vapi_body(body, &id)?;
    let url = format!("{}/vapi/{}", dev.api_url, dev.demo.organization_id);
    let request = reqwest::Client::new()
        .post(&url)
        .header("x-vapi-secret", &dev.demo.vapi_secret)
        .header("content-type", "application/json")
        .body(body);
    let response = request.send().await.with_context(|| format!("{url} does not answer"))?;
    if !response.status().is_success() {
        return Err(anyhow!("{url} answered {}", response.status()).into());
    }
    output::line(&id);
    eprintln!("posted; see it with: postcall calls list --provider-call-id {id}");
    Ok(())
}

/// An example body as a call of its own: with another call id, now.
pub(super) fn vapi_body(example: &str, call_id: &str) -> anyhow::Result<Vec<u8>> {
    let now = chrono::Utc::now();
    let mut body: Value = serde_json::from_str(example).context("example")?;
    let old = body["message"]["call"]["id"].as_str().unwrap_or_default().to_owned();
    body["message"]["timestamp"] = json!(now.timestamp_millis());
    body["message"]["call"]["createdAt"] = json!(store::events::timestamp(now));
    // Links carry the call id too; a recording of its own for each call.
    Ok(body.to_string().replace(&old, call_id).into_bytes())
}
