//! `/v1/usage/reconcile`, `/v1/calls/{id}/usage`: the books side by side, and one call's minutes.

mod story;

use axum::{Json, extract::State};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::ids::{CallId, OrganizationId, PeriodId};
use serde::{Deserialize, Serialize};
use store::reconcile::{self as books, Look, Measure, Reason, Scope as Of};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Object, ObjectBuilder, SchemaType, Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::story::CallUsage;
use super::{
    ApiState,
    auth::{Caller, Scope},
    days::{self, WrongRange},
    extract::{Id, Parameters},
    problem::Problem,
    timestamp::Timestamp,
};

/// Days before today that are compared where none are named.
const DEFAULT_DAYS: u64 = 35;
/// Where days begin first it is this much later than in UTC.
const FIRST_ZONE: TimeDelta = TimeDelta::hours(14);

/// The routes of the books.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(reconcile)).routes(routes!(explain))
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReconcileQuery {
    /// First day, where the organization is. Default: 35 days before `to`.
    from: Option<NaiveDate>,
    /// Last day, included. Default: today. Periods that share a day with the range are compared whole.
    to: Option<NaiveDate>,
    /// Also rows in which all books agree.
    #[serde(default)]
    all: bool,
}

/// The books side by side.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reconciliation {
    /// First day.
    from: NaiveDate,
    /// Last day.
    to: NaiveDate,
    /// Whether nothing is unexplained.
    is_clean: bool,
    /// Rows that differ, and every unit of it is accounted for.
    #[schema(minimum = 0, example = 1)]
    explained: usize,
    /// Rows that differ, and nobody knows why.
    #[schema(minimum = 0, example = 0)]
    unexplained: usize,
    /// Days first, then periods.
    data: Vec<BookRow>,
}

/// What each book says of one day or period, in whole units. A book that says nothing of it is null.
#[derive(Debug, Serialize, ToSchema)]
pub struct BookRow {
    /// Whose books.
    #[schema(value_type = uuid::Uuid)]
    organization_id: OrganizationId,
    /// The day, where the organization is; null in a row of a period.
    #[schema(example = "2026-11-20")]
    date: Option<NaiveDate>,
    /// The period; null in a row of a day.
    #[schema(value_type = Option<uuid::Uuid>)]
    period_id: Option<PeriodId>,
    /// First instant of the period.
    period_start: Option<Timestamp>,
    /// What is counted. Cost is in millionths of a US dollar, overage in minutes.
    #[schema(schema_with = measure)]
    measure: &'static str,
    /// What the calls say, voided ones included.
    calls: Option<i64>,
    /// What the ledger says: of a day by when it occurred, of a period by what was booked in it.
    ledger: Option<i64>,
    /// What the aggregated day says.
    daily_usage: Option<i64>,
    /// What stands beside the ledger.
    totals: Option<i64>,
    /// What was fixed when the period was frozen.
    statement: Option<i64>,
    /// What the counters say; null too where they were not asked.
    redis: Option<i64>,
    /// What Stripe has counted of what it accepted; where it was not asked yet, what it was told.
    stripe: Option<i64>,
    /// Between the book that says most and the one that says least, and what of a period's ledger
    /// occurred outside of it.
    #[schema(minimum = 0, example = 3)]
    difference: i64,
    /// Why.
    explanations: Vec<RowExplanation>,
    /// What no explanation accounts for.
    #[schema(minimum = 0, example = 0)]
    unexplained: i64,
    /// What else is known of it.
    note: Option<&'static str>,
}

/// A part of a difference, and why it is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowExplanation {
    /// `late`: of a period that was frozen before it was known. `adjusted`: on the ledger of another
    /// period. `in-flight`: a book that is written later is not written yet. `voided`: calls that are
    /// not to be paid for.
    #[schema(schema_with = reason)]
    reason: &'static str,
    /// How much it accounts for; negative where a book says less for it.
    #[schema(example = -3)]
    quantity: i64,
}

/// Compare the books
///
/// Calls, ledger, daily usage, totals, statements and Stripe, by day and by period. Equal books have
/// no row.
#[utoipa::path(get, path = "/v1/usage/reconcile", operation_id = "reconcile_usage",
    tag = "usage", params(ReconcileQuery), responses(
    (status = 200, description = "Where books differ", body = Reconciliation),
    (status = 400, response = Problem)))]
async fn reconcile(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<ReconcileQuery>,
) -> Result<Json<Reconciliation>, Problem> {
    let organization = caller.may(Scope::ReadUsage)?;
    let now = Utc::now();
    let (from, to) = range(asked.from, asked.to, now)?;
    let look = Look { from, to, now, all: asked.all };
    let found = books::without_counters(&api.db, organization, look).await?;
    Ok(Json(Reconciliation {
        from,
        to,
        is_clean: found.unexplained() == 0,
        explained: found.explained(),
        unexplained: found.unexplained(),
        data: found.rows.into_iter().map(BookRow::from).collect(),
    }))
}

/// Explain a call's minutes
///
/// What was told of its duration, what was counted, in which periods, when its day was added up, and
/// whether it is billed.
#[utoipa::path(get, path = "/v1/calls/{id}/usage", operation_id = "get_call_usage", tag = "usage",
    params(("id" = uuid::Uuid, Path, description = "The call")), responses(
    (status = 200, description = "The story of its minutes", body = CallUsage),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn explain(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<CallId>,
) -> Result<Json<CallUsage>, Problem> {
    let organization = caller.may(Scope::ReadUsage)?;
    let story = books::explain(&api.db, organization, id).await?;
    let story = story.ok_or_else(|| Problem::not_found("call"))?;
    Ok(Json(CallUsage::from(story)))
}

/// The days to compare. Today is the latest that it is anywhere: a day that has not begun has no calls.
pub(crate) fn range(
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    now: DateTime<Utc>,
) -> Result<(NaiveDate, NaiveDate), WrongRange> {
    let today = (now + FIRST_ZONE).date_naive();
    days::range(from, to, today, DEFAULT_DAYS)
}

impl From<books::Row> for BookRow {
    fn from(row: books::Row) -> Self {
        let (date, period) = match row.scope {
            Of::Day(date) => (Some(date), None),
            Of::Period { id, start } => (None, Some((id, start))),
        };
        let explanations = row.explanations.into_iter().map(|explanation| RowExplanation {
            reason: explanation.reason.as_str(),
            quantity: explanation.quantity,
        });
        Self {
            organization_id: row.organization_id,
            date,
            period_id: period.map(|(id, _)| id),
            period_start: period.map(|(_, start)| Timestamp(start)),
            measure: row.measure.as_str(),
            calls: row.calls,
            ledger: row.ledger,
            daily_usage: row.daily_usage,
            totals: row.totals,
            statement: row.statement,
            redis: row.redis,
            stripe: row.stripe,
            difference: row.difference,
            explanations: explanations.collect(),
            unexplained: row.unexplained,
            note: row.note,
        }
    }
}

fn measure() -> Object {
    one_of(Measure::ALL.iter().map(|measure| measure.as_str()))
}

fn reason() -> Object {
    one_of(Reason::ALL.iter().map(|reason| reason.as_str()))
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(words))
        .build()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_35_days_up_to_the_latest_today_anywhere() {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let on = |text: &str| text.parse::<NaiveDate>().unwrap();
        let range =
            |from: Option<&str>, to: Option<&str>| super::range(from.map(on), to.map(on), now);
        assert_eq!(range(None, None), Ok((on("2026-10-18"), on("2026-11-22"))));
        assert_eq!(range(None, Some("2026-02-05")), Ok((on("2026-01-01"), on("2026-02-05"))));
        assert_eq!(range(Some("2026-11-02"), Some("2026-11-01")), Err(WrongRange::Reversed));
        assert_eq!(range(Some("2025-10-18"), Some("2026-11-22")), Err(WrongRange::TooLong));
        assert!(range(Some("2025-10-19"), Some("2026-11-22")).is_ok());
        for date in ["-262143-01-01", "1999-12-31", "2200-01-01"] {
            assert_eq!(
                range(Some(date), Some(date)),
                Err(WrongRange::Absurd { is_end: false }),
                "{date}"
            );
        }
    }
}
