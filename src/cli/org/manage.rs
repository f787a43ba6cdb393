//! Organizations that are there: shown, given other terms, deleted.

use clap::{ArgGroup, Args};
use contract::{billing::UsageLimit, ids::OrganizationId};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use store::{
    cache::Key,
    organizations::{self, LONGEST_NAME, LONGEST_PLAN, Profile, Terms},
    rules,
    written::Written,
};

use crate::cli::{Failed, Format, installation::Installation, output, target::TargetArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct OneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Id of the organization.
    organization: OrganizationId,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("given").required(true).multiple(true).args(["name", "slug", "plan",
    "included_minutes", "overage_price", "limit"]))]
pub(in crate::cli) struct UpdateArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// Its name in URLs, unique: a to z, 0 to 9, single hyphens inside.
    #[arg(long)]
    slug: Option<String>,
    /// Name of its plan.
    #[arg(long)]
    plan: Option<String>,
    /// Minutes of a period that the plan includes, from the next period on.
    #[arg(long, allow_negative_numbers = true)]
    included_minutes: Option<i32>,
    /// Price of a further minute, in US dollars, from the next period on.
    #[arg(long, allow_negative_numbers = true)]
    overage_price: Option<Decimal>,
    /// soft: further minutes are sold; hard: they are not. From the next period on.
    #[arg(long)]
    limit: Option<UsageLimit>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteArgs {
    #[command(flatten)]
    of: OneArgs,
    /// Needed, because its keys and its webhooks work no more.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn show(args: &OneArgs) -> Result<(), Failed> {
    let admin_url = Installation::of(&args.target)?.admin_url;
    let found = organizations::show(&admin_url, args.organization).await;
    let found = found.map_err(anyhow::Error::from)?.ok_or_else(|| args.unknown())?;
    output::object(args.output, &shown(&found));
    Ok(())
}

pub(super) async fn update(args: &UpdateArgs) -> Result<(), Failed> {
    let line = |given: &Option<String>, longest| match given {
        Some(text) => rules::line(text, longest),
        None => Ok(()),
    };
    for (argument, checked) in [
        ("--name", line(&args.name, LONGEST_NAME)),
        ("--slug", args.slug.as_deref().map_or(Ok(()), rules::slug)),
        ("--plan", line(&args.plan, LONGEST_PLAN)),
        ("--overage-price", args.overage_price.map_or(Ok(()), rules::price)),
    ] {
        checked.map_err(|rule| Failed::Usage(format!("{argument} {rule}")))?;
    }
    if args.included_minutes.is_some_and(|minutes| minutes < 0) {
        return Err(Failed::Usage("--included-minutes must be 0 or more".to_owned()));
    }
    let terms = Terms {
        name: args.name.clone(),
        slug: args.slug.clone(),
        plan: args.plan.clone(),
        plan_minutes: args.included_minutes,
        overage_price: args.overage_price,
        usage_limit: args.limit,
    };
    let OneArgs { target, organization, output } = &args.of;
    let installation = Installation::of(target)?;
    let written = organizations::set_terms(&installation.admin_url, *organization, &terms).await;
    installation.forget(&Key::of_settings(*organization)).await?;
    match written.map_err(anyhow::Error::from)? {
        Written::Done(now) => {
            output::object(*output, &shown(&now));
            Ok(())
        }
        Written::Taken => {
            Err(Failed::Conflict("the slug is taken by another organization".to_owned()))
        }
        _ => Err(args.of.unknown()),
    }
}

pub(super) async fn delete(args: &DeleteArgs) -> Result<(), Failed> {
    if !args.yes {
        let text =
            "its keys and its providers' webhooks would work no more; if you mean it, add --yes";
        return Err(Failed::Usage(text.to_owned()));
    }
    let installation = Installation::of(&args.of.target)?;
    let deleted = organizations::delete(&installation.admin_url, args.of.organization).await;
    installation.forget(&Key::of_settings(args.of.organization)).await?;
    match deleted.map_err(anyhow::Error::from)? {
        Written::Done(()) => {
            eprintln!(
                "the organization {} is gone; `org list --deleted` shows it",
                args.of.organization
            );
            Ok(())
        }
        _ => Err(args.of.unknown()),
    }
}

impl OneArgs {
    fn unknown(&self) -> Failed {
        Failed::NotFound(format!("there is no organization {}", self.organization))
    }
}

fn shown(found: &Profile) -> Value {
    json!({
        "id": found.id,
        "slug": found.slug,
        "name": found.name,
        "timezone": found.timezone,
        "plan": found.plan,
        "plan_minutes": found.plan_minutes,
        "overage_price": found.overage_price,
        "usage_limit": found.usage_limit,
        "settings": found.settings,
        "current_period_start": found.current_period_start,
        "current_period_end": found.current_period_end,
        "version": found.version,
        "created_at": found.created_at,
        "deleted_at": found.deleted_at,
    })
}
