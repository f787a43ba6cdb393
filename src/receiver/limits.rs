//! Rate limits of webhooks. None of them can turn away a signed event of a call's life: they count
//! requests that prove nothing, by address, and messages that drive no call, by organization.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use contract::ids::OrganizationId;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::http_server::peer_network;

/// Refusals that one address gets as 401 in a minute; after that it gets 429, which tells a sender
/// with a wrong secret to slow down. The work is done by then: only a check of the signature can
/// tell, and behind a proxy all share its address.
const FORGERIES_A_MINUTE: NonZeroU32 = NonZeroU32::new(120).expect("not zero");
/// So many times what is allowed in a second may come at once after a quiet time.
const BURST: NonZeroU32 = NonZeroU32::new(4).expect("not zero");
/// Addresses remembered; beyond that the quiet ones are forgotten, and new ones not remembered.
const MAX_REMEMBERED: usize = 10_000;
/// Between two looks for quiet ones, which go through all.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Counts what may be turned away.
#[derive(Clone)]
pub(super) struct Limits {
    forgeries: Arc<DefaultKeyedRateLimiter<IpAddr>>,
    chatter: Arc<DefaultKeyedRateLimiter<OrganizationId>>,
    forgot_at: Arc<Mutex<Instant>>,
}

impl Limits {
    /// Limits with so many messages a second of each organization that drive no call and are stored
    /// all the same. A busy assistant sends ten a second of a call that speaks.
    pub(super) fn new(chatter_per_second: NonZeroU32) -> Self {
        let forgeries = Quota::per_minute(FORGERIES_A_MINUTE);
        let burst = chatter_per_second.saturating_mul(BURST);
        let chatter = Quota::per_second(chatter_per_second).allow_burst(burst);
        Self {
            forgeries: Arc::new(RateLimiter::keyed(forgeries)),
            chatter: Arc::new(RateLimiter::keyed(chatter)),
            forgot_at: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Counts a request that proved nothing; false once its address has sent too many.
    pub(super) fn may_be_refused_politely(&self, address: IpAddr) -> bool {
        if self.forgeries.len() >= MAX_REMEMBERED {
            let mut forgot_at = self.forgot_at.lock().unwrap_or_else(PoisonError::into_inner);
            if forgot_at.elapsed() < FORGET_EVERY {
                return true;
            }
            *forgot_at = Instant::now();
            self.forgeries.retain_recent();
        }
        self.forgeries.check_key(&peer_network(address)).is_ok()
    }

    /// Counts a signed message that drives no call; false once the organization sends too many.
    pub(super) fn may_chatter(&self, organization: OrganizationId) -> bool {
        self.chatter.check_key(&organization).is_ok()
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a failed test")]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use uuid::Uuid;

    use super::*;

    #[test]
    fn addresses_and_organizations_are_counted_apart() {
        let limits = Limits::new(NonZeroU32::new(500).expect("not zero"));
        let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let polite = (0..1000).filter(|_| limits.may_be_refused_politely(address(1))).count();
        assert!((120..200).contains(&polite), "{polite}");
        assert!(limits.may_be_refused_politely(address(2)));
        for number in 0..MAX_REMEMBERED as u128 {
            let stranger = IpAddr::V6(Ipv6Addr::from_bits(number << 64));
            assert!(limits.may_be_refused_politely(stranger));
        }
        assert!(limits.forgeries.len() <= MAX_REMEMBERED, "memory is bounded");
        let organization = |id| OrganizationId(Uuid::from_u128(id));
        let heard = (0..10_000).filter(|_| limits.may_chatter(organization(1))).count();
        assert!((2_000..5_000).contains(&heard), "{heard}");
        assert!(limits.may_chatter(organization(2)));
    }
}
