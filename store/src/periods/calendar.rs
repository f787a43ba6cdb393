//! Where an organization's periods begin and end.

use chrono::{DateTime, Utc};
use contract::{
    ids::OrganizationId,
    period::{self, Span},
};
use sqlx::query;

use crate::{StoreError, database::Tx, error::During};

/// What decides where an organization's periods begin and end.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    timezone: String,
    anchor_day: u32,
    /// The period that Stripe bills, where there is a subscription.
    stripe: Option<Span>,
}

impl Calendar {
    pub(super) async fn of(tx: &mut Tx, organization: OrganizationId) -> Result<Self, StoreError> {
        let row = query!(
            "select timezone, billing_anchor_day, current_period_start, current_period_end
             from organizations where id = $1",
            organization.0,
        )
        .fetch_one(&mut **tx)
        .await
        .during("periods.calendar")?;
        let stripe = row.current_period_start.zip(row.current_period_end);
        Ok(Self {
            timezone: row.timezone,
            anchor_day: u32::try_from(row.billing_anchor_day).unwrap_or(1),
            stripe: stripe.map(|(start, end)| Span { start, end }),
        })
    }

    /// The period around `now`: Stripe's, else by the anchor day.
    pub(super) fn first(&self, now: DateTime<Utc>) -> Span {
        let zone = period::zone_or_utc(&self.timezone);
        match self.stripe {
            Some(stripe) if stripe.start <= now && now < stripe.end => stripe,
            _ => self.after(period::period_of(now, self.anchor_day, zone).start),
        }
    }

    /// The period that begins at `start`.
    pub(super) fn after(&self, start: DateTime<Utc>) -> Span {
        let zone = period::zone_or_utc(&self.timezone);
        match self.stripe {
            Some(stripe) => {
                Span { start, end: period::end_beside(start, stripe, self.anchor_day, zone) }
            }
            None => period::period_after(start, self.anchor_day, zone),
        }
    }
}

#[cfg(test)]
mod tests;
