//! `/v1/calls/{id}/timeline`: all that is known of a call, on one clock.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc, serde::ts_microseconds};
use contract::ids::CallId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::reads::timeline::{self as reads, EntryPlace};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Id, Parameters, limit},
    problem::Problem,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 250;

/// The route of the timeline.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which part of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// Entries in a page.
    #[param(minimum = 1, maximum = 250, default = 100)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of a call's timeline, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelinePage {
    /// The entries.
    data: Vec<TimelineEntry>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Something that happened to a row about the call.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// When. A row without a clock of its own stands where the call was last changed.
    at: Timestamp,
    /// The kind of row: `inbox`, `call_keys`, `calls`, `call_transcripts`, `call_actions`,
    /// `call_recordings`, `call_results`, `notifications`, `events`, `webhook_deliveries`, `webhook_logs`,
    /// `usage_ledger`, `usage_voids`, `stripe_reports` or `audit_log`.
    #[schema(example = "webhook_deliveries")]
    source: String,
    /// The row; the call where the row has no id of its own.
    id: Uuid,
    /// What happened; one row may tell of several things.
    #[schema(example = "delivered")]
    what: String,
    /// More of it, by the kind of row; without what was said, and to whom.
    #[schema(value_type = Object, example = json!({"attempts": 2}))]
    details: Value,
}

/// Kinds of rows that have a route, and a scope, of their own.
const SCOPES: [(&str, Scope); 7] = [
    ("inbox", Scope::ReadInbox),
    ("webhook_deliveries", Scope::ReadWebhooks),
    ("webhook_logs", Scope::ReadWebhooks),
    ("usage_ledger", Scope::ReadUsage),
    ("usage_voids", Scope::ReadUsage),
    ("stripe_reports", Scope::ReadBilling),
    ("audit_log", Scope::ReadAuditLog),
];

/// Where a page ended.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(with = "ts_microseconds")]
    at: DateTime<Utc>,
    source: String,
    id: Uuid,
    what: String,
}

/// Show a call's timeline
///
/// Every row about the call at every instant that it tells of, oldest first: what the provider told, what
/// was made of it, what was sent to whom and what came of it, what was counted, and what was reported of
/// the periods that count it. Without the scopes `inbox:read`, `webhooks:read`, `usage:read`, `billing:read`
/// and `audit-log:read` the rows of those kinds are left out. An entry of a row without a clock of its own
/// comes again later where the call changes while pages are read.
#[utoipa::path(get, path = "/v1/calls/{id}/timeline", operation_id = "list_call_timeline",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The call"), TimelineQuery), responses(
    (status = 200, description = "A page of the timeline", body = TimelinePage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Id(call): Id<CallId>,
    Parameters(asked): Parameters<TimelineQuery>,
) -> Result<Json<TimelinePage>, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let name = format!("timeline {organization} {call}");
    let after = match &asked.cursor {
        None => None,
        Some(text) => {
            let Position { at, source, id, what } = cursor::open(&api.cursor_key, &name, text)?;
            Some(EntryPlace { at, source, id, what })
        }
    };
    let without = SCOPES.iter().filter(|(_, scope)| caller.may(*scope).is_err());
    let without: Vec<String> = without.map(|(source, _)| (*source).to_owned()).collect();
    let page = reads::page(&api.db, organization, call, after.as_ref(), &without, limit).await?;
    let page = page.ok_or_else(|| Problem::not_found("call"))?;
    let next_cursor = page.items.last().filter(|_| page.more).and_then(|last| {
        let (source, what) = (last.source.clone(), last.what.clone());
        cursor::seal(&api.cursor_key, &name, &Position { at: last.at, source, id: last.id, what })
    });
    let data = page.items.into_iter().map(|entry| TimelineEntry {
        at: Timestamp(entry.at),
        source: entry.source,
        id: entry.id,
        what: entry.what,
        details: entry.details,
    });
    Ok(Json(TimelinePage { data: data.collect(), next_cursor }))
}
