//! The open period ends where Stripe's does.

use chrono::{DateTime, Utc};
use contract::{
    billing::ClosePeriod,
    ids::{OrganizationId, PeriodId},
    names, period,
};
use serde_json::json;
use sqlx::{query, query_as};
use uuid::Uuid;

use super::{owner::Owner, subscriptions::Leading};
use crate::{
    StoreError,
    database::Tx,
    error::During,
    starts::{self, StartKind},
};

const OPERATION: &str = "stripe_events.period_end";
/// Each look that finds nothing waited for a transaction that ended the period: once is usual.
const MOST_LOOKS: usize = 3;

/// A period whose end was moved.
pub(super) struct Moved {
    pub(super) period_id: PeriodId,
    pub(super) was: DateTime<Utc>,
    pub(super) is: DateTime<Utc>,
}

/// Gives the open period the end that the subscription calls for, and asks for its close where that is
/// over. Usage that it took stays in it.
pub(super) async fn follow(
    tx: &mut Tx,
    owner: &Owner,
    leading: &Leading,
    now: DateTime<Utc>,
) -> Result<Option<Moved>, StoreError> {
    let organization_id = owner.organization_id;
    let (Some(span), Some(anchor_day)) = (leading.span, leading.anchor_day) else {
        return Ok(None);
    };
    let zone = period::zone_or_utc(&owner.timezone);
    let end_of = |open: &Open| period::end_beside(open.period_start, span, anchor_day, zone);
    // One that was waited for may have been ended meanwhile: then the next one is open.
    for _ in 0..MOST_LOOKS {
        let Some(seen) = open_period(tx, organization_id).await? else { return Ok(None) };
        let end = end_of(&seen);
        if end == seen.period_end && now < end {
            // Not locked for nothing: whoever writes usage to it holds it FOR SHARE.
            return Ok(None);
        }
        let Some(open) = lock_open(tx, organization_id).await? else { continue };
        let end = end_of(&open);
        let period_id = PeriodId(open.id);
        let was = open.period_end;
        if end != was {
            query!("update billing_periods set period_end = $2 where id = $1", open.id, end)
                .execute(&mut **tx)
                .await
                .during(OPERATION)?;
        }
        if end <= now {
            let input =
                json!(ClosePeriod { organization_id, period_id, timing: Default::default() });
            let workflow_id = names::billing_workflow_id(organization_id, open.period_start);
            let kind = StartKind::BillingCycle;
            starts::request(tx, organization_id, kind, &workflow_id, input).await?;
        }
        return Ok((end != was).then_some(Moved { period_id, was, is: end }));
    }
    Ok(None)
}

struct Open {
    id: Uuid,
    period_start: DateTime<Utc>,
    period_end: DateTime<Utc>,
}

async fn open_period(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Option<Open>, StoreError> {
    query_as!(
        Open,
        "select id, period_start, period_end from billing_periods
         where organization_id = $1 and status = 'open'",
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)
}

async fn lock_open(tx: &mut Tx, organization: OrganizationId) -> Result<Option<Open>, StoreError> {
    query_as!(
        Open,
        "select id, period_start, period_end from billing_periods
         where organization_id = $1 and status = 'open' for update",
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::period::Span;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn ends(start: &str, stripe: [&str; 2], anchor_day: u32, zone: &str) -> String {
        let stripe = Span { start: utc(stripe[0]), end: utc(stripe[1]) };
        let zone = period::zone_or_utc(zone);
        let end = period::end_beside(utc(start), stripe, anchor_day, zone);
        end.format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn a_period_ends_where_stripes_begins_or_ends() {
        let stripe = ["2026-11-20T15:00:00Z", "2026-12-20T15:00:00Z"];
        let end = |start| ends(start, stripe, 20, "UTC");
        assert_eq!(end("2026-11-01T00:00:00Z"), "2026-11-20T15:00Z", "cut");
        assert_eq!(end("2026-11-20T15:00:00Z"), "2026-12-20T15:00Z", "the same period");
        assert_eq!(end("2026-12-01T00:00:00Z"), "2026-12-20T15:00Z", "it began inside");
        assert_eq!(end("2026-12-20T15:00:00Z"), "2027-01-20T00:00Z", "the next is not known yet");
        assert_eq!(end("2026-08-05T00:00:00Z"), "2026-08-20T00:00Z", "far ahead");
        assert_eq!(end("2026-10-20T00:00:00Z"), "2026-11-20T15:00Z", "the anchor's day, its hour");
    }

    #[test]
    fn the_anchors_day_is_the_organizations() {
        // 15:00 UTC is midnight in Tokyo: the 21st there.
        let stripe = ["2026-11-20T15:00:00Z", "2026-12-20T15:00:00Z"];
        assert_eq!(ends("2026-10-20T15:00:00Z", stripe, 21, "Asia/Tokyo"), "2026-11-20T15:00Z");
        let late = ["2026-11-30T23:30:00Z", "2026-12-30T23:30:00Z"];
        assert_eq!(ends("2026-11-01T05:00:00Z", late, 30, "America/New_York"), "2026-11-30T23:30Z");
        // The last of January in Tokyo, and in February the first of March.
        let shorter = ["2027-02-28T20:00:00Z", "2027-03-30T20:00:00Z"];
        assert_eq!(ends("2027-01-30T20:00:00Z", shorter, 31, "Asia/Tokyo"), "2027-02-28T20:00Z");
    }
}
