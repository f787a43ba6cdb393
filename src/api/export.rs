//! `format=csv` and `format=jsonl` of every list: all of it from the cursor on, streamed.
//!
//! A layer before the routes, which asks the list itself for page after page: whatever is a list in the
//! OpenAPI document can be exported, and no route does anything for it. A few pages are in memory at a
//! time, and the next one is read when the client has taken one before. Each page asks anew who asks, so
//! an export ends when its key is revoked; it is counted once.

mod asked;
mod lists;
mod places;
mod rows;

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::mpsc::{Sender, channel},
    time::{sleep, timeout},
};
use utoipa::openapi::OpenApi;

use self::{
    asked::{Asked, Pages},
    lists::Lists,
    places::{Place, Places},
    rows::Page,
};
use super::{
    ApiState,
    auth::{Caller, FurtherPage},
    problem::{Kind, Problem},
};

pub(super) use self::lists::document;
pub(crate) use self::rows::Format;

/// Bytes of a page; where its rows are larger, fewer are read at a time.
const LARGEST_PAGE: usize = 16 * 1024 * 1024;
/// A client that takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody keeps a place for longer; its cursor goes on in another.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Rows that are read at a time: the most of any list.
const MOST_ROWS: u16 = 250;
/// Waits before a page that failed is asked for again: a restart of Postgres is survived.
const RETRY_SECONDS: [u64; 5] = [1, 2, 4, 8, 15];
/// Seconds after which there may be room for another export.
const ROOM_AGAIN: u32 = 30;

/// What can be exported, and how much of it goes on.
#[derive(Clone)]
pub(super) struct Exports {
    lists: Arc<Lists>,
    places: Places,
    api: ApiState,
}

impl Exports {
    /// Of the lists of this document.
    pub(super) fn new(document: &OpenApi, api: ApiState) -> Self {
        Self { lists: Arc::new(Lists::of(document)), places: Places::default(), api }
    }
}

/// Answers a list in the form that is asked for.
pub(super) async fn export(
    State(exports): State<Exports>,
    request: Request,
    next: Next,
) -> Response {
    match asked::read(&exports.lists, request) {
        Err(problem) => problem.into_response(),
        Ok(Asked::Page(request)) => next.run(request).await,
        Ok(Asked::All(pages)) => {
            let exported = exported(&exports, pages, next).await;
            exported.unwrap_or_else(IntoResponse::into_response)
        }
    }
}

/// The first page is there before anything is answered: what is wrong with the request is told as ever.
async fn exported(exports: &Exports, mut pages: Pages, next: Next) -> Result<Response, Response> {
    let caller = Caller::from_request_parts(&mut pages.parts.clone(), &exports.api).await;
    let caller = caller.map_err(IntoResponse::into_response)?;
    let place = exports.places.take(caller.organization()).ok_or_else(|| {
        let detail = "Too many exports at once. Try again when one of them has ended.";
        Problem::with_detail(Kind::RateLimited, detail).retry_after(ROOM_AGAIN).into_response()
    })?;
    pages.parts.extensions.insert(FurtherPage);
    let first = page(&pages, &next).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(pages.form.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = format!("attachment; filename=\"{}\"", pages.file()).parse() {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let (sender, mut receiver) = channel(1);
    tokio::spawn(timeout(LONGEST, send(pages, next, first, sender, place)));
    *response.body_mut() = Body::from_stream(async_stream::stream! {
        loop {
            match receiver.recv().await {
                Some(Part::Rows(rows)) => yield Ok(rows),
                Some(Part::End) => break,
                // A client can tell an answer that is cut from one that is whole.
                None => {
                    yield Err(io::Error::other("the export was cut"));
                    break;
                }
            }
        }
    });
    Ok(response)
}

/// What goes out. Only what ends with [`Part::End`] is whole, whatever became of who sends it.
enum Part {
    Rows(Bytes),
    End,
}

async fn send(mut pages: Pages, next: Next, first: Page, parts: Sender<Part>, place: Place) {
    let mut text = pages.form.head();
    let mut page = first;
    loop {
        pages.form.write(&page, &mut text);
        let cursor = page.next_cursor.take();
        drop(page);
        let rows = Part::Rows(Bytes::from(std::mem::take(&mut text)));
        if !matches!(timeout(PATIENCE, parts.send(rows)).await, Ok(Ok(()))) {
            break;
        }
        let Some(cursor) = cursor else {
            drop(timeout(PATIENCE, parts.send(Part::End)).await);
            break;
        };
        pages.cursor = Some(cursor);
        page = match further(&pages, &next).await {
            Ok(page) => page,
            Err(status) => {
                tracing::warn!(%status, "an export was cut");
                break;
            }
        };
    }
    drop(place);
}

async fn further(pages: &Pages, next: &Next) -> Result<Page, StatusCode> {
    let mut waits = RETRY_SECONDS.map(Duration::from_secs).into_iter();
    loop {
        let refused = match page(pages, next).await {
            Ok(page) => return Ok(page),
            Err(response) => response.status(),
        };
        match waits.next().filter(|_| refused.is_server_error()) {
            Some(wait) => sleep(wait).await,
            None => return Err(refused),
        }
    }
}

async fn page(pages: &Pages, next: &Next) -> Result<Page, Response> {
    let mut rows = MOST_ROWS;
    loop {
        let request = pages.request(rows).map_err(IntoResponse::into_response)?;
        let response = next.clone().run(request).await;
        if !response.status().is_success() {
            return Err(response);
        }
        match to_bytes(response.into_body(), LARGEST_PAGE).await {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(page) => return Ok(page),
                Err(error) => tracing::error!(%error, "a list is not what an export takes"),
            },
            // What a provider told of a call is sometimes megabytes.
            Err(_) if rows > 1 => {
                rows /= 4;
                continue;
            }
            Err(error) => tracing::error!(%error, "a row is too large for an export"),
        }
        return Err(Problem::new(Kind::Internal).into_response());
    }
}
