//! `postcall assistant list|show|create|update|delete`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};
use store::ids::AssistantId;

use super::{Failed, Format, json_file, output, target::TargetArgs};

const COLUMNS: [&str; 7] =
    ["id", "name", "provider", "provider_assistant_id", "template", "is_active", "version"];

#[derive(Debug, Subcommand)]
pub(super) enum AssistantCommand {
    /// List the assistants, newest first.
    List(ListArgs),
    /// Show an assistant.
    Show(OneArgs),
    /// Make an assistant, from scratch or from a template.
    Create(CreateArgs),
    /// Change an assistant; what is not given stays as it is.
    Update(UpdateArgs),
    /// Delete an assistant; its phone numbers are nobody's then.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only assistants of this provider.
    #[arg(long)]
    provider: Option<String>,
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
    /// The assistant's id.
    id: AssistantId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Where it lives: vapi, retell or twilio.
    #[arg(long)]
    provider: String,
    /// A template to make it from: `template list` shows them.
    #[arg(long, value_name = "SLUG")]
    template: Option<String>,
    /// Make it without putting it to use.
    #[arg(long)]
    inactive: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true).args(["name",
    "provider_assistant_id", "configuration_file", "activate", "deactivate"]))]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Put it to use.
    #[arg(long, conflicts_with = "deactivate")]
    activate: bool,
    /// Put it out of use.
    #[arg(long)]
    deactivate: bool,
}

/// What may be said of an assistant when it is made, and later.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// The provider's id of it.
    #[arg(long, value_name = "ID")]
    provider_assistant_id: Option<String>,
    /// A file with its configuration as a JSON object, `-` for stdin.
    #[arg(long, value_name = "FILE")]
    configuration_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Needed, because nothing brings it back.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: AssistantCommand) -> Result<(), Failed> {
    match command {
        AssistantCommand::List(args) => list(&args).await,
        AssistantCommand::Show(args) => args.send(Method::GET, None).await.map(|it| args.show(&it)),
        AssistantCommand::Create(args) => create(&args).await,
        AssistantCommand::Update(args) => update(&args).await,
        AssistantCommand::Delete(args) => delete(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.provider.clone().map(|provider| ("provider", provider)));
    let page = args.target.api()?.get("/v1/assistants", &query).await?;
    output::page(args.output, &COLUMNS, &page);
    Ok(())
}

async fn create(args: &CreateArgs) -> Result<(), Failed> {
    let mut body = args.settings.fields()?;
    body.insert("provider".to_owned(), args.provider.clone().into());
    body.insert("is_active".to_owned(), (!args.inactive).into());
    if let Some(template) = &args.template {
        body.insert("template".to_owned(), template.clone().into());
    }
    let api = args.target.api()?;
    let made = api.send(Method::POST, "/v1/assistants", Some(&Value::Object(body))).await?;
    output::object(args.output, &made);
    Ok(())
}

async fn update(args: &UpdateArgs) -> Result<(), Failed> {
    let mut body = args.settings.fields()?;
    if args.activate || args.deactivate {
        body.insert("is_active".to_owned(), args.activate.into());
    }
    let now = args.of.send(Method::PATCH, Some(&Value::Object(body))).await?;
    args.of.show(&now);
    Ok(())
}

async fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    if !args.yes {
        let text = "nothing brings the assistant back; if you mean it, add --yes".to_owned();
        return Err(Failed::Usage(text));
    }
    args.of.send(Method::DELETE, None).await?;
    eprintln!("the assistant {} is gone", args.of.id);
    Ok(())
}

impl OneArgs {
    async fn send(&self, method: Method, body: Option<&Value>) -> Result<Value, Failed> {
        self.target.api()?.send(method, &format!("/v1/assistants/{}", self.id), body).await
    }

    fn show(&self, assistant: &Value) {
        output::object(self.output, assistant);
    }
}

impl SettingsArgs {
    /// What was given, as the API takes it.
    fn fields(&self) -> Result<Map<String, Value>, Failed> {
        let configuration =
            self.configuration_file.as_ref().map(|path| json_file(path)).transpose()?;
        let given = [
            ("name", self.name.clone().map(Value::from)),
            ("provider_assistant_id", self.provider_assistant_id.clone().map(Value::from)),
            ("configuration", configuration),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(given.collect())
    }
}
