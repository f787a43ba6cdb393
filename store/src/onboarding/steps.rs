//! The steps of an onboarding, each done once.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use sqlx::query;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
    organizations::{self, Organization},
};

/// A part of an onboarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The customer at Stripe.
    Customer,
    /// Settings, assistant and first key.
    Furnish,
    /// An email: 0 is the welcome, 1 to 3 are the reminders.
    Email(u32),
}

impl Step {
    pub(super) fn is(&self, part: Part) -> bool {
        self.name == part.name()
    }
}

impl Part {
    fn name(self) -> String {
        match self {
            Self::Customer => "customer".to_owned(),
            Self::Furnish => "furnish".to_owned(),
            Self::Email(0) => "welcome".to_owned(),
            Self::Email(number) => format!("reminder-{number}"),
        }
    }
}

/// A step in `onboardings.steps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    name: String,
    pub(super) first_tried_at: DateTime<Utc>,
    #[serde(default)]
    done_at: Option<DateTime<Utc>>,
    #[serde(default)]
    note: Option<String>,
}

/// Who is written to.
#[derive(Debug)]
pub struct Guest {
    /// Name of the organization.
    pub name: String,
    /// Whether its first call was counted.
    pub has_called: bool,
    /// Addresses that hear of the plan.
    pub emails: Vec<String>,
}

/// How an onboarding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Whether it ended now; false where it had ended before.
    pub now: bool,
    /// Whether the first call was counted.
    pub has_called: bool,
}

/// Writes down how a part stands, for people: whether it is through, and what there is to say of it,
/// free of personal data.
///
/// # Errors
/// When the database fails, or nobody onboards such an organization.
pub async fn note(
    db: &Database,
    organization: OrganizationId,
    part: Part,
    is_done: bool,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut tx = db.tenant(organization).await?;
    let mut steps = lock(&mut tx, organization).await?;
    note_in(&mut steps, part, is_done, note, now);
    save(&mut tx, organization, &steps).await?;
    commit(tx, "onboarding.note").await
}

/// Whom the welcome and the reminders are for.
///
/// # Errors
/// When the database fails, or there is no such organization.
pub async fn guest(db: &Database, organization: OrganizationId) -> Result<Guest, StoreError> {
    const OPERATION: &str = "onboarding.guest";
    let mut tx = db.tenant(organization).await?;
    let Organization { name, settings } = organizations::get_in(&mut tx, organization).await?;
    let row = query!(
        r#"select first_call_at is not null as "has_called!" from organizations where id = $1"#,
        organization.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Guest { name, has_called: row.has_called, emails: settings.billing_recipients() })
}

/// Ends an onboarding: with the first call if one was counted or `has_called` says so, else without.
///
/// # Errors
/// When the database fails, or nobody onboards such an organization.
pub async fn end(
    db: &Database,
    organization: OrganizationId,
    has_called: bool,
    now: DateTime<Utc>,
) -> Result<Ended, StoreError> {
    const OPERATION: &str = "onboarding.end";
    let mut tx = db.tenant(organization).await?;
    lock(&mut tx, organization).await?;
    let ended = query!(
        // A key that nobody asked for in all that time is not kept in clear.
        "update onboardings set ended_at = $3,
             state = case when called.is_so then 'first-call' else 'expired' end,
             first_key = case when called.is_so then first_key end
         from (select $2 or exists (select from organizations
             where id = $1 and first_call_at is not null) as is_so) called
         where organization_id = $1 and state = 'running'",
        organization.0,
        has_called,
        now,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    let row = query!("select state from onboardings where organization_id = $1", organization.0)
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Ended { now: ended.rows_affected() > 0, has_called: row.state == "first-call" })
}

/// The steps so far; whoever is at work on another one waits.
pub(super) async fn lock(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<Step>, StoreError> {
    const OPERATION: &str = "onboarding.steps";
    let row = query!(
        "select steps from onboardings where organization_id = $1 for update",
        organization.0,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    serde_json::from_value(row.steps)
        .map_err(|error| StoreError::new(OPERATION, Problem::Invalid(format!("steps: {error}"))))
}

pub(super) async fn save(
    tx: &mut Tx,
    organization: OrganizationId,
    steps: &[Step],
) -> Result<(), StoreError> {
    const OPERATION: &str = "onboarding.save";
    let steps = serde_json::to_value(steps)
        .map_err(|error| StoreError::new(OPERATION, Problem::Invalid(error.to_string())))?;
    query!("update onboardings set steps = $2 where organization_id = $1", organization.0, steps)
        .execute(&mut **tx)
        .await
        .during(OPERATION)
        .map(drop)
}

pub(super) fn note_in(
    steps: &mut Vec<Step>,
    part: Part,
    is_done: bool,
    note: Option<&str>,
    now: DateTime<Utc>,
) {
    let place = steps.iter().position(|step| step.is(part)).unwrap_or(steps.len());
    if place == steps.len() {
        let name = part.name();
        steps.push(Step { name, first_tried_at: now, done_at: None, note: None });
    }
    steps[place].done_at = is_done.then_some(now);
    steps[place].note = note.map(str::to_owned);
}
