//! Organizations and their settings.

use contract::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use sqlx::query;

use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::{During, Problem},
};

/// `organizations.settings`: what an organization chose, each field with its default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Who hears of each call.
    pub notifications: NotificationSettings,
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
