//! Stored events as the owner of an installation looks at them: what they tell is not shown.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use sqlx::query;

use crate::{
    Database, StoreError,
    database::commit,
    error::{During, Problem},
    reads::Page,
};

/// Where a stored event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is being looked at.
    Received,
    /// What followed from it is done.
    Processed,
    /// Nothing followed from it.
    Ignored,
    /// It waits: until its customer is known, or for a person.
    Parked,
}

impl Status {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Received, Self::Processed, Self::Ignored, Self::Parked];

    /// The literal of the database and of the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processed => "processed",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
        }
    }

    pub(super) fn read(operation: &'static str, text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            let rule = format!("{text:?} is no status of Stripe's events");
            StoreError::new(operation, Problem::Invalid(rule))
        })
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Stripe's id; one of our own for what could not be read.
    pub id: String,
    /// Its type, as `invoice.paid`.
    pub event_type: String,
    /// Whose it is, once that is known.
    pub organization_id: Option<OrganizationId>,
    /// Stripe's id of the customer that it is about.
    pub customer: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Why it is parked, or ignored; free of personal data.
    pub reason: Option<String>,
    /// Deliveries under the same id with another body.
    pub conflicts: i32,
    /// When it happened, by Stripe's clock.
    pub created_at: DateTime<Utc>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// Which events; all that is given must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Of this status.
    pub status: Option<Status>,
    /// Of this organization.
    pub organization: Option<OrganizationId>,
    /// That follow the event with this id in the list.
    pub after: Option<&'a str>,
}

/// A page of the events, the newest received first. `db` is of role [`crate::Role::Worker`].
///
/// # Errors
/// When the database fails, or there is no event with the id in `after`.
pub async fn list(
    db: &Database,
    filter: Filter<'_>,
    limit: u16,
) -> Result<Page<Listed>, StoreError> {
    const OPERATION: &str = "stripe_events.list";
    let mut tx = db.billing().await?;
    let after = match filter.after {
        None => None,
        Some(id) => {
            let place = query!("select received_at from stripe_events where id = $1", id)
                .fetch_one(&mut *tx)
                .await
                .during(OPERATION)?;
            Some(place.received_at)
        }
    };
    let rows = query!(
        "select id, type as event_type, organization_id, customer, status, reason, conflicts,
             created_at, received_at
         from stripe_events
         where ($1::text is null or status = $1)
             and ($2::uuid is null or organization_id = $2)
             and ($3::timestamptz is null or (received_at, id) < ($3, $4))
         order by received_at desc, id desc limit $5",
        filter.status.map(Status::as_str),
        filter.organization.map(|organization| organization.0),
        after,
        filter.after,
        i64::from(limit) + 1,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let more = rows.len() > usize::from(limit);
    let items = rows.into_iter().take(limit.into()).map(|row| {
        Ok(Listed {
            id: row.id,
            event_type: row.event_type,
            organization_id: row.organization_id.map(OrganizationId),
            customer: row.customer,
            status: Status::read(OPERATION, &row.status)?,
            reason: row.reason,
            conflicts: row.conflicts,
            created_at: row.created_at,
            received_at: row.received_at,
        })
    });
    Ok(Page { items: items.collect::<Result<_, StoreError>>()?, more })
}

/// The events that are parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedEvents {
    /// How many.
    pub count: i64,
    /// When the one that waits longest was received.
    pub oldest: Option<DateTime<Utc>>,
}

/// How many events are parked, and since when. `db` is of role [`crate::Role::Api`].
///
/// # Errors
/// When the database fails.
pub async fn parked(db: &Database) -> Result<ParkedEvents, StoreError> {
    const OPERATION: &str = "stripe_events.parked";
    let mut tx = db.stripe().await?;
    let row = query!(
        r#"select count(*) as "count!", min(received_at) as oldest from stripe_events
           where status = 'parked'"#,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(ParkedEvents { count: row.count, oldest: row.oldest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_the_literals_of_the_schema() {
        for status in Status::ALL {
            assert_eq!(Status::read("test", status.as_str()).ok(), Some(status));
        }
        assert!(Status::read("test", "done").is_err());
    }
}
