//! Whole lists, over connections that break.

use axum::{
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use futures::{StreamExt, TryStreamExt};
use postcall_client::{
    Error, ExportRow, ProblemKind,
    models::{ListAuditLogQuery, ListTemplatesQuery},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::server::{Asked, Server, pieces, problem};

fn line(number: u128, cursor: Option<&str>) -> String {
    let row = json!({
        "id": Uuid::from_u128(number), "slug": format!("t{number}"), "name": "T", "industry": null,
        "featured": true, "description": "two\nlines", "configuration": {}, "cursor": cursor,
    });
    format!("{row}\n")
}

/// Five rows on three pages; each connection breaks after the first row of a second page.
fn cut(_: usize, asked: &Asked) -> Response {
    match asked.parameter("cursor") {
        None => pieces(&[line(1, None), line(2, Some("a")), line(3, None)], false),
        Some("a") => pieces(&[line(3, None), line(4, Some("b")), line(5, None)], false),
        Some("b") => pieces(&[line(5, None)], true),
        Some(_) => problem(400, "invalid-cursor", None),
    }
}

#[tokio::test]
async fn each_row_comes_once_however_often_the_connection_breaks() {
    let server = Server::start(cut).await;
    let query = ListTemplatesQuery::new().featured(true).limit(3);
    let rows = server.client().list_templates(query).export().rows();
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    let slugs: Vec<_> = rows.iter().map(|row| row.value.slug.as_str()).collect();
    assert_eq!(slugs, ["t1", "t2", "t3", "t4", "t5"]);
    let cursors: Vec<_> = rows.iter().map(|row| row.cursor.as_deref()).collect();
    assert_eq!(cursors, [None, Some("a"), None, Some("b"), None]);
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    let columns = "id%2Cslug%2Cname%2Cindustry%2Cfeatured%2Cdescription%2Cconfiguration%2Ccursor";
    let first = format!("/v1/templates?featured=true&format=jsonl&columns={columns}");
    assert_eq!(asked[0].uri, first);
    assert_eq!(asked[1].uri, format!("{first}&cursor=a"));
    assert_eq!(asked[0].header("accept"), Some("application/jsonl"));
}

#[tokio::test]
async fn whoever_stopped_goes_on_by_the_cursor_of_the_last_row() {
    let server = Server::start(cut).await;
    let request = server.client().list_templates(ListTemplatesQuery::new());
    let mut rows = request.clone().export().rows();
    let mut last = None;
    while last.is_none() {
        last = rows.try_next().await.unwrap().unwrap().cursor;
    }
    drop(rows);
    let rows: Vec<_> = request.export().after(last.unwrap()).rows().try_collect().await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.value.slug.as_str()).collect::<Vec<_>>(),
        ["t3", "t4", "t5"]
    );
}

#[tokio::test]
async fn columns_come_in_a_type_of_ones_own() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Change {
        action: String,
        #[serde(rename = "after.name")]
        name: Option<String>,
    }
    let server = Server::start(|_, _| {
        pieces(
            &["{\"action\":\"users.update\",\"after.name\":null,\"cursor\":null}".to_owned()],
            true,
        )
    })
    .await;
    let export = server.client().list_audit_log(ListAuditLogQuery::new()).export();
    let mut rows = export.columns::<Change>(["action", "after.name"]).rows();
    let ExportRow { value, cursor, .. } = rows.try_next().await.unwrap().unwrap();
    assert_eq!(value, Change { action: "users.update".to_owned(), name: None });
    assert_eq!((cursor, rows.try_next().await.unwrap()), (None, None));
    let uri = "/v1/audit-log?format=jsonl&columns=action%2Cafter.name%2Ccursor";
    assert_eq!(server.asked()[0].uri, uri);
}

#[tokio::test]
async fn what_never_brings_a_page_ends() {
    let server = Server::start(|_, _| pieces(&[line(1, None)], false)).await;
    let list = server.client().list_templates(ListTemplatesQuery::new());
    let rows: Vec<_> = list.export().rows().collect().await;
    assert!(matches!(&rows[..], [Err(_)]), "{rows:?}");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let server = Server::start(cut).await;
    let list = server.client().list_templates(ListTemplatesQuery::new());
    let error = list.export().after("x").rows().try_next().await.unwrap_err();
    assert_eq!(error.kind(), Some(&ProblemKind::InvalidCursor));
}

#[tokio::test]
async fn a_list_without_pages_is_handed_on_as_it_comes() {
    let rows: Vec<String> = (1..=2_500).map(|number| line(number, None)).collect();
    let server = Server::start(move |_, _| pieces(&rows, false)).await;
    let list = server.client().list_templates(ListTemplatesQuery::new());
    let rows: Vec<_> = list.export().rows().collect().await;
    // What was handed on would come again: the break is told.
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 2_000);
    assert!(rows.last().unwrap().is_err());
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_table_comes_byte_by_byte() {
    let server = Server::start(|_, _| {
        let mut response = pieces(&["a,b\r\n".to_owned(), "1,2\r\n".to_owned()], true);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv"));
        response
    })
    .await;
    let client = server.client();
    let list = client.list_templates(ListTemplatesQuery::new().limit(1));
    let table = list.clone().csv().await.unwrap();
    assert_eq!((table.content_type(), table.content_length()), (Some("text/csv"), None));
    let parts: Vec<_> = table.into_stream().try_collect().await.unwrap();
    assert_eq!(parts.concat(), b"a,b\r\n1,2\r\n");
    assert_eq!(&list.clone().csv().await.unwrap().bytes(10).await.unwrap()[..], b"a,b\r\n1,2\r\n");
    let error = list.csv().await.unwrap().bytes(9).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 9, .. }), "{error:?}");
    assert_eq!(server.asked()[0].uri, "/v1/templates?format=csv");
}
