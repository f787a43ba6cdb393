//! Second thoughts about stored events: read them again, or never.

use axum::{Json, extract::DefaultBodyLimit};
use chrono::{DateTime, Utc, serde::ts_microseconds};
use contract::{call::Provider, ids::InboxId};
use serde::{Deserialize, Serialize};
use store::{
    reads::{Place, inbox::Status},
    replay::{self, Discarded, Replayed, Selection},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{LONGEST_TEXT, status};
use crate::api::{
    ApiState,
    auth::{Caller, Scope},
    body::Body,
    cursor,
    extract::Id,
    idempotency::Once,
    problem::{Kind, Problem},
    schema,
    timestamp::Timestamp,
};

/// A batch of a replay is one transaction: short enough that nobody waits for its locks.
const DEFAULT_BATCH: u16 = 500;
const MAX_BATCH: u16 = 1000;
/// Room for as many ids as a batch has, in bytes.
const LARGEST_REQUEST: usize = 64 * 1024;

/// The routes that change something.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(replay_many))
        .routes(routes!(replay_one))
        .routes(routes!(discard))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
}

/// What a replay did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayedEvent {
    /// The event.
    #[schema(value_type = Uuid)]
    id: InboxId,
    /// Whether it is read again because of this request; false where it was waiting already.
    replayed: bool,
    /// Where it stands now.
    #[schema(schema_with = status)]
    status: Status,
}

/// What became of a discarded event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DiscardedEvent {
    /// The event.
    #[schema(value_type = Uuid)]
    id: InboxId,
    /// Where it stands now.
    #[schema(schema_with = status)]
    status: Status,
}

/// Which events to replay, and how many at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayRequest {
    /// Which events. At least one member is needed.
    #[serde(default)]
    filter: ReplayFilter,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
    /// Events in a batch.
    #[schema(minimum = 1, maximum = 1000, default = 500)]
    limit: Option<u16>,
    /// `next_cursor` of the batch before, with the same filter.
    cursor: Option<String>,
}

/// All that is given must hold.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayFilter {
    /// These events alone.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<Uuid>>,
    /// Events that stand here.
    #[schema(schema_with = status)]
    status: Option<Status>,
    /// Events of this provider.
    #[schema(schema_with = schema::provider)]
    provider: Option<Provider>,
    /// Events that the provider calls this.
    event_kind: Option<String>,
    /// Events parked for this reason, in these very words.
    parked_reason: Option<String>,
    /// Events received at this time or later.
    from: Option<Timestamp>,
    /// Events received before this time. Default, and the latest possible: now.
    to: Option<Timestamp>,
}

/// A batch of a replay.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayBatch {
    /// Events of the batch: those that the filter names.
    matched: u32,
    /// Of these, events that do not wait already and whose body did not age out.
    replayable: u32,
    /// Of these, events that are read again because of this request.
    replayed: u32,
    /// Where the next batch begins; null on the last.
    next_cursor: Option<String>,
}

/// Where a batch of a replay ended. The range's end goes along: each event is met once.
#[derive(Debug, Serialize, Deserialize)]
struct BatchPosition {
    #[serde(with = "ts_microseconds")]
    to: DateTime<Utc>,
    #[serde(with = "ts_microseconds")]
    at: DateTime<Utc>,
    id: Uuid,
}

/// Replay an event
///
/// Has it read once more, as if it had just come. What it said before has no second effect.
#[utoipa::path(post, path = "/v1/inbox/{id}/replay", operation_id = "replay_inbox_event",
    tag = "inbox",
    params(("id" = Uuid, Path, description = "The event")), responses(
    (status = 200, description = "The event waits to be read", body = ReplayedEvent),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn replay_one(
    caller: Caller,
    Once(api): Once,
    Id(id): Id<InboxId>,
) -> Result<Json<ReplayedEvent>, Problem> {
    let organization = caller.may(Scope::WriteInbox)?;
    let replayed = replay::replay(&api.db, organization, &caller.actor(), id).await?;
    let replayed = match replayed.ok_or_else(|| Problem::not_found("event"))? {
        Replayed::Due => true,
        Replayed::Waiting => false,
        Replayed::Unreadable => {
            let detail = "The event's body aged out: there is nothing left to read.";
            return Err(Problem::with_detail(Kind::Conflict, detail));
        }
    };
    if replayed {
        api.inbox.tell();
    }
    Ok(Json(ReplayedEvent { id, replayed, status: Status::Received }))
}

/// Discard an event
///
/// Nothing follows from it; it stays stored, and a replay takes this back. Only parked events can be
/// discarded: any other is at work, or had its effect.
#[utoipa::path(post, path = "/v1/inbox/{id}/discard", operation_id = "discard_inbox_event",
    tag = "inbox",
    params(("id" = Uuid, Path, description = "The event")), responses(
    (status = 200, description = "The event is discarded", body = DiscardedEvent),
    (status = 400, response = Problem),
    (status = 404, response = Problem),
    (status = 409, response = Problem)))]
async fn discard(
    caller: Caller,
    Once(api): Once,
    Id(id): Id<InboxId>,
) -> Result<Json<DiscardedEvent>, Problem> {
    let organization = caller.may(Scope::WriteInbox)?;
    let discarded = replay::discard(&api.db, organization, &caller.actor(), id).await?;
    let detail = match discarded.ok_or_else(|| Problem::not_found("event"))? {
        Discarded::Done => return Ok(Json(DiscardedEvent { id, status: Status::Discarded })),
        Discarded::NotParked(Status::Discarded) => "The event is discarded already.",
        Discarded::NotParked(Status::Received) => "The event is being processed.",
        Discarded::NotParked(_) => "The event had its effect already.",
    };
    Err(Problem::with_detail(Kind::Conflict, detail))
}

/// Replay events by filter
///
/// One batch, oldest first; `next_cursor` leads to the next. Each event is met once, however often
/// it is processed meanwhile.
#[utoipa::path(post, path = "/v1/inbox/replay", operation_id = "replay_inbox",
    tag = "inbox", request_body = ReplayRequest,
    responses(
    (status = 200, description = "What was found and done", body = ReplayBatch),
    (status = 400, response = Problem)))]
async fn replay_many(
    caller: Caller,
    Once(api): Once,
    Body(asked): Body<ReplayRequest>,
) -> Result<Json<ReplayBatch>, Problem> {
    let organization = caller.may(Scope::WriteInbox)?;
    let limit = asked.limit.unwrap_or(DEFAULT_BATCH);
    if !(1..=MAX_BATCH).contains(&limit) {
        return Err(invalid(format!("limit must be between 1 and {MAX_BATCH}")));
    }
    let list = format!("replay {organization} {:?} {}", asked.filter, asked.dry_run);
    let mut selection = selection(asked.filter, Utc::now())?;
    let mut after = Place::before(selection.from);
    if let Some(text) = &asked.cursor {
        let position: BatchPosition = cursor::open(&api.cursor_key, &list, text)?;
        selection.to = position.to;
        after = Place { at: position.at, id: position.id };
    }
    let (actor, dry_run) = (caller.actor(), asked.dry_run);
    let batch =
        replay::replay_batch(&api.db, organization, &actor, &selection, after, limit, dry_run)
            .await?;
    if batch.replayed > 0 {
        api.inbox.tell();
    }
    let next_cursor = batch.next.and_then(|next| {
        let next = BatchPosition { to: selection.to, at: next.at, id: next.id };
        cursor::seal(&api.cursor_key, &list, &next)
    });
    Ok(Json(ReplayBatch {
        matched: batch.matched,
        replayable: batch.replayable,
        replayed: batch.replayed,
        next_cursor,
    }))
}

/// The events that a filter names: never all by an oversight.
fn selection(filter: ReplayFilter, now: DateTime<Utc>) -> Result<Selection, Problem> {
    let ReplayFilter { ids, status, provider, event_kind, parked_reason, from, to } = filter;
    let given = [
        ids.is_some(),
        status.is_some(),
        provider.is_some(),
        event_kind.is_some(),
        parked_reason.is_some(),
        from.is_some(),
        to.is_some(),
    ];
    if !given.contains(&true) {
        let detail = "A replay needs a filter: at least one of ids, status, provider, event_kind, \
                      parked_reason, from and to.";
        return Err(invalid(detail));
    }
    if ids.as_ref().is_some_and(|ids| !(1..=usize::from(MAX_BATCH)).contains(&ids.len())) {
        return Err(invalid(format!("filter.ids must have between 1 and {MAX_BATCH} ids")));
    }
    for (name, given) in [("event_kind", &event_kind), ("parked_reason", &parked_reason)] {
        let Some(given) = given else { continue };
        if given.is_empty() || given.len() > LONGEST_TEXT || given.contains('\0') {
            let rule = format!("must have between 1 and {LONGEST_TEXT} bytes, none of them NUL");
            return Err(invalid(format!("filter.{name} {rule}")));
        }
    }
    let from = from.map_or(DateTime::UNIX_EPOCH, |from| from.0);
    let to = to.map_or(now, |to| to.0.min(now));
    if from >= to {
        return Err(invalid("filter.from must be before the end of the range"));
    }
    Ok(Selection { ids, status, provider, event_kind, parked_reason, from, to })
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::with_detail(Kind::InvalidRequest, detail.into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use axum::{extract::FromRequest, http::Request};
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-03-10T00:00:00Z";

    async fn selected(request: Value) -> Result<Selection, Problem> {
        let request = Request::post("/v1/inbox/replay").body(request.to_string().into()).unwrap();
        let asked = Body::<ReplayRequest>::from_request(request, &()).await?.0;
        selection(asked.filter, NOW.parse().unwrap())
    }

    #[tokio::test]
    async fn a_replay_of_everything_by_an_oversight_is_refused() {
        for request in [json!({}), json!({ "filter": {} }), json!({ "filter": { "status": null } })]
        {
            let problem = selected(request.clone()).await.unwrap_err();
            assert_eq!(problem.kind(), Kind::InvalidRequest);
            let text = String::from_utf8(problem.to_json(None)).unwrap();
            assert!(text.contains("needs a filter"), "{request}: {text}");
        }
    }

    #[tokio::test]
    async fn odd_filters_are_refused() {
        let many = vec![Uuid::nil(); usize::from(MAX_BATCH) + 1];
        for filter in [
            json!({ "status": "done" }),
            json!({ "state": "parked" }),
            json!({ "status": "parked", "origin": "sweep" }),
            json!({ "ids": [] }),
            json!({ "ids": many }),
            json!({ "ids": ["1"] }),
            json!({ "event_kind": "" }),
            json!({ "parked_reason": "a\0b" }),
            json!({ "from": "yesterday" }),
            json!({ "from": NOW }),
            json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z" }),
        ] {
            assert!(selected(json!({ "filter": filter })).await.is_err(), "{filter}");
        }
        assert!(selected(json!({ "status": "parked" })).await.is_err());
    }

    #[tokio::test]
    async fn a_replay_ends_at_the_latest_where_it_began() {
        let now: DateTime<Utc> = NOW.parse().unwrap();
        let parked = selected(json!({ "filter": { "status": "parked" } })).await.unwrap();
        assert_eq!((parked.from, parked.to), (DateTime::UNIX_EPOCH, now));
        assert_eq!(parked.status, Some(Status::Parked));
        let later = json!({ "filter": { "to": "2027-01-01T00:00:00Z" } });
        assert_eq!(selected(later).await.unwrap().to, now);
        let earlier = json!({ "filter": { "to": "2026-03-01T00:00:00+01:00" } });
        let to: DateTime<Utc> = "2026-02-28T23:00:00Z".parse().unwrap();
        assert_eq!(selected(earlier).await.unwrap().to, to);
    }
}
