//! Organizations and their settings.

mod operate;
mod profile;

use std::collections::BTreeSet;

use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use sqlx::query;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
};

pub use operate::{Terms, delete, set_terms, show};
pub use profile::{Changes, Profile, profile, update};

/// Most characters of a name.
pub const LONGEST_NAME: usize = 200;
/// Most characters of a plan's name.
pub const LONGEST_PLAN: usize = 50;

/// `organizations.settings`: what an organization chose, each field with its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Who hears of each call.
    pub notifications: NotificationSettings,
    /// Who hears of minutes and bills.
    pub billing: BillingSettings,
    /// Whether messages that drive no call are stored too.
    pub keep_all_events: bool,
}

/// Recipients of the notice about a processed call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationSettings {
    /// Phone numbers in E.164 that get a text message, at most 20.
    pub sms: Vec<String>,
    /// Addresses that get an email, at most 20.
    pub email: Vec<String>,
}

/// Recipients of what concerns the organization's plan rather than a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BillingSettings {
    /// Addresses that get an email, at most 20; where there are none, those that hear of calls.
    pub email: Vec<String>,
}

impl Settings {
    /// Addresses that hear of minutes and bills, each once.
    pub fn billing_recipients(&self) -> Vec<String> {
        let chosen = [&self.billing.email, &self.notifications.email];
        let addresses = chosen.into_iter().find(|addresses| !addresses.is_empty());
        let mut seen = BTreeSet::new();
        let mut recipients = addresses.cloned().unwrap_or_default();
        recipients.retain(|address| {
            let address = address.trim().to_lowercase();
            !address.is_empty() && seen.insert(address)
        });
        recipients.truncate(MAX_RECIPIENTS);
        recipients
    }
}

/// Spend cap: further recipients are ignored.
pub const MAX_RECIPIENTS: usize = 20;

/// An organization as the steps of a call need it.
#[derive(Debug, Clone)]
pub struct Organization {
    /// Its name, for messages to people.
    pub name: String,
    /// What it chose.
    pub settings: Settings,
}

/// Reads an organization.
pub async fn get(db: &Database, id: OrganizationId) -> Result<Organization, StoreError> {
    let mut tx = db.tenant(id).await?;
    let organization = get_in(&mut tx, id).await?;
    commit(tx, "organizations.get").await?;
    Ok(organization)
}

pub(crate) async fn get_in(tx: &mut Tx, id: OrganizationId) -> Result<Organization, StoreError> {
    const OPERATION: &str = "organizations.get";
    let row = query!(
        "select name, settings from organizations
         where id = $1 and deleted_at is null",
        id.0
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    let mut settings: Settings = serde_json::from_value(row.settings)
        .map_err(|e| StoreError::new(OPERATION, Problem::Invalid(format!("settings: {e}"))))?;
    settings.notifications.sms.truncate(MAX_RECIPIENTS);
    settings.notifications.email.truncate(MAX_RECIPIENTS);
    Ok(Organization { name: row.name, settings })
}

/// Who hears of a call. Settings that cannot be read, or an organization that was deleted, notify
/// nobody: neither may keep a call from being recorded and billed.
pub(crate) async fn notified_in(
    tx: &mut Tx,
    id: OrganizationId,
) -> Result<NotificationSettings, StoreError> {
    match get_in(tx, id).await {
        Ok(organization) => Ok(organization.settings.notifications),
        Err(error) if matches!(error.problem(), Problem::NotFound | Problem::Invalid(_)) => {
            tracing::warn!(organization = %id, %error, "an organization notifies nobody");
            Ok(NotificationSettings::default())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bills_go_to_those_who_hear_of_calls_where_nobody_is_named_and_once_to_each() {
        let emails = |list: &[&str]| list.iter().map(|email| (*email).to_owned()).collect();
        let mut settings = Settings::default();
        assert!(settings.billing_recipients().is_empty());
        settings.notifications.email = emails(&["desk@example.com"]);
        assert_eq!(settings.billing_recipients(), ["desk@example.com"]);
        settings.billing.email = emails(&["Books@example.com", " books@example.com", ""]);
        assert_eq!(settings.billing_recipients(), ["Books@example.com"]);
    }
}
