//! `/v1/audit-log`: who changed what, from where, and what it was before and after.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    audit::{self, Filter, Recorded},
    reads::Place,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Parameters, limit, text},
    problem::Problem,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
/// Actors, actions and targets are far shorter, in bytes.
const LONGEST_TEXT: usize = 200;

/// The routes of the audit log.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only changes by this actor, such as `api_key:{id}` or `command-line`.
    actor: Option<String>,
    /// Only changes of this kind, such as `webhooks.update`.
    action: Option<String>,
    /// Only changes to this, such as `webhooks:{id}`.
    target: Option<String>,
    /// Only changes at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only changes before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Changes in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of changes, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AuditPage {
    /// The changes.
    data: Vec<AuditEntry>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A change that somebody made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Its id.
    id: Uuid,
    /// Who made it: `api_key:{id}`, or `command-line` for whoever runs the installation.
    #[schema(example = "api_key:0199a000-0000-7000-8000-000000000001")]
    actor: String,
    /// What was done.
    #[schema(example = "assistants.update")]
    action: String,
    /// What it was done to.
    #[schema(example = "assistants:0199a000-0000-7000-8000-000000000001")]
    target: String,
    /// What it was before, without secrets; null where there was nothing.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// What it became; null where it is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    /// From which address; null where it was no request.
    #[schema(example = "192.0.2.7")]
    ip: Option<String>,
    /// When.
    created_at: Timestamp,
}

impl From<Recorded> for AuditEntry {
    fn from(recorded: Recorded) -> Self {
        Self {
            id: recorded.id,
            actor: recorded.actor,
            action: recorded.action,
            target: recorded.target,
            before: recorded.before,
            after: recorded.after,
            ip: recorded.ip,
            created_at: Timestamp(recorded.created_at),
        }
    }
}

/// List changes
///
/// Every change of the organization by people, newest first: who made it, from where, and what it was
/// before and after. Secrets and personal data are left out.
#[utoipa::path(get, path = "/v1/audit-log", operation_id = "list_audit_log",
    tag = "audit log", params(AuditQuery), responses(
    (status = 200, description = "A page of changes", body = AuditPage),
    (status = 400, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let organization = caller.may(Scope::ReadAuditLog)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let AuditQuery { actor, action, target, from, to, cursor, .. } = asked;
    for (name, given) in [("actor", &actor), ("action", &action), ("target", &target)] {
        given.as_deref().map_or(Ok(()), |given| text(name, given, LONGEST_TEXT))?;
    }
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::query("from", "must be before the end of the range"));
    }
    let name = format!("audit-log {organization} {actor:?} {action:?} {target:?} {from:?} {to:?}");
    let after = match (cursor, to) {
        (None, Some(to)) => Place::before(to.0),
        (cursor, _) => cursor::begin(&api.cursor_key, &name, cursor.as_deref())?,
    };
    let filter = Filter {
        actor: actor.as_deref(),
        action: action.as_deref(),
        target: target.as_deref(),
        from: from.map_or(DateTime::<Utc>::UNIX_EPOCH, |from| from.0),
        after,
    };
    let page = audit::page(&api.db, organization, &filter, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &name, &page, |last| Place {
        at: last.created_at,
        id: last.id,
    });
    let data = page.items.into_iter().map(AuditEntry::from).collect();
    Ok(Json(AuditPage { data, next_cursor }))
}
