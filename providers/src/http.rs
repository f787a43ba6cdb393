//! How every HTTP client of this crate is built, and the bounds of what it reads.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{
    Client, ClientBuilder, Response, Url,
    header::{HeaderMap, RETRY_AFTER},
    redirect, retry,
};

/// Longest wait for a connection, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time of a whole request, unless its client says otherwise.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer read from a provider's API, in bytes; real ones stay under 100 KB.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Longest `Retry-After` that is believed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// What we call ourselves; Resend refuses requests without it.
pub const USER_AGENT: &str = concat!("postcall/", env!("CARGO_PKG_VERSION"));

/// A client that cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The TLS or connection settings of the machine do not allow a client.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
    /// The machine's certificates or TLS settings cannot be used.
    #[error("the TLS settings of this machine cannot be used")]
    Tls(#[source] tokio_rustls::rustls::Error),
    /// The base URL is none; its text may hold a key, so it is not repeated here.
    #[error("the base URL of {0} is not an http or https URL")]
    BaseUrl(&'static str),
}

/// A body that could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than the caller allows.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or the time was up.
    #[error("the body was cut off")]
    Cut(#[source] reqwest::Error),
}

/// Settings shared by all clients: no redirects, no proxies from the environment and no repetition
/// that the caller does not see.
pub fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
}

/// A client for a provider's API, each request limited to `total`.
///
/// # Errors
/// When the machine's TLS set-up does not allow one.
pub fn client(total: Duration) -> Result<Client, SetupError> {
    builder().timeout(total).build().map_err(SetupError::Client)
}

/// Parses a configured base URL of `provider`.
///
/// # Errors
/// When it is no http or https URL with a host.
pub fn base_url(provider: &'static str, text: &str) -> Result<Url, SetupError> {
    let url = Url::parse(text).map_err(|_| SetupError::BaseUrl(provider))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(SetupError::BaseUrl(provider));
    }
    Ok(url)
}

/// The URL of a path under `base`; each segment is escaped.
pub(crate) fn under(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// The header's value if it is there exactly once: of two, a proxy may have checked the other.
pub(crate) fn sole_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

/// Reads a body of at most `max` bytes; an endless one costs `max` and no more.
///
/// # Errors
/// When it is larger or is cut off.
pub async fn read_capped(mut response: Response, max: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| BodyError::Cut(e.without_url()))? {
        if body.len() + chunk.len() > max {
            return Err(BodyError::TooLarge(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The wait that `Retry-After` asks for: seconds or an HTTP date (RFC 9110), at most an hour.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(MAX_RETRY_AFTER)
        }
        Ok(_) => return None,
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc);
            (until - now).to_std().unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::canned::{Reply, serve};

    fn wait(text: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 15, 0, 0).single().expect("exists");
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("Fri, 20 Nov 2026 15:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Fri, 20 Nov 2026 14:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("86400"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("1e300"), Some(MAX_RETRY_AFTER));
        for text in ["-1", "soon", "", "NaN"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }

    #[test]
    fn base_urls_are_http_and_paths_are_escaped() {
        for text in ["", "api.example.com", "ftp://x", "data:text/plain,x"] {
            assert!(base_url("x", text).is_err(), "{text}");
        }
        let base = base_url("x", "http://127.0.0.1:1/fake/").expect("valid");
        assert_eq!(under(&base, &["a/b", "c"]).as_str(), "http://127.0.0.1:1/fake/a%2Fb/c");
    }

    #[tokio::test]
    async fn an_endless_body_is_left_at_its_limit() {
        let server = serve([Reply::Endless]).await;
        let client = client(TOTAL_TIMEOUT).expect("client");
        let response = client.get(&server.url).send().await.expect("answer");
        assert!(matches!(read_capped(response, 10_000).await, Err(BodyError::TooLarge(10_000))));
    }

    #[tokio::test]
    async fn redirects_are_answers_and_nothing_is_sent_twice() {
        let server = serve([Reply::Redirect("http://127.0.0.1:1/".into()), Reply::Cut]).await;
        let client = client(TOTAL_TIMEOUT).expect("client");
        let response = client.get(&server.url).send().await.expect("answer");
        assert_eq!(response.status(), 302);
        assert!(client.get(&server.url).send().await.is_err());
        assert_eq!(server.requests().len(), 2);
    }
}
