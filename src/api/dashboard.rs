//! `/v1/dashboard`: an organization at a glance, in one answer.

use axum::{Json, extract::State};
use chrono::{NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use store::{
    reads::dashboard::{self as reads, Card},
    usage::DayTotal,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    problem::Problem,
    timestamp::Timestamp,
};

/// Millionths of a US dollar.
const MICROS: f64 = 1e6;

/// The route of the dashboard.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// An organization at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dashboard {
    /// Whose it is.
    organization: Organization,
    /// Its calls of today.
    today: Today,
    /// Its last 20 calls of the last 7 days, newest first.
    recent_calls: Vec<RecentCall>,
    /// Its active assistants, by name; at most 100.
    assistants: Vec<Assistant>,
}

/// The organization of a dashboard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DashboardOrganization)]
pub struct Organization {
    /// Its id.
    id: Uuid,
    /// Its name.
    name: String,
    /// Its name in URLs.
    slug: String,
    /// Its plan.
    #[schema(example = "starter")]
    plan: String,
    /// Minutes that the plan includes in a period.
    #[schema(minimum = 0, example = 1000)]
    plan_minutes: i32,
    /// Its time zone, which decides its days.
    #[schema(example = "Asia/Kathmandu")]
    timezone: String,
    /// What it chose.
    #[schema(value_type = Object)]
    settings: Value,
}

/// Calls of the day that it is where the organization is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Today {
    /// The day.
    date: NaiveDate,
    /// Calls in progress, whenever they began.
    #[schema(minimum = 0)]
    active_calls: i64,
    /// Calls that have ended.
    #[schema(minimum = 0)]
    calls: i64,
    /// Those of them that were talked through.
    #[schema(minimum = 0)]
    completed_calls: i64,
    /// The others.
    #[schema(minimum = 0)]
    failed_calls: i64,
    /// Minutes counted for billing.
    #[schema(minimum = 0)]
    minutes: i64,
    /// Seconds of a call on average; null without calls.
    average_duration_seconds: Option<f64>,
    /// What providers charged, in US dollars.
    cost_usd: f64,
}

/// A call of the dashboard. `/v1/calls/{id}` tells the rest.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecentCall {
    /// Its id.
    id: Uuid,
    /// Who ran it.
    #[schema(example = "vapi")]
    provider: String,
    /// The assistant that talked, where it is one of the organization's.
    assistant_id: Option<Uuid>,
    /// Who called whom; null where not known.
    #[schema(example = "inbound")]
    direction: Option<String>,
    /// Where it stands.
    #[schema(example = "completed")]
    status: String,
    /// What came of it, by its purpose.
    outcome: Option<String>,
    /// The caller's number.
    #[schema(example = "+14155550100")]
    from_number: Option<String>,
    /// The called number.
    #[schema(example = "+14155550199")]
    to_number: Option<String>,
    /// When the talk began.
    started_at: Option<Timestamp>,
    /// Its length in seconds.
    #[schema(minimum = 0, example = 131)]
    duration_seconds: Option<i32>,
    /// Minutes counted for billing; null until the call is processed.
    #[schema(minimum = 0, example = 3)]
    billed_minutes: Option<i32>,
    /// When it began to exist.
    created_at: Timestamp,
}

/// An assistant of the dashboard.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DashboardAssistant)]
pub struct Assistant {
    /// Its id.
    id: Uuid,
    /// Its name.
    name: String,
    /// Who runs it.
    #[schema(example = "vapi")]
    provider: String,
}

/// Show the dashboard
///
/// Settings, today, the last calls and the active assistants in one answer. What is older than it seems: a
/// call's end shows at once, its beginning within 10 seconds.
#[utoipa::path(get, path = "/v1/dashboard", operation_id = "get_dashboard",
    tag = "dashboard", responses(
    (status = 200, description = "The organization at a glance", body = Dashboard)))]
async fn show(caller: Caller, State(api): State<ApiState>) -> Result<Json<Dashboard>, Problem> {
    let organization = caller.may(Scope::ReadDashboard)?;
    let found = api.dashboards.of(organization, Utc::now()).await?;
    Ok(Json(Dashboard::of(organization.0, &found)))
}

impl Dashboard {
    fn of(id: Uuid, found: &reads::Dashboard) -> Self {
        let Card { name, slug, plan, plan_minutes, timezone } = found.organization.clone();
        let settings = serde_json::to_value(&found.settings).unwrap_or_default();
        Self {
            organization: Organization { id, name, slug, plan, plan_minutes, timezone, settings },
            today: Today::of(found.today, found.active_calls),
            recent_calls: found.calls.iter().cloned().map(RecentCall::from).collect(),
            assistants: found.assistants.iter().cloned().map(Assistant::from).collect(),
        }
    }
}

impl Today {
    fn of(day: DayTotal, active_calls: i64) -> Self {
        Self {
            date: day.date,
            active_calls,
            calls: day.calls,
            completed_calls: day.completed,
            failed_calls: day.calls - day.completed,
            minutes: day.minutes,
            average_duration_seconds: (day.calls > 0)
                .then(|| day.seconds as f64 / day.calls as f64),
            cost_usd: day.cost_micros as f64 / MICROS,
        }
    }
}

impl From<reads::RecentCall> for RecentCall {
    fn from(call: reads::RecentCall) -> Self {
        Self {
            id: call.id,
            provider: call.provider,
            assistant_id: call.assistant_id,
            direction: call.direction,
            status: call.status,
            outcome: call.outcome,
            from_number: call.from_number,
            to_number: call.to_number,
            started_at: call.started_at.map(Timestamp),
            duration_seconds: call.duration_seconds,
            billed_minutes: call.billed_minutes,
            created_at: Timestamp(call.created_at),
        }
    }
}

impl From<reads::Assistant> for Assistant {
    fn from(assistant: reads::Assistant) -> Self {
        let reads::Assistant { id, name, provider } = assistant;
        Self { id, name, provider }
    }
}
