//! Errors as clients see them: `application/problem+json` (RFC 9457), one shape for all.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use store::StoreError;
use utoipa::{
    ToResponse, ToSchema,
    openapi::{Content, Ref, RefOr, Response as Documented, ResponseBuilder},
};

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Name of the response of every error, and of its schema, in the OpenAPI document.
pub(super) const PROBLEM: &str = "Problem";
/// Seconds after which what is unavailable is worth another try.
const RETRY_AFTER_SECONDS: &str = "5";

/// What can go wrong, from a client's point of view. Each has a page under `/docs/problems/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parameter that is unknown, or out of its range or form.
    InvalidRequest,
    /// A cursor that this list with these filters did not give out.
    InvalidCursor,
    /// No key, or none that may be used.
    Unauthenticated,
    /// The key's scopes do not allow it.
    Forbidden,
    /// No such route or thing.
    NotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// A fault of the server.
    Internal,
    /// Something the server needs does not answer.
    Unavailable,
    /// The process serves as many live streams as it can.
    TooManyStreams,
}

impl Kind {
    /// Every kind, in the order of their status.
    pub const ALL: [Self; 9] = [
        Self::InvalidRequest,
        Self::InvalidCursor,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Internal,
        Self::Unavailable,
        Self::TooManyStreams,
    ];

    /// Last part of the `type`.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::InvalidCursor => "invalid-cursor",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::TooManyStreams => "too-many-streams",
        }
    }

    /// The `title`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid",
            Self::InvalidCursor => "The cursor is not valid",
            Self::Unauthenticated => "A valid API key is needed",
            Self::Forbidden => "The API key does not allow this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Internal => "Something went wrong on our side",
            Self::Unavailable => "Temporarily unavailable",
            Self::TooManyStreams => "Too many live streams",
        }
    }

    /// HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidCursor => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::TooManyStreams => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What its page says.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "A parameter is unknown, missing, or not of the form or range it must have. \
                 The member errors names each such parameter and what is wrong with it."
            }
            Self::InvalidCursor => {
                "A cursor is good for the list, the organization and the filters it was given out \
                 for. Send it back unchanged with the same filters, or begin again without it."
            }
            Self::Unauthenticated => {
                "Send an API key as Authorization: Bearer vx_… or as X-API-Key. This key is \
                 missing, mistyped, unknown, disabled or expired."
            }
            Self::Forbidden => {
                "The API key is good, but its scopes do not include what this route needs."
            }
            Self::NotFound => {
                "There is no such route, or no such thing in the organization of the API key."
            }
            Self::MethodNotAllowed => {
                "The route exists, but not for this HTTP method. The header Allow lists those \
                 it has."
            }
            Self::Internal => {
                "A fault of the server. Tell us the request id, which is the member instance of \
                 the problem."
            }
            Self::Unavailable => {
                "Something that the server needs does not answer at the moment. Try again after \
                 as many seconds as the header Retry-After says."
            }
            Self::TooManyStreams => {
                "The server has as many live streams open as it can serve. Try again later, or \
                 share one stream among your clients."
            }
        }
    }
}

/// An error of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Which part: `#/query/{name}` or `#/path/{name}`, escaped as in RFC 6901.
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
        Self { kind, detail: None, errors: Vec::new() }
    }

    /// A problem with words of its own.
    pub fn with_detail(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: Some(detail.into()), errors: Vec::new() }
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

    fn field(place: &str, name: &str, detail: String) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self {
            kind: Kind::InvalidRequest,
            detail: None,
            errors: vec![FieldError { pointer: format!("#/{place}/{name}"), detail }],
        }
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

impl IntoResponse for Problem {
    /// The problem stays among the response's extensions, where the outermost layer finds it and
    /// adds the request id.
    fn into_response(self) -> Response {
        let media_type = [(header::CONTENT_TYPE, MEDIA_TYPE)];
        let mut response = (self.kind.status(), media_type, self.to_json(None)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.kind {
            Kind::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Kind::Unavailable | Kind::TooManyStreams => {
                let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
                headers.insert(header::RETRY_AFTER, seconds);
            }
            _ => {}
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
    /// Logs the failure: here it becomes an answer, and the client is not told of it.
    fn from(error: StoreError) -> Self {
        if matches!(error.problem(), store::error::Problem::NotFound) {
            Self::new(Kind::NotFound)
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
