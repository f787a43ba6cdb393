//! `/v1/billing`: the preview, periods and the history of billing.

mod forms;

use axum::{Json, extract::State};
use chrono::Utc;
use contract::ids::PeriodId;
use store::{
    billing,
    reads::{Place, billing as reads},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{
    BillingEvent, BillingEventsPage, BillingEventsQuery, BillingPeriod, BillingPreview,
    PeriodsPage, PeriodsQuery,
};
use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Parameters, limit},
    problem::Problem,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;

/// The routes of billing.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(preview)).routes(routes!(periods)).routes(routes!(events))
}

/// Show what closing now would bill
///
/// What the current period has come to so far; closing it bills the same by the same rules.
#[utoipa::path(get, path = "/v1/billing/preview", operation_id = "get_billing_preview",
    tag = "billing", responses(
    (status = 200, description = "What closing the current period now would bill",
        body = BillingPreview)))]
async fn preview(
    caller: Caller,
    State(api): State<ApiState>,
) -> Result<Json<BillingPreview>, Problem> {
    let organization = caller.may(Scope::ReadBilling)?;
    let preview = billing::statement(&api.db, organization, None, Utc::now()).await?;
    let (exact, rounded) = (preview.overage_usd(), preview.overage_usd_rounded());
    let sums = preview.statement;
    Ok(Json(BillingPreview {
        period_id: preview.period_id,
        period_start: Timestamp(preview.span.start),
        period_end: Timestamp(preview.span.end),
        included_minutes: sums.included_minutes,
        used_minutes: sums.used_minutes,
        carried_minutes: sums.carried_minutes,
        overage_minutes: sums.overage_minutes,
        overage_price_usd: preview.overage_price.normalize().to_string(),
        overage_usd_exact: exact.normalize().to_string(),
        overage_usd: rounded.to_string(),
        carried_on_minutes: sums.carried_on_minutes,
        usage_limit: preview.usage_limit.as_str(),
    }))
}

/// List billing periods
///
/// Newest first, each with what it includes, what was used and what Stripe was told.
#[utoipa::path(get, path = "/v1/billing/periods", operation_id = "list_billing_periods",
    tag = "billing", params(PeriodsQuery), responses(
    (status = 200, description = "A page of periods", body = PeriodsPage),
    (status = 400, response = Problem)))]
async fn periods(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<PeriodsQuery>,
) -> Result<Json<PeriodsPage>, Problem> {
    let organization = caller.may(Scope::ReadBilling)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("billing periods {organization}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let page = reads::periods(&api.db, organization, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.span.start,
        id: last.id.0,
    });
    let data = page.items.into_iter().map(BillingPeriod::from).collect();
    Ok(Json(PeriodsPage { data, next_cursor }))
}

/// List the history of billing
///
/// What happened to periods and reports, newest first: opened, frozen, reported, closed.
#[utoipa::path(get, path = "/v1/billing/events", operation_id = "list_billing_events",
    tag = "billing", params(BillingEventsQuery),
    responses((status = 200, description = "A page of the history", body = BillingEventsPage),
    (status = 400, response = Problem)))]
async fn events(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<BillingEventsQuery>,
) -> Result<Json<BillingEventsPage>, Problem> {
    let organization = caller.may(Scope::ReadBilling)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("billing events {organization} {:?}", asked.period_id);
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let period = asked.period_id.map(PeriodId);
    let page = reads::events(&api.db, organization, period, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id,
    });
    let data = page.items.into_iter().map(BillingEvent::from).collect();
    Ok(Json(BillingEventsPage { data, next_cursor }))
}
