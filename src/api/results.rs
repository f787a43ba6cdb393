//! `/v1/calls/{id}/results`: what extractors found in a call.

use axum::{Json, extract::State};
use contract::ids::CallId;
use serde::Serialize;
use serde_json::Value;
use store::reads::results as reads;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    extract::Id,
    problem::Problem,
    timestamp::Timestamp,
};

/// The route of results.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The results of a call, newest first, at most 100.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallResults {
    /// The results.
    data: Vec<CallResult>,
}

/// What one extractor found.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallResult {
    /// Its id.
    id: Uuid,
    /// The call.
    #[schema(value_type = Uuid)]
    call_id: CallId,
    /// Name of the extractor.
    #[schema(example = "action-items")]
    extractor: String,
    /// Its version.
    extractor_version: i32,
    /// `ok`, `empty`, `failed` or `skipped`.
    #[schema(example = "ok")]
    status: String,
    /// What it found, in the extractor's own schema.
    #[schema(value_type = Option<Object>)]
    structured_data: Option<Value>,
    /// The model that answered, or `rules`.
    extraction_model: Option<String>,
    /// How sure it was.
    #[schema(minimum = 0, maximum = 1)]
    extraction_confidence: Option<f64>,
    /// When it answered.
    extraction_timestamp: Option<Timestamp>,
    /// How the mood was.
    #[schema(minimum = -1, maximum = 1)]
    sentiment_score: Option<f64>,
    /// How well the talk went.
    #[schema(minimum = 0, maximum = 1)]
    call_quality_score: Option<f64>,
    /// When it was stored.
    created_at: Timestamp,
}

/// List a call's extraction results
///
/// What each extractor found, newest first, in the schema of the extractor; at most 100.
#[utoipa::path(get, path = "/v1/calls/{id}/results", operation_id = "list_call_results",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The call")), responses(
    (status = 200, description = "The results", body = CallResults),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn list(
    caller: Caller,
    State(api): State<ApiState>,
    Id(call_id): Id<CallId>,
) -> Result<Json<CallResults>, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let found = reads::of_call(&api.db, organization, call_id).await?;
    let found = found.ok_or_else(|| Problem::not_found("call"))?;
    let data = found.into_iter().map(|result| CallResult {
        id: result.id,
        call_id,
        extractor: result.extractor,
        extractor_version: result.extractor_version,
        status: result.status,
        structured_data: result.structured_data,
        extraction_model: result.extraction_model,
        extraction_confidence: result.extraction_confidence,
        extraction_timestamp: result.extraction_timestamp.map(Timestamp),
        sentiment_score: result.sentiment_score,
        call_quality_score: result.call_quality_score,
        created_at: Timestamp(result.created_at),
    });
    Ok(Json(CallResults { data: data.collect() }))
}
