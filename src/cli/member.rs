//! `postcall member list|add|update|remove`: who belongs to the organization.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use store::ids::UserId;

use super::{Failed, Format, output, target::TargetArgs};

const COLUMNS: [&str; 5] = ["user_id", "email", "name", "role", "created_at"];

#[derive(Debug, Subcommand)]
pub(super) enum MemberCommand {
    /// List the members, newest first.
    List(ListArgs),
    /// Add a member; a user that nobody knows yet is made.
    Add(AddArgs),
    /// Give a member another role.
    Update(UpdateArgs),
    /// Remove a member; the last owner stays.
    Remove(OneArgs),
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
    /// The user's id: the `sub` of its tokens.
    user: UserId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    of: OneArgs,
    /// The user's email address.
    #[arg(long)]
    email: String,
    /// The user's name, where nobody knows the user yet.
    #[arg(long)]
    name: Option<String>,
    /// owner, admin or member.
    #[arg(long, default_value = "member")]
    role: String,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// owner, admin or member.
    #[arg(long)]
    role: String,
}

pub(super) async fn run(command: MemberCommand) -> Result<(), Failed> {
    match command {
        MemberCommand::List(args) => list(&args).await,
        MemberCommand::Add(args) => {
            let OneArgs { target, user, output } = args.of;
            let body = json!({ "user_id": user, "email": args.email, "name": args.name,
                "role": args.role });
            let made = target.api()?.send(Method::POST, "/v1/members", Some(&body)).await?;
            output::object(output, &made);
            Ok(())
        }
        MemberCommand::Update(args) => {
            let body = json!({ "role": args.role });
            let now = args.of.send(Method::PATCH, Some(&body)).await?;
            output::object(args.of.output, &now);
            Ok(())
        }
        MemberCommand::Remove(args) => {
            args.send(Method::DELETE, None).await?;
            eprintln!("the user {} is no member any more", args.user);
            Ok(())
        }
    }
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let query = [("limit", args.limit.to_string())];
    let page = args.target.api()?.get("/v1/members", &query).await?;
    output::page(args.output, &COLUMNS, &page);
    Ok(())
}

impl OneArgs {
    async fn send(&self, method: Method, body: Option<&Value>) -> Result<Value, Failed> {
        self.target.api()?.send(method, &format!("/v1/members/{}", self.user), body).await
    }
}
