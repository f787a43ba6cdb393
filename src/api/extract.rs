//! Parts of a request, checked: what axum would refuse in plain text is refused as a problem.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{problem::Problem, timestamp::Timestamp};

/// The query parameters. `T` denies unknown fields.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(refused(&rejection.body_text())),
        }
    }
}

/// axum: `Failed to deserialize query string: limit: invalid digit found in string`; an unknown or
/// repeated field is named between backticks.
fn refused(text: &str) -> Problem {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    for (start, detail) in [
        ("unknown field `", "is not a parameter of this route"),
        ("duplicate field `", "may be given only once"),
        ("missing field `", "is needed"),
    ] {
        let Some((_, rest)) = text.split_once(start) else { continue };
        let name = rest.split_once('`').map_or(rest, |(name, _)| name);
        return Problem::query(name, detail);
    }
    match text.split_once(": ") {
        Some((name, detail)) => Problem::query(name, detail),
        None => Problem::query("", text),
    }
}

/// The `{id}` of the path.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<T: From<Uuid>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(T::from(id))),
            Err(_) => Err(Problem::path("id", "must be a UUID")),
        }
    }
}

/// A name in the path. What is no text is nobody's name.
#[derive(Debug)]
pub(super) struct Name(Option<String>);

impl Name {
    pub(super) fn is(&self, name: &str) -> bool {
        self.0.as_deref() == Some(name)
    }

    pub(super) fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(Path::<String>::from_request_parts(parts, state).await.ok().map(|Path(name)| name)))
    }
}

/// A page size between 1 and `max`.
pub(super) fn limit(given: Option<u16>, default: u16, max: u16) -> Result<u16, Problem> {
    match given {
        None => Ok(default),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::query("limit", format!("must be between 1 and {max}"))),
    }
}

/// Postgres takes no NUL in a text, and no id or search needs more than `max` bytes.
pub(super) fn text(name: &str, given: &str, max: usize) -> Result<(), Problem> {
    if given.contains('\0') {
        return Err(Problem::query(name, "must not hold a NUL character"));
    }
    if given.is_empty() || given.len() > max {
        return Err(Problem::query(name, format!("must have between 1 and {max} bytes")));
    }
    Ok(())
}

/// Instants from `from` on and before `to`; the last `days` where neither is given.
pub(super) fn range(
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    days: i64,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Problem> {
    let days = TimeDelta::days(days);
    let from = from.map_or_else(|| to.map_or(now, |to| to.0) - days, |from| from.0);
    // A provider's clock may be ahead of ours, and its calls are among the newest all the same.
    let to = to.map_or_else(|| now + TimeDelta::days(1), |to| to.0);
    if from >= to {
        return Err(Problem::query("from", "must be before the end of the range"));
    }
    Ok((from, to))
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
        q: String,
        #[expect(dead_code, reason = "only its form matters")]
        limit: Option<u16>,
        from: Option<Timestamp>,
    }

    async fn parse(query: &str) -> Result<Asked, Value> {
        let request = axum::http::Request::get(format!("/?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        match Parameters::<Asked>::from_request_parts(&mut parts, &()).await {
            Ok(Parameters(asked)) => Ok(asked),
            Err(problem) => {
                let body: Value = serde_json::from_slice(&problem.to_json(None)).unwrap();
                Err(body["errors"][0].clone())
            }
        }
    }

    #[tokio::test]
    async fn refusals_point_at_the_parameter() {
        for (query, pointer, detail) in [
            ("q=a&page=2", "#/query/page", "is not a parameter of this route"),
            ("q=a&q=b", "#/query/q", "may be given only once"),
            ("limit=1", "#/query/q", "is needed"),
            ("q=a&limit=x", "#/query/limit", "invalid digit found in string"),
            ("q=a&from=x", "#/query/from", "must be an RFC 3339 time such as 2026-01-31T09:30:00Z"),
        ] {
            let error = parse(query).await.unwrap_err();
            assert_eq!(error["pointer"], pointer, "{query}");
            assert_eq!(error["detail"], detail, "{query}");
        }
    }

    #[tokio::test]
    async fn times_with_an_offset_are_understood() {
        let asked = parse("q=a&from=2026-01-31T09:30:00%2B02:00").await.unwrap();
        assert_eq!(asked.from.unwrap().0.to_rfc3339(), "2026-01-31T07:30:00+00:00");
    }

    #[test]
    fn limits_and_texts_have_bounds() {
        assert_eq!(limit(None, 50, 250).unwrap(), 50);
        assert_eq!(limit(Some(250), 50, 250).unwrap(), 250);
        assert!(limit(Some(0), 50, 250).is_err() && limit(Some(251), 50, 250).is_err());
        assert!(text("q", "a", 3).is_ok());
        assert!(["", "abcd", "a\0"].iter().all(|given| text("q", given, 3).is_err()));
    }

    #[test]
    fn a_range_defaults_to_the_last_days() {
        let now: DateTime<Utc> = "2026-03-10T00:00:00Z".parse().unwrap();
        let at = |day: i64| Some(Timestamp(now - TimeDelta::days(day)));
        let days = TimeDelta::days;
        assert_eq!(range(None, None, 7, now).unwrap(), (now - days(7), now + days(1)));
        assert_eq!(range(None, at(30), 7, now).unwrap(), (now - days(37), now - days(30)));
        assert_eq!(range(at(30), None, 7, now).unwrap(), (now - days(30), now + days(1)));
        assert!(range(at(1), at(2), 7, now).is_err());
    }
}
