//! `postcall user list|show|create`: the people of the whole installation.
//!
//! They go to the database and not through the API, where an organization sees its own members only.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use store::{
    ids::UserId,
    members::{self, KnownUser, LONGEST_NAME, MOST_LISTED},
    rules,
    written::Written,
};
use uuid::Uuid;

use super::{Failed, Format, installation::Installation, output, target::TargetArgs};

const COLUMNS: [&str; 5] = ["id", "email", "name", "written_by", "created_at"];

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// List users, by id.
    List(ListArgs),
    /// Show a user and the organizations that have it.
    Show(ShowArgs),
    /// Make a user that belongs to nobody yet; `member add` makes one of an organization's own.
    Create(CreateArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only users with this email address.
    #[arg(long)]
    email: Option<String>,
    /// Only those whose id comes after this one, to go on with a long list.
    #[arg(long, value_name = "ID")]
    after: Option<UserId>,
    /// How many at most.
    #[arg(long, default_value_t = MOST_LISTED,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_LISTED)))]
    limit: u16,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The user's id.
    id: UserId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The user's email address.
    #[arg(long)]
    email: String,
    /// The user's name.
    #[arg(long)]
    name: Option<String>,
    /// The `sub` of the user's tokens. Default: a new id.
    #[arg(long)]
    id: Option<UserId>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(command: UserCommand) -> Result<(), Failed> {
    match command {
        UserCommand::List(args) => list(&args).await,
        UserCommand::Show(args) => show(&args).await,
        UserCommand::Create(args) => create(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let admin_url = Installation::of(&args.target)?.admin_url;
    let found = members::list_users(&admin_url, args.email.as_deref(), args.after, args.limit);
    let rows: Vec<Value> = found.await.map_err(anyhow::Error::from)?.iter().map(shown).collect();
    output::rows(args.output, &COLUMNS, &rows);
    Ok(())
}

async fn show(args: &ShowArgs) -> Result<(), Failed> {
    let admin_url = Installation::of(&args.target)?.admin_url;
    let found = members::show_user(&admin_url, args.id).await.map_err(anyhow::Error::from)?;
    let (user, memberships) =
        found.ok_or_else(|| Failed::NotFound(format!("{} is no user", args.id)))?;
    let mut user = shown(&user);
    let memberships = memberships
        .into_iter()
        .map(|of| json!({ "organization_id": of.organization, "slug": of.slug, "role": of.role }));
    user["organizations"] = memberships.collect();
    output::object(args.output, &user);
    Ok(())
}

async fn create(args: &CreateArgs) -> Result<(), Failed> {
    let wrong =
        |field: &'static str| move |rule: String| Failed::Usage(format!("--{field} {rule}"));
    rules::email(&args.email).map_err(wrong("email"))?;
    let name = args.name.as_deref();
    name.map_or(Ok(()), |name| rules::line(name, LONGEST_NAME)).map_err(wrong("name"))?;
    let id = args.id.unwrap_or_else(|| UserId(Uuid::now_v7()));
    let admin_url = Installation::of(&args.target)?.admin_url;
    let made = members::create_user(&admin_url, id, &args.email, name).await;
    match made.map_err(anyhow::Error::from)? {
        Written::Done(()) => {
            output::object(args.output, &json!({ "id": id, "email": args.email, "name": name }));
            Ok(())
        }
        _ => Err(Failed::Conflict(format!("somebody has the id {id} already"))),
    }
}

fn shown(user: &KnownUser) -> Value {
    json!({ "id": user.id, "email": user.email, "name": user.name, "written_by": user.written_by,
        "created_at": user.created_at })
}
