//! What is sent again, and what is not.

use std::time::Duration;

use axum::response::Response;
use postcall_client::{
    Client, Error, ProblemKind, Retries,
    models::{CreatePhoneNumber, Provider, UpdatePhoneNumber},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::server::{Asked, Server, json, pieces, problem};

const ID: Uuid = Uuid::from_u128(7);

fn number() -> Value {
    json!({
        "id": ID, "number": "+14155550100", "provider": "twilio", "version": 1,
        "created_at": "2026-01-31T09:30:00.000Z", "updated_at": "2026-01-31T09:30:00.000Z",
    })
}

/// Refuses as often as there are answers, and then gives the number.
async fn server(refusals: &'static [(u16, &'static str, Option<u32>)]) -> Server {
    let answer = move |before: usize, _: &Asked| -> Response {
        match refusals.get(before) {
            Some((status, slug, retry_after)) => problem(*status, slug, *retry_after),
            None => json(200, &number()),
        }
    };
    Server::start(answer).await
}

#[tokio::test]
async fn a_get_is_sent_until_it_is_answered() {
    let server = server(&[(503, "unavailable", Some(0)), (429, "rate-limited", None)]).await;
    let found = server.client().get_phone_number(ID).await.unwrap();
    assert_eq!(found.number, "+14155550100");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_get_is_not_sent_for_ever() {
    let server = Server::start(|_, _| problem(503, "unavailable", None)).await;
    let error = server.client().get_phone_number(ID).await.unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::Unavailable));
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn a_post_is_sent_again_under_the_same_key() {
    let server =
        server(&[(503, "unavailable", None), (409, "idempotency-under-way", Some(0))]).await;
    let new = CreatePhoneNumber::new("+14155550100", Provider::Twilio);
    server.client().create_phone_number(&new).await.unwrap();
    let asked = server.asked();
    let keys: Vec<_> = asked.iter().map(|asked| asked.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn another_change_is_sent_once() {
    let server = server(&[(503, "unavailable", Some(0))]).await;
    let change = UpdatePhoneNumber::new().clear_assistant_id();
    let error = server.client().update_phone_number(ID, &change).await.unwrap_err();
    assert!(error.can_retry());
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_will_not_pass_is_sent_once() {
    let server = server(&[(409, "conflict", None)]).await;
    let new = CreatePhoneNumber::new("+14155550100", Provider::Twilio);
    let error = server.client().create_phone_number(&new).await.unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::Conflict));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_server_is_given_the_time_that_it_asks_for() {
    let server = server(&[(429, "rate-limited", Some(1))]).await;
    let begin = Instant::now();
    server.client().get_phone_number(ID).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_the_callers() {
    let server = server(&[(429, "rate-limited", Some(3600))]).await;
    let error = server.client().get_phone_number(ID).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = Server::start(|before, _| {
        let text = number().to_string();
        let (first, rest) = text.split_at(20);
        pieces(&[first.to_owned(), rest.to_owned()][..=before.min(1)], before > 0)
    })
    .await;
    server.client().get_phone_number(ID).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn no_server_is_an_error_that_names_no_url() {
    let retries = Retries::default().attempts(2).first_wait(Duration::from_millis(1));
    let client = Client::builder("http://127.0.0.1:1", "k").retries(retries).build().unwrap();
    let query = postcall_client::models::SearchTranscriptsQuery::new("Ada");
    let error = client.search_transcripts(query).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("Ada"), "{error:?}");
}
