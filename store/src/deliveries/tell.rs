//! What an endpoint's owners are told of its health, by events of their own.

use chrono::{DateTime, Utc};
use contract::{
    events::{EndpointHealth, Timestamp},
    ids::EndpointId,
};
use serde_json::json;
use url::Url;

use super::{health::Notice, settle::Endpoint};
use crate::{StoreError, database::Tx, events};

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
    let effect_key = format!("{event_type}/{id}/{}", now.timestamp_micros());
    events::emit_organization(tx, endpoint.organization, event_type, &effect_key, json!(told))
        .await
        .map(drop)
}
