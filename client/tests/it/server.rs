//! An HTTP server that answers as a test says, and keeps what it was asked.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use postcall_client::{Client, Retries};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, yield_now},
};

/// What a client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) uri: String,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A parameter of the query, as it was sent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.uri.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// `answer` gets how many requests there were before, and the request.
    pub(crate) async fn start(
        answer: impl Fn(usize, &Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (Arc::clone(&kept), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let (method, uri) = (parts.method.to_string(), parts.uri.to_string());
                let asked = Asked { method, uri, headers: parts.headers, body };
                let before = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(asked.clone());
                    kept.len() - 1
                };
                answer(before, &asked)
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, task }
    }

    /// A client of this server that does not wait long.
    pub(crate) fn client(&self) -> Client {
        let retries = Retries::default().first_wait(Duration::from_millis(1));
        Client::builder(&self.url, "vx_key").retries(retries).build().unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn json(status: u16, value: &Value) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::from_u16(status).unwrap(), json, value.to_string()).into_response()
}

pub(crate) fn problem(status: u16, slug: &str, retry_after: Option<u32>) -> Response {
    let value = serde_json::json!({
        "type": format!("/docs/problems/{slug}"), "title": slug, "status": status, "instance": "r-1",
    });
    let mut response = json(status, &value);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// An answer that ends as a whole, or breaks off.
pub(crate) fn pieces(parts: &[String], is_whole: bool) -> Response {
    let parts: Vec<Bytes> = parts.iter().map(|part| Bytes::from(part.clone())).collect();
    let body = async_stream::stream! {
        for part in parts {
            yield Ok(part);
        }
        if !is_whole {
            // The server sends what it has whenever there is nothing more for now.
            yield_now().await;
            yield Err(io::Error::other("cut"));
        }
    };
    Body::from_stream(body).into_response()
}
