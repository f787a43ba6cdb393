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
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &LinkCustomerArgs) -> Result<(), Failed> {
    let db = Installation::of(&args.target)?.database(Role::Worker)?;
    let organization = args.organization;
    let customer = match &args.customer {
        Some(customer) => customer.clone(),
        None => match at_stripe(&db, organization).await? {
            Some(customer) => customer,
            None => return Err(Failed::Conflict(format!("{organization} is a customer already"))),
        },
    };
    let link = stripe_events::link(&db, organization, &customer, Utc::now()).await;
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

/// The customer that names the organization at Stripe, or a new one. Nothing where it is one already.
async fn at_stripe(db: &Database, organization: OrganizationId) -> Result<Option<String>, Failed> {
    let config = Config::from_env();
    let providers = config.context("STRIPE_SECRET_KEY is the environment's")?.providers;
    let key = providers.stripe_secret_key.ok_or_else(|| {
        anyhow!("STRIPE_SECRET_KEY is not set here; or name a customer that is there")
    })?;
    let stripe = StripeClient::new(&providers.stripe_base_url, key).map_err(anyhow::Error::from)?;
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
