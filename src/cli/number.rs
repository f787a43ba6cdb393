//! `postcall number list|show|create|update|delete`: phone numbers.

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};
use store::ids::{AssistantId, PhoneNumberId};

use super::{Failed, Format, output, target::TargetArgs};

const COLUMNS: [&str; 5] = ["id", "number", "provider", "provider_phone_number_id", "assistant_id"];

#[derive(Debug, Subcommand)]
pub(super) enum NumberCommand {
    /// List the phone numbers, newest first.
    List(ListArgs),
    /// Show a phone number.
    Show(OneArgs),
    /// Make a phone number known.
    Create(CreateArgs),
    /// Change a phone number; what is not given stays as it is.
    Update(UpdateArgs),
    /// Delete a phone number: it may be somebody else's then.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=250))]
    limit: u16,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct OneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The id of the number.
    id: PhoneNumberId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The number in E.164, as +14155550100.
    number: String,
    /// Whose network it is in: vapi, retell or twilio.
    #[arg(long)]
    provider: String,
    /// The provider's id of it.
    #[arg(long, value_name = "ID")]
    provider_phone_number_id: Option<String>,
    /// Who answers there.
    #[arg(long, value_name = "ID")]
    assistant: Option<AssistantId>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true)
    .args(["provider_phone_number_id", "assistant", "no_assistant"]))]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// The provider's id of it.
    #[arg(long, value_name = "ID")]
    provider_phone_number_id: Option<String>,
    /// Who answers there.
    #[arg(long, value_name = "ID", conflicts_with = "no_assistant")]
    assistant: Option<AssistantId>,
    /// Nobody answers there.
    #[arg(long)]
    no_assistant: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Needed, because somebody else may take the number.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: NumberCommand) -> Result<(), Failed> {
    match command {
        NumberCommand::List(args) => list(&args).await,
        NumberCommand::Show(args) => args.send(Method::GET, None).await.map(|it| args.show(&it)),
        NumberCommand::Create(args) => create(&args).await,
        NumberCommand::Update(args) => update(&args).await,
        NumberCommand::Delete(args) => delete(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let query = [("limit", args.limit.to_string())];
    let page = args.target.api()?.get("/v1/phone-numbers", &query).await?;
    output::page(args.output, &COLUMNS, &page);
    Ok(())
}

async fn create(args: &CreateArgs) -> Result<(), Failed> {
    let body = json!({
        "number": args.number,
        "provider": args.provider,
        "provider_phone_number_id": args.provider_phone_number_id,
        "assistant_id": args.assistant,
    });
    let made = args.target.api()?.send(Method::POST, "/v1/phone-numbers", Some(&body)).await?;
    output::object(args.output, &made);
    Ok(())
}

async fn update(args: &UpdateArgs) -> Result<(), Failed> {
    let mut body = Map::new();
    if let Some(id) = &args.provider_phone_number_id {
        body.insert("provider_phone_number_id".to_owned(), id.clone().into());
    }
    if args.no_assistant || args.assistant.is_some() {
        body.insert("assistant_id".to_owned(), json!(args.assistant));
    }
    let now = args.of.send(Method::PATCH, Some(&Value::Object(body))).await?;
    args.of.show(&now);
    Ok(())
}

async fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    if !args.yes {
        let text = "somebody else may take the number then; if you mean it, add --yes".to_owned();
        return Err(Failed::Usage(text));
    }
    args.of.send(Method::DELETE, None).await?;
    eprintln!("the number {} is gone", args.of.id);
    Ok(())
}

impl OneArgs {
    async fn send(&self, method: Method, body: Option<&Value>) -> Result<Value, Failed> {
        self.target.api()?.send(method, &format!("/v1/phone-numbers/{}", self.id), body).await
    }

    fn show(&self, number: &Value) {
        output::object(self.output, number);
    }
}
