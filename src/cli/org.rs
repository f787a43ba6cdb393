//! `postcall org create|first-key|list|show|update|delete`: the organizations of an installation.
//!
//! A new organization has no key yet, so these go to the database and not through the API: whoever may
//! write there owns the installation.

mod manage;

use std::time::Duration;

use anyhow::anyhow;
use clap::{ArgAction, Args, Subcommand};
use contract::{billing::UsageLimit, ids::OrganizationId, onboarding::OnboardingTiming};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::{
    Role, StoreError,
    audit::Actor,
    error::Problem,
    onboarding::{self, FirstKey, MOST_LISTED, NewOrganization, NotCreated},
};
use tokio::time::Instant;

use super::{Failed, Format, installation::Installation, output, target::TargetArgs};

/// A worker that runs makes the first key within a second or two.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
const COLUMNS: [&str; 5] = ["id", "slug", "name", "timezone", "plan"];

#[derive(Debug, Subcommand)]
pub(super) enum OrgCommand {
    /// Make an organization and start its onboarding: Stripe customer, assistant, first API key,
    /// welcome.
    Create(CreateArgs),
    /// Print an organization's first API key. It is shown once.
    FirstKey(FirstKeyArgs),
    /// List the organizations.
    List(ListArgs),
    /// Show an organization, also one that was deleted.
    Show(manage::OneArgs),
    /// Change an organization's name, slug or plan; what is not given stays as it is.
    Update(manage::UpdateArgs),
    /// Delete an organization: its keys and its webhooks work no more, its slug is free.
    Delete(manage::DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Its name.
    #[arg(long)]
    name: String,
    /// Its name in URLs, unique: a to z, 0 to 9, single hyphens inside.
    #[arg(long)]
    slug: String,
    /// Where invoices, alerts and notices go.
    #[arg(long)]
    email: SecretString,
    /// Its time zone, as IANA names it: decides its days and periods.
    #[arg(long, default_value = "UTC")]
    timezone: String,
    /// The template of its first assistant.
    #[arg(long, default_value = "front-desk")]
    template: String,
    /// Name of its plan.
    #[arg(long, default_value = "starter")]
    plan: String,
    /// Minutes of a period that the plan includes.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    included_minutes: i32,
    /// Price of a further minute, in US dollars.
    #[arg(long, default_value = "0", allow_negative_numbers = true)]
    overage_price: Decimal,
    /// soft: further minutes are sold; hard: they are not.
    #[arg(long, default_value = "soft")]
    limit: UsageLimit,
    /// Day of the month that its periods begin on, 1 to 31; in a shorter month its last day.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    anchor_day: i16,
    /// Seconds after which the three reminders come and the onboarding ends, to try it out.
    #[arg(long, value_name = "FIRST,SECOND,THIRD,END", value_parser = timing)]
    timing: Option<OnboardingTiming>,
    /// Wait for the first API key, and print it. It is shown once.
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true",
        require_equals = true, action = ArgAction::Set)]
    wait: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct FirstKeyArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Id of the organization.
    organization: OrganizationId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only those whose slug comes after this one, to go on with a long list.
    #[arg(long, value_name = "SLUG")]
    after: Option<String>,
    /// Those that were deleted.
    #[arg(long)]
    deleted: bool,
    /// How many at most.
    #[arg(long, default_value_t = MOST_LISTED,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_LISTED)))]
    limit: u16,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(command: OrgCommand) -> Result<(), Failed> {
    match command {
        OrgCommand::Create(args) => create(args).await,
        OrgCommand::FirstKey(args) => first_key(&args).await,
        OrgCommand::List(args) => list(&args).await,
        OrgCommand::Show(args) => manage::show(&args).await,
        OrgCommand::Update(args) => manage::update(&args).await,
        OrgCommand::Delete(args) => manage::delete(&args).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), Failed> {
    let installation = Installation::of(&args.target)?;
    let new = NewOrganization {
        name: args.name,
        slug: args.slug,
        email: args.email,
        timezone: args.timezone,
        plan: args.plan,
        plan_minutes: args.included_minutes,
        overage_price: args.overage_price,
        usage_limit: args.limit,
        billing_anchor_day: args.anchor_day,
        template_slug: args.template,
    };
    let timing = args.timing.unwrap_or_default();
    let created = onboarding::create(&installation.admin_url, &new, timing).await;
    let organization = created.map_err(|error| match error {
        NotCreated::Invalid { .. } => Failed::Usage(error.to_string()),
        NotCreated::SlugTaken(_) => Failed::Conflict(error.to_string()),
        NotCreated::Store(error) => Failed::Other(error.into()),
    })?;
    let mut shown = json!({ "organization_id": organization, "slug": new.slug });
    if args.wait {
        // It exists from here on: whatever becomes of its key, its id must be told.
        match wait_for_key(&installation, organization).await {
            Ok(Some(key)) => shown["api_key"] = key.expose_secret().into(),
            Ok(None) => eprintln!(
                "the first key is not made yet; is a worker running? It is shown once by\n  \
                 postcall org first-key {organization}"
            ),
            Err(error) => eprintln!("the first key cannot be shown: {error:#}"),
        }
    }
    output::object(args.output, &shown);
    Ok(())
}

/// The key, as soon as the onboarding has made it; nothing where that takes too long.
async fn wait_for_key(
    installation: &Installation,
    organization: OrganizationId,
) -> anyhow::Result<Option<SecretString>> {
    let db = installation.database(Role::Worker)?;
    let deadline = Instant::now() + LONGEST_WAIT;
    while Instant::now() < deadline {
        let found =
            onboarding::reveal(&db, &installation.sealer, organization, &Actor::command_line())
                .await?;
        match found {
            FirstKey::Revealed(key) => return Ok(Some(key)),
            FirstKey::Gone => return Err(anyhow!("somebody else has asked for it meanwhile")),
            FirstKey::NotYet => tokio::time::sleep(LOOK_PAUSE).await,
        }
    }
    Ok(None)
}

async fn first_key(args: &FirstKeyArgs) -> Result<(), Failed> {
    let installation = Installation::of(&args.target)?;
    let db = installation.database(Role::Worker)?;
    let organization = args.organization;
    let found =
        onboarding::reveal(&db, &installation.sealer, organization, &Actor::command_line()).await;
    match found.map_err(|error| not_onboarded(error, organization))? {
        FirstKey::Revealed(key) => {
            let shown = json!({ "api_key": key.expose_secret() });
            output::object(args.output, &shown);
            Ok(())
        }
        FirstKey::Gone => Err(Failed::Conflict(
            "the first key was shown before, or its onboarding has ended: only its hash is left"
                .to_owned(),
        )),
        FirstKey::NotYet => Err(Failed::Conflict(
            "the first key is not made yet; its onboarding needs a running worker".to_owned(),
        )),
    }
}

fn not_onboarded(error: StoreError, organization: OrganizationId) -> Failed {
    if matches!(error.problem(), Problem::NotFound) {
        return Failed::NotFound(format!("{organization} is no organization made by `org create`"));
    }
    Failed::Other(error.into())
}

async fn list(args: &ListArgs) -> Result<(), Failed> {
    let installation = Installation::of(&args.target)?;
    let db = installation.database(Role::Worker)?;
    let found = onboarding::list(&db, args.after.as_deref(), args.limit, args.deleted).await;
    let rows: Vec<Value> = found
        .map_err(anyhow::Error::from)?
        .into_iter()
        .map(|found| {
            let mut shown = json!({ "id": found.id, "slug": found.slug, "name": found.name,
                "timezone": found.timezone, "plan": found.plan });
            if let Some(at) = found.deleted_at {
                shown["deleted_at"] = json!(at);
            }
            shown
        })
        .collect();
    let columns: Vec<&str> =
        COLUMNS.into_iter().chain(args.deleted.then_some("deleted_at")).collect();
    output::rows(args.output, &columns, &rows);
    Ok(())
}

fn timing(text: &str) -> Result<OnboardingTiming, String> {
    let seconds: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    match seconds.map_err(|_| "whole seconds".to_owned())?.as_slice() {
        [first, second, third, end] if first <= second && second <= third && third <= end => {
            let reminder_seconds = [*first, *second, *third];
            Ok(OnboardingTiming { reminder_seconds, end_seconds: *end })
        }
        _ => Err("four times in order, as 86400,259200,604800,1209600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_order() {
        let default = timing("86400,259200,604800,1209600");
        assert_eq!(default, Ok(OnboardingTiming::default()));
        for text in ["", "1,2,3", "1,2,3,4,5", "1,2,x,4", "2,1,3,4", "1,2,3,-4", "1,2,4,3"] {
            assert!(timing(text).is_err(), "{text}");
        }
    }
}
