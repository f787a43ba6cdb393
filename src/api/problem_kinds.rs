//! The kinds of problems: their names, their statuses, and what their pages say.

use axum::http::StatusCode;

/// What can go wrong, from a client's point of view. Each has a page under `/docs/problems/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parameter that is unknown, or out of its range or form.
    InvalidRequest,
    /// A cursor that this list with these filters did not give out.
    InvalidCursor,
    /// The user belongs to several organizations and names none.
    OrganizationNeeded,
    /// No key, or none that may be used.
    Unauthenticated,
    /// The key is good, but somebody disabled it.
    KeyDisabled,
    /// The key was good, and its time is over.
    KeyExpired,
    /// The key made as many requests as it may in all.
    QuotaExceeded,
    /// The key's scopes do not allow it.
    Forbidden,
    /// No such route or thing.
    NotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// What is there already does not go together with what was asked for.
    Conflict,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyConflict,
    /// A request with this `Idempotency-Key` is being done.
    IdempotencyUnderWay,
    /// It was changed since: it has not the ETag that `If-Match` names.
    PreconditionFailed,
    /// Too many requests in a while.
    RateLimited,
    /// A fault of the server.
    Internal,
    /// Something the server needs does not answer.
    Unavailable,
    /// The process serves as many live streams as it can.
    TooManyStreams,
}

impl Kind {
    /// Every kind, in the order of their status.
    pub const ALL: [Self; 18] = [
        Self::InvalidRequest,
        Self::InvalidCursor,
        Self::OrganizationNeeded,
        Self::Unauthenticated,
        Self::KeyDisabled,
        Self::KeyExpired,
        Self::QuotaExceeded,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::IdempotencyConflict,
        Self::IdempotencyUnderWay,
        Self::PreconditionFailed,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::TooManyStreams,
    ];

    /// Last part of the `type`.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid-request",
            Self::InvalidCursor => "invalid-cursor",
            Self::OrganizationNeeded => "organization-needed",
            Self::Unauthenticated => "unauthenticated",
            Self::KeyDisabled => "key-disabled",
            Self::KeyExpired => "key-expired",
            Self::QuotaExceeded => "quota-exceeded",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::IdempotencyUnderWay => "idempotency-under-way",
            Self::PreconditionFailed => "precondition-failed",
            Self::RateLimited => "rate-limited",
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
            Self::OrganizationNeeded => "The organization must be named",
            Self::Unauthenticated => "A valid API key or token is needed",
            Self::KeyDisabled => "The API key is disabled",
            Self::KeyExpired => "The API key has expired",
            Self::QuotaExceeded => "The quota of the API key is used up",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::Conflict => "The request conflicts with what is there",
            Self::IdempotencyConflict => "The Idempotency-Key was used for another request",
            Self::IdempotencyUnderWay => "The same request is under way",
            Self::PreconditionFailed => "It was changed since",
            Self::RateLimited => "Too many requests",
            Self::Internal => "Something went wrong on our side",
            Self::Unavailable => "Temporarily unavailable",
            Self::TooManyStreams => "Too many live streams",
        }
    }

    /// HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidCursor | Self::OrganizationNeeded => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthenticated | Self::KeyDisabled | Self::KeyExpired => {
                StatusCode::UNAUTHORIZED
            }
            Self::QuotaExceeded => StatusCode::PAYMENT_REQUIRED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict | Self::IdempotencyConflict | Self::IdempotencyUnderWay => {
                StatusCode::CONFLICT
            }
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
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
            Self::OrganizationNeeded => {
                "The user of the token belongs to more than one organization. Say which one \
                 is meant by the header X-Organization-Id."
            }
            Self::Unauthenticated => {
                "Send an API key as Authorization: Bearer vx_… or as X-API-Key, or the access token \
                 of a user who signed in with Supabase as Authorization: Bearer. What came is missing, \
                 mistyped, unknown or expired."
            }
            Self::KeyDisabled => {
                "Somebody disabled the API key. PATCH /v1/api-keys/{id} with enabled true, \
                 sent with another key, makes it work again."
            }
            Self::KeyExpired => {
                "The API key is past its expires_at, or was replaced by a rotation whose \
                 overlap is over. Use the new one, or make another."
            }
            Self::QuotaExceeded => {
                "The API key has made as many requests as its usage_quota allows. No waiting \
                 brings any back, which is why this is not a 429: raise the quota by PATCH \
                 /v1/api-keys/{id}, or use another key."
            }
            Self::Forbidden => {
                "Who asks is known, but may not do this: the scopes of the API key do not include what the \
                 route needs, or the user is no member of the organization, or one who may only read."
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
            Self::IdempotencyConflict => {
                "A request with this Idempotency-Key was done within the last 24 hours, and \
                 its method, path or body was another. Send a new request with a new key, and \
                 the same one with the same bytes."
            }
            Self::IdempotencyUnderWay => {
                "A request with this Idempotency-Key is being done at this moment. Send it \
                 again after as many seconds as the header Retry-After says: the answer is \
                 then that of the first."
            }
            Self::PreconditionFailed => {
                "The header If-Match names another version than there is now: somebody changed it. \
                 Read it again, and decide again."
            }
            Self::RateLimited => {
                "One of the limits that the header RateLimit-Policy names is used up: of the \
                 key or user and of the organization in an hour, or of the address at one \
                 route in a minute. Try again after as many seconds as the header Retry-After \
                 says. The header RateLimit tells what is left before it comes to that."
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
