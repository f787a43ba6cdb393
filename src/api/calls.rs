//! `/v1/calls`: the list of calls and a single one.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc, serde::ts_microseconds};
use contract::{
    call::{CallStatus, Direction, Provider},
    ids::CallId,
    steps::{Step, StepRecord, StepStatus},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reads::{Place, calls as reads};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Id, Parameters, limit, range, text},
    problem::Problem,
    recordings::Recording,
    schema,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
const DEFAULT_DAYS: i64 = 7;
/// Providers' ids are far shorter, in bytes.
const LONGEST_PROVIDER_CALL_ID: usize = 512;

/// The routes of calls.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallsQuery {
    /// The provider's id of a call. Without `from` and `to` it is found at any age.
    provider_call_id: Option<String>,
    /// Only calls of this status.
    #[param(schema_with = schema::call_status)]
    status: Option<CallStatus>,
    /// Only calls created at this time or later. Default: 7 days before `to` or now.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only calls created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Only calls of this assistant.
    assistant_id: Option<Uuid>,
    /// Calls in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of calls, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallsPage {
    /// The calls.
    data: Vec<Call>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Call {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: CallId,
    /// The organization it belongs to.
    organization_id: Uuid,
    /// Who ran it.
    #[schema(schema_with = schema::provider)]
    provider: Provider,
    /// The provider's id of it.
    provider_call_id: String,
    /// The assistant that talked, where it is one of the organization's.
    assistant_id: Option<Uuid>,
    /// Who called whom; null where not known.
    #[schema(schema_with = schema::direction)]
    direction: Option<Direction>,
    /// Where it stands.
    #[schema(schema_with = schema::call_status)]
    status: CallStatus,
    /// What came of it, by its purpose.
    outcome: Option<String>,
    /// The caller's number.
    #[schema(example = "+14155550100")]
    from_number: Option<String>,
    /// The called number.
    #[schema(example = "+14155550199")]
    to_number: Option<String>,
    /// When the talk began.
    started_at: Option<Timestamp>,
    /// When it ended.
    ended_at: Option<Timestamp>,
    /// Its length in seconds.
    #[schema(minimum = 0, example = 131)]
    duration_seconds: Option<i32>,
    /// Minutes counted for billing; null until the call is processed.
    #[schema(minimum = 0, example = 3)]
    billed_minutes: Option<i32>,
    /// The provider's word for why it ended.
    ended_reason: Option<String>,
    /// What the provider charged, in US dollars, with up to six decimals.
    #[schema(example = 0.2118)]
    cost_usd: Option<f64>,
    /// The provider's summary.
    summary: Option<String>,
    /// Its audio; null where there is none.
    recording: Option<Recording>,
    /// What was agreed.
    actions: Vec<Action>,
    /// What was done for it.
    steps: Vec<StepView>,
    /// What the customer attached to it.
    metadata: Option<Value>,
    /// When it began to exist.
    created_at: Timestamp,
    /// When this was last changed.
    updated_at: Timestamp,
}

/// Something that was agreed on a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Action {
    /// What is to be done.
    description: String,
    /// Who does it, where it was said.
    owner: Option<String>,
    /// Until when, where an instant was named.
    due_at: Option<Timestamp>,
    /// Until when, as it was said.
    #[schema(example = "next Friday")]
    due_text: Option<String>,
    /// `open`, `done` or `dismissed`.
    #[schema(example = "open")]
    status: String,
}

/// A step of the call's processing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// Which step.
    #[schema(schema_with = schema::step)]
    name: Step,
    /// How it ended.
    #[schema(schema_with = schema::step_status)]
    status: StepStatus,
    /// Class of the failure.
    error: Option<String>,
}

/// Where a page of calls ended. The range's start goes along, for the default one moves on.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(with = "ts_microseconds")]
    from: DateTime<Utc>,
    #[serde(with = "ts_microseconds")]
    at: DateTime<Utc>,
    id: Uuid,
}

/// List calls
///
/// Newest first, of the last 7 days where no time is given.
#[utoipa::path(get, path = "/v1/calls", operation_id = "list_calls",
    tag = "calls", params(CallsQuery), responses(
    (status = 200, description = "A page of calls", body = CallsPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<CallsQuery>,
) -> Result<Json<CallsPage>, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!(
        "calls {organization} {:?} {:?} {:?} {:?} {:?}",
        asked.provider_call_id, asked.status, asked.from, asked.to, asked.assistant_id
    );
    let (from, after) = begin(&asked, Utc::now())?;
    let start = Position { from, at: after.at, id: after.id };
    let start = match &asked.cursor {
        Some(text) => cursor::open(&api.cursor_key, &list, text)?,
        None => start,
    };
    let filter = reads::Filter {
        provider_call_id: asked.provider_call_id.as_deref(),
        status: asked.status,
        assistant_id: asked.assistant_id,
        from: start.from,
        after: Place { at: start.at, id: start.id },
    };
    let page = reads::page(&api.db, organization, &filter, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        let next = Position { from: start.from, at: last.created_at, id: last.id.0 };
        cursor::seal(&api.cursor_key, &list, &next)
    });
    let data = page.items.into_iter().map(|call| Call::of(organization.0, call)).collect();
    Ok(Json(CallsPage { data, next_cursor }))
}

/// Start of the range, and the place that the first page follows.
fn begin(asked: &CallsQuery, now: DateTime<Utc>) -> Result<(DateTime<Utc>, Place), Problem> {
    if let Some(id) = &asked.provider_call_id {
        text("provider_call_id", id, LONGEST_PROVIDER_CALL_ID)?;
    }
    let any_age = asked.provider_call_id.is_some() && asked.to.is_none();
    let from = match asked.from {
        None if any_age => Some(Timestamp(DateTime::UNIX_EPOCH)),
        from => from,
    };
    let (from, to) = range(from, asked.to, DEFAULT_DAYS, now)?;
    Ok((from, Place::before(to)))
}

/// Show a call
///
/// With its steps, what was agreed, and where its recording is. The transcript has a route of its own.
#[utoipa::path(get, path = "/v1/calls/{id}", operation_id = "get_call", tag = "calls",
    params(("id" = Uuid, Path, description = "The call")), responses(
    (status = 200, description = "The call", body = Call),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<CallId>,
) -> Result<Json<Call>, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let call = reads::get(&api.db, organization, id).await?;
    let call = call.ok_or_else(|| Problem::not_found("call"))?;
    Ok(Json(Call::of(organization.0, call)))
}

impl Call {
    fn of(organization_id: Uuid, call: reads::Call) -> Self {
        Self {
            id: call.id,
            organization_id,
            provider: call.provider,
            provider_call_id: call.provider_call_id,
            assistant_id: call.assistant_id,
            direction: call.direction,
            status: call.status,
            outcome: call.outcome,
            from_number: call.from_number,
            to_number: call.to_number,
            started_at: call.started_at.map(Timestamp),
            ended_at: call.ended_at.map(Timestamp),
            duration_seconds: call.duration_seconds,
            billed_minutes: call.billed_minutes,
            ended_reason: call.ended_reason,
            cost_usd: call.cost_usd,
            summary: call.summary,
            recording: call.recording.map(|recording| Recording::of(call.id, recording)),
            actions: call.actions.into_iter().map(Action::from).collect(),
            steps: call.steps.into_iter().map(StepView::from).collect(),
            metadata: call.metadata,
            created_at: Timestamp(call.created_at),
            updated_at: Timestamp(call.updated_at),
        }
    }
}

impl From<reads::Action> for Action {
    fn from(action: reads::Action) -> Self {
        Self {
            description: action.description,
            owner: action.owner,
            due_at: action.due_at.map(Timestamp),
            due_text: action.due_text,
            status: action.status,
        }
    }
}

impl From<StepRecord> for StepView {
    fn from(step: StepRecord) -> Self {
        Self { name: step.name, status: step.status, error: step.error }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use axum::{extract::FromRequestParts, http::Request};

    use super::*;

    async fn begin_of(query: &str) -> Result<(DateTime<Utc>, Place), Problem> {
        let request = Request::get(format!("/v1/calls?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let asked = Parameters::<CallsQuery>::from_request_parts(&mut parts, &()).await?.0;
        begin(&asked, "2026-03-10T00:00:00Z".parse().unwrap())
    }

    #[tokio::test]
    async fn a_provider_call_id_is_found_at_any_age() {
        let week = begin_of("status=in-progress").await.unwrap();
        assert_eq!(week.0.to_rfc3339(), "2026-03-03T00:00:00+00:00");
        let all = begin_of("provider_call_id=019aa141").await.unwrap();
        assert_eq!(all.0, DateTime::UNIX_EPOCH);
        let asked = begin_of("provider_call_id=1&from=2026-03-01T00:00:00Z").await.unwrap();
        assert_eq!(asked.0.to_rfc3339(), "2026-03-01T00:00:00+00:00");
    }

    #[tokio::test]
    async fn odd_filters_are_refused() {
        for query in [
            "status=done",
            "assistant_id=1",
            "organization_id=00000000-0000-0000-0000-000000000000",
            "provider_call_id=%00",
            "provider_call_id=",
            "from=2026-03-11T00:00:00Z&to=2026-03-10T00:00:00Z",
            "limit=70000",
        ] {
            assert!(begin_of(query).await.is_err(), "{query}");
        }
    }
}
