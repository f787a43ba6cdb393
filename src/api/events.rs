//! `/v1/events`: the organization's events as they happen, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use contract::ids::OrganizationId;
use futures::Stream;
use serde::Deserialize;
use store::{
    Database,
    events::{self as stored, Position, StreamEvent},
};
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    extract::Parameters,
    live::Seat,
    problem::{Kind, Problem},
};

/// Events read at a time.
const PAGE: i64 = 100;
/// Proxies drop connections that are silent for a minute; some after half of that.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long clients wait before they connect again.
const RETRY: Duration = Duration::from_millis(2000);
/// Shortest time between two reads of a stream: a busy organization must not make each of its
/// streams ask for every event alone.
const PAUSE: Duration = Duration::from_millis(200);
/// Then the client connects again, and its key is looked at again.
const LONGEST: Duration = Duration::from_secs(3600);

/// The route of the live stream.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// As the header `Last-Event-ID`, for clients that cannot set it. The header wins.
    last_event_id: Option<String>,
}

/// Stream events
///
/// Server-sent events: `id` is the event's id, `event` its type, `data` its JSON. Begins after the
/// event that `Last-Event-ID` names, or with what happens from now on; the first frame has no event and
/// says after which one it begins.
#[utoipa::path(get, path = "/v1/events", operation_id = "stream_events", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<Uuid>, Header,
        description = "The last event that the client saw; one that is not known counts as none, and the \
            nil UUID is before the oldest")),
    responses(
    (status = 200, description = "The stream", body = String, content_type = "text/event-stream",
        example = "id: 019aa141-7000-7000-8000-000000000000\nevent: call.completed\ndata: {}\n\n"),
    (status = 400, response = Problem)))]
async fn stream(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadEvents)?;
    let seat = api.live.seat().ok_or_else(|| Problem::new(Kind::TooManyStreams))?;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = header.or(asked.last_event_id.as_deref());
    let last = last.and_then(|text| text.parse::<Uuid>().ok());
    let position = stored::position_after(&api.db, organization, last).await?;
    let events = follow(api.db.clone(), organization, position, seat);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    // nginx would hold events back until its buffer is full.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(heartbeat)).into_response())
}

/// Events after `position`, until the process stops or the stream is [`LONGEST`] old.
fn follow(
    db: Database,
    organization: OrganizationId,
    mut position: Position,
    mut seat: Seat,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    async_stream::stream! {
        let end = Instant::now() + LONGEST;
        // A client that is cut off before its first event goes on from here, and not from the time
        // at which it is back.
        yield Ok(Event::default().retry(RETRY).id(position.id().to_string()));
        loop {
            seat.seen();
            loop {
                let page = match stored::after(&db, organization, position, PAGE).await {
                    Ok(page) => page,
                    Err(error) => {
                        // The stream stays: the next wake-up reads again from the same place.
                        tracing::debug!(%error, "a live stream could not read");
                        break;
                    }
                };
                let is_last = i64::try_from(page.len()).is_ok_and(|length| length < PAGE);
                for event in page {
                    position = event.position;
                    yield Ok(written(&event));
                }
                if is_last {
                    break;
                }
            }
            sleep(PAUSE).await;
            let goes_on = tokio::select! {
                goes_on = seat.news() => goes_on,
                () = sleep_until(end) => false,
            };
            if !goes_on {
                break;
            }
        }
    }
}

fn written(event: &StreamEvent) -> Event {
    // Compact JSON has no line break, and types are literals of ours: neither can break the frame.
    Event::default()
        .id(event.id.to_string())
        .event(&event.event_type)
        .data(event.payload.to_string())
}
