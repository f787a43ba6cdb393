//! What an event came to, written down; and what is kept of one that waits.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::query;

use super::{Content, Outcome, Place, StripeEvent, owner::Owner};
use crate::{StoreError, database::Tx, error::During};

/// What `stripe_events.content` holds while an event is parked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) content: Content,
    /// Only of an event of the other mode, which the knowledge of its customer does not free: the mode
    /// that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) livemode: Option<bool>,
}

impl Kept {
    /// Nothing where nobody could do more with it than to look at the reason.
    fn of(event: &StripeEvent) -> Option<Self> {
        let livemode = match event.place {
            Place::OtherMode { is_live } => Some(is_live),
            Place::Here | Place::ConnectedAccount => None,
        };
        let waits = event.content.customer().is_some() || livemode.is_some();
        waits.then(|| Self { content: event.content.clone(), livemode })
    }
}

pub(super) async fn settle(
    tx: &mut Tx,
    event: &StripeEvent,
    owner: Option<&Owner>,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (status, reason) = match outcome {
        Outcome::Processed => ("processed", None),
        Outcome::Ignored => ("ignored", None),
        Outcome::Strange(reason) => ("ignored", Some(*reason)),
        Outcome::Parked(reason) => ("parked", Some(reason.as_str())),
    };
    let is_parked = matches!(outcome, Outcome::Parked(_));
    let kept = if is_parked { Kept::of(event) } else { None };
    query!(
        "update stripe_events set organization_id = $2, status = $3, reason = $4, content = $5,
             processed_at = $6
         where id = $1",
        event.id,
        owner.map(|owner| owner.organization_id.0),
        status,
        reason,
        kept.map(|kept| json!(kept)),
        (!is_parked).then_some(now),
    )
    .execute(&mut **tx)
    .await
    .during("stripe_events.settle")
    .map(drop)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde_json::Value;

    use super::{
        super::{Customer, Invoice, Subscription},
        *,
    };

    fn contents() -> Vec<Content> {
        let at = DateTime::from_timestamp(1_795_186_800, 0);
        vec![
            Content::Subscription(Subscription {
                id: "sub_1".into(),
                customer: "cus_1".into(),
                organization_id: None,
                status: "active".into(),
                current_period_start: at,
                current_period_end: None,
                billing_cycle_anchor: at,
                cancel_at_period_end: true,
                is_metered: true,
            }),
            Content::Invoice(Invoice {
                id: "in_1".into(),
                customer: "cus_1".into(),
                subscription: None,
                status: Some("paid".into()),
                amount_due: Some(2544),
                amount_paid: None,
                currency: Some("usd".into()),
            }),
            Content::Customer(Customer { id: "cus_1".into(), organization_id: None }),
            Content::MeterError,
            Content::Other { customer: Some("cus_1".into()) },
            Content::Unreadable { reason: "a reason".into() },
        ]
    }

    #[test]
    fn what_is_kept_is_read_as_it_was_written_by_this_release_and_the_one_before() {
        for content in contents() {
            let before = json!(content);
            let here = Kept { content: content.clone(), livemode: None };
            assert_eq!(json!(here), before);
            assert_eq!(serde_json::from_value::<Kept>(before).unwrap(), here);
            let other = Kept { content, livemode: Some(false) };
            let written = json!(other);
            assert_eq!(written["livemode"], Value::Bool(false));
            assert_eq!(serde_json::from_value::<Kept>(written).unwrap(), other);
        }
    }
}
