//! The JSON body of a request, checked: what is wrong with it is a problem that quotes none of it.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::error::Category;

use super::problem::{Kind, Problem};

/// From the first byte to the last.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The body. `T` denies unknown fields.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        parse(&read(request, state).await?).map(Self)
    }
}

/// The body where there is one, else everything by default.
#[derive(Debug)]
pub(super) struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

/// What is there, also where it is null: told from what is not there.
pub(super) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(TIMEOUT, Bytes::from_request(request, state)).await;
    let read = read.map_err(|_| invalid("The body took too long to arrive.".to_owned()))?;
    read.map_err(|_| invalid("The body is too long, or broke off.".to_owned()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take the fields from an array too, by their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(invalid("The body must be a JSON object.".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| refused(&error))
}

/// serde's words may quote a value, which may be a secret: only names are taken from them.
fn refused(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    for (start, detail) in [
        ("unknown field `", "is not a field of this body"),
        ("duplicate field `", "may be given only once"),
        ("missing field `", "is needed"),
    ] {
        let Some(rest) = text.strip_prefix(start) else { continue };
        let name = rest.split_once('`').map_or(rest, |(name, _)| name);
        return invalid(format!("{name} {detail}."));
    }
    let what = match error.classify() {
        Category::Data => "not of the documented form",
        Category::Syntax | Category::Eof | Category::Io => "not JSON",
    };
    invalid(format!("The body is {what} at line {}, column {}.", error.line(), error.column()))
}

fn invalid(detail: String) -> Problem {
    Problem::with_detail(Kind::InvalidRequest, detail)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[expect(dead_code, reason = "only its form matters")]
        secret: String,
    }

    async fn detail(body: &'static str) -> String {
        let request = axum::http::Request::post("/").body(body.into()).unwrap();
        let problem = Body::<Asked>::from_request(request, &()).await.unwrap_err();
        let body: Value = serde_json::from_slice(&problem.to_json(None)).unwrap();
        body["detail"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn refusals_name_the_field_and_quote_no_value() {
        for (body, expected) in [
            (r#"{"secret": "a", "b": 1}"#, "b is not a field of this body."),
            (r#"{"secret": "a", "secret": "b"}"#, "secret may be given only once."),
            ("{}", "secret is needed."),
            ("", "The body must be a JSON object."),
            (r#"["open sesame"]"#, "The body must be a JSON object."),
            (r#""open sesame""#, "The body must be a JSON object."),
            (r#"{"secret": "a"} x"#, "The body is not JSON at line 1, column 17."),
        ] {
            assert_eq!(detail(body).await, expected, "{body}");
        }
        let said = detail(r#" {"secret": ["open sesame"]}"#).await;
        assert!(said.starts_with("The body is not of the documented form at line 1"), "{said}");
        assert!(!said.contains("sesame"), "{said}");
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wishes {
        wait: Option<bool>,
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_checked_where_it_is_there() {
        let wishes = async |body: &'static str| {
            let request = axum::http::Request::post("/").body(body.into()).unwrap();
            MaybeBody::<Wishes>::from_request(request, &()).await.map(|MaybeBody(wishes)| wishes)
        };
        assert_eq!(wishes("").await.unwrap(), Wishes::default());
        assert_eq!(wishes(r#"{"wait": true}"#).await.unwrap(), Wishes { wait: Some(true) });
        for wrong in ["[]", " ", "null", r#"{"wiat": true}"#] {
            assert_eq!(wishes(wrong).await.unwrap_err().kind(), Kind::InvalidRequest, "{wrong}");
        }
    }
}
