//! API keys: found, judged, counted.
//!
//! What is no key of ours by its form costs no query. One that is unknown costs the same look-up by
//! SHA-256 as one that is known, so the time of a refusal tells nothing; only who has a key that once
//! worked is told why it does not any more.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use store::keys::{self, ApiKey};

use crate::api::{
    access::Access,
    problem::{Kind, Problem},
    rate_limits::{Tally, Who},
};

/// The key, where it may be used now. The request is counted then, where there is a tally for it.
pub(super) async fn admitted(
    access: &Access,
    tally: Option<&Tally>,
    text: &str,
) -> Result<Arc<ApiKey>, Problem> {
    let refused = || Problem::new(Kind::Unauthenticated);
    if !keys::is_well_formed(text) {
        return Err(refused());
    }
    let key = access.key(keys::hash(text)).await?.ok_or_else(refused)?;
    usable(&key, Utc::now())?;
    let Some(tally) = tally else { return Ok(key) };
    let who = Who::Key(key.id);
    access.limits().caller(tally, who, key.rate_limit, key.organization_id).await?;
    if !access.count(&key) {
        let detail = "The key has made as many requests as its usage_quota allows.";
        return Err(Problem::with_detail(Kind::QuotaExceeded, detail));
    }
    Ok(key)
}

fn usable(key: &ApiKey, now: DateTime<Utc>) -> Result<(), Problem> {
    if !key.enabled {
        return Err(Problem::new(Kind::KeyDisabled));
    }
    if key.replaced_until.is_some_and(|end| end <= now) {
        let detail = "The key was replaced by another one, and its time beside it is over.";
        return Err(Problem::with_detail(Kind::KeyExpired, detail));
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::new(Kind::KeyExpired));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use chrono::TimeDelta;
    use contract::ids::OrganizationId;
    use store::keys::Scopes;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn disabled_expired_and_replaced_keys_say_so() {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let good = ApiKey {
            id: Uuid::nil(),
            organization_id: OrganizationId(Uuid::nil()),
            scopes: Scopes::All,
            enabled: true,
            expires_at: Some(now + TimeDelta::seconds(1)),
            replaced_until: Some(now + TimeDelta::seconds(1)),
            rate_limit: None,
            usage_quota: None,
            usage_count: 0,
        };
        assert!(usable(&good, now).is_ok());
        let kind = |key| usable(&key, now).unwrap_err().kind();
        assert_eq!(kind(ApiKey { enabled: false, ..good.clone() }), Kind::KeyDisabled);
        assert_eq!(kind(ApiKey { expires_at: Some(now), ..good.clone() }), Kind::KeyExpired);
        assert_eq!(kind(ApiKey { replaced_until: Some(now), ..good }), Kind::KeyExpired);
    }
}
