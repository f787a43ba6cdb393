//! `postcall billing stripe-events`: what Stripe sent, and what of it waits and why.
//!
//! An event that waits belongs to nobody yet, so this goes to the database and not through the API.

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, ValueEnum};
use contract::ids::OrganizationId;
use providers::stripe::Mode;
use serde_json::{Value, json};
use store::{
    Database, Role, StoreError,
    error::Problem,
    stripe_events::{self, Filter, Listed, Retried, Status},
};

use super::super::{Failed, Format, installation::Installation, output, target::TargetArgs};
use crate::config::Config;

/// Longest list.
const MOST_LISTED: u16 = 250;
const COLUMNS: [&str; 7] = ["id", "type", "status", "age", "organization_id", "customer", "reason"];

#[derive(Debug, Args)]
pub(in crate::cli) struct StripeEventsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only events that stand so.
    #[arg(long, value_enum)]
    status: Option<Standing>,
    /// Only events that are known to be of this organization.
    #[arg(long)]
    organization: Option<OrganizationId>,
    /// Only those that follow this event, to go on with a long list.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_LISTED)))]
    limit: u16,
    /// Take this parked event once more, and what else waits for its customer.
    #[arg(long, value_name = "ID",
        conflicts_with_all = ["status", "organization", "after", "limit", "output"])]
    retry: Option<String>,
    /// Put this parked event away: nothing follows from it.
    #[arg(long, value_name = "ID",
        conflicts_with_all = ["status", "organization", "after", "limit", "output", "retry"])]
    discard: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Standing {
    /// They wait: for their customer to be known, or for a person.
    Parked,
    /// They are being looked at.
    Received,
    /// What followed from them is done.
    Processed,
    /// Nothing followed from them.
    Ignored,
}

impl From<Standing> for Status {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Parked => Self::Parked,
            Standing::Received => Self::Received,
            Standing::Processed => Self::Processed,
            Standing::Ignored => Self::Ignored,
        }
    }
}

pub(super) async fn run(args: &StripeEventsArgs) -> Result<(), Failed> {
    let db = Installation::of(&args.target)?.database(Role::Worker)?;
    match (&args.retry, &args.discard) {
        (Some(id), _) => retry(&db, id).await,
        (None, Some(id)) => discard(&db, id).await,
        (None, None) => list(&db, args).await,
    }
}

async fn list(db: &Database, args: &StripeEventsArgs) -> Result<(), Failed> {
    let after = args.after.as_deref();
    let status = args.status.map(Status::from);
    let filter = Filter { status, organization: args.organization, after };
    let page = stripe_events::list(db, filter, args.limit).await;
    let page = page.map_err(|error| unknown(error, after.unwrap_or_default()))?;
    let last = page.items.last().filter(|_| page.more).map(|event| event.id.clone());
    let now = Utc::now();
    let rows: Vec<Value> = page.items.into_iter().map(|event| shown(event, now)).collect();
    output::rows(args.output, &COLUMNS, &rows);
    if let Some(last) = last {
        eprintln!("there are more; go on with --after {last}");
    }
    Ok(())
}

fn shown(event: Listed, now: DateTime<Utc>) -> Value {
    let age = now - event.received_at;
    json!({
        "id": event.id,
        "type": event.event_type,
        "status": event.status.as_str(),
        "reason": event.reason,
        "organization_id": event.organization_id,
        "customer": event.customer,
        "conflicts": event.conflicts,
        "created_at": store::events::timestamp(event.created_at),
        "received_at": store::events::timestamp(event.received_at),
        "age_seconds": age.num_seconds().max(0),
        "age": in_words(age),
    })
}

/// The two greatest units of an age, as `3d 4h`.
fn in_words(age: TimeDelta) -> String {
    let seconds = age.num_seconds().max(0);
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let greatest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let parts = units.iter().skip(greatest).take(2).map(|(unit, name)| {
        let count = left / unit;
        left %= unit;
        format!("{count}{name}")
    });
    parts.collect::<Vec<_>>().join(" ")
}

async fn retry(db: &Database, id: &str) -> Result<(), Failed> {
    let retried = stripe_events::retry(db, id, is_live(), Utc::now()).await;
    let why = match retried.map_err(|error| unknown(error, id))? {
        Retried::Settled(status) => {
            eprintln!("{id} is {}; `billing events` tells what came of it", status.as_str());
            return Ok(());
        }
        Retried::Parked(reason) => format!("it stays parked: {reason}"),
        Retried::NotParked(status) => not_parked(status),
        Retried::NothingKept => {
            "nothing of what it tells was kept: have Stripe send it again".to_owned()
        }
        Retried::OtherMode { is_live } => {
            let mode = if is_live { Mode::Live } else { Mode::Test }.as_str();
            format!("it is of {mode} mode, and STRIPE_SECRET_KEY is not known here to be of it")
        }
    };
    Err(Failed::Conflict(format!("{id}: {why}")))
}

async fn discard(db: &Database, id: &str) -> Result<(), Failed> {
    let stood = stripe_events::discard(db, id, Utc::now()).await;
    match stood.map_err(|error| unknown(error, id))? {
        Status::Parked => {
            eprintln!("{id} is ignored");
            Ok(())
        }
        status => Err(Failed::Conflict(format!("{id}: {}", not_parked(status)))),
    }
}

fn not_parked(status: Status) -> String {
    format!("it does not wait: it is {}", status.as_str())
}

/// Whether the key of this environment is of live mode; nothing where it is not known, as with a
/// `postcall dev`, whose key is in nobody else's environment.
fn is_live() -> Option<bool> {
    let key = Config::from_env().ok()?.providers.stripe_secret_key?;
    Mode::of_key(&key).map(Mode::is_live)
}

fn unknown(error: StoreError, id: &str) -> Failed {
    match error.problem() {
        Problem::NotFound => {
            Failed::NotFound(format!("{id} is no event of Stripe's that came here"))
        }
        _ => Failed::Other(anyhow::Error::from(error).context("Stripe's events")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_two_units() {
        let words = |seconds| in_words(TimeDelta::seconds(seconds));
        assert_eq!([0, 59, 60, 3599].map(words), ["0s", "59s", "1m 0s", "59m 59s"]);
        assert_eq!([3600, 90_000, 864_000].map(words), ["1h 0m", "1d 1h", "10d 0h"]);
        assert_eq!(words(-5), "0s", "another machine's clock");
    }
}
