//! `/v1/inbox`: what providers said, as it was stored, and second thoughts about it.

mod gaps;
mod replay;

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc, serde::ts_microseconds};
use contract::{
    call::{CallStatus, EventKind, Origin, Provider},
    ids::{CallId, InboxId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reads::{
    Place,
    inbox::{self as reads, Status},
};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Object, ObjectBuilder, SchemaType, Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Id, Parameters, limit, range, text},
    problem::Problem,
    schema,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
const DEFAULT_DAYS: i64 = 7;
/// Providers' names and ids, and our reasons, are far shorter, in bytes.
const LONGEST_TEXT: usize = 512;
/// JSON that is nested deeper is shown as text: an answer adds a level, and readers have limits too.
const DEEPEST_JSON: usize = 100;

/// The routes of the inbox.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .merge(gaps::router())
        .merge(replay::router())
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InboxQuery {
    /// Only events that stand here.
    #[param(schema_with = status)]
    status: Option<Status>,
    /// Only events of this provider.
    #[param(schema_with = schema::provider)]
    provider: Option<Provider>,
    /// Only events that the provider calls this.
    event_kind: Option<String>,
    /// Only events that came this way.
    #[param(schema_with = origin)]
    origin: Option<Origin>,
    /// Only events of the call with this id at its provider. Without `from` and `to` they are found
    /// at any age.
    provider_call_id: Option<String>,
    /// Only events of this call. Without `from` and `to` they are found at any age.
    call_id: Option<Uuid>,
    /// Only events received at this time or later. Default: 7 days before `to` or now.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only events received before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Events in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboxPage {
    /// The events.
    data: Vec<InboxEvent>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An event of a provider's.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboxEvent {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: InboxId,
    /// Who sent it.
    #[schema(example = "vapi")]
    provider: String,
    /// What makes two deliveries the same event.
    event_key: String,
    /// The provider's name of the event.
    #[schema(example = "end-of-call-report")]
    event_kind: String,
    /// The provider's id of the call.
    provider_call_id: Option<String>,
    /// The call.
    #[schema(value_type = Option<Uuid>)]
    call_id: Option<CallId>,
    /// What it says of the life of its call.
    #[schema(schema_with = life)]
    life: EventKind,
    /// How it came.
    #[schema(schema_with = origin)]
    origin: Origin,
    /// Where it stands.
    #[schema(schema_with = status)]
    status: Status,
    /// Why nobody could use it.
    parked_reason: Option<String>,
    /// Deliveries under the same key with another body: the first one counts.
    conflicts: i32,
    /// Size of the body in bytes; null once it aged out.
    #[schema(minimum = 0)]
    body_bytes: Option<i32>,
    /// When it was received.
    received_at: Timestamp,
    /// When nothing was left to do.
    processed_at: Option<Timestamp>,
}

/// How to show a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyForm {
    /// As JSON, else as text, else as base64.
    Readable,
    /// Byte by byte.
    Base64,
}

/// How to show an event.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShowQuery {
    /// Form of the body. Default: `readable`.
    #[param(inline)]
    body: Option<BodyForm>,
}

/// An event with everything that is known of it. Its body is in one of three members; all are null
/// once it aged out.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboxEventWithBody {
    #[serde(flatten)]
    event: InboxEvent,
    /// The status of the call that it tells.
    #[schema(schema_with = call_status)]
    call_status: Option<CallStatus>,
    /// The text message that it is about.
    notification_id: Option<Uuid>,
    /// Headers that were kept, without secrets.
    #[schema(value_type = Object)]
    headers: Value,
    /// SHA-256 of the body, in hex.
    body_sha256: String,
    /// How often the dispatcher took it.
    dispatches: i32,
    /// When the dispatcher takes it (again); null where nothing is left to do.
    dispatch_after: Option<Timestamp>,
    /// When its call's rows had what it says.
    folded_at: Option<Timestamp>,
    #[serde(flatten)]
    body: ShownBody,
}

/// A body in the form that fits.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct ShownBody {
    /// The body, where it is JSON. Numbers may be rounded.
    #[schema(value_type = Option<Object>)]
    body_json: Option<Value>,
    /// The body, where it is some other text.
    body_text: Option<String>,
    /// The body, where it is neither, or was asked for in this form.
    body_base64: Option<String>,
}

/// Where a page of a list ended. The range's start goes along, for the default one moves on.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(with = "ts_microseconds")]
    from: DateTime<Utc>,
    #[serde(with = "ts_microseconds")]
    at: DateTime<Utc>,
    id: Uuid,
}

/// List stored events
///
/// What providers sent, newest first, of the last 7 days where no time is given; without bodies.
#[utoipa::path(get, path = "/v1/inbox", operation_id = "list_inbox",
    tag = "inbox", params(InboxQuery), responses(
    (status = 200, description = "A page of events", body = InboxPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<InboxQuery>,
) -> Result<Json<InboxPage>, Problem> {
    let organization = caller.may(Scope::ReadInbox)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!(
        "inbox {organization} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        asked.status,
        asked.provider,
        asked.event_kind,
        asked.origin,
        asked.provider_call_id,
        asked.call_id,
        asked.from,
        asked.to
    );
    let start = begin(&asked, Utc::now())?;
    let start = match &asked.cursor {
        Some(text) => cursor::open(&api.cursor_key, &list, text)?,
        None => start,
    };
    let filter = reads::Filter {
        status: asked.status,
        provider: asked.provider,
        event_kind: asked.event_kind.as_deref(),
        origin: asked.origin,
        provider_call_id: asked.provider_call_id.as_deref(),
        call_id: asked.call_id.map(CallId),
        from: start.from,
        after: Place { at: start.at, id: start.id },
    };
    let page = reads::page(&api.db, organization, &filter, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        let next = Position { from: start.from, at: last.received_at, id: last.id.0 };
        cursor::seal(&api.cursor_key, &list, &next)
    });
    let data = page.items.into_iter().map(InboxEvent::from).collect();
    Ok(Json(InboxPage { data, next_cursor }))
}

/// Start of the range, and the place that the first page follows.
fn begin(asked: &InboxQuery, now: DateTime<Utc>) -> Result<Position, Problem> {
    for (name, given) in
        [("event_kind", &asked.event_kind), ("provider_call_id", &asked.provider_call_id)]
    {
        given.as_deref().map_or(Ok(()), |given| text(name, given, LONGEST_TEXT))?;
    }
    let of_call = asked.provider_call_id.is_some() || asked.call_id.is_some();
    let from = match asked.from {
        None if of_call && asked.to.is_none() => Some(Timestamp(DateTime::UNIX_EPOCH)),
        from => from,
    };
    let (from, to) = range(from, asked.to, DEFAULT_DAYS, now)?;
    let Place { at, id } = Place::before(to);
    Ok(Position { from, at, id })
}

/// Show a stored event
///
/// With its headers and its body, as long as that is kept.
#[utoipa::path(get, path = "/v1/inbox/{id}", operation_id = "get_inbox_event", tag = "inbox",
    params(("id" = Uuid, Path, description = "The event"), ShowQuery), responses(
    (status = 200, description = "The event", body = InboxEventWithBody),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<InboxId>,
    Parameters(asked): Parameters<ShowQuery>,
) -> Result<Json<InboxEventWithBody>, Problem> {
    let organization = caller.may(Scope::ReadInbox)?;
    let event = reads::get(&api.db, organization, id).await?;
    let event = event.ok_or_else(|| Problem::not_found("event"))?;
    let body = event.body.map(|body| match asked.body.unwrap_or(BodyForm::Readable) {
        BodyForm::Readable => ShownBody::readable(body),
        BodyForm::Base64 => ShownBody::base64(&body),
    });
    Ok(Json(InboxEventWithBody {
        event: InboxEvent::from(event.summary),
        call_status: event.call_status,
        notification_id: event.notification_id,
        headers: event.headers,
        body_sha256: hex::encode(event.body_sha256),
        dispatches: event.dispatches,
        dispatch_after: event.dispatch_after.map(Timestamp),
        folded_at: event.folded_at.map(Timestamp),
        body: body.unwrap_or_default(),
    }))
}

impl ShownBody {
    fn readable(body: Vec<u8>) -> Self {
        match serde_json::from_slice(&body) {
            Ok(json) if is_flatter(&json, DEEPEST_JSON) => {
                return Self { body_json: Some(json), ..Self::default() };
            }
            _ => {}
        }
        match String::from_utf8(body) {
            Ok(text) => Self { body_text: Some(text), ..Self::default() },
            Err(not_text) => Self::base64(not_text.as_bytes()),
        }
    }

    fn base64(body: &[u8]) -> Self {
        Self { body_base64: Some(STANDARD.encode(body)), ..Self::default() }
    }
}

/// Whether fewer than `levels` arrays and objects lie within each other.
fn is_flatter(json: &Value, levels: usize) -> bool {
    let below = |value: &Value| levels > 1 && is_flatter(value, levels - 1);
    match json {
        Value::Array(items) => items.iter().all(below),
        Value::Object(members) => members.values().all(below),
        _ => true,
    }
}

impl From<reads::Summary> for InboxEvent {
    fn from(event: reads::Summary) -> Self {
        Self {
            id: event.id,
            provider: event.provider,
            event_key: event.event_key,
            event_kind: event.event_kind,
            provider_call_id: event.provider_call_id,
            call_id: event.call_id,
            life: event.life,
            origin: event.origin,
            status: event.status,
            parked_reason: event.parked_reason,
            conflicts: event.conflicts,
            body_bytes: event.body_bytes,
            received_at: Timestamp(event.received_at),
            processed_at: event.processed_at.map(Timestamp),
        }
    }
}

fn status() -> Object {
    one_of(Status::ALL.iter().map(|word| word.as_str()))
}

fn origin() -> Object {
    one_of(Origin::ALL.iter().map(|word| word.as_str()))
}

fn life() -> Object {
    one_of(EventKind::ALL.iter().map(|word| word.as_str()))
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(words))
        .build()
}

/// Null where the event tells none.
fn call_status() -> Object {
    let words = CallStatus::ALL.iter().map(|word| Some(word.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.chain([None])))
        .build()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use axum::{extract::FromRequestParts, http::Request};
    use chrono::TimeDelta;

    use super::*;

    const NOW: &str = "2026-03-10T00:00:00Z";

    async fn begin_of(query: &str) -> Result<Position, Problem> {
        let request = Request::get(format!("/v1/inbox?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let asked = Parameters::<InboxQuery>::from_request_parts(&mut parts, &()).await?.0;
        begin(&asked, NOW.parse().unwrap())
    }

    #[tokio::test]
    async fn events_of_a_call_are_found_at_any_age_and_others_of_a_week() {
        let now: DateTime<Utc> = NOW.parse().unwrap();
        let week = now - TimeDelta::days(7);
        let call = "call_id=00000000-0000-0000-0000-000000000001";
        for (query, from) in [
            (String::new(), week),
            ("status=parked&provider=twilio&origin=spool&event_kind=ended".to_owned(), week),
            ("provider_call_id=019aa141".to_owned(), DateTime::UNIX_EPOCH),
            (call.to_owned(), DateTime::UNIX_EPOCH),
            (format!("{call}&to={NOW}"), week),
        ] {
            assert_eq!(begin_of(&query).await.unwrap().from, from, "{query}");
        }
    }

    #[tokio::test]
    async fn odd_filters_are_refused() {
        for query in [
            "status=done",
            "provider=stripe",
            "origin=email",
            "call_id=1",
            "event_kind=",
            "event_kind=%00",
            "provider_call_id=%00",
            "parked_reason=unreadable",
            "from=2026-03-11T00:00:00Z&to=2026-03-10T00:00:00Z",
        ] {
            assert!(begin_of(query).await.is_err(), "{query}");
        }
    }

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        let shown = |body: &[u8]| ShownBody::readable(body.to_vec());
        let json = shown(br#"{"a":[1]}"#).body_json.unwrap();
        assert_eq!(json, serde_json::json!({ "a": [1] }));
        for text in ["CallSid=CA1&CallStatus=busy", "", r#""\ud800""#, "1e309", "\0"] {
            let expected = ShownBody { body_text: Some(text.to_owned()), ..Default::default() };
            assert_eq!(shown(text.as_bytes()), expected);
        }
        let expected = ShownBody { body_base64: Some("//4=".to_owned()), ..Default::default() };
        assert_eq!(shown(b"\xff\xfe"), expected);
    }

    #[test]
    fn json_that_readers_could_not_take_is_text() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let shown = |levels| ShownBody::readable(nested(levels).into_bytes());
        assert!(shown(DEEPEST_JSON - 1).body_json.is_some());
        // The first is below serde_json's own limit of 128 levels, the second is not.
        for levels in [DEEPEST_JSON + 1, 1_000_000] {
            assert_eq!(shown(levels).body_text, Some(nested(levels)));
        }
    }
}
