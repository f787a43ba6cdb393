//! The log of an endpoint: what was attempted, and what was skipped and why.
//!
//! An endpoint may have millions of rows, and an answer takes milliseconds whatever is asked. Who asks for a
//! delivery or an event gets its few rows, sifted. All else that can be asked is of a row's result, which is
//! its error code and its status, and of the type of its event: the results that occur are enumerated by
//! looks into an index, and the newest rows of each that fits are merged.

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

    /// The statement that looks at few rows.
    fn way(&self) -> Way {
        let is_of_result = self.status_code.is_some()
            || self.error.is_some()
            || self.kind.is_some()
            || self.outcome.is_some();
        match self {
            Self { delivery_id: Some(_), .. } => Way::Delivery,
            Self { event_id: Some(_), .. } => Way::EventId,
            Self { event: Some(_), .. } => Way::ResultOfType,
            _ if is_of_result => Way::Result,
            _ => Way::Time,
        }
    }
}

/// Which of the statements serves a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Time,
    Result,
    ResultOfType,
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
    ($asked:expr, [$($with:tt)*], [$($chosen:tt)*]) => {
        query_as!(
            Log,
            $($with)*
                + r#"
select l.id as "id!", l.kind as "kind!", l.delivery_id, l.event as "event!",
    l.event_id as "event_id!", l.payload, l.request_headers, l.status_code, l.response_headers,
    l.response_body, l.error, l.attempt_number as "attempt_number!", l.latency_ms, l.delivered_at,
    l.created_at as "created_at!"
from "# + $($chosen)*
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

/// By the results that occur, of all types of events or of one; each is found as the next row of the index. A
/// code is either of attempts or of skips. Statuses are compared as parts of rows, and sorted by also where
/// there is one: no other index has such an order, and what is rare would be looked for in all rows. What is
/// older than asked for is sifted out, for an index does not end at it.
macro_rules! by_result {
    ($asked:expr, $of_type:literal, [$type:literal, $asked_type:literal, $by_type:literal, $ends:literal]) => {
        rows!(
            $asked,
            ["with recursive results as (
    -- After all codes.
    select 'zzz' as error, null::integer as status_code, null as kind, 0 as below
    union all
    select next.error, next.status_code, next.kind, coalesce(next.status_code, 1000000)
    from results cross join lateral (
        select r.error, r.status_code, r.kind from webhook_logs r
        where r.webhook_id = $1 and r.organization_id = $2
          and (" + $type + "r.error, r.status_code)
              < (" + $asked_type + "results.error, results.below) and " + $ends + "
        order by " + $by_type + "r.error desc, r.status_code desc limit 1) next)"],
            ["(with failed as (
              select * from results
              where kind = coalesce($10, kind) and ($8::integer is null or status_code = $8)
                and ($9::text is null or error = $9)
                and ($11::text is null or $11 = 'failed' and kind = 'attempt'))
          select r.* from failed cross join lateral
             (select r.* from webhook_logs r
              where r.webhook_id = $1 and r.organization_id = $2 and " + $of_type + "
                and r.error = failed.error and r.status_code >= failed.status_code
                and (r.status_code, r.created_at, r.id) < (failed.status_code, $4, $5)
              order by r.status_code desc, r.created_at desc, r.id desc limit $6) r
          union all
          select r.* from failed cross join lateral
             (select r.* from webhook_logs r
              where r.webhook_id = $1 and r.organization_id = $2 and " + $of_type + "
                and r.error = failed.error and r.status_code is null
                and (r.created_at, r.id) < ($4, $5) and r.created_at >= $3
              order by r.status_code desc, r.created_at desc, r.id desc limit $6) r
          where failed.status_code is null
          union all
          select r.* from generate_series(200, 299) code cross join lateral
             (select r.* from webhook_logs r
              where r.webhook_id = $1 and r.organization_id = $2 and " + $of_type + "
                and r.error is null and r.status_code >= code
                and (r.status_code, r.created_at, r.id) < (code, $4, $5)
              order by r.error desc, r.status_code desc, r.created_at desc, r.id desc limit $6) r
          where ($8::integer is null or $8 = code) and $9 is null
            and coalesce($10, 'attempt') = 'attempt' and $11 is distinct from 'failed') l
    where true"]
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
        Way::Time => rows!(asked, [""], ["webhook_logs l where true"]).fetch_all(tx).await,
        Way::Delivery => {
            rows!(asked, [""], ["webhook_logs l where l.delivery_id = $13"]).fetch_all(tx).await
        }
        Way::EventId => of_event(tx, asked).await,
        Way::Result => by_result!(asked, "true", ["", "", "", "true"]).fetch_all(tx).await,
        Way::ResultOfType => {
            let found = by_result!(
                asked,
                "r.event = $7",
                ["r.event, ", "$7, ", "r.event desc, ", "r.event >= $7"]
            );
            found.fetch_all(tx).await
        }
    }
}

/// Attempts by way of the event's delivery; a skip has none.
async fn of_event(tx: &mut PgConnection, asked: Asked<'_>) -> Result<Vec<Log>, sqlx::Error> {
    rows!(
        asked,
        [""],
        ["(select a.* from webhook_deliveries d join webhook_logs a on a.delivery_id = d.id
          where d.event_id = $12 and d.webhook_id = $1
          union all
          select s.* from webhook_logs s
          where s.event_id = $12 and s.webhook_id = $1 and s.delivery_id is null) l
    where true"]
    )
    .fetch_all(tx)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_has_a_way() {
        let place = Place::before(DateTime::UNIX_EPOCH);
        let all = || Filter::everything(place);
        let event = Some("call.completed");
        for (filter, way) in [
            (all(), Way::Time),
            (Filter { event, ..all() }, Way::ResultOfType),
            (Filter { event, outcome: Some(Outcome::Failed), ..all() }, Way::ResultOfType),
            (Filter { status_code: Some(500), ..all() }, Way::Result),
            (Filter { kind: Some(Kind::Skip), ..all() }, Way::Result),
            (Filter { outcome: Some(Outcome::Delivered), ..all() }, Way::Result),
            (Filter { error: Some("timeout"), ..all() }, Way::Result),
            (Filter { event_id: Some(Uuid::nil()), event, ..all() }, Way::EventId),
            (Filter { delivery_id: Some(DeliveryId(Uuid::nil())), ..all() }, Way::Delivery),
        ] {
            assert_eq!(filter.way(), way, "{filter:?}");
        }
    }
}
