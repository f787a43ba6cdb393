//! Answers on the wire: as the fake makes them, or as a script bends them.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    reply::{Content, Reply},
    script::Answer,
};

/// An endless body comes in chunks of at least this size.
const ENDLESS_CHUNK_BYTES: usize = 16 * 1024;

/// The fake's own answer.
pub(super) fn plain(reply: Reply) -> Response {
    let mut response = match reply.body {
        Content::Empty => ().into_response(),
        Content::Json(body) => axum::Json(body).into_response(),
        Content::Audio(wav) => wav.into_response(),
    };
    *response.status_mut() = status(reply.status);
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The scripted answer. `reply` already carries the status and the body to fall back on.
pub(super) fn scripted(answer: &Answer, reply: Reply, stopping: &CancellationToken) -> Response {
    let as_it_is = answer.body.is_none() && !answer.drip && !answer.endless;
    let mut response = if as_it_is {
        plain(reply)
    } else {
        let status = status(reply.status);
        let (bytes, content_type) = content(answer.body.as_ref(), &reply.body);
        let body = if answer.endless {
            endless(bytes, stopping.clone())
        } else if answer.drip {
            drip(bytes, stopping.clone())
        } else {
            Body::from(bytes)
        };
        (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
    };
    if declares_a_length(&answer.headers) {
        response = response.map(of_unknown_length);
    }
    for (name, value) in &answer.headers {
        // In-process scripts are not checked beforehand: what cannot be sent is left out.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn declares_a_length(headers: &BTreeMap<String, String>) -> bool {
    headers.keys().any(|name| name.eq_ignore_ascii_case("content-length"))
}

/// The same body; the server trusts a `Content-Length` header only if it does not know the length.
fn of_unknown_length(body: Body) -> Body {
    let mut chunks = body.into_data_stream();
    Body::from_stream(stream! {
        while let Some(chunk) = chunks.next().await {
            yield chunk;
        }
        // Without a pause the server throws the beginning away when it finds the body too short.
        tokio::time::sleep(Duration::from_millis(20)).await;
    })
}

fn content(scripted: Option<&Value>, own: &Content) -> (Bytes, &'static str) {
    match (scripted, own) {
        (Some(Value::String(text)), _) => {
            let json = text.starts_with(['{', '[']);
            let content_type = if json { "application/json" } else { "text/plain" };
            (Bytes::from(text.clone()), content_type)
        }
        (Some(value), _) | (None, Content::Json(value)) => {
            (Bytes::from(value.to_string()), "application/json")
        }
        (None, Content::Audio(wav)) => (wav.beginning(), "audio/wav"),
        (None, Content::Empty) => (Bytes::new(), "text/plain"),
    }
}

/// One byte a second.
fn drip(bytes: Bytes, stopping: CancellationToken) -> Body {
    Body::from_stream(stream! {
        for place in 0..bytes.len() {
            yield Ok::<_, Infallible>(bytes.slice(place..=place));
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = stopping.cancelled() => break,
            }
        }
    })
}

/// The body over and over, until the caller has had enough.
fn endless(bytes: Bytes, stopping: CancellationToken) -> Body {
    let once = if bytes.is_empty() { Bytes::from_static(b" ") } else { bytes };
    let chunk = Bytes::from(once.repeat(ENDLESS_CHUNK_BYTES.div_ceil(once.len())));
    Body::from_stream(stream! {
        while !stopping.is_cancelled() {
            yield Ok::<_, Infallible>(chunk.clone());
        }
    })
}
