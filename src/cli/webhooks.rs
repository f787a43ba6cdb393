//! `postcall webhooks list|show|create|update|delete|rotate-secret|test|logs|deliveries|resend|recover|recoveries|
//! recovery|pause|resume|abort|verify`.

mod history;
mod manage;
mod recover;
mod verify;

use clap::{Args, Subcommand};
use contract::ids::EndpointId;
use reqwest::Method;
use serde_json::Value;

use super::{Failed, Format, target::TargetArgs};

#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// List the endpoints, newest first.
    List(manage::ListArgs),
    /// Show an endpoint and its health.
    Show(OneArgs),
    /// Make an endpoint; its secret is shown once.
    Create(manage::CreateArgs),
    /// Change an endpoint; what is not given stays as it is.
    Update(manage::UpdateArgs),
    /// Delete an endpoint: nothing is sent to it any more.
    Delete(manage::DeleteArgs),
    /// Give an endpoint a new secret, shown once; the current one signs beside it for a while.
    RotateSecret(manage::RotateArgs),
    /// Send an endpoint an event that tests it, and show what came of it.
    Test(history::TestArgs),
    /// List attempts at an endpoint and events that were skipped, newest first.
    Logs(history::LogsArgs),
    /// List deliveries to an endpoint, newest first.
    Deliveries(history::DeliveriesArgs),
    /// Send a delivery once more, under the same id.
    Resend(history::ResendArgs),
    /// Make deliveries again in bulk: what failed, or what was never sent.
    Recover(recover::RecoverArgs),
    /// List recoveries of an endpoint, newest first.
    Recoveries(recover::ListArgs),
    /// Show what became of each delivery of a recovery.
    Recovery(recover::ItemsArgs),
    /// Begin nothing more of a recovery, for now.
    Pause(recover::ChangeArgs),
    /// Go on with a recovery.
    Resume(recover::ChangeArgs),
    /// Begin nothing more of a recovery, ever.
    Abort(recover::ChangeArgs),
    /// Check the signature of a message that was received, without a network.
    Verify(verify::VerifyArgs),
}

/// Which endpoint.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The endpoint's id.
    id: EndpointId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(command: WebhooksCommand) -> Result<(), Failed> {
    match command {
        WebhooksCommand::List(args) => manage::list(&args).await,
        WebhooksCommand::Show(args) => manage::show(&args).await,
        WebhooksCommand::Create(args) => manage::create(&args).await,
        WebhooksCommand::Update(args) => manage::update(&args).await,
        WebhooksCommand::Delete(args) => manage::delete(&args).await,
        WebhooksCommand::RotateSecret(args) => manage::rotate(&args).await,
        WebhooksCommand::Test(args) => history::test(&args).await,
        WebhooksCommand::Logs(args) => history::logs(&args).await,
        WebhooksCommand::Deliveries(args) => history::deliveries(&args).await,
        WebhooksCommand::Resend(args) => history::resend(&args).await,
        WebhooksCommand::Recover(args) => recover::recover(&args).await,
        WebhooksCommand::Recoveries(args) => recover::list(&args).await,
        WebhooksCommand::Recovery(args) => recover::items(&args).await,
        WebhooksCommand::Pause(args) => recover::change(&args, "pause").await,
        WebhooksCommand::Resume(args) => recover::change(&args, "resume").await,
        WebhooksCommand::Abort(args) => recover::change(&args, "abort").await,
        WebhooksCommand::Verify(args) => verify::verify(&args),
    }
}

impl OneArgs {
    /// Asks the API about the endpoint, or for a change of it.
    async fn send(
        &self,
        method: Method,
        what: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let path = format!("/v1/webhooks/{}{what}", self.id);
        self.target.api()?.send(method, &path, body).await
    }
}

#[cfg(test)]
mod tests;
