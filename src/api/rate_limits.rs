//! How much is too much: requests of an address at a route in a minute, of a key or a user and of an
//! organization in an hour.
//!
//! Redis counts for all processes (`store::rate_limits`). Each process counts beside it what it lets
//! through itself, by the same rule. Its own count decides alone while Redis is down or slow, and it
//! holds where Redis forgot: so each process by itself never lets more than the limit through in any
//! window, and all of them together no more than that for each process.

mod guard;
mod headers;
mod local;

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use contract::ids::OrganizationId;
use store::{
    breaker::Breaker,
    counters::Counters,
    rate_limits::{self, Limit, Taken},
};
use uuid::Uuid;

use self::local::Windows;
use super::problem::{Kind, Problem};

pub(super) use self::guard::{ClientAddress, guard};

/// No request waits longer for Redis.
const PATIENCE: Duration = Duration::from_millis(50);
/// And after one that was not answered, for so long no other asks.
pub(super) const BREAKER_PAUSE: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// How much is too much, where nothing else is said.
#[derive(Debug, Clone, Copy)]
pub struct LimitSettings {
    /// Requests of a key or a user in an hour, for keys without a limit of their own.
    pub key_per_hour: NonZeroU32,
    /// Requests of an organization in an hour.
    pub organization_per_hour: NonZeroU32,
    /// Requests of an address at one route in a minute.
    pub address_per_minute: NonZeroU32,
    /// Proxies in front of `serve` whose `X-Forwarded-For` is believed.
    pub trusted_proxies: usize,
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Key(Uuid),
    User(Uuid),
}

/// A limit, as the headers of an answer tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    name: &'static str,
    most: u32,
    window: Duration,
    left: u32,
    back_in: Duration,
}

/// What is to be told of limits in the answer to a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Vec<Told>>>);

impl Tally {
    fn add(&self, told: Vec<Told>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts requests.
pub(super) struct Limits {
    settings: LimitSettings,
    redis: Counters,
    breaker: Breaker,
    own: Windows,
}

impl Limits {
    pub(super) fn new(redis: Counters, settings: LimitSettings) -> Self {
        Self { settings, redis, breaker: Breaker::pausing(BREAKER_PAUSE), own: Windows::default() }
    }

    pub(super) fn redis(&self) -> Counters {
        self.redis.clone()
    }

    pub(super) fn trusted_proxies(&self) -> usize {
        self.settings.trusted_proxies
    }

    /// Counts a request of an address at a route, as the router names it.
    pub(super) async fn address(
        &self,
        tally: &Tally,
        address: IpAddr,
        route: &str,
    ) -> Result<(), Problem> {
        let key = format!("ratelimit:{address}:{route}");
        let most = self.settings.address_per_minute.get();
        self.take(tally, &["address"], &[Limit { key, most, window: MINUTE }]).await
    }

    /// Counts a request of somebody, and of the organization.
    pub(super) async fn caller(
        &self,
        tally: &Tally,
        who: Who,
        own_limit: Option<u32>,
        organization: OrganizationId,
    ) -> Result<(), Problem> {
        let (name, key) = match who {
            Who::Key(id) => ("key", format!("ratelimit:key:{id}")),
            Who::User(id) => ("user", format!("ratelimit:user:{id}:{organization}")),
        };
        let most = own_limit.unwrap_or(self.settings.key_per_hour.get());
        let whole = self.settings.organization_per_hour.get();
        let limits = [
            Limit { key, most, window: HOUR },
            Limit { key: format!("ratelimit:org:{organization}:api"), most: whole, window: HOUR },
        ];
        self.take(tally, &[name, "organization"], &limits).await
    }

    async fn take(
        &self,
        tally: &Tally,
        names: &[&'static str],
        limits: &[Limit],
    ) -> Result<(), Problem> {
        let taken = self.taken(limits).await;
        let told: Vec<Told> = names.iter().zip(limits).zip(&taken.usages).map(told_of).collect();
        tally.add(told.iter().map(|told| told.after(taken.taken)).collect());
        if taken.taken {
            metrics::counter!("postcall_api_rate_limits_total", "outcome" => "allowed")
                .increment(1);
            return Ok(());
        }
        let used_up = told.iter().filter(|told| told.left == 0).max_by_key(|told| told.back_in);
        let (name, wait) = used_up.map_or(("", Duration::from_secs(1)), |it| (it.name, it.back_in));
        metrics::counter!("postcall_api_rate_limits_total", "outcome" => "limited", "by" => name)
            .increment(1);
        let seconds = headers::seconds(wait).max(1);
        let detail = format!("Too many requests of this {name}. Try again in {seconds} s.");
        Err(Problem::with_detail(Kind::RateLimited, detail).retry_after(seconds))
    }

    /// This process takes first: what is on its way to Redis and back counts already, and what it let
    /// through is too much whatever Redis remembers of it.
    async fn taken(&self, limits: &[Limit]) -> Taken {
        let now = Instant::now();
        let own = self.own.take(limits, now);
        if !own.taken {
            return own;
        }
        if self.breaker.may_ask() {
            let asked = rate_limits::take(&self.redis, limits, PATIENCE).await;
            self.breaker.heard(asked.is_ok());
            match asked {
                Ok(taken) if taken.usages.len() == limits.len() => {
                    if !taken.taken {
                        self.own.give_back(limits, now);
                    }
                    return most_of(&taken, &own);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "limits are kept by this process alone"),
            }
        }
        metrics::counter!("postcall_api_rate_limit_fallbacks_total").increment(1);
        own
    }
}

/// What either of the two knows to be used.
fn most_of(taken: &Taken, own: &Taken) -> Taken {
    let usages = taken.usages.iter().zip(&own.usages);
    let usages = usages.map(|(all, own)| if own.used > all.used { *own } else { *all });
    Taken { taken: taken.taken, usages: usages.collect() }
}

fn told_of(((name, limit), usage): ((&&'static str, &Limit), &rate_limits::Usage)) -> Told {
    Told {
        name,
        most: limit.most,
        window: limit.window,
        left: limit.most.saturating_sub(usage.used),
        back_in: usage.back_in,
    }
}

impl Told {
    /// What is left after this request.
    fn after(self, taken: bool) -> Self {
        Self { left: self.left.saturating_sub(u32::from(taken)), ..self }
    }
}
