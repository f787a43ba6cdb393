//! Events that wait, as metrics: one that nobody looks at may be a subscription that is not followed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use store::{
    Database,
    stripe_events::{self, ParkedEvents},
};
use tokio::time::timeout;

/// Between two counts, each of an index that holds nothing else.
const PAUSE: Duration = Duration::from_secs(5);
/// A connection may hang when Postgres fails over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts what is parked for as long as the process lives. Every process that receives tells the same.
pub(super) async fn keep_counting(db: Database) {
    loop {
        match timeout(PATIENCE, stripe_events::parked(&db)).await {
            Ok(Ok(parked)) => tell(parked, Utc::now()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "parked events of Stripe cannot be counted now");
            }
            Err(_) => tracing::debug!("a count of parked events of Stripe took too long"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn tell(parked: ParkedEvents, now: DateTime<Utc>) {
    metrics::gauge!("postcall_stripe_events_parked").set(parked.count as f64);
    metrics::gauge!("postcall_stripe_events_parked_oldest_seconds")
        .set(oldest_seconds(parked, now) as f64);
}

/// Seconds since the one that waits longest was received; 0 where none waits.
fn oldest_seconds(parked: ParkedEvents, now: DateTime<Utc>) -> i64 {
    parked.oldest.map_or(0, |since| (now - since).num_seconds().max(0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_has_an_age_and_none_has_none() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let seconds = |oldest: Option<&str>| {
            let parked = ParkedEvents { count: 1, oldest: oldest.map(at) };
            oldest_seconds(parked, at("2026-11-20T15:00:00Z"))
        };
        assert_eq!(seconds(None), 0);
        assert_eq!(seconds(Some("2026-11-20T13:59:59Z")), 3601);
        assert_eq!(seconds(Some("2026-11-20T15:00:01Z")), 0, "another machine's clock");
    }
}
