//! `postcall billing link-customer`: an organization becomes a customer at Stripe.
//!
//! The onboarding makes the customer of a new organization. One that was made before there was a key has
//! none, and no other way to one than an event of Stripe that names it.

use anyhow::{Context, anyhow};
use chrono::Utc;
use clap::Args;
use contract::ids::OrganizationId;
use providers::stripe::{NewCustomer, StripeClient};
use serde_json::json;
use store::{
    Database, Role,
    error::Problem,
    onboarding::{self, CustomerStep, Part},
    stripe_events::{self, Link},
};

use super::super::{Failed, Format, installation::Installation, output, target::TargetArgs};
use crate::config::Config;

/// Longest id, in characters; Stripe's own stay under 30.
const LONGEST_ID: usize = 255;

#[derive(Debug, Args)]
pub(in crate::cli) struct LinkCustomerArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Which organization.
    #[arg(long)]
    organization: OrganizationId,
    /// Stripe's id of a customer that is there, as cus_…. Without it Stripe is asked for one that names
    /// the organization, and to make one where there is none.
    #[arg(value_parser = customer)]
    customer: Option<String>,
    /// The customer that the organization has now, where that was a mistake. What was reported for it stays
    /// with it.
    #[arg(long, value_parser = customer, requires = "customer")]
    replacing: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &LinkCustomerArgs) -> Result<(), Failed> {
    let db = Installation::of(&args.target)?.database(Role::Worker)?;
    let organization = args.organization;
    let customer = match &args.customer {
        Some(customer) => {
            check(organization, customer).await?;
            customer.clone()
        }
        None => match at_stripe(&db, organization).await? {
            Some(customer) => customer,
            None => return Err(Failed::Conflict(format!("{organization} is a customer already"))),
        },
    };
    let link =
        stripe_events::link(&db, organization, &customer, args.replacing.as_deref(), Utc::now());
    let link = link.await;
    let why = match link.map_err(anyhow::Error::from)? {
        Link::Linked { is_new, applied } => {
            note(&db, organization).await?;
            let shown = json!({ "organization_id": organization, "customer": customer,
                "is_new": is_new, "events_applied": applied });
            output::object(args.output, &shown);
            return Ok(());
        }
        Link::OfAnother(other) => format!("{customer} is the organization {other}"),
        Link::HasAnother(other) => format!("{organization} is the customer {other}"),
        Link::NoOrganization => {
            return Err(Failed::NotFound(format!("{organization} is no organization")));
        }
    };
    Err(Failed::Conflict(why))
}

/// Whether Stripe has the customer, and as nobody else's: minutes would be billed to a stranger.
async fn check(organization: OrganizationId, customer: &str) -> Result<(), Failed> {
    let Some(stripe) = Config::from_env().ok().and_then(|config| client(config).transpose()) else {
        eprintln!("STRIPE_SECRET_KEY is not set here: nobody has asked Stripe for {customer}");
        return Ok(());
    };
    let found =
        stripe?.customer(customer).await.context("Stripe cannot be asked for the customer")?;
    match found.map(|found| found.organization_id) {
        None => Err(Failed::NotFound(format!("Stripe has no customer {customer}"))),
        Some(Some(other)) if other != organization.to_string() => {
            Err(Failed::Conflict(format!("at Stripe {customer} is the organization {other}")))
        }
        Some(_) => Ok(()),
    }
}

/// Stripe, where there is a key.
fn client(config: Config) -> anyhow::Result<Option<StripeClient>> {
    let providers = config.providers;
    let client = |key| StripeClient::new(&providers.stripe_base_url, key);
    Ok(providers.stripe_secret_key.map(client).transpose()?)
}

/// The customer that names the organization at Stripe, or a new one. Nothing where it is one already.
async fn at_stripe(db: &Database, organization: OrganizationId) -> Result<Option<String>, Failed> {
    let config = Config::from_env().context("STRIPE_SECRET_KEY is the environment's")?;
    let stripe = client(config)?.ok_or_else(|| {
        anyhow!("STRIPE_SECRET_KEY is not set here; or name a customer that is there")
    })?;
    let step = onboarding::begin_customer(db, organization, Utc::now()).await;
    let step = step.map_err(|error| match error.problem() {
        Problem::NotFound => Failed::NotFound(format!(
            "{organization} was not made by `org create`: name a customer that is there"
        )),
        _ => Failed::Other(error.into()),
    })?;
    let CustomerStep::Due { name, email, .. } = step else { return Ok(None) };
    // Whoever tried before may have made it, and the idempotency key is known for a day only.
    let found = stripe.find_customer(organization).await;
    if let Some(found) = found.context("Stripe cannot be searched for the customer")? {
        return Ok(Some(found));
    }
    let customer = NewCustomer { organization_id: organization, name, email };
    let made = stripe.create_customer(&customer).await;
    Ok(Some(made.context("Stripe made no customer")?))
}

/// The onboarding has no more to say of the customer; without an onboarding nobody asks.
async fn note(db: &Database, organization: OrganizationId) -> Result<(), Failed> {
    let part = Part::Customer;
    match onboarding::note(db, organization, part, true, None, Utc::now()).await {
        Err(error) if !matches!(error.problem(), Problem::NotFound) => {
            Err(Failed::Other(error.into()))
        }
        _ => Ok(()),
    }
}

fn customer(text: &str) -> Result<String, String> {
    let is_word = |text: &str| {
        let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        !text.is_empty() && text.bytes().all(is_of_word)
    };
    match text.strip_prefix("cus_") {
        Some(rest) if is_word(rest) && text.len() <= LONGEST_ID => Ok(text.to_owned()),
        _ => Err("Stripe's id of a customer, as cus_…".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_customers() {
        assert_eq!(customer("cus_NciAYcXfLnqBoz").as_deref(), Ok("cus_NciAYcXfLnqBoz"));
        let long = format!("cus_{}", "a".repeat(LONGEST_ID));
        for text in ["", "cus_", "sub_1", "cus_a b", "cus_a'b", "cus_ä", &long] {
            assert!(customer(text).is_err(), "{text}");
        }
    }
}
