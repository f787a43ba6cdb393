//! What is right in a key, field by field: each wrong one is named, all at once.

use chrono::{DateTime, Utc};
use store::keys::{ALL, Changes, Scopes};

use super::forms::{CreateApiKey, UpdateApiKey};
use crate::api::{
    auth::Scope,
    problem::{Kind, Problem},
    timestamp::Timestamp,
    wrong::Wrong,
};

/// Characters.
const LONGEST_NAME: usize = 100;
/// Requests an hour; more is no limit.
const HIGHEST_RATE: i64 = 10_000_000;
const HIGHEST_QUOTA: i64 = 1_000_000_000_000;

/// A key to be made, checked.
#[derive(Debug)]
pub(super) struct New {
    pub(super) name: String,
    pub(super) scopes: Scopes,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) rate_limit: Option<i32>,
    pub(super) usage_quota: Option<i64>,
}

pub(super) fn create(asked: CreateApiKey, own: &Scopes) -> Result<New, Problem> {
    let mut wrong = Wrong::default();
    let new = New {
        name: wrong.unless("name", name(asked.name)),
        scopes: wrong.unless("scopes", scopes(asked.scopes)).into(),
        expires_at: wrong.given("expires_at", asked.expires_at, expires_at),
        rate_limit: wrong.given("rate_limit", asked.rate_limit, rate_limit),
        usage_quota: wrong.given("usage_quota", asked.usage_quota, usage_quota),
    };
    wrong.none()?;
    may_give(own, &new.scopes)?;
    Ok(new)
}

pub(super) fn update(asked: UpdateApiKey, own: &Scopes) -> Result<Changes, Problem> {
    let mut wrong = Wrong::default();
    let changes = Changes {
        name: wrong.given("name", asked.name, name),
        scopes: wrong.given("scopes", asked.scopes, scopes).map(Scopes::from),
        expires_at: asked.expires_at.map(|given| wrong.given("expires_at", given, expires_at)),
        rate_limit: asked.rate_limit.map(|given| wrong.given("rate_limit", given, rate_limit)),
        usage_quota: asked.usage_quota.map(|given| wrong.given("usage_quota", given, usage_quota)),
        enabled: asked.enabled,
    };
    wrong.none()?;
    if let Some(scopes) = &changes.scopes {
        may_give(own, scopes)?;
    }
    Ok(changes)
}

fn may_give(own: &Scopes, given: &Scopes) -> Result<(), Problem> {
    let Some(scope) = own.lack(given) else { return Ok(()) };
    let detail = format!("You lack the scope {scope} yourself, and so cannot give it to a key.");
    Err(Problem::with_detail(Kind::Forbidden, detail))
}

fn name(text: String) -> Result<String, String> {
    let length = text.trim().chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || text.chars().any(char::is_control) {
        return Err(format!(
            "must have between 1 and {LONGEST_NAME} characters, none of them control characters"
        ));
    }
    Ok(text.trim().to_owned())
}

/// Scopes by name; with a default, for what was not right and is not used.
#[derive(Default)]
struct Names(Vec<String>);

impl From<Names> for Scopes {
    fn from(Names(names): Names) -> Self {
        Self::of(names)
    }
}

/// None given would mean all: that has to be said.
fn scopes(given: Vec<String>) -> Result<Names, String> {
    let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).chain([ALL]).collect();
    let is_known = |name: &String| known.contains(&name.as_str());
    if given.is_empty() || !given.iter().all(is_known) {
        return Err(format!("must be at least one of {}", known.join(", ")));
    }
    let mut names: Vec<String> = Vec::with_capacity(given.len());
    for name in given {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Names(names))
}

fn expires_at(Timestamp(at): Timestamp) -> Result<DateTime<Utc>, String> {
    if at <= Utc::now() {
        return Err("must be in the future; to end a key now, disable or revoke it".to_owned());
    }
    Ok(at)
}

fn rate_limit(given: i64) -> Result<i32, String> {
    let fits = i32::try_from(given).ok().filter(|_| (1..=HIGHEST_RATE).contains(&given));
    fits.ok_or_else(|| {
        format!("must be between 1 and {HIGHEST_RATE} an hour, or null for the usual number")
    })
}

fn usage_quota(given: i64) -> Result<i64, String> {
    if !(0..=HIGHEST_QUOTA).contains(&given) {
        return Err(format!("must be between 0 and {HIGHEST_QUOTA}, or null for none"));
    }
    Ok(given)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(changes: &[(&str, Value)]) -> CreateApiKey {
        let mut body = json!({ "name": "a", "scopes": ["calls:read"] });
        for (name, value) in changes {
            body[*name] = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn unknown_scopes_are_refused_with_the_known_ones() {
        for scopes in [json!([]), json!(["calls:write"]), json!(["calls:read", ""])] {
            let refused = create(asked(&[("scopes", scopes)]), &Scopes::All).unwrap_err();
            let body = String::from_utf8(refused.to_json(None)).unwrap();
            assert!(body.contains("#/body/scopes") && body.contains("webhooks:write"), "{body}");
        }
        let twice = asked(&[("scopes", json!(["calls:read", "calls:read"]))]);
        let made = create(twice, &Scopes::All).unwrap();
        assert_eq!(made.scopes.to_list(), ["calls:read"]);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let body = asked(&[
            ("name", json!(" ")),
            ("expires_at", json!("2020-01-01T00:00:00Z")),
            ("rate_limit", json!(0)),
            ("usage_quota", json!(-1)),
        ]);
        let refused = create(body, &Scopes::All).unwrap_err();
        let body: Value = serde_json::from_slice(&refused.to_json(None)).unwrap();
        assert_eq!(body["errors"].as_array().unwrap().len(), 4, "{body}");
    }

    #[test]
    fn nobody_gives_a_scope_that_he_lacks() {
        let own = Scopes::of(vec!["calls:read".to_owned(), "api-keys:write".to_owned()]);
        assert!(create(asked(&[]), &own).is_ok());
        for scopes in [json!(["usage:read"]), json!(["*"])] {
            let refused = create(asked(&[("scopes", scopes.clone())]), &own).unwrap_err();
            assert_eq!(refused.kind(), Kind::Forbidden);
            let changes = serde_json::from_value(json!({ "scopes": scopes })).unwrap();
            assert_eq!(update(changes, &own).unwrap_err().kind(), Kind::Forbidden);
        }
    }
}
