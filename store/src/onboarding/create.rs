//! A new organization, with the workflow that accompanies it.

use contract::{
    billing::UsageLimit,
    ids::OrganizationId,
    names::onboarding_workflow_id,
    onboarding::{OnboardOrganization, OnboardingTiming},
};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{postgres::PgPoolOptions, query};
use uuid::Uuid;

use crate::{
    StoreError,
    audit::{self, Actor, Entry},
    database::{Tx, commit, connect_options},
    error::{During, Problem},
    organizations::{BillingSettings, LONGEST_NAME, LONGEST_PLAN},
    rules,
    starts::{self, StartKind},
};

const OPERATION: &str = "onboarding.create";

/// An organization to be.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// Its name in URLs, unique: up to 63 of a to z, 0 to 9 and single hyphens inside.
    pub slug: String,
    /// Where invoices, alerts and notices go.
    pub email: SecretString,
    /// IANA's name of its time zone, which decides its days and periods.
    pub timezone: String,
    /// Name of its plan, 1 to 50 characters.
    pub plan: String,
    /// Minutes of a period that the plan includes, 0 or more.
    pub plan_minutes: i32,
    /// Price of a further minute in US dollars: 0 or more, below a million, at most 6 decimals.
    pub overage_price: Decimal,
    /// What happens when the included minutes are used up.
    pub usage_limit: UsageLimit,
    /// Day of the month that its periods begin on, 1 to 31; in a shorter month its last day.
    pub billing_anchor_day: i16,
    /// The template of its first assistant.
    pub template_slug: String,
}

/// Why there is no new organization.
#[derive(Debug, thiserror::Error)]
pub enum NotCreated {
    /// A value that breaks a rule. The text holds no email address.
    #[error("{field}: {rule}")]
    Invalid {
        /// What was given wrongly.
        field: &'static str,
        /// What it must be.
        rule: String,
    },
    /// Another organization has this slug.
    #[error("slug: {0} is taken by another organization")]
    SlugTaken(String),
    /// Postgres refused or is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes an organization, its onboarding and the request to start that, all or nothing. Needs the
/// owner's connection.
///
/// # Errors
/// When a value breaks a rule, the slug is taken, or the database fails.
pub async fn create(
    admin_url: &SecretString,
    new: &NewOrganization,
    timing: OnboardingTiming,
) -> Result<OrganizationId, NotCreated> {
    check(new)?;
    let options = connect_options(admin_url)?;
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut tx = pool.begin().await.map(Tx::new).during(OPERATION)?;
    let id = OrganizationId(Uuid::now_v7());
    let created = write(&mut tx, id, new, timing).await;
    if created.is_ok() {
        commit(tx, OPERATION).await?;
    } else {
        drop(tx);
    }
    pool.close().await;
    created.map(|()| id)
}

async fn write(
    tx: &mut Tx,
    id: OrganizationId,
    new: &NewOrganization,
    timing: OnboardingTiming,
) -> Result<(), NotCreated> {
    // An owner that row level security binds still needs to be inside the organization.
    query!("select set_config('app.organization_id', $1, true)", id.to_string())
        .fetch_one(&mut **tx)
        .await
        .during(OPERATION)?;
    has_template(tx, &new.template_slug).await?;
    insert(tx, id, new).await?;
    query!(
        "insert into onboardings (organization_id, template_slug) values ($1, $2)",
        id.0,
        new.template_slug,
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    let input = OnboardOrganization { organization_id: id, timing };
    let input = serde_json::to_value(input)
        .map_err(|error| StoreError::new(OPERATION, Problem::Invalid(error.to_string())))?;
    let workflow_id = onboarding_workflow_id(id);
    starts::request(tx, id, StartKind::Onboarding, &workflow_id, input).await?;
    let entry = Entry {
        organization_id: id,
        actor: &Actor::command_line(),
        action: "organization.create",
        target: "organization",
        before: None,
        after: Some(json!({ "slug": new.slug, "plan": new.plan, "template": new.template_slug })),
    };
    audit::record(tx, entry).await?;
    Ok(())
}

async fn has_template(tx: &mut Tx, slug: &str) -> Result<(), NotCreated> {
    let rows = query!("select slug from templates where is_active order by slug")
        .fetch_all(&mut **tx)
        .await
        .during(OPERATION)?;
    let slugs: Vec<String> = rows.into_iter().map(|row| row.slug).collect();
    if slugs.iter().any(|known| known == slug) {
        return Ok(());
    }
    Err(invalid("template", format!("there is no such template; choose of {}", slugs.join(", "))))
}

async fn insert(tx: &mut Tx, id: OrganizationId, new: &NewOrganization) -> Result<(), NotCreated> {
    let billing = BillingSettings { email: vec![new.email.expose_secret().to_owned()] };
    let settings = json!({ "billing": billing });
    let inserted = query!(
        "insert into organizations (id, name, slug, plan, plan_minutes, overage_price, usage_limit,
             timezone, billing_anchor_day, settings)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        id.0,
        new.name,
        new.slug,
        new.plan,
        new.plan_minutes,
        new.overage_price,
        new.usage_limit.as_str(),
        new.timezone,
        new.billing_anchor_day,
        settings,
    )
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("organizations_slug") => {
            Err(NotCreated::SlugTaken(new.slug.clone()))
        }
        Err(error) => Err(StoreError::new(OPERATION, error).into()),
    }
}

fn check(new: &NewOrganization) -> Result<(), NotCreated> {
    let price = rules::price(new.overage_price);
    for (field, checked) in [
        ("name", rules::line(&new.name, LONGEST_NAME)),
        ("plan", rules::line(&new.plan, LONGEST_PLAN)),
        ("slug", rules::slug(&new.slug)),
        ("email", rules::email(new.email.expose_secret())),
        ("timezone", rules::timezone(&new.timezone)),
        ("overage price", price),
    ] {
        checked.map_err(|rule| invalid(field, rule))?;
    }
    if new.plan_minutes < 0 {
        return Err(invalid("included minutes", "must be 0 or more"));
    }
    if !(1..=31).contains(&new.billing_anchor_day) {
        return Err(invalid("anchor day", "must be a day of the month, 1 to 31"));
    }
    Ok(())
}

fn invalid(field: &'static str, rule: impl Into<String>) -> NotCreated {
    NotCreated::Invalid { field, rule: rule.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewOrganization {
        NewOrganization {
            name: "Müller & Söhne".to_owned(),
            slug: "mueller-2".to_owned(),
            email: "billing@example.com".into(),
            timezone: "Europe/Berlin".to_owned(),
            plan: "starter".to_owned(),
            plan_minutes: 0,
            overage_price: Decimal::new(50_000, 6),
            usage_limit: UsageLimit::Soft,
            billing_anchor_day: 31,
            template_slug: "front-desk".to_owned(),
        }
    }

    fn complaint(change: impl FnOnce(&mut NewOrganization)) -> String {
        let mut changed = new();
        change(&mut changed);
        check(&changed).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_breaks_a_rule_is_named_with_the_rule() {
        assert_eq!(complaint(|_| {}), "");
        assert!(complaint(|new| new.slug = "A".to_owned()).starts_with("slug: must have "));
        assert!(complaint(|new| new.email = "a@b".into()).starts_with("email: must be "));
        assert!(complaint(|new| new.timezone = "Mars".to_owned()).starts_with("timezone: no such"));
        assert!(complaint(|new| new.name = "a\n".to_owned()).starts_with("name: must have "));
        for day in [-1, 0, 32] {
            assert!(complaint(|new| new.billing_anchor_day = day).starts_with("anchor day: "));
        }
        assert!(complaint(|new| new.plan_minutes = -1).starts_with("included minutes: "));
        let price = Decimal::new(1, 7);
        assert!(complaint(|new| new.overage_price = price).starts_with("overage price: "));
    }
}
