//! `/v1/inbox/gaps`: what webhooks failed to tell.

use axum::{Json, extract::State};
use chrono::Utc;
use contract::{
    call::Provider,
    ids::{CallId, InboxId},
};
use serde::{Deserialize, Serialize};
use store::reads::{Place, inbox as reads};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{DEFAULT_DAYS, DEFAULT_LIMIT, MAX_LIMIT, Position};
use crate::api::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Parameters, limit, range},
    problem::Problem,
    schema,
    timestamp::Timestamp,
};

/// The route of the gaps.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(gaps))
}

/// Which gaps.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GapsQuery {
    /// Only what was found at this time or later. Default: 7 days before `to` or now.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only what was found before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Only gaps of this provider.
    #[param(schema_with = schema::provider)]
    provider: Option<Provider>,
    /// Gaps in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// A page of gaps, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GapsPage {
    /// The gaps.
    data: Vec<Gap>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// An event that was found in the provider's list of calls, because no webhook had told it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Gap {
    /// The event that was stored instead.
    #[schema(value_type = Uuid)]
    id: InboxId,
    /// The call.
    #[schema(value_type = Option<Uuid>)]
    call_id: Option<CallId>,
    /// Whose webhook did not come.
    #[schema(example = "vapi")]
    provider: String,
    /// The provider's id of the call.
    provider_call_id: Option<String>,
    /// What was found.
    event_kind: String,
    /// When it was found.
    found_at: Timestamp,
    /// Kinds of the call's events that webhooks had told before.
    known_before: Vec<String>,
    /// How much webhooks had told.
    gap: GapKind,
    /// Whether a webhook of the call came afterwards.
    webhook_came_later: bool,
}

/// How much webhooks had told of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum GapKind {
    /// Nothing.
    Missing,
    /// Something, but not this.
    Incomplete,
}

/// List gaps
///
/// What webhooks failed to tell: events that only the sweep of the provider's API found. Newest
/// first, of the last 7 days where no time is given.
#[utoipa::path(get, path = "/v1/inbox/gaps", operation_id = "list_inbox_gaps",
    tag = "inbox", params(GapsQuery), responses(
    (status = 200, description = "A page of gaps", body = GapsPage),
    (status = 400, response = Problem)))]
async fn gaps(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<GapsQuery>,
) -> Result<Json<GapsPage>, Problem> {
    let organization = caller.may(Scope::ReadInbox)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("gaps {organization} {:?} {:?} {:?}", asked.from, asked.to, asked.provider);
    let (from, to) = range(asked.from, asked.to, DEFAULT_DAYS, Utc::now())?;
    let Place { at, id } = Place::before(to);
    let start = match &asked.cursor {
        Some(text) => cursor::open(&api.cursor_key, &list, text)?,
        None => Position { from, at, id },
    };
    let after = Place { at: start.at, id: start.id };
    let filter = reads::GapFilter { provider: asked.provider, from: start.from, after };
    let page = reads::gaps(&api.db, organization, filter, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        let next = Position { from: start.from, at: last.found_at, id: last.id.0 };
        cursor::seal(&api.cursor_key, &list, &next)
    });
    let data = page.items.into_iter().map(Gap::from).collect();
    Ok(Json(GapsPage { data, next_cursor }))
}

impl From<reads::Gap> for Gap {
    fn from(gap: reads::Gap) -> Self {
        let nothing = gap.known_before.is_empty();
        Self {
            id: gap.id,
            call_id: gap.call_id,
            provider: gap.provider,
            provider_call_id: gap.provider_call_id,
            event_kind: gap.event_kind,
            found_at: Timestamp(gap.found_at),
            known_before: gap.known_before,
            gap: if nothing { GapKind::Missing } else { GapKind::Incomplete },
            webhook_came_later: gap.webhook_came_later,
        }
    }
}
