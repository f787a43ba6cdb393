//! How subscriptions stand, whatever the order in which Stripe tells it.
//!
//! The newest event of a subscription decides its row. All that follows (the organization's columns,
//! the end of its open period) is computed from the rows as they stand, never from the event at hand.

use chrono::{DateTime, Datelike, Utc};
use contract::{
    ids::OrganizationId,
    period::{self, Span},
};
use serde_json::json;
use sqlx::query;

use super::{StripeEvent, Subscription, owner::Owner, period_end};
use crate::{StoreError, billing, database::Tx, error::During};

/// Stripe's statuses of a subscription that is not under way: `incomplete` until its first payment works,
/// for 23 hours; then `incomplete_expired`, which is never billed; `canceled` once it has ended. Nothing
/// comes back from the last two.
const NOT_LIVE: [&str; 3] = ["incomplete", "incomplete_expired", "canceled"];

/// Whether a subscription of this status is under way: also one that is paused, or not paid for of late.
pub(super) fn is_live(status: &str) -> bool {
    !NOT_LIVE.contains(&status)
}

/// The subscription that an organization's periods follow.
pub(super) struct Leading {
    id: String,
    /// Not ended.
    is_live: bool,
    /// What Stripe bills now, or billed last.
    pub(super) span: Option<Span>,
    /// 1 to 31, in the organization's zone.
    pub(super) anchor_day: Option<u32>,
}

pub(super) async fn apply(
    tx: &mut Tx,
    owner: &Owner,
    event: &StripeEvent,
    told: &Subscription,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let is_news = keep(tx, owner.organization_id, event, told, now).await?;
    let Some(leading) = leading(tx, owner).await? else { return Ok(()) };
    // The period before the organization, as whoever writes usage locks them.
    let cut = period_end::follow(tx, owner, &leading, now).await?;
    follow(tx, owner.organization_id, &leading).await?;
    if is_news || cut.is_some() {
        let mut details = json!({
            "event_id": event.id,
            "at": event.created,
            "subscription": told.id,
            "status": told.status,
            "current_period_start": told.current_period_start,
            "current_period_end": told.current_period_end,
            "cancel_at_period_end": told.cancel_at_period_end,
        });
        if let Some(cut) = &cut {
            details["period_end_was"] = json!(cut.was);
            details["period_end"] = json!(cut.is);
        }
        let period = cut.map(|cut| cut.period_id);
        billing::log(tx, owner.organization_id, period, "subscription.changed", details).await?;
    }
    Ok(())
}

/// Keeps what the newest event says. False where a newer one was here before.
///
/// Stripe's times are whole seconds: of two events of the same second the one that is further in a
/// subscription's life is newer, and else the greater id, so that every order ends the same.
async fn keep(
    tx: &mut Tx,
    organization: OrganizationId,
    event: &StripeEvent,
    told: &Subscription,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let kept = query!(
        "insert into stripe_subscriptions as s (id, organization_id, customer, status,
             current_period_start, current_period_end, billing_cycle_anchor, cancel_at_period_end,
             is_metered, event_created, event_id, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $12, $9, $10, $11)
         on conflict (id) do update set organization_id = excluded.organization_id,
             customer = excluded.customer, status = excluded.status,
             current_period_start = excluded.current_period_start,
             current_period_end = excluded.current_period_end,
             billing_cycle_anchor = excluded.billing_cycle_anchor,
             cancel_at_period_end = excluded.cancel_at_period_end,
             is_metered = excluded.is_metered,
             event_created = excluded.event_created, event_id = excluded.event_id,
             updated_at = excluded.updated_at
         where (excluded.event_created,
                 case excluded.status when 'incomplete' then 0 when 'canceled' then 2
                     when 'incomplete_expired' then 2 else 1 end,
                 excluded.event_id collate \"C\")
             > (s.event_created,
                 case s.status when 'incomplete' then 0 when 'canceled' then 2
                     when 'incomplete_expired' then 2 else 1 end,
                 s.event_id collate \"C\")",
        told.id,
        organization.0,
        told.customer,
        told.status,
        told.current_period_start,
        told.current_period_end,
        told.billing_cycle_anchor,
        told.cancel_at_period_end,
        event.created,
        event.id,
        now,
        told.is_metered,
    )
    .execute(&mut **tx)
    .await
    .during("stripe_events.keep")?;
    Ok(kept.rows_affected() > 0)
}

/// The subscription that counts: a live one before one that ended, one that bills usage before one that
/// does not, and of several the one that began last. One that nobody ever paid for has no say.
async fn leading(tx: &mut Tx, owner: &Owner) -> Result<Option<Leading>, StoreError> {
    let zone = period::zone_or_utc(&owner.timezone);
    let row = query!(
        "select id, status, current_period_start, current_period_end, billing_cycle_anchor
         from stripe_subscriptions
         where organization_id = $1 and status not in ('incomplete', 'incomplete_expired')
             and customer = (select stripe_customer_id from organizations where id = $1)
         order by case when status in ('active', 'trialing', 'past_due') then 0
                 when status = 'canceled' then 2 else 1 end,
             is_metered desc, billing_cycle_anchor desc nulls last, event_created desc, id collate \"C\" desc
         limit 1",
        owner.organization_id.0,
    )
    .fetch_optional(&mut **tx)
    .await
    .during("stripe_events.leading")?;
    Ok(row.map(|row| Leading {
        is_live: is_live(&row.status),
        span: match (row.current_period_start, row.current_period_end) {
            (Some(start), Some(end)) if start < end => Some(Span { start, end }),
            _ => None,
        },
        anchor_day: row.billing_cycle_anchor.map(|at| period::local_date(at, zone).day()),
        id: row.id,
    }))
}

/// Writes to the organization what its next periods go by. After the last subscription has ended they
/// go on by its anchor day.
async fn follow(
    tx: &mut Tx,
    organization: OrganizationId,
    leading: &Leading,
) -> Result<(), StoreError> {
    let live = leading.is_live.then_some(leading);
    let span = live.and_then(|live| live.span);
    let anchor_day = leading.anchor_day.and_then(|day| i16::try_from(day).ok());
    query!(
        "update organizations set stripe_subscription_id = $2, current_period_start = $3,
             current_period_end = $4, billing_anchor_day = coalesce($5, billing_anchor_day)
         where id = $1
             and (stripe_subscription_id, current_period_start, current_period_end,
                 billing_anchor_day)
             is distinct from ($2, $3, $4, coalesce($5, billing_anchor_day))",
        organization.0,
        live.map(|live| live.id.as_str()),
        span.map(|span| span.start),
        span.map(|span| span.end),
        anchor_day,
    )
    .execute(&mut **tx)
    .await
    .during("stripe_events.follow")
    .map(drop)
}
