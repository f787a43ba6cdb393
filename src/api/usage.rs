//! `/v1/usage`: minutes used.

use axum::{Json, extract::State};
use serde::Serialize;
use store::reads::usage as reads;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    ApiState,
    auth::{Caller, Scope},
    problem::Problem,
    timestamp::Timestamp,
};

/// The routes of usage.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(current))
}

/// Minutes of the current billing period.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentUsage {
    /// First instant of the period.
    period_start: Timestamp,
    /// First instant after it.
    period_end: Timestamp,
    /// Minutes that the plan includes.
    #[schema(minimum = 0, example = 1000)]
    included_minutes: i64,
    /// Minutes used so far.
    #[schema(minimum = 0, example = 1042)]
    used_minutes: i64,
    /// Minutes used beyond the included ones.
    #[schema(minimum = 0, example = 42)]
    overage_minutes: i64,
}

/// Show usage of the current period
#[utoipa::path(get, path = "/v1/usage/current", tag = "usage", responses(
    (status = 200, description = "Minutes of the current period", body = CurrentUsage)))]
async fn current(
    caller: Caller,
    State(api): State<ApiState>,
) -> Result<Json<CurrentUsage>, Problem> {
    let organization = caller.may(Scope::ReadUsage)?;
    let found = reads::current(&api.db, organization).await?;
    let found = found.ok_or_else(|| Problem::not_found("organization"))?;
    let included_minutes = i64::from(found.included_minutes);
    Ok(Json(CurrentUsage {
        period_start: Timestamp(found.period_start),
        period_end: Timestamp(found.period_end),
        included_minutes,
        used_minutes: found.used_minutes,
        overage_minutes: (found.used_minutes - included_minutes).max(0),
    }))
}
