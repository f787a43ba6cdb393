//! `postcall key list|create|show|update|rotate|revoke`.

use clap::{ArgGroup, Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Failed, Format, output, target::TargetArgs};

const PATH: &str = "/v1/api-keys";
const TOLD_ONCE: &str = "keep the key: it is not shown again";

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// List the API keys, newest first; never what they are.
    List(ListArgs),
    /// Make an API key; it is shown once.
    Create(CreateArgs),
    /// Show an API key and what it was used for.
    Show(OneArgs),
    /// Change an API key; what is not given stays as it is.
    Update(UpdateArgs),
    /// Replace an API key; the current one works beside the new one for a while.
    Rotate(RotateArgs),
    /// Revoke an API key, at once and for good.
    #[command(visible_alias = "delete")]
    Revoke(RevokeArgs),
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

/// Which key.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The key's id.
    id: Uuid,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Words of your own.
    name: String,
    /// What it may do, such as calls:read; may be given several times. `*` is everything.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// What may be said of a key when it is made, and later.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// Until when it may be used (RFC 3339).
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Requests an hour.
    #[arg(long, value_name = "REQUESTS")]
    rate_limit: Option<u32>,
    /// Requests in all.
    #[arg(long, value_name = "REQUESTS")]
    usage_quota: Option<u64>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true).args(["name", "scopes",
    "enable", "disable", "expires_at", "rate_limit", "usage_quota", "clear"]))]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Words of your own.
    #[arg(long)]
    name: Option<String>,
    /// What it may do, all of it; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Let it be used again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Refuse it, until it is enabled again.
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
    ExpiresAt,
    RateLimit,
    UsageQuota,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// For how many seconds the current key works beside the new one, up to a week.
    #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(..=604_800))]
    overlap_seconds: u32,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Needed, because nothing brings it back.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(command: KeyCommand) -> Result<(), Failed> {
    match command {
        KeyCommand::List(args) => list(&args).await,
        KeyCommand::Create(args) => create(&args).await,
        KeyCommand::Show(args) => show(&args).await,
        KeyCommand::Update(args) => update(&args).await,
        KeyCommand::Rotate(args) => rotate(&args).await,
        KeyCommand::Revoke(args) => revoke(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let query = [("limit", args.limit.to_string())];
    let page = args.target.api()?.get(PATH, &query).await?;
    let columns = [
        "id",
        "name",
        "key_prefix",
        "scopes",
        "enabled",
        "expires_at",
        "usage_count",
        "last_used_at",
    ];
    output::rows(args.output, &columns, page["data"].as_array().map_or(&[], Vec::as_slice));
    Ok(())
}

async fn create(args: &CreateArgs) -> Result<(), Failed> {
    let mut body = args.settings.fields();
    body.insert("name".to_owned(), args.name.clone().into());
    body.insert("scopes".to_owned(), json!(args.scopes));
    let api = args.target.api()?;
    let made = api.send(Method::POST, PATH, Some(&Value::Object(body))).await?;
    output::object(args.output, &made);
    eprintln!("{TOLD_ONCE}");
    Ok(())
}

async fn show(args: &OneArgs) -> Result<(), Failed> {
    output::object(args.output, &args.send(Method::GET, "", None).await?);
    Ok(())
}

async fn update(args: &UpdateArgs) -> Result<(), Failed> {
    let mut body = args.settings.fields();
    if let Some(name) = &args.name {
        body.insert("name".to_owned(), name.clone().into());
    }
    if !args.scopes.is_empty() {
        body.insert("scopes".to_owned(), json!(args.scopes));
    }
    if args.enable || args.disable {
        body.insert("enabled".to_owned(), args.enable.into());
    }
    for field in &args.clear {
        if body.insert(field.name().to_owned(), Value::Null).is_some() {
            return Err(Failed::Usage(format!("{} is both given and cleared", field.name())));
        }
    }
    let now = args.of.send(Method::PATCH, "", Some(&Value::Object(body))).await?;
    output::object(args.of.output, &now);
    Ok(())
}

async fn rotate(args: &RotateArgs) -> Result<(), Failed> {
    let body = json!({ "overlap_seconds": args.overlap_seconds });
    let now = args.of.send(Method::POST, "/rotate", Some(&body)).await?;
    output::object(args.of.output, &now);
    eprintln!("{TOLD_ONCE}");
    Ok(())
}

async fn revoke(args: &RevokeArgs) -> Result<(), Failed> {
    if !args.yes {
        let text = "whoever uses the key would be refused; if you mean it, add --yes".to_owned();
        return Err(Failed::Usage(text));
    }
    args.of.send(Method::DELETE, "", None).await?;
    eprintln!("the key {} is revoked", args.of.id);
    Ok(())
}

impl OneArgs {
    /// Asks the API about the key, or for a change of it.
    async fn send(
        &self,
        method: Method,
        what: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        self.target.api()?.send(method, &format!("{PATH}/{}{what}", self.id), body).await
    }
}

impl SettingsArgs {
    /// What was given, as the API takes it.
    fn fields(&self) -> Map<String, Value> {
        let given = [
            ("expires_at", self.expires_at.clone().map(Value::from)),
            ("rate_limit", self.rate_limit.map(Value::from)),
            ("usage_quota", self.usage_quota.map(Value::from)),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}

impl Clearable {
    const fn name(self) -> &'static str {
        match self {
            Self::ExpiresAt => "expires_at",
            Self::RateLimit => "rate_limit",
            Self::UsageQuota => "usage_quota",
        }
    }
}
