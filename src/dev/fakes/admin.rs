//! The fakes' own routes: the effect log, scripts, delays, the clock, and the index page.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Filter, NotPlanted, Provider, Script, exchange::exchange, planted, provider::UnknownProvider,
    script::LONGEST_DELAY_MS, stripe, world::World,
};

/// A script may carry bodies; 4 MiB hold four of the largest that a fake itself would take.
const LARGEST_SCRIPT: usize = 4 * 1024 * 1024;

/// 16 MiB: a call with a transcript of 5 MB, which Vapi writes three times.
const LARGEST_CALL: usize = 16 * 1024 * 1024;

const INDEX: &str = "\
postcall fakes: third parties on this machine. Nothing leaves it.

providers
  /vapi      POST /call, GET /call, GET /call/{id}, GET /call/{id}/mono-recording,
             GET /**.wav[?bytes=N]
  /retell    POST /v2/create-phone-call, GET /v2/get-call/{id}, POST /v3/list-calls, GET /**.wav
  /twilio    /2010-04-01/Accounts/{sid}/Messages.json and Calls.json: POST, GET;
             Messages/{sid}.json: GET; Calls/{sid}.json: GET, POST;
             Calls/{sid}/Recordings.json: GET; GET /**.wav
  /resend    POST /emails
  /openai    POST /v1/chat/completions
  /stripe    POST /v1/billing/meter_events, GET /v1/billing/meters,
             GET /v1/billing/meters/{id}/event_summaries, POST /v1/customers,
             GET /v1/customers/search, GET /v1/customers/{id}, GET /v2/core/events/{id}
  /supabase  POST /realtime/v1/api/broadcast
  /hooks     any method on /{name}: a customer's webhook receiver

what took place
  GET    /effects?provider=&kind=&key=&accepted=&after=&limit=
  GET    /effects/count?provider=&kind=&key=&accepted=&after=
  DELETE /effects
  kinds: sms email call call_change recording model planted meter_event customer broadcast
         webhook lookup unknown

what was not placed here
  PUT    /admin/calls/{vapi|retell|twilio}
         the provider's call object, put in the place of an earlier one with the same id, call_id
         or sid; a Twilio call's recordings lie in it under \"recordings\"
  lists show it by their filters: Vapi updatedAt, createdAt (Gt Ge Lt Le), limit; Retell
  filter_criteria, sort_order, limit, pagination_key, skip, include_total; Twilio StartTime,
  EndTime (= >= <=; day or time), To, From, Status, ParentCallSid, PageSize, Page

what Stripe does
  PUT    /admin/stripe/settings      {\"any_customer\":true, \"known_customers\":[\"cus_1\"],
          \"meters\":[\"voice_minutes\"], \"webhook_url\":…, \"webhook_secret\":\"whsec_…\",
          \"report_after_ms\":1000}; what is left out is as these, but for meters (any) and webhooks
          (none). Usage of an unknown customer is taken, not counted, and reported by a thin event.
  POST   /admin/stripe/events        an event, posted now, signed
  GET    /admin/stripe/billed        what was counted, by customer

what goes wrong
  PUT    /scripts/{provider}[?key=]
         {\"kind\":…, \"answers\":[{\"status\":503, \"headers\":{}, \"body\":…, \"delay_ms\":100,
          \"do_it\":true, \"drop_connection\":true, \"drip\":true, \"endless\":true, \"times\":2,
          \"stored\":true}],
          \"then\":\"normal\"|\"repeat_last\"}
  GET    /scripts
  DELETE /scripts[/{provider}[?key=]]
  PUT    /delay/{provider}           {\"ms\":20}
  POST   /admin/clock                {\"advance_seconds\":90000}
";

/// All routes; what none of them takes goes to the providers.
pub(super) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(INDEX))
        .route("/healthz", get("ok\n"))
        .route("/effects", get(list).delete(clear))
        .route("/effects/count", get(count))
        .route("/scripts", get(scripts).delete(remove_all))
        .route("/scripts/{provider}", put(lay).delete(remove))
        .route("/delay/{provider}", put(delay))
        .route("/admin/clock", post(advance))
        .route("/admin/calls/{provider}", put(plant).layer(DefaultBodyLimit::max(LARGEST_CALL)))
        .nest("/admin/stripe", stripe::admin::router())
        .fallback(exchange)
        .layer(DefaultBodyLimit::max(LARGEST_SCRIPT))
        .with_state(world)
}

async fn list(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Response {
    let (lines, next) = world.effects.lines(&filter);
    // The effects are kept as JSON; parsing them only to write them again would be for nothing.
    let dropped = world.effects.dropped();
    let body = format!("{{\"data\":[{}],\"next\":{next},\"dropped\":{dropped}}}", lines.join(","));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn count(State(world): State<Arc<World>>, Query(filter): Query<Filter>) -> Json<Value> {
    Json(json!({ "count": world.effects.count(&filter), "dropped": world.effects.dropped() }))
}

async fn clear(State(world): State<Arc<World>>) -> StatusCode {
    world.effects.clear();
    StatusCode::NO_CONTENT
}

/// Which script is meant.
#[derive(Deserialize)]
struct Key {
    key: Option<String>,
}

async fn scripts(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({ "data": world.scripts.left() }))
}

async fn lay(
    State(world): State<Arc<World>>,
    Path(provider): Path<String>,
    Query(Key { key }): Query<Key>,
    Json(script): Json<Script>,
) -> Result<StatusCode, Refusal> {
    let provider = provider.parse()?;
    if let Some(fault) = script.fault() {
        return Err(Refusal(StatusCode::BAD_REQUEST, fault.to_owned()));
    }
    if !world.scripts.lay(provider, key, script) {
        let full = "too many scripts; DELETE /scripts first".to_owned();
        return Err(Refusal(StatusCode::INSUFFICIENT_STORAGE, full));
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_all(State(world): State<Arc<World>>) -> StatusCode {
    world.scripts.remove(None, None);
    StatusCode::NO_CONTENT
}

async fn remove(
    State(world): State<Arc<World>>,
    Path(provider): Path<String>,
    Query(Key { key }): Query<Key>,
) -> Result<StatusCode, Refusal> {
    world.scripts.remove(Some(provider.parse::<Provider>()?), key.as_deref());
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delay {
    /// Milliseconds, at most 600,000.
    ms: u64,
}

async fn delay(
    State(world): State<Arc<World>>,
    Path(provider): Path<String>,
    Json(Delay { ms }): Json<Delay>,
) -> Result<StatusCode, Refusal> {
    if ms > LONGEST_DELAY_MS {
        return Err(Refusal(StatusCode::BAD_REQUEST, "ms: at most 600000".to_owned()));
    }
    world.set_delay(provider.parse()?, ms);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u32,
}

async fn advance(
    State(world): State<Arc<World>>,
    Json(Advance { advance_seconds }): Json<Advance>,
) -> Json<Value> {
    world.clock.advance(advance_seconds);
    world.effects.clock_is(world.clock.ahead_seconds());
    Json(json!({ "now": world.clock.now(), "ahead_seconds": world.clock.ahead_seconds() }))
}

async fn plant(
    State(world): State<Arc<World>>,
    Path(provider): Path<String>,
    Json(call): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let provider: Provider = provider.parse()?;
    planted::plant(&world, provider, call)?;
    Ok(StatusCode::NO_CONTENT)
}

/// An answer of the fakes' own routes that says what is wrong.
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl From<UnknownProvider> for Refusal {
    fn from(error: UnknownProvider) -> Self {
        Self(StatusCode::NOT_FOUND, error.to_string())
    }
}

impl From<NotPlanted> for Refusal {
    fn from(error: NotPlanted) -> Self {
        let status = match error {
            NotPlanted::NoCalls(_) => StatusCode::NOT_FOUND,
            NotPlanted::NoId(_) => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
