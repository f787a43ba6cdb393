//! Endpoints: made, changed, deleted, given new secrets.
//!
//! Secrets and the values of headers come from files or from stdin, never as arguments: everybody
//! on the machine sees the arguments of a process.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::Context;
use clap::{ArgGroup, Args};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::OneArgs;
use crate::cli::{Failed, Format, output, target::TargetArgs};

/// Whatever is longer is neither a secret nor headers, but a file named by mistake.
const LONGEST_FILE: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// At most so many, 1 to 250.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Where events go: https, to a public address.
    url: String,
    /// What it gets, such as call.completed, call.* or *; may be given several times.
    #[arg(long = "event", value_name = "TYPE", required = true)]
    events: Vec<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// A file with a secret of your own, `-` for stdin. Default: a random one.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Send nothing to it yet.
    #[arg(long)]
    disabled: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true).args(["url", "events",
    "enable", "disable", "assistant", "description", "rate_limit", "ordering", "headers_file",
    "thin", "schedule", "clear"]))]
pub(in crate::cli) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Where events go.
    #[arg(long)]
    url: Option<String>,
    /// What it gets, all of it; may be given several times.
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// Send events to it again; what it failed at is forgotten.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Send nothing to it any more, also not what waits.
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Put these back to their defaults.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELD")]
    clear: Vec<Clearable>,
}

/// What has a default that may be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Clearable {
    Assistant,
    Description,
    RateLimit,
    Ordering,
    Headers,
    Thin,
    Schedule,
}

/// What may be said of an endpoint when it is made, and later.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// Only events of this assistant's calls.
    #[arg(long, value_name = "ID")]
    assistant: Option<Uuid>,
    /// Words of your own.
    #[arg(long)]
    description: Option<String>,
    /// Most deliveries a second, 1 to 1000.
    #[arg(long)]
    rate_limit: Option<u32>,
    /// none, or call for one after the other within a call.
    #[arg(long)]
    ordering: Option<String>,
    /// A file with headers of your own as a JSON object, `-` for stdin.
    #[arg(long, value_name = "FILE")]
    headers_file: Option<PathBuf>,
    /// Send ids and links only.
    #[arg(long)]
    thin: bool,
    /// Waits between attempts in seconds, such as 5,60,3600.
    #[arg(long, value_delimiter = ',', value_name = "SECONDS")]
    schedule: Vec<u32>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Needed, because nothing brings it back.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RotateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// For how many seconds the current secret signs beside the new one, up to a week.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(..=604_800))]
    overlap_seconds: u32,
    /// A file with a secret of your own, `-` for stdin. Default: a random one.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

pub(super) async fn list(args: &ListArgs) -> Result<(), Failed> {
    let query = [("limit", args.limit.to_string())];
    let page = args.target.api()?.get("/v1/webhooks", &query).await?;
    let columns = [
        "id",
        "url",
        "events",
        "enabled",
        "disabled_reason",
        "circuit",
        "last_status",
        "last_error",
    ];
    output::rows(args.output, &columns, page["data"].as_array().map_or(&[], Vec::as_slice));
    Ok(())
}

pub(super) async fn show(args: &OneArgs) -> Result<(), Failed> {
    let endpoint = args.send(Method::GET, "", None).await?;
    output::object(args.output, &endpoint);
    Ok(())
}

pub(super) async fn create(args: &CreateArgs) -> Result<(), Failed> {
    let mut body = args.settings.fields()?;
    body.insert("url".to_owned(), args.url.clone().into());
    body.insert("events".to_owned(), json!(args.events));
    if args.disabled {
        body.insert("enabled".to_owned(), false.into());
    }
    if let Some(path) = &args.secret_file {
        body.insert("secret".to_owned(), read_line(path)?.into());
    }
    let api = args.target.api()?;
    let made = api.send(Method::POST, "/v1/webhooks", Some(&Value::Object(body))).await?;
    output::object(args.output, &made);
    eprintln!("keep the secret: it is not shown again");
    Ok(())
}

pub(super) async fn update(args: &UpdateArgs) -> Result<(), Failed> {
    let mut body = args.settings.fields()?;
    if let Some(url) = &args.url {
        body.insert("url".to_owned(), url.clone().into());
    }
    if !args.events.is_empty() {
        body.insert("events".to_owned(), json!(args.events));
    }
    if args.enable || args.disable {
        body.insert("enabled".to_owned(), args.enable.into());
    }
    for field in &args.clear {
        if body.insert(field.name().to_owned(), Value::Null).is_some() {
            let text = format!("{} is both given and cleared", field.name());
            return Err(Failed::Usage(text));
        }
    }
    let now = args.of.send(Method::PATCH, "", Some(&Value::Object(body))).await?;
    output::object(args.of.output, &now);
    Ok(())
}

pub(super) async fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    if !args.yes {
        let text = "the endpoint would get no more events; if you mean it, add --yes".to_owned();
        return Err(Failed::Usage(text));
    }
    args.of.send(Method::DELETE, "", None).await?;
    eprintln!("the endpoint {} is gone", args.of.id);
    Ok(())
}

pub(super) async fn rotate(args: &RotateArgs) -> Result<(), Failed> {
    let mut body = json!({ "overlap_seconds": args.overlap_seconds });
    if let Some(path) = &args.secret_file {
        body["secret"] = read_line(path)?.into();
    }
    let now = args.of.send(Method::POST, "/rotate-secret", Some(&body)).await?;
    output::object(args.of.output, &now);
    eprintln!("keep the secret: it is not shown again");
    Ok(())
}

impl Clearable {
    const fn name(self) -> &'static str {
        match self {
            Self::Assistant => "assistant_id",
            Self::Description => "description",
            Self::RateLimit => "rate_limit",
            Self::Ordering => "ordering",
            Self::Headers => "headers",
            Self::Thin => "thin",
            Self::Schedule => "schedule",
        }
    }
}

impl SettingsArgs {
    /// What was given, as the API takes it.
    fn fields(&self) -> Result<Map<String, Value>, Failed> {
        let headers = match &self.headers_file {
            Some(path) => Some(read(path)?),
            None => None,
        };
        let headers = headers.map(|text| serde_json::from_str(&text)).transpose();
        // Not serde's words, which may quote what it reads.
        let headers: Option<Value> =
            headers.map_err(|_| Failed::Usage("--headers-file holds no JSON object".to_owned()))?;
        let given = [
            ("assistant_id", self.assistant.map(|id| json!(id))),
            ("description", self.description.clone().map(Value::from)),
            ("rate_limit", self.rate_limit.map(Value::from)),
            ("ordering", self.ordering.clone().map(Value::from)),
            ("headers", headers),
            ("thin", self.thin.then_some(Value::Bool(true))),
            ("schedule", (!self.schedule.is_empty()).then(|| json!(self.schedule))),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(given.collect())
    }
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).with_context(|| path.display().to_string())?),
    };
    let read = source.take(LONGEST_FILE).read_to_string(&mut text);
    read.with_context(|| path.display().to_string())?;
    Ok(text)
}

/// The text without the line break that editors and `echo` end it with.
pub(super) fn read_line(path: &PathBuf) -> anyhow::Result<String> {
    let text = read(path)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
