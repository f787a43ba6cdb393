//! `/v1/billing`: the preview, periods and the history of billing.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use contract::ids::PeriodId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    StoreError, billing,
    reads::{Page, Place, billing as reads},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

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

/// What closing the current period now would bill.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillingPreview {
    /// The period; null before the first call.
    #[schema(value_type = Option<Uuid>)]
    period_id: Option<PeriodId>,
    /// First instant of the period.
    period_start: Timestamp,
    /// First instant after it.
    period_end: Timestamp,
    /// Minutes that the plan includes.
    #[schema(minimum = 0, example = 1000)]
    included_minutes: i64,
    /// Minutes on the period's ledger, corrections of earlier ones included; may be negative.
    #[schema(example = 1042)]
    used_minutes: i64,
    /// Minutes that the period before was owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    carried_minutes: i64,
    /// Minutes that would be billed.
    #[schema(minimum = 0, example = 42)]
    overage_minutes: i64,
    /// Price of such a minute in US dollars, a decimal number.
    #[schema(example = "0.12")]
    overage_price_usd: String,
    /// What they cost, exact, a decimal number.
    #[schema(example = "5.04")]
    overage_usd_exact: String,
    /// The same in whole cents, half a cent to the even one.
    #[schema(example = "5.04")]
    overage_usd: String,
    /// What the next period would be owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    carried_on_minutes: i64,
    /// `soft` or `hard`.
    #[schema(example = "soft")]
    usage_limit: &'static str,
}

/// Which periods.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PeriodsQuery {
    /// Periods in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `json`, or `csv` for all of them from the cursor on, at most 10,000.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// Which lines of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BillingEventsQuery {
    /// Only those about this period.
    period_id: Option<Uuid>,
    /// Lines in a page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same filter.
    cursor: Option<String>,
    /// `json`, or `csv` for all of them from the cursor on, at most 10,000.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A page of billing periods, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodsPage {
    /// The periods.
    data: Vec<BillingPeriod>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A billing period.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillingPeriod {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: PeriodId,
    /// First instant.
    period_start: Timestamp,
    /// First instant after it.
    period_end: Timestamp,
    /// `open`; `closing`, it is over and being billed; `closed`, it never changes again.
    #[schema(example = "closed")]
    status: String,
    /// When it was frozen: later usage is an adjustment in the open period.
    watermark: Option<Timestamp>,
    /// When it was closed.
    closed_at: Option<Timestamp>,
    /// Minutes that the plan included.
    #[schema(minimum = 0, example = 1000)]
    included_minutes: i64,
    /// Minutes that the period before was owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    carried_minutes: i64,
    /// Minutes on its ledger; so far, while it is open.
    #[schema(example = 1042)]
    used_minutes: i64,
    /// Minutes that are billed; null until it is frozen.
    #[schema(minimum = 0, example = 42)]
    overage_minutes: Option<i64>,
    /// Price of such a minute in US dollars, a decimal number.
    #[schema(example = "0.12")]
    overage_price_usd: String,
    /// `soft` or `hard`.
    #[schema(example = "soft")]
    usage_limit: &'static str,
    /// What Stripe was told; null where there was nothing to tell, or nobody to tell it to.
    report: Option<StripeReport>,
}

/// What Stripe was told of a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct StripeReport {
    /// Identifier of the meter event.
    identifier: String,
    /// Minutes.
    #[schema(minimum = 0, example = 42)]
    quantity: i64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    #[schema(example = "accepted")]
    state: String,
    /// Why it was rejected.
    error: Option<String>,
    /// When it was settled.
    settled_at: Option<Timestamp>,
}

/// A page of the history of billing, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillingEventsPage {
    /// The lines.
    data: Vec<BillingEvent>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A line of the history of billing.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillingEvent {
    /// Its id.
    id: Uuid,
    /// The period that it is about.
    #[schema(value_type = Option<Uuid>)]
    period_id: Option<PeriodId>,
    /// What happened.
    #[schema(example = "period.closed")]
    event: String,
    /// Numbers and states.
    #[schema(value_type = Object)]
    details: Value,
    /// When.
    created_at: Timestamp,
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
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        let place = Place { at: last.span.start, id: last.id.0 };
        cursor::after(&api.cursor_key, &list, place)
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
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        cursor::after(&api.cursor_key, &list, Place { at: last.created_at, id: last.id })
    });
    let data = page.items.into_iter().map(BillingEvent::from).collect();
    Ok(Json(BillingEventsPage { data, next_cursor }).into_response())
}

const COLUMNS: &[&str] = &[
    "period_start",
    "period_end",
    "status",
    "included_minutes",
    "carried_minutes",
    "used_minutes",
    "overage_minutes",
    "overage_price_usd",
    "report_state",
    "report_identifier",
];

const EVENT_COLUMNS: &[&str] = &["created_at", "event", "period_id", "details", "id"];

impl BillingEvent {
    fn cells(&self) -> Vec<String> {
        vec![
            store::events::timestamp(self.created_at.0),
            self.event.clone(),
            self.period_id.map(|id| id.to_string()).unwrap_or_default(),
            self.details.to_string(),
            self.id.to_string(),
        ]
    }
}

impl BillingPeriod {
    fn cells(&self) -> Vec<String> {
        let report = |field: fn(&StripeReport) -> &String| {
            self.report.as_ref().map(field).cloned().unwrap_or_default()
        };
        vec![
            store::events::timestamp(self.period_start.0),
            store::events::timestamp(self.period_end.0),
            self.status.clone(),
            self.included_minutes.to_string(),
            self.carried_minutes.to_string(),
            self.used_minutes.to_string(),
            self.overage_minutes.map(|minutes| minutes.to_string()).unwrap_or_default(),
            self.overage_price_usd.clone(),
            report(|report| &report.state),
            report(|report| &report.identifier),
        ]
    }
}

impl From<reads::PeriodRow> for BillingPeriod {
    fn from(period: reads::PeriodRow) -> Self {
        Self {
            id: period.id,
            period_start: Timestamp(period.span.start),
            period_end: Timestamp(period.span.end),
            status: period.status,
            watermark: period.watermark.map(Timestamp),
            closed_at: period.closed_at.map(Timestamp),
            included_minutes: period.included_minutes,
            carried_minutes: period.carried_minutes,
            used_minutes: period.used_minutes,
            overage_minutes: period.overage_minutes,
            overage_price_usd: period.overage_price.normalize().to_string(),
            usage_limit: period.usage_limit.as_str(),
            report: period.report.map(|report| StripeReport {
                identifier: report.identifier,
                quantity: report.quantity,
                state: report.state,
                error: report.error,
                settled_at: report.settled_at.map(Timestamp),
            }),
        }
    }
}

impl From<reads::BillingEventRow> for BillingEvent {
    fn from(line: reads::BillingEventRow) -> Self {
        Self {
            id: line.id,
            period_id: line.period_id,
            event: line.event,
            details: line.details,
            created_at: Timestamp(line.created_at),
        }
    }
}
