//! `/v1/calls/{id}/transcript`: what was said.

use axum::{Json, extract::State};
use contract::ids::CallId;
use serde::Serialize;
use serde_json::Value;
use store::reads::transcripts as reads;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    ApiState,
    auth::{Caller, Scope},
    extract::Id,
    problem::Problem,
};

/// The route of transcripts.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What was said on a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transcript {
    /// The call.
    #[schema(value_type = Uuid)]
    call_id: CallId,
    /// The whole text.
    #[schema(example = "AI: Hello.\nUser: Hi, it is about the invoice.")]
    text: String,
    /// Who said what when, in the provider's own form.
    #[schema(value_type = Option<Vec<Value>>)]
    messages: Option<Value>,
    /// The provider's summary.
    summary: Option<String>,
}

/// Show a call's transcript
///
/// The whole text, and who said what when as far as the provider tells.
#[utoipa::path(get, path = "/v1/calls/{id}/transcript", operation_id = "get_call_transcript",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The call")), responses(
    (status = 200, description = "The transcript", body = Transcript),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(call_id): Id<CallId>,
) -> Result<Json<Transcript>, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let found = reads::get(&api.db, organization, call_id).await?;
    let found = found.ok_or_else(|| Problem::not_found("transcript"))?;
    Ok(Json(Transcript {
        call_id,
        text: found.text,
        messages: found.messages,
        summary: found.summary,
    }))
}
