//! Errors as clients see them: `application/problem+json` (RFC 9457), one shape for all.

use std::{borrow::Cow, sync::Arc};

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use store::StoreError;
use utoipa::{
    ToResponse, ToSchema,
    openapi::{Content, Ref, RefOr, Response as Documented, ResponseBuilder},
};

pub use super::problem_kinds::Kind;

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Name of the response of every error, and of its schema, in the OpenAPI document.
pub(super) const PROBLEM: &str = "Problem";
/// Seconds after which what is unavailable is worth another try.
const RETRY_AFTER_SECONDS: &str = "5";

/// An error of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    /// Seconds, where the kind alone does not say.
    retry_after: Option<u32>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Which part: `#/query/{name}`, `#/path/{name}` or `#/body/{field}`, escaped as in RFC 6901.
    #[schema(example = "#/query/limit")]
    pub pointer: String,
    /// What is wrong with it.
    #[schema(example = "must be between 1 and 250")]
    pub detail: String,
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    /// Kind of the problem: a page that explains it.
    #[serde(rename = "type")]
    #[schema(example = "/docs/problems/not-found")]
    problem_type: String,
    /// The kind in words.
    #[schema(example = "Not found")]
    title: &'static str,
    /// HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What went wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// Id of the request, as in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// The parts of the request that are wrong.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem that needs no more words than its kind has.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), retry_after: None }
    }

    /// A problem with words of its own.
    pub fn with_detail(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: Some(detail.into()), errors: Vec::new(), retry_after: None }
    }

    /// There is no such `thing`.
    pub fn not_found(thing: &'static str) -> Self {
        Self::with_detail(Kind::NotFound, format!("There is no such {thing}."))
    }

    /// A wrong query parameter.
    pub fn query(name: &str, detail: impl Into<String>) -> Self {
        Self::field("query", name, detail.into())
    }

    /// A wrong part of the path.
    pub fn path(name: &str, detail: impl Into<String>) -> Self {
        Self::field("path", name, detail.into())
    }

    /// Wrong fields of a body, each with what is wrong with it; one within another as `outer/inner`. The
    /// detail names them, too.
    pub fn body(fields: Vec<(&'static str, String)>) -> Self {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let detail = format!("{} {verb} not valid.", names.join(", "));
        let pointer = |name| format!("#/body/{name}");
        let errors =
            fields.into_iter().map(|(name, detail)| FieldError { pointer: pointer(name), detail });
        let errors = errors.collect();
        Self { errors, ..Self::with_detail(Kind::InvalidRequest, detail) }
    }

    fn field(place: &str, name: &str, detail: String) -> Self {
        let errors = vec![error(place, name, detail)];
        Self { errors, ..Self::new(Kind::InvalidRequest) }
    }

    /// With the seconds after which it is worth another try.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// What kind of problem it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The body as bytes of JSON.
    pub fn to_json(&self, instance: Option<&str>) -> Vec<u8> {
        let body = Body {
            problem_type: format!("/docs/problems/{}", self.kind.slug()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: self.detail.as_deref(),
            instance,
            errors: &self.errors,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

fn error(place: &str, name: &str, detail: String) -> FieldError {
    let name = name.replace('~', "~0").replace('/', "~1");
    FieldError { pointer: format!("#/{place}/{name}"), detail }
}

impl IntoResponse for Problem {
    /// The problem stays among the response's extensions, where the outermost layer finds it and
    /// adds the request id.
    fn into_response(self) -> Response {
        let media_type = [(header::CONTENT_TYPE, MEDIA_TYPE)];
        let mut response = (self.kind.status(), media_type, self.to_json(None)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.kind {
            Kind::Unauthenticated | Kind::KeyExpired | Kind::KeyDisabled => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::Unavailable | Kind::TooManyStreams => {
                let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
                headers.insert(header::RETRY_AFTER, seconds);
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl ToResponse<'static> for Problem {
    fn response() -> (&'static str, RefOr<Documented>) {
        let content = Content::new(Some(Ref::from_schema_name(PROBLEM)));
        let response = ResponseBuilder::new()
            .description("A problem (RFC 9457)")
            .content(MEDIA_TYPE, content)
            .build();
        (PROBLEM, RefOr::T(response))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<Arc<StoreError>> for Problem {
    /// Of a reading that many waited for.
    fn from(error: Arc<StoreError>) -> Self {
        Self::from(&*error)
    }
}

impl From<&StoreError> for Problem {
    /// Logs the failure: here it becomes an answer, and the client is not told of it.
    fn from(error: &StoreError) -> Self {
        if matches!(error.problem(), store::error::Problem::NotFound) {
            Self::new(Kind::NotFound)
        } else if matches!(error.problem(), store::error::Problem::NotNow) {
            // What is answered in its place is known where the request came in.
            Self::new(Kind::IdempotencyUnderWay)
        } else if error.can_retry() {
            tracing::warn!(%error, "a request could not be answered for now");
            Self::new(Kind::Unavailable)
        } else {
            tracing::error!(%error, "a request failed");
            Self::new(Kind::Internal)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_problem_names_the_parameter_and_the_request() {
        let problem = Problem::query("a/b", "is unknown");
        let body: Value = serde_json::from_slice(&problem.to_json(Some("r-1"))).unwrap();
        let expected = json!({
            "type": "/docs/problems/invalid-request",
            "title": "The request is not valid",
            "status": 400,
            "instance": "r-1",
            "errors": [{ "pointer": "#/query/a~1b", "detail": "is unknown" }],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_problem_names_every_wrong_field() {
        let fields =
            vec![("url", "must be a URL".to_owned()), ("settings/events", "are needed".to_owned())];
        let body: Value = serde_json::from_slice(&Problem::body(fields).to_json(None)).unwrap();
        assert_eq!(body["detail"], "url, settings/events are not valid.");
        assert_eq!(body["errors"][1]["pointer"], "#/body/settings/events");
        let one = Problem::body(vec![("url", "must be a URL".to_owned())]).to_json(None);
        assert!(String::from_utf8_lossy(&one).contains("url is not valid."));
    }

    #[test]
    fn headers_say_what_to_do() {
        let response = Problem::new(Kind::Unavailable).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let response = Problem::new(Kind::Unauthenticated).into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn a_store_that_may_recover_is_unavailable() {
        use store::error::Problem as Cause;
        let kind = |cause| Problem::from(StoreError::new("test", cause)).kind();
        assert_eq!(kind(Cause::NotFound), Kind::NotFound);
        assert_eq!(kind(Cause::Sealed("test")), Kind::Internal);
    }
}
