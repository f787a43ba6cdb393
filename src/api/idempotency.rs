//! `Idempotency-Key`: a POST that is sent twice is done once, and answered the same.
//!
//! A new POST route takes [`Once`] in the place of `State<ApiState>`, and no more: what its handler does
//! with the database of that state is one transaction, which is committed here together with the answer.
//! Only a success is kept: a request that was refused did nothing, and may be sent again. Scopes and the
//! form of a request are looked at before, so nobody gets an answer that is not for him.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use store::idempotency::{self as kept, Answer, Found};
use tokio::time::{Duration, timeout};

use super::{
    ApiState,
    auth::Caller,
    problem::{Kind, Problem},
};

/// The client's name for a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Headers that belong to an answer, and come again with it.
const KEPT_HEADERS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::ETAG, header::CACHE_CONTROL, header::LOCATION];
/// Characters.
pub(super) const LONGEST_KEY: usize = 255;
/// No route takes more.
const LARGEST_BODY: usize = 2 * 1024 * 1024;
/// From the first byte of a body to the last.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds after which a request that is under way may be over.
const UNDER_WAY: u32 = 1;

/// The state of the API, for a POST: its database does things once where the client asks for that.
pub(super) struct Once(pub(super) ApiState);

impl FromRequestParts<ApiState> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        let mut api = api.clone();
        if let Some(once) = parts.extensions.get::<kept::Once>() {
            api.db = once.database(&api.db);
        }
        Ok(Self(api))
    }
}

/// Does a POST with an `Idempotency-Key` once.
pub(super) async fn once(State(api): State<ApiState>, request: Request, next: Next) -> Response {
    let is_v1 = request.uri().path().starts_with("/v1/");
    if request.method() != Method::POST || !is_v1 || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    done(&api, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn done(api: &ApiState, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, api).await?;
    let key = key(&parts.headers)?;
    let body = read(body).await?;
    let request = kept::Request {
        organization: caller.organization(),
        caller: caller.name(),
        key,
        hash: hash(&parts, &body),
    };
    let once = kept::Once::new(request, api.sealer.clone());
    parts.extensions.insert(once.clone());
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    match once.found() {
        Some(Found::Done(answer)) => return replayed(answer),
        Some(Found::OtherRequest) => return Err(Problem::new(Kind::IdempotencyConflict)),
        Some(Found::UnderWay) => {
            return Err(Problem::new(Kind::IdempotencyUnderWay).retry_after(UNDER_WAY));
        }
        None if !response.status().is_success() => {
            once.abandon().await;
            return Ok(response);
        }
        None => {}
    }
    let (parts, body) = response.into_parts();
    let body =
        to_bytes(body, LARGEST_BODY).await.map_err(|_| internal("an answer was too long"))?;
    let answer = answer(parts.status.as_u16(), &parts.headers, &body)?;
    if !once.finish(&answer).await? {
        tracing::error!("a POST did nothing that is done once: let its handler take Once");
    }
    // What the handler told of, and had forgotten, was not committed then.
    api.access.changed(caller.organization());
    api.forget_settings(caller.organization()).await;
    api.inbox.tell();
    api.events.tell();
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let (first, second) = (values.next(), values.next());
    let text = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok());
    let fits = text.filter(|text| {
        (1..=LONGEST_KEY).contains(&text.len())
            && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    });
    fits.map(str::to_owned).ok_or_else(|| {
        let detail = format!(
            "The header Idempotency-Key must have 1 to {LONGEST_KEY} printable characters."
        );
        Problem::with_detail(Kind::InvalidRequest, detail)
    })
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let refused = || {
        let detail = "The body is too long, took too long to arrive, or broke off.";
        Problem::with_detail(Kind::InvalidRequest, detail)
    };
    let read = timeout(BODY_TIMEOUT, to_bytes(body, LARGEST_BODY)).await;
    read.map_err(|_| refused())?.map_err(|_| refused())
}

/// Of all that says what is asked for; their lengths keep the parts apart.
fn hash(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let named = [parts.method.as_str().as_bytes(), path.as_bytes(), body];
    let hash = named.iter().fold(Sha256::new(), |hash, part| {
        hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
    });
    hash.finalize().into()
}

fn answer(status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Problem> {
    let kept = KEPT_HEADERS.iter().filter_map(|name| {
        Some((name.as_str().to_owned(), headers.get(name)?.to_str().ok()?.to_owned()))
    });
    let body = String::from_utf8(body.to_vec()).map_err(|_| internal("an answer was no text"))?;
    Ok(Answer { status, headers: kept.collect(), body })
}

fn replayed(answer: Answer) -> Result<Response, Problem> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response
        .header(REPLAYED, HeaderValue::from_static("true"))
        .body(Body::from(answer.body))
        .map_err(|_| internal("a kept answer is none"))
}

fn internal(what: &'static str) -> Problem {
    tracing::error!(what, "a request that is done once failed");
    Problem::new(Kind::Internal)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_printable_and_alone() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_bytes(value).unwrap());
            }
            key(&headers)
        };
        assert_eq!(read(&[b"order 7"]).unwrap(), "order 7");
        assert!(read(&[&[b'a'; 255]]).is_ok());
        let long: &[u8] = &[b'a'; 256];
        for wrong in [&[b"".as_slice()][..], &[long], &["ä".as_bytes()], &[b"a\tb"], &[b"a", b"b"]]
        {
            assert_eq!(read(wrong).unwrap_err().kind(), Kind::InvalidRequest);
        }
    }

    #[test]
    fn method_path_query_and_body_make_a_request() {
        let of = |method: &str, path: &str, body: &str| {
            let request = axum::http::Request::builder().method(method).uri(path).body(()).unwrap();
            hash(&request.into_parts().0, body.as_bytes())
        };
        let one = of("POST", "/v1/a", "{}");
        assert_eq!(one, of("POST", "/v1/a", "{}"));
        for other in [
            of("PUT", "/v1/a", "{}"),
            of("POST", "/v1/a?b", "{}"),
            of("POST", "/v1/", "a{}"),
            of("POST", "/v1/a", "{ }"),
        ] {
            assert_ne!(one, other);
        }
    }
}
