//! Lists that come in pages.

use axum::response::Response;
use futures::{StreamExt, TryStreamExt};
use postcall_client::models::ListTemplatesQuery;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{Asked, Server, json, problem};

fn template(number: u128) -> Value {
    json!({
        "id": Uuid::from_u128(number), "slug": format!("t{number}"), "name": "T", "featured": true,
        "description": "", "configuration": {},
    })
}

/// Two, one and no templates.
fn page(_: usize, asked: &Asked) -> Response {
    let page = match asked.parameter("cursor") {
        None => json!({ "data": [template(1), template(2)], "next_cursor": "a b" }),
        Some("a+b") => json!({ "data": [template(3)], "next_cursor": "c" }),
        Some("c") => json!({ "data": [] }),
        Some(_) => return problem(400, "invalid-cursor", None),
    };
    json(200, &page)
}

#[tokio::test]
async fn pages_follow_one_another_with_the_same_filters() {
    let server = Server::start(page).await;
    let query = ListTemplatesQuery::new().featured(true).limit(2);
    let pages = server.client().list_templates(query).pages();
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(pages.iter().map(|page| page.data.len()).collect::<Vec<_>>(), [2, 1, 0]);
    let uris: Vec<_> = server.asked().into_iter().map(|asked| asked.uri).collect();
    let first = "/v1/templates?featured=true&limit=2";
    assert_eq!(
        uris,
        [first.to_owned(), format!("{first}&cursor=a+b"), format!("{first}&cursor=c")]
    );
}

#[tokio::test]
async fn items_are_those_of_all_pages_and_no_page_is_read_ahead() {
    let server = Server::start(page).await;
    let mut items = server.client().list_templates(ListTemplatesQuery::new()).items();
    let first = items.try_next().await.unwrap().unwrap();
    assert_eq!((first.slug.as_str(), server.asked().len()), ("t1", 1));
    let rest: Vec<_> = items.map_ok(|item| item.slug).try_collect().await.unwrap();
    assert_eq!(rest, ["t2", "t3"]);
}

#[tokio::test]
async fn an_error_is_the_last_that_comes() {
    let server = Server::start(page).await;
    let query = ListTemplatesQuery::new().cursor("other");
    let items: Vec<_> = server.client().list_templates(query).items().collect().await;
    assert_eq!(items.len(), 1);
    assert!(items[0].is_err());
}
