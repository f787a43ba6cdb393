//! The log of an endpoint: what was attempted, and what was skipped and why.
//!
//! An endpoint may have millions of rows, and an answer takes milliseconds whatever is asked: the
//! narrowest of the filters chooses a statement that an index serves in the order of the list, and
//! the others sift what it finds. There is no index of what came of attempts: failures are found by
//! error code, successes by status, each code newest first, and merged.

use chrono::{DateTime, Utc};
use contract::ids::{DeliveryId, EndpointId, OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, query_as};
use uuid::Uuid;

use super::has_endpoint;
use crate::{
    Database, StoreError,
    database::{Tx, commit},
    error::During,
    reads::{Page, Place, one_more},
};

/// What a row tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A request that was made, or could not be.
    Attempt,
    /// An event that was not sent, for the reason in `error`.
    Skip,
}

impl Kind {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Attempt, Self::Skip];

    /// The literal of the database and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Skip => "skip",
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The endpoint took the event.
    Delivered,
    /// It did not.
    Failed,
}

impl Outcome {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Delivered, Self::Failed];

    /// The literal of the statements and of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A row of the log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its id.
    pub id: Uuid,
    /// `attempt` or `skip`.
    pub kind: String,
    /// The delivery it belongs to; none of a skipped event.
    pub delivery_id: Option<Uuid>,
    /// Type of the event.
    pub event: String,
    /// The event: the `webhook-id` of the request.
    pub event_id: Uuid,
    /// What was sent.
    pub payload: Option<Value>,
    /// Headers as sent, the values of the customer's own masked.
    pub request_headers: Option<Value>,
    /// HTTP status of the answer.
    pub status_code: Option<i32>,
    /// Headers of the answer.
    pub response_headers: Option<Value>,
    /// The first 8 KiB of the answer.
    pub response_body: Option<String>,
    /// Class of the failure, or why the event was skipped.
    pub error: Option<String>,
    /// From 1.
    pub attempt_number: i32,
    /// From request to answer, in milliseconds.
    pub latency_ms: Option<i32>,
    /// When the endpoint took it.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was attempted or skipped.
    pub created_at: DateTime<Utc>,
}

/// Which rows. All that is given must hold.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    /// Of events of this type.
    pub event: Option<&'a str>,
    /// With this HTTP status.
    pub status_code: Option<i32>,
    /// Of this class of failure, or skipped for this reason.
    pub error: Option<&'a str>,
    /// Attempts, or skips.
    pub kind: Option<Kind>,
    /// Attempts that ended like this.
    pub outcome: Option<Outcome>,
    /// Of this event.
    pub event_id: Option<Uuid>,
    /// Of this delivery.
    pub delivery_id: Option<DeliveryId>,
    /// At this instant or later.
    pub from: DateTime<Utc>,
    /// What follows this place.
    pub after: Place,
}

impl Filter<'_> {
    /// Every row from the newest on.
    pub const fn everything(after: Place) -> Self {
        Self {
            event: None,
            status_code: None,
            error: None,
            kind: None,
            outcome: None,
            event_id: None,
            delivery_id: None,
            from: DateTime::UNIX_EPOCH,
            after,
        }
    }

    /// The statement that has to look at the fewest rows.
    fn way(&self) -> Way {
        let is_success = self.status_code.is_some_and(|status| (200..300).contains(&status));
        match self {
            Self { delivery_id: Some(_), .. } => Way::Delivery,
            Self { event_id: Some(_), .. } => Way::EventId,
            Self { error: Some(_), .. } => Way::Error,
            // Successes are many, so the type of the event tells them apart better.
            Self { status_code: Some(_), event: Some(_), .. } if is_success => Way::Event,
            Self { status_code: Some(_), .. } => Way::Status,
            Self { outcome: Some(Outcome::Delivered), event: Some(_), .. } => Way::Event,
            Self { outcome: Some(_), .. } | Self { kind: Some(_), .. } => Way::Outcome,
            Self { event: Some(_), .. } => Way::Event,
            _ => Way::Time,
        }
    }
}

/// Which of the statements serves a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Time,
    Event,
    Status,
    Error,
    Outcome,
    Delivery,
    EventId,
}

/// A page of an endpoint's log, newest first; none where there is no such endpoint.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    endpoint: EndpointId,
    filter: &Filter<'_>,
    limit: u16,
) -> Result<Option<Page<Log>>, StoreError> {
    const OPERATION: &str = "reads.webhooks.logs";
    let mut tx = db.tenant_search(organization).await?;
    if !has_endpoint(&mut tx, organization, endpoint).await.during(OPERATION)? {
        return Ok(None);
    }
    let asked = Asked { organization, endpoint, filter, limit: one_more(limit) };
    let found = read(&mut tx, asked).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Some(Page::cut(found, limit)))
}

/// A statement over the rows `l` that it chooses, sifted by all filters. Parameters are the same in
/// all: endpoint, owner, from, place, limit, then the filters.
macro_rules! rows {
    ($asked:expr, $with:tt, $chosen:tt) => {
        query_as!(
            Log,
            $with
                + r#"
select l.id as "id!", l.kind as "kind!", l.delivery_id, l.event as "event!",
    l.event_id as "event_id!", l.payload, l.request_headers, l.status_code, l.response_headers,
    l.response_body, l.error, l.attempt_number as "attempt_number!", l.latency_ms, l.delivered_at,
    l.created_at as "created_at!"
from "# + $chosen
                + "
    and l.webhook_id = $1 and l.organization_id = $2
    and l.created_at >= $3 and l.created_at <= $4 and (l.created_at, l.id) < ($4, $5)
    and ($7::text is null or l.event = $7) and ($8::integer is null or l.status_code = $8)
    and ($9::text is null or l.error = $9) and ($10::text is null or l.kind = $10)
    and ($11::text is null or l.kind = 'attempt' and (l.error is null) = ($11 = 'delivered'))
    and ($12::uuid is null or l.event_id = $12) and ($13::uuid is null or l.delivery_id = $13)
order by l.created_at desc, l.id desc limit $6",
            $asked.endpoint.0,
            $asked.organization.0,
            $asked.filter.from,
            $asked.filter.after.at,
            $asked.filter.after.id,
            $asked.limit,
            $asked.filter.event,
            $asked.filter.status_code,
            $asked.filter.error,
            $asked.filter.kind.map(Kind::as_str),
            $asked.filter.outcome.map(Outcome::as_str),
            $asked.filter.event_id,
            $asked.filter.delivery_id.map(|id| id.0),
        )
    };
}

struct Asked<'a> {
    organization: OrganizationId,
    endpoint: EndpointId,
    filter: &'a Filter<'a>,
    limit: i64,
}

async fn read(tx: &mut Tx, asked: Asked<'_>) -> Result<Vec<Log>, sqlx::Error> {
    let tx = &mut **tx;
    match asked.filter.way() {
        Way::Time => rows!(asked, "", "webhook_logs l where true").fetch_all(tx).await,
        Way::Event => rows!(asked, "", "webhook_logs l where l.event = $7").fetch_all(tx).await,
        Way::Status => {
            rows!(asked, "", "webhook_logs l where l.status_code = $8").fetch_all(tx).await
        }
        Way::Error => rows!(asked, "", "webhook_logs l where l.error = $9").fetch_all(tx).await,
        Way::Delivery => {
            rows!(asked, "", "webhook_logs l where l.delivery_id = $13").fetch_all(tx).await
        }
        Way::EventId => of_event(tx, asked).await,
        Way::Outcome => by_outcome(tx, asked).await,
    }
}

/// Attempts by way of the event's delivery; a skip has none, but is written with its event.
async fn of_event(tx: &mut PgConnection, asked: Asked<'_>) -> Result<Vec<Log>, sqlx::Error> {
    rows!(
        asked,
        "",
        "(select a.* from webhook_deliveries d join webhook_logs a on a.delivery_id = d.id
          where d.event_id = $12 and d.webhook_id = $1
          union all
          select s.* from events e join webhook_logs s
              on s.webhook_id = $1 and s.event = e.type
             and s.created_at >= e.created_at - interval '1 minute'
             and s.created_at <= e.created_at + interval '10 minutes'
          where e.id = $12 and s.event_id = $12 and s.delivery_id is null) l
    where true"
    )
    .fetch_all(tx)
    .await
}

/// By the codes that occur, each found by one look into the index: a code is either of attempts or
/// of skips. A code is asked for as a range of one, in whose order only the index of codes is: by the index
/// of times a rare one would be looked for in all rows.
async fn by_outcome(tx: &mut PgConnection, asked: Asked<'_>) -> Result<Vec<Log>, sqlx::Error> {
    rows!(
        asked,
        "with recursive codes as (
    (select c.error, c.kind from webhook_logs c
     where c.webhook_id = $1 and c.organization_id = $2 and c.error is not null
     order by c.error limit 1)
    union all
    select n.error, n.kind from codes c cross join lateral
        (select n.error, n.kind from webhook_logs n
         where n.webhook_id = $1 and n.organization_id = $2 and n.error > c.error
         order by n.error limit 1) n)",
        "(select f.* from codes c cross join lateral
             (select f.* from webhook_logs f
              where f.webhook_id = $1 and f.organization_id = $2
                and f.error >= c.error and f.error <= c.error and f.kind = c.kind
                and f.created_at >= $3 and f.created_at <= $4 and (f.created_at, f.id) < ($4, $5)
                and ($7::text is null or f.event = $7)
                and ($8::integer is null or f.status_code = $8)
              order by f.error, f.created_at desc, f.id desc limit $6) f
          where c.kind = coalesce($10, 'attempt') and $11::text is distinct from 'delivered'
          union all
          select s.* from generate_series(200, 299) code cross join lateral
             (select s.* from webhook_logs s
              where s.webhook_id = $1 and s.organization_id = $2
                and s.status_code >= code and s.status_code <= code
                and s.error is null and s.kind = 'attempt'
                and s.created_at >= $3 and s.created_at <= $4 and (s.created_at, s.id) < ($4, $5)
                and ($7::text is null or s.event = $7)
              order by s.status_code, s.created_at desc, s.id desc limit $6) s
          where $11 is distinct from 'failed' and coalesce($10, 'attempt') = 'attempt'
            and ($8::integer is null or $8 = code)) l
    where true"
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_filter_leads() {
        let place = Place::before(DateTime::UNIX_EPOCH);
        let all = || Filter::everything(place);
        let failed = Some(Outcome::Failed);
        let delivered = Some(Outcome::Delivered);
        let event = Some("call.completed");
        for (filter, way) in [
            (all(), Way::Time),
            (Filter { event, ..all() }, Way::Event),
            (Filter { event, outcome: failed, ..all() }, Way::Outcome),
            (Filter { event, outcome: delivered, ..all() }, Way::Event),
            (Filter { event, status_code: Some(200), ..all() }, Way::Event),
            (Filter { event, status_code: Some(500), ..all() }, Way::Status),
            (Filter { kind: Some(Kind::Skip), ..all() }, Way::Outcome),
            (Filter { error: Some("timeout"), outcome: failed, ..all() }, Way::Error),
            (Filter { event_id: Some(Uuid::nil()), event, ..all() }, Way::EventId),
            (Filter { delivery_id: Some(DeliveryId(Uuid::nil())), ..all() }, Way::Delivery),
        ] {
            assert_eq!(filter.way(), way, "{filter:?}");
        }
    }
}
