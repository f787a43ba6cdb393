//! Rate limits of webhooks. None of them can turn away a signed event of a call's life: they count
//! requests that prove nothing, by address, and messages that drive no call, by organization.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use contract::ids::OrganizationId;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Refusals that one address gets as 401 in a minute; after that it gets 429, and no more queries.
const FORGERIES_A_MINUTE: NonZeroU32 = NonZeroU32::new(120).expect("not zero");
/// Messages a second that drive no call: a busy assistant sends ten of a call that speaks.
const CHATTER_A_SECOND: NonZeroU32 = NonZeroU32::new(500).expect("not zero");
/// What may come at once after a quiet time.
const CHATTER_BURST: NonZeroU32 = NonZeroU32::new(2_000).expect("not zero");
/// Addresses remembered before the quiet ones are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// Counts what may be turned away.
#[derive(Clone)]
pub(super) struct Limits {
    forgeries: Arc<DefaultKeyedRateLimiter<IpAddr>>,
    chatter: Arc<DefaultKeyedRateLimiter<OrganizationId>>,
}

impl Default for Limits {
    fn default() -> Self {
        let forgeries = Quota::per_minute(FORGERIES_A_MINUTE);
        let chatter = Quota::per_second(CHATTER_A_SECOND).allow_burst(CHATTER_BURST);
        Self {
            forgeries: Arc::new(RateLimiter::keyed(forgeries)),
            chatter: Arc::new(RateLimiter::keyed(chatter)),
        }
    }
}

impl Limits {
    /// Counts a request that proved nothing; false once its address has sent too many.
    pub(super) fn may_be_refused_politely(&self, address: IpAddr) -> bool {
        if self.forgeries.len() > MAX_REMEMBERED {
            self.forgeries.retain_recent();
        }
        self.forgeries.check_key(&address).is_ok()
    }

    /// Counts a signed message that drives no call; false once the organization sends too many.
    pub(super) fn may_chatter(&self, organization: OrganizationId) -> bool {
        self.chatter.check_key(&organization).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn addresses_and_organizations_are_counted_apart() {
        let limits = Limits::default();
        let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let polite = (0..1000).filter(|_| limits.may_be_refused_politely(address(1))).count();
        assert!((120..200).contains(&polite), "{polite}");
        assert!(limits.may_be_refused_politely(address(2)));
        let organization = |id| OrganizationId(Uuid::from_u128(id));
        let heard = (0..10_000).filter(|_| limits.may_chatter(organization(1))).count();
        assert!((2_000..5_000).contains(&heard), "{heard}");
        assert!(limits.may_chatter(organization(2)));
    }
}
