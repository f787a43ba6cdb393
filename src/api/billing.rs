//! `/v1/billing`: the preview, periods and the history of billing.

mod forms;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use contract::ids::PeriodId;
use store::{
    StoreError, billing,
    reads::{Page, Place, billing as reads},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::forms::{
    BillingEvent, BillingEventsPage, BillingEventsQuery, BillingPeriod, BillingPreview, COLUMNS,
    EVENT_COLUMNS, PeriodsPage, PeriodsQuery,
};
use super::{
    ApiState,
    auth::{Caller, Scope},
    csv::csv,
    cursor,
    extract::{Parameters, limit},
    problem::Problem,
    timestamp::Timestamp,
    usage::Format,
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 250;
/// Rows of a file: decades of periods, and it stays under a few MB.
const MOST_ROWS: usize = 10_000;

/// The routes of billing.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(preview)).routes(routes!(periods)).routes(routes!(events))
}

/// Show what closing now would bill
#[utoipa::path(get, path = "/v1/billing/preview", tag = "billing", responses(
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
#[utoipa::path(get, path = "/v1/billing/periods", tag = "billing", params(PeriodsQuery), responses(
    (status = 200, description = "A page of periods", content(
        (PeriodsPage = "application/json"), (String = "text/csv"))),
    (status = 400, response = Problem)))]
async fn periods(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<PeriodsQuery>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadBilling)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("billing periods {organization}");
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    if asked.format == Format::Csv {
        let read = |after| reads::periods(&api.db, organization, after, MAX_LIMIT);
        let place = |last: &reads::PeriodRow| Place { at: last.span.start, id: last.id.0 };
        let periods = all(after, read, place).await?.into_iter().map(BillingPeriod::from);
        return Ok(csv("billing-periods.csv", COLUMNS, periods.map(|period| period.cells())));
    }
    let page = reads::periods(&api.db, organization, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.span.start,
        id: last.id.0,
    });
    let data = page.items.into_iter().map(BillingPeriod::from).collect();
    Ok(Json(PeriodsPage { data, next_cursor }).into_response())
}

/// Everything from a place on, page by page, at most [`MOST_ROWS`].
async fn all<T, F>(
    mut after: Place,
    read: impl Fn(Place) -> F,
    place: impl Fn(&T) -> Place,
) -> Result<Vec<T>, Problem>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let mut rows = Vec::new();
    while rows.len() < MOST_ROWS {
        let page = read(after).await?;
        let more = page.more;
        rows.extend(page.items);
        match rows.last().filter(|_| more) {
            Some(last) => after = place(last),
            None => break,
        }
    }
    rows.truncate(MOST_ROWS);
    Ok(rows)
}

/// List the history of billing
#[utoipa::path(get, path = "/v1/billing/events", tag = "billing", params(BillingEventsQuery),
    responses((status = 200, description = "A page of the history", content(
        (BillingEventsPage = "application/json"), (String = "text/csv"))),
    (status = 400, response = Problem)))]
async fn events(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<BillingEventsQuery>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadBilling)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let list = format!("billing events {organization} {:?}", asked.period_id);
    let after = cursor::begin(&api.cursor_key, &list, asked.cursor.as_deref())?;
    let period = asked.period_id.map(PeriodId);
    if asked.format == Format::Csv {
        let read = |after| reads::events(&api.db, organization, period, after, MAX_LIMIT);
        let place = |last: &reads::BillingEventRow| Place { at: last.created_at, id: last.id };
        let events = all(after, read, place).await?.into_iter().map(BillingEvent::from);
        return Ok(csv("billing-events.csv", EVENT_COLUMNS, events.map(|event| event.cells())));
    }
    let page = reads::events(&api.db, organization, period, after, limit).await?;
    let next_cursor = cursor::next(&api.cursor_key, &list, &page, |last| Place {
        at: last.created_at,
        id: last.id,
    });
    let data = page.items.into_iter().map(BillingEvent::from).collect();
    Ok(Json(BillingEventsPage { data, next_cursor }).into_response())
}
