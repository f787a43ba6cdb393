//! `/v1/usage`: minutes of the current period, and of days.

use axum::{Json, extract::State};
use chrono::{NaiveDate, Utc};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};
use store::reads::usage::{self as reads, Of};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    days::range,
    extract::Parameters,
    problem::Problem,
    timestamp::Timestamp,
};

/// Days before the last one that are shown where none are named.
const DAYS_BEFORE: u64 = 29;

/// The routes of usage.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(current)).routes(routes!(days))
}

/// Usage of the current billing period.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentUsage {
    /// First instant of the period.
    period_start: Timestamp,
    /// First instant after it.
    period_end: Timestamp,
    /// The organization's time zone, which decides its days.
    #[schema(example = "Asia/Kathmandu")]
    timezone: String,
    /// The organization's plan.
    #[schema(example = "starter")]
    plan: String,
    /// Minutes that the plan includes.
    #[schema(minimum = 0, example = 1000)]
    included_minutes: i64,
    /// Minutes used so far, corrections of earlier periods included.
    #[schema(example = 1042)]
    used_minutes: i64,
    /// Minutes that the period before was owed, 0 or less.
    #[schema(maximum = 0, example = 0)]
    carried_minutes: i64,
    /// Minutes to be billed beyond the included ones; none under a hard limit.
    #[schema(minimum = 0, example = 42)]
    overage_minutes: i64,
    /// Seconds used so far.
    #[schema(example = 61040)]
    used_seconds: i64,
    /// What providers charged so far, in US dollars, with up to six decimals.
    #[schema(example = 71.2118)]
    cost_usd: f64,
    /// What happens when the included minutes are used up: `soft`, further ones are billed; `hard`, no
    /// further ones are sold.
    #[schema(example = "soft")]
    usage_limit: &'static str,
    /// Whether the included minutes are used up.
    limit_reached: bool,
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DaysQuery {
    /// First day, where the organization is. Default: 29 days before `to`.
    from: Option<NaiveDate>,
    /// Last day, included. Default: today.
    to: Option<NaiveDate>,
    /// Only calls of this assistant.
    assistant_id: Option<Uuid>,
    /// `day`: a row a day. `assistant`: a row for each assistant and day with calls of it.
    #[serde(default)]
    #[param(inline)]
    by: By,
}

/// What a row is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A day.
    #[default]
    Day,
    /// An assistant's day.
    Assistant,
}

/// Usage by day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DaysOfUsage {
    /// First day, where the organization is.
    from: NaiveDate,
    /// Last day.
    to: NaiveDate,
    /// The days, in order. By day also those without calls, up to today.
    data: Vec<DayOfUsage>,
    /// The sum of all rows.
    total: UsageSum,
}

/// A day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DayOfUsage {
    /// The day, where the organization is.
    #[schema(example = "2026-11-20")]
    date: NaiveDate,
    /// Whose calls; null for all.
    assistant_id: Option<Uuid>,
    /// Calls that ended.
    #[schema(minimum = 0, example = 42)]
    total_calls: i32,
    /// Calls that were talked through.
    #[schema(minimum = 0, example = 40)]
    completed_calls: i32,
    /// Calls that ended otherwise.
    #[schema(minimum = 0, example = 2)]
    failed_calls: i32,
    /// Billed minutes.
    #[schema(minimum = 0, example = 97)]
    minutes: i64,
    /// Seconds.
    #[schema(minimum = 0, example = 5210)]
    seconds: i64,
    /// Seconds of a call on average; null without calls.
    #[schema(example = 124.048)]
    average_duration_seconds: Option<f64>,
    /// What providers charged, in US dollars, with up to six decimals.
    #[schema(example = 7.214)]
    cost_usd: f64,
    /// When this was added up; null where nothing was yet. Calls of today are added up tonight.
    computed_at: Option<Timestamp>,
}

/// The sum of days.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct UsageSum {
    /// Calls that ended.
    total_calls: i64,
    /// Calls that were talked through.
    completed_calls: i64,
    /// Calls that ended otherwise.
    failed_calls: i64,
    /// Billed minutes.
    minutes: i64,
    /// Seconds.
    seconds: i64,
    /// What providers charged, in US dollars.
    cost_usd: f64,
}

/// Show usage of the current period
///
/// Minutes, seconds and cost of the current period against what the plan includes.
#[utoipa::path(get, path = "/v1/usage/current", operation_id = "get_current_usage",
    tag = "usage", responses(
    (status = 200, description = "Usage of the current period", body = CurrentUsage)))]
async fn current(
    caller: Caller,
    State(api): State<ApiState>,
) -> Result<Json<CurrentUsage>, Problem> {
    let organization = caller.may(Scope::ReadUsage)?;
    let found = reads::current(&api.db, organization, Utc::now()).await?;
    let found = found.ok_or_else(|| Problem::not_found("organization"))?;
    let sums = found.statement;
    let net = sums.used_minutes + sums.carried_minutes;
    Ok(Json(CurrentUsage {
        period_start: Timestamp(found.span.start),
        period_end: Timestamp(found.span.end),
        timezone: found.timezone,
        plan: found.plan,
        included_minutes: sums.included_minutes,
        used_minutes: sums.used_minutes,
        carried_minutes: sums.carried_minutes,
        overage_minutes: sums.overage_minutes,
        used_seconds: found.used_seconds,
        cost_usd: number(found.cost_usd),
        usage_limit: found.usage_limit.as_str(),
        limit_reached: sums.included_minutes > 0 && net >= sums.included_minutes,
    }))
}

/// List usage by day
///
/// A row for each local day, or for each assistant and day, and the sum of all rows.
#[utoipa::path(get, path = "/v1/usage", operation_id = "list_usage",
    tag = "usage", params(DaysQuery), responses(
    (status = 200, description = "Days of usage", body = DaysOfUsage),
    (status = 400, response = Problem)))]
async fn days(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<DaysQuery>,
) -> Result<Json<DaysOfUsage>, Problem> {
    let organization = caller.may(Scope::ReadUsage)?;
    let today = reads::today(&api.db, organization, Utc::now()).await?;
    let (from, to) = range(asked.from, asked.to, today, DAYS_BEFORE)?;
    let of = match (asked.assistant_id, asked.by) {
        (Some(assistant), _) => Of::Assistant(assistant),
        (None, By::Assistant) => Of::EachAssistant,
        (None, By::Day) => Of::Everything,
    };
    let found = reads::days(&api.db, organization, from, to, of).await?;
    let rows: Vec<DayOfUsage> = found.into_iter().map(DayOfUsage::from).collect();
    let total = rows.iter().fold(UsageSum::default(), UsageSum::and);
    let data = if of == Of::Everything { with_empty_days(rows, from, to.min(today)) } else { rows };
    Ok(Json(DaysOfUsage { from, to, data, total }))
}

/// A day without calls has no row in the books, and one here.
fn with_empty_days(rows: Vec<DayOfUsage>, from: NaiveDate, to: NaiveDate) -> Vec<DayOfUsage> {
    let mut rows = rows.into_iter().peekable();
    let mut data = Vec::new();
    for date in from.iter_days().take_while(|date| *date <= to) {
        data.push(rows.next_if(|row| row.date == date).unwrap_or(DayOfUsage::empty(date)));
    }
    data.extend(rows);
    data
}

impl DayOfUsage {
    fn empty(date: NaiveDate) -> Self {
        Self {
            date,
            assistant_id: None,
            total_calls: 0,
            completed_calls: 0,
            failed_calls: 0,
            minutes: 0,
            seconds: 0,
            average_duration_seconds: None,
            cost_usd: 0.0,
            computed_at: None,
        }
    }
}

impl From<reads::Day> for DayOfUsage {
    fn from(day: reads::Day) -> Self {
        Self {
            date: day.date,
            assistant_id: day.assistant_id,
            total_calls: day.total_calls,
            completed_calls: day.completed_calls,
            failed_calls: day.failed_calls,
            minutes: day.minutes,
            seconds: day.seconds,
            average_duration_seconds: day.average_duration_seconds.map(number),
            cost_usd: number(day.cost_usd),
            computed_at: Some(Timestamp(day.computed_at)),
        }
    }
}

impl UsageSum {
    fn and(self, day: &DayOfUsage) -> Self {
        Self {
            total_calls: self.total_calls + i64::from(day.total_calls),
            completed_calls: self.completed_calls + i64::from(day.completed_calls),
            failed_calls: self.failed_calls + i64::from(day.failed_calls),
            minutes: self.minutes + day.minutes,
            seconds: self.seconds + day.seconds,
            // Of six decimals each; the sum has no more.
            cost_usd: ((self.cost_usd + day.cost_usd) * 1e6).round() / 1e6,
        }
    }
}

/// JSON has no decimals; six places of any amount of ours fit into its numbers.
pub(super) fn number(decimal: Decimal) -> f64 {
    decimal.to_f64().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_the_last_thirty_days_unless_it_is_named() {
        let today = on("2026-11-21");
        let range = |from: Option<&str>, to: Option<&str>| {
            super::range(from.map(on), to.map(on), today, DAYS_BEFORE).ok()
        };
        assert_eq!(range(None, None), Some((on("2026-10-23"), today)));
        assert_eq!(range(Some("2026-11-01"), None), Some((on("2026-11-01"), today)));
        assert_eq!(range(None, Some("2026-01-30")), Some((on("2026-01-01"), on("2026-01-30"))));
        assert_eq!(range(Some("2026-11-21"), Some("2026-11-20")), None);
        assert!(range(Some("2025-10-18"), None).is_some());
        assert_eq!(range(Some("2025-10-17"), None), None, "more than 400 days");
        assert_eq!(range(None, Some("1999-12-31")), None);
        assert_eq!(range(Some("2200-01-01"), None), None);
    }

    #[test]
    fn days_without_calls_are_shown_in_their_place() {
        let busy = DayOfUsage { minutes: 3, ..DayOfUsage::empty(on("2026-11-02")) };
        let days = with_empty_days(vec![busy], on("2026-11-01"), on("2026-11-03"));
        let minutes: Vec<_> = days.iter().map(|day| (day.date.to_string(), day.minutes)).collect();
        let expected = [("2026-11-01", 0), ("2026-11-02", 3), ("2026-11-03", 0)];
        assert_eq!(minutes, expected.map(|(date, minutes)| (date.to_owned(), minutes)));
    }
}
