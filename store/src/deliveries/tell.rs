//! What an endpoint's owners are told of its health, by events of their own.

use chrono::{DateTime, Utc};
use contract::{
    events::{EndpointHealth, Timestamp},
    ids::EndpointId,
    names::notice_workflow_id,
    recovery::TellOwners,
};
use serde_json::json;
use sqlx::query;
use url::Url;

use super::{health::Notice, settle::Endpoint};
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    events, members, organizations,
    starts::{self, StartKind},
};

/// Tells what is new.
pub(super) async fn tell(
    tx: &mut Tx,
    id: EndpointId,
    endpoint: &Endpoint,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let since = endpoint.before.failing_since.or(endpoint.after.failing_since);
    let url = Url::parse(&endpoint.url).ok();
    let health = EndpointHealth {
        url_host: url.and_then(|url| url.host_str().map(str::to_owned)),
        failing_since: since.map(Timestamp),
        ..EndpointHealth::of(id)
    };
    let (event_type, told) = match (endpoint.disabled(), endpoint.notice) {
        (Some(reason), _) => {
            let (reason, disabled_at) = (Some(reason.to_owned()), Some(Timestamp(now)));
            (events::ENDPOINT_DISABLED, EndpointHealth { reason, disabled_at, ..health })
        }
        (None, Some(Notice::Failing(percent))) => {
            let percent = u8::try_from(percent).ok();
            (events::ENDPOINT_FAILING, EndpointHealth { percent, ..health })
        }
        (None, Some(Notice::Recovered)) => (events::ENDPOINT_RECOVERED, health),
        (None, Some(Notice::Disabled) | None) => return Ok(()),
    };
    // The change itself happens once: it is made under the lock of the endpoint's row.
    let key = effect_key(event_type, id, now);
    let organization_id = endpoint.organization;
    events::emit_organization(tx, organization_id, event_type, &key, json!(told)).await?;
    if event_type == events::ENDPOINT_RECOVERED {
        return Ok(());
    }
    let event = event_type.to_owned();
    let input = json!(TellOwners { organization_id, endpoint_id: id, event, at: now });
    let workflow = notice_workflow_id(id, now);
    starts::request(tx, organization_id, StartKind::EndpointNotice, &workflow, input)
        .await
        .map(drop)
}

fn effect_key(event_type: &str, id: EndpointId, at: DateTime<Utc>) -> String {
    format!("{event_type}/{id}/{}", at.timestamp_micros())
}

/// What an endpoint's owners are to be told.
#[derive(Debug, Clone)]
pub struct OwnersNotice {
    /// The organization's name.
    pub organization: String,
    /// Email addresses, within the spend cap.
    pub recipients: Vec<String>,
    /// The host of the endpoint's URL.
    pub url_host: String,
    /// Why it was disabled: `gone` or `failing`; nothing where it was not.
    pub reason: Option<String>,
    /// How much of the time to that is over, in per cent.
    pub percent: Option<u64>,
}

/// Reads what the event said; nothing where it, or the organization, is gone.
pub async fn owners_notice(
    db: &Database,
    asked: &TellOwners,
) -> Result<Option<OwnersNotice>, StoreError> {
    const OPERATION: &str = "deliveries.owners_notice";
    let mut tx = db.tenant(asked.organization_id).await?;
    let row = query!(
        r#"select payload->'data' as "data!" from events
           where organization_id = $1 and effect_key = $2"#,
        asked.organization_id.0,
        effect_key(&asked.event, asked.endpoint_id, asked.at),
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else { return Ok(None) };
    let told = organizations::get_in(&mut tx, asked.organization_id).await?;
    let mut recipients = told.settings.billing_recipients();
    if recipients.is_empty() {
        recipients = members::owners(&mut tx, asked.organization_id).await?;
    }
    commit(tx, OPERATION).await?;
    let text = |name: &str| row.data[name].as_str().map(str::to_owned);
    Ok(Some(OwnersNotice {
        organization: told.name,
        recipients,
        url_host: text("url_host").unwrap_or_else(|| asked.endpoint_id.to_string()),
        reason: text("reason"),
        percent: row.data["percent"].as_u64(),
    }))
}
