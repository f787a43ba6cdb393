//! The id of a request: taken from the client where it sends a sane one, told in every answer.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

use super::problem::Problem;

/// The header, in requests and answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids would fill the logs.
const LONGEST: usize = 128;

/// The id of the request at hand.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

/// Gives the request an id, and the answer the same; a problem gets it as its `instance`.
pub async fn identify(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(X_REQUEST_ID)
        .filter(|value| is_sane(value))
        .cloned()
        .or_else(|| HeaderValue::try_from(Uuid::now_v7().to_string()).ok());
    let Some(id) = id else { return next.run(request).await };
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = Body::from(problem.to_json(id.to_str().ok()));
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response.headers_mut().insert(X_REQUEST_ID, id);
    response
}

/// Ids end up in logs and headers: nothing in them may need quoting.
fn is_sane(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=LONGEST).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}
