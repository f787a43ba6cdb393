//! The kinds of problems: their names, their statuses, and what their pages say.

use axum::http::StatusCode;

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
    /// What is there already does not go together with what was asked for.
    Conflict,
    /// It was changed since: it has not the ETag that `If-Match` names.
    PreconditionFailed,
    /// A fault of the server.
    Internal,
    /// Something the server needs does not answer.
    Unavailable,
    /// The process serves as many live streams as it can.
    TooManyStreams,
}

impl Kind {
    /// Every kind, in the order of their status.
    pub const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::InvalidCursor,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
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
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition-failed",
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
            Self::Conflict => "The request conflicts with what is there",
            Self::PreconditionFailed => "It was changed since",
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
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
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
            Self::Conflict => {
                "The request is valid, but does not go together with what is there. The member \
                 detail says how."
            }
            Self::PreconditionFailed => {
                "The header If-Match names another version than there is now: somebody changed it. \
                 Read it again, and decide again."
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
