//! Live events, over connections that end.

use axum::response::Response;
use futures::{StreamExt, TryStreamExt};
use postcall_client::ProblemKind;
use serde_json::json;
use uuid::Uuid;

use crate::server::{Asked, Server, pieces, problem};

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn event(number: u128) -> String {
    format!("id: {}\nevent: call.completed\ndata: {{\"number\":{number}}}\n\n", id(number))
}

/// One event a connection; the second one breaks off within an event.
fn answer(_: usize, asked: &Asked) -> Response {
    let last = asked.header("last-event-id").unwrap_or_default();
    if last.is_empty() {
        let begin = format!("retry: 1\nid: {}\n\n", id(0));
        return pieces(&[begin, ": heartbeat\n\n".to_owned(), event(1)], true);
    }
    match last.parse::<Uuid>().unwrap().as_u128() {
        1 => pieces(&[event(2), event(3)[..60].to_owned()], false),
        2 => pieces(&[event(3)], true),
        _ => problem(403, "forbidden", None),
    }
}

#[tokio::test]
async fn each_event_comes_once_however_often_the_connection_ends() {
    let server = Server::start(answer).await;
    let mut events = server.client().stream_events().stream();
    for number in 1..=3 {
        let event = events.try_next().await.unwrap().unwrap();
        assert_eq!(event.id, Uuid::from_u128(number));
        assert_eq!(event.event_type, "call.completed");
        assert_eq!(event.data, json!({ "number": number }));
    }
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::Forbidden));
    assert!(events.next().await.is_none());
    let asked = server.asked();
    assert_eq!(asked[0].uri, "/v1/events");
    assert_eq!(asked[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn events_begin_where_the_caller_says() {
    let server = Server::start(answer).await;
    let request = server.client().stream_events().after(Uuid::from_u128(2));
    let event = request.stream().try_next().await.unwrap().unwrap();
    assert_eq!(event.id, Uuid::from_u128(3));
}
