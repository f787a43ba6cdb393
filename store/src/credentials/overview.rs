//! What may be shown of credentials, and of the sweep that uses them.

use chrono::{DateTime, Utc};
use contract::{call::Provider, ids::OrganizationId};
use serde::Serialize;
use serde_json::Value;
use sqlx::query;

use super::api_access::opens_api;
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
};

/// What may be shown of an organization's credentials for a provider: never a secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Whose they are.
    pub provider: Provider,
    /// When the current secret was set.
    pub rotated_at: DateTime<Utc>,
    /// Whether the secret before it is still accepted.
    pub has_previous: bool,
    /// Until when it is.
    pub previous_ends_at: Option<DateTime<Utc>>,
    /// Whether the provider's second scheme may be used.
    pub has_shared_key: bool,
    /// Whether there is a key for the provider's API beside the secret.
    pub has_api_key: bool,
    /// Public settings.
    pub settings: Value,
    /// What came of sweeps. No part of the credentials, and so not of their audit log.
    #[serde(skip)]
    pub sweep: SweepState,
}

impl Overview {
    /// Whether there is a key that opens the provider's API, so that a sweep lists the calls.
    pub const fn is_swept(&self) -> bool {
        opens_api(self.provider, self.has_api_key)
    }
}

/// What came of the sweeps of an organization's calls at a provider; nothing before the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepState {
    /// Calls that changed before this are known.
    pub swept_until: Option<DateTime<Utc>>,
    /// When the last sweep ran, whether it worked or not.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Calls of which, or of whose end, only the last sweep that worked told.
    pub found: Option<i32>,
    /// Why the last sweep failed: the class of the failure, free of personal data.
    pub error: Option<String>,
}

/// What may be shown of an organization's credentials, one item for each provider that has some.
pub async fn list(
    db: &Database,
    organization: OrganizationId,
) -> Result<Vec<Overview>, StoreError> {
    const OPERATION: &str = "credentials.list";
    let mut tx = db.tenant(organization).await?;
    let overviews = overviews(&mut tx, organization, None).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(overviews)
}

/// All overviews of an organization, or one provider's.
pub(super) async fn overviews(
    tx: &mut Tx,
    organization: OrganizationId,
    only: Option<Provider>,
) -> Result<Vec<Overview>, sqlx::Error> {
    let rows = query!(
        r#"select c.provider, c.rotated_at, c.settings,
                  c.shared_key is not null as "has_shared_key!",
                  c.api_key is not null as "has_api_key!",
                  c.previous_secret is not null and coalesce(c.previous_ends_at > now(), true)
                      as "has_previous!",
                  case when c.previous_secret is not null and c.previous_ends_at > now()
                       then c.previous_ends_at end as previous_ends_at,
                  s.swept_until as "swept_until?", s.last_run_at as "last_run_at?",
                  s.found as "found?", s.error as "error?"
           from provider_credentials c left join provider_sweeps s
               on s.organization_id = c.organization_id and s.provider = c.provider
           where c.organization_id = $1 and ($2::text is null or c.provider = $2)
           order by c.provider"#,
        organization.0,
        only.map(Provider::as_str),
    )
    .fetch_all(&mut **tx)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(Overview {
            // The table also has room for secrets of those who run no calls.
            provider: row.provider.parse().ok()?,
            rotated_at: row.rotated_at,
            has_previous: row.has_previous,
            previous_ends_at: row.previous_ends_at,
            has_shared_key: row.has_shared_key,
            has_api_key: row.has_api_key,
            settings: row.settings,
            sweep: SweepState {
                swept_until: row.swept_until,
                last_run_at: row.last_run_at,
                found: row.found,
                error: row.error,
            },
        })
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overview(provider: Provider, has_api_key: bool) -> Overview {
        Overview {
            provider,
            rotated_at: DateTime::UNIX_EPOCH,
            has_previous: false,
            previous_ends_at: None,
            has_shared_key: false,
            has_api_key,
            settings: json!({}),
            sweep: SweepState { error: Some("Rejected".to_owned()), ..SweepState::default() },
        }
    }

    #[test]
    fn without_a_key_of_its_api_a_provider_is_not_swept() {
        for provider in Provider::ALL {
            assert!(overview(*provider, true).is_swept(), "{provider}");
        }
        assert!(!overview(Provider::Vapi, false).is_swept());
        assert!(overview(Provider::Retell, false).is_swept(), "its secret is the key");
        assert!(overview(Provider::Twilio, false).is_swept(), "its secret is the key");
    }

    #[test]
    fn the_audit_log_tells_of_credentials_and_not_of_sweeps() {
        let logged = serde_json::to_value(overview(Provider::Vapi, true)).unwrap_or_default();
        assert_eq!(logged["has_api_key"], true);
        assert!(!logged.to_string().contains("Rejected"), "{logged}");
    }
}
