//! Who asks: the API key of a request and the organization it belongs to.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use store::{
    audit::{Actor, Changer},
    keys::{self, ApiKey},
};

use super::{
    ApiState,
    problem::{Kind, Problem},
};
use crate::http_server::PeerAddress;

/// How long a key that was found is believed. A key that is disabled works for this much longer.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys in memory at a time; more are more than any process serves within five seconds.
const MOST_KEYS: usize = 10_000;

/// What a route needs a key to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Calls, their transcripts, recordings and results.
    ReadCalls,
    /// Assistants.
    ReadAssistants,
    /// Assistants made, changed and deleted.
    WriteAssistants,
    /// Who changed what.
    ReadAuditLog,
    /// What is billed, was billed and will be.
    ReadBilling,
    /// Which credentials there are for providers.
    ReadCredentials,
    /// Setting, rotating and removing credentials for providers.
    WriteCredentials,
    /// The live stream.
    ReadEvents,
    /// What providers said, as they said it.
    ReadInbox,
    /// Stored events read again, or never.
    WriteInbox,
    /// Who belongs to the organization.
    ReadMembers,
    /// Members added, changed and removed, and their names.
    WriteMembers,
    /// The organization and its settings.
    ReadOrganization,
    /// Name, time zone and settings of the organization.
    WriteOrganization,
    /// Phone numbers.
    ReadPhoneNumbers,
    /// Phone numbers made, changed and deleted.
    WritePhoneNumbers,
    /// What assistants can be made from.
    ReadTemplates,
    /// Minutes used.
    ReadUsage,
    /// Endpoints and attempts at them.
    ReadWebhooks,
    /// Endpoints made, changed, tested and deleted; deliveries made again.
    WriteWebhooks,
}

impl Scope {
    /// The scope in `api_keys.scopes`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadCalls => "calls:read",
            Self::ReadAssistants => "assistants:read",
            Self::WriteAssistants => "assistants:write",
            Self::ReadAuditLog => "audit-log:read",
            Self::ReadBilling => "billing:read",
            Self::ReadCredentials => "credentials:read",
            Self::WriteCredentials => "credentials:write",
            Self::ReadEvents => "events:read",
            Self::ReadInbox => "inbox:read",
            Self::WriteInbox => "inbox:write",
            Self::ReadMembers => "members:read",
            Self::WriteMembers => "members:write",
            Self::ReadOrganization => "organization:read",
            Self::WriteOrganization => "organization:write",
            Self::ReadPhoneNumbers => "phone-numbers:read",
            Self::WritePhoneNumbers => "phone-numbers:write",
            Self::ReadTemplates => "templates:read",
            Self::ReadUsage => "usage:read",
            Self::ReadWebhooks => "webhooks:read",
            Self::WriteWebhooks => "webhooks:write",
        }
    }
}

/// The organization that asks. A handler can read nothing without one.
#[derive(Debug, Clone)]
pub struct Caller {
    organization: OrganizationId,
    key: Arc<ApiKey>,
    /// The other end of the connection: in front of a proxy, the proxy.
    address: Option<IpAddr>,
}

impl Caller {
    /// The organization, where the key has the scope. A key without any scopes has all.
    pub fn may(&self, scope: Scope) -> Result<OrganizationId, Problem> {
        let scopes = &self.key.scopes;
        if scopes.is_empty() || scopes.iter().any(|has| has == scope.as_str()) {
            return Ok(self.organization);
        }
        let detail = format!("The key lacks the scope {}.", scope.as_str());
        Err(Problem::with_detail(Kind::Forbidden, detail))
    }

    /// Who asks, and from where, as the audit log names it.
    pub fn actor(&self) -> Actor {
        Actor::new(format!("api_key:{}", self.key.id), self.address)
    }

    /// The organization and who asks, for a change, where the key has the scope.
    pub fn changer(&self, scope: Scope) -> Result<Changer, Problem> {
        Ok(Changer { organization: self.may(scope)?, actor: self.actor() })
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        let refused = || Problem::new(Kind::Unauthenticated);
        let presented = presented(&parts.headers).ok_or_else(refused)?;
        if !keys::is_well_formed(presented) {
            return Err(refused());
        }
        let hash = keys::hash(presented);
        let key = match api.keys.get(hash, Instant::now()) {
            Some(key) => key,
            None => {
                let key = Arc::new(keys::find(&api.db, hash).await?.ok_or_else(refused)?);
                api.keys.put(hash, key.clone(), Instant::now());
                key
            }
        };
        if !is_usable(&key, Utc::now()) {
            return Err(refused());
        }
        let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
        Ok(Self { organization: key.organization_id, key, address })
    }
}

fn is_usable(key: &ApiKey, now: DateTime<Utc>) -> bool {
    key.enabled && key.expires_at.is_none_or(|end| now < end)
}

/// `Authorization: Bearer {key}` or, without that header, `X-API-Key: {key}`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return headers.get("x-api-key")?.to_str().ok();
    };
    let (scheme, key) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim_ascii())
}

type Hash = [u8; 32];
/// Keys with the time at which they were found.
type Found = HashMap<Hash, (Instant, Arc<ApiKey>)>;

/// Keys that were found lately, by their SHA-256: most requests need no query for their key.
///
/// Keys that were not found are not remembered: guesses would push the good ones out.
#[derive(Clone, Default)]
pub struct KeyCache {
    found: Arc<Mutex<Found>>,
}

impl KeyCache {
    fn get(&self, hash: Hash, now: Instant) -> Option<Arc<ApiKey>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, key) = found.get(&hash)?;
        (now.duration_since(*at) < BELIEVED).then(|| key.clone())
    }

    fn put(&self, hash: Hash, key: Arc<ApiKey>, now: Instant) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST_KEYS {
            found.retain(|_, (at, _)| now.duration_since(*at) < BELIEVED);
        }
        if found.len() < MOST_KEYS {
            found.insert(hash, (now, key));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use uuid::Uuid;

    use super::*;

    fn key(scopes: &[&str]) -> ApiKey {
        ApiKey {
            id: Uuid::nil(),
            organization_id: OrganizationId(Uuid::nil()),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            enabled: true,
            expires_at: None,
        }
    }

    #[test]
    fn a_key_comes_in_either_header() {
        let headers = |name: HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        let bearer = |value| headers(header::AUTHORIZATION, value);
        assert_eq!(presented(&bearer("Bearer vx_1")), Some("vx_1"));
        assert_eq!(presented(&bearer("bearer  vx_1")), Some("vx_1"));
        assert_eq!(presented(&headers(HeaderName::from_static("x-api-key"), "vx_1")), Some("vx_1"));
        assert_eq!(presented(&bearer("Basic vx_1")), None);
        assert_eq!(presented(&HeaderMap::new()), None);
    }

    #[test]
    fn disabled_and_expired_keys_are_not_usable() {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(is_usable(&key(&[]), now));
        assert!(!is_usable(&ApiKey { enabled: false, ..key(&[]) }, now));
        assert!(!is_usable(&ApiKey { expires_at: Some(now), ..key(&[]) }, now));
    }

    #[test]
    fn scopes_narrow_a_key() {
        let caller = |scopes: &[&str]| Caller {
            organization: OrganizationId(Uuid::nil()),
            key: Arc::new(key(scopes)),
            address: None,
        };
        assert!(caller(&[]).may(Scope::ReadUsage).is_ok());
        assert!(caller(&["usage:read"]).may(Scope::ReadUsage).is_ok());
        let refused = caller(&["calls:read"]).may(Scope::ReadUsage).unwrap_err();
        assert_eq!(refused.kind(), Kind::Forbidden);
    }

    #[test]
    fn keys_are_believed_for_five_seconds_and_bounded_in_number() {
        let (cache, start) = (KeyCache::default(), Instant::now());
        let hash = |number: usize| keys::hash(&number.to_string());
        for number in 0..=MOST_KEYS {
            cache.put(hash(number), Arc::new(key(&[])), start);
        }
        assert!(cache.get(hash(0), start + Duration::from_secs(4)).is_some());
        assert!(cache.get(hash(0), start + BELIEVED).is_none());
        assert!(cache.get(hash(MOST_KEYS), start).is_none());
        cache.put(hash(MOST_KEYS), Arc::new(key(&[])), start + BELIEVED);
        assert!(cache.get(hash(MOST_KEYS), start + BELIEVED).is_some());
    }
}
