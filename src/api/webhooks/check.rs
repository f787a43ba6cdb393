//! What is right in an endpoint, field by field: each wrong one is named, all at once.

use contract::events::is_subscription;
use providers::{
    egress::{Egress, Refused},
    webhook_out::{check_headers, check_secret},
};
use secrecy::SecretString;
use store::endpoints::{Changes, DeliveryOrder};
use url::Url;

use super::forms::{CreateWebhook, Headers, UpdateWebhook};
use crate::api::{problem::Problem, wrong::Wrong};

/// What servers and proxies take at the least, in bytes.
const LONGEST_URL: usize = 2048;
const LONGEST_DESCRIPTION: usize = 500;
/// More than there are types and families.
const MOST_EVENTS: usize = 50;
/// Deliveries a second; more is no limit.
const HIGHEST_RATE: i32 = 1000;
const MOST_WAITS: usize = 20;
/// Seconds.
const LONGEST_WAIT: i32 = 24 * 3600;
/// Seconds: an endpoint that fails for longer is disabled.
const LONGEST_SCHEDULE: i32 = 5 * 24 * 3600;

/// An endpoint to be made, checked.
#[derive(Debug)]
pub(super) struct New {
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) description: String,
    pub(super) rate_limit: Option<i32>,
    pub(super) ordering: DeliveryOrder,
    pub(super) headers: Vec<(String, SecretString)>,
    pub(super) schedule: Option<Vec<i32>>,
    pub(super) secret: Option<SecretString>,
}

/// Checks everything but whether the assistant exists.
pub(super) fn create(egress: &Egress, asked: CreateWebhook) -> Result<New, Problem> {
    let mut wrong = Wrong::default();
    let secret = asked.secret;
    let new = New {
        url: wrong.unless("url", url(egress, &asked.url)),
        events: wrong.unless("events", events(asked.events)),
        description: wrong.given("description", asked.description, description).unwrap_or_default(),
        rate_limit: wrong.given("rate_limit", asked.rate_limit, rate_limit),
        ordering: wrong
            .given("ordering", asked.ordering, ordering)
            .map_or(DeliveryOrder::None, |Order(order)| order),
        headers: wrong.given("headers", asked.headers, headers).unwrap_or_default(),
        schedule: wrong.given("schedule", asked.schedule, schedule),
        secret: secret.clone(),
    };
    wrong.given("secret", secret, |secret| self::secret(&secret));
    wrong.none().map(|()| new)
}

/// Checks everything but whether the assistant exists.
pub(super) fn update(egress: &Egress, asked: UpdateWebhook) -> Result<Changes, Problem> {
    let mut wrong = Wrong::default();
    let changes = Changes {
        url: wrong.given("url", asked.url, |text| url(egress, &text)),
        events: wrong.given("events", asked.events, events),
        assistant_id: asked.assistant_id,
        description: wrong.given(
            "description",
            asked.description.map(Option::unwrap_or_default),
            description,
        ),
        enabled: asked.enabled,
        rate_limit: asked.rate_limit.map(|given| wrong.given("rate_limit", given, rate_limit)),
        ordering: asked.ordering.map(|given| {
            let given = wrong.given("ordering", given, ordering);
            given.map_or(DeliveryOrder::None, |Order(order)| order)
        }),
        headers: asked
            .headers
            .map(|given| wrong.given("headers", given, headers).unwrap_or_default()),
        thin: asked.thin.map(Option::unwrap_or_default),
        schedule: asked.schedule.map(|given| wrong.given("schedule", given, schedule)),
    };
    wrong.none().map(|()| changes)
}

/// Checks a secret that takes the place of another.
pub(super) fn new_secret(given: &SecretString) -> Result<(), Problem> {
    secret(given).map_err(|detail| Problem::body(vec![("secret", detail)]))
}

/// As it is stored, and sent to: so `2130706433` and its kin show as the addresses that they are.
fn url(egress: &Egress, text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must not hold spaces or control characters".to_owned());
    }
    let url = Url::parse(text).map_err(|error| {
        format!("must be a URL such as https://example.com/hooks, and is not: {error}")
    })?;
    if url.fragment().is_some() {
        return Err("must have no fragment (#…), which is never sent".to_owned());
    }
    if url.as_str().len() > LONGEST_URL {
        return Err(format!("must have at most {LONGEST_URL} bytes"));
    }
    let refused = match egress.check_url(&url) {
        Ok(()) => return Ok(url.into()),
        Err(refused) => refused,
    };
    Err(match refused {
        Refused::NotAUrl => "must have a host, such as https://example.com/hooks",
        Refused::Scheme => "must begin with https://",
        Refused::Userinfo => "must hold no user and password; use headers to prove who you are",
        Refused::NotPublic => {
            "must lead to a public address: this one is local, private or reserved"
        }
    }
    .to_owned())
}

fn events(given: Vec<String>) -> Result<Vec<String>, String> {
    if !(1..=MOST_EVENTS).contains(&given.len()) {
        return Err(format!("must have between 1 and {MOST_EVENTS} items"));
    }
    let mut known: Vec<String> = Vec::with_capacity(given.len());
    for (index, event) in given.into_iter().enumerate() {
        if !is_subscription(&event) {
            return Err(format!(
                "item {} is neither a type of event nor a family such as call.*, nor *",
                index + 1
            ));
        }
        if !known.contains(&event) {
            known.push(event);
        }
    }
    Ok(known)
}

fn description(text: String) -> Result<String, String> {
    if text.chars().count() > LONGEST_DESCRIPTION || text.contains('\0') {
        return Err(format!(
            "must have at most {LONGEST_DESCRIPTION} characters, none of them NUL"
        ));
    }
    Ok(text)
}

fn rate_limit(given: i64) -> Result<i32, String> {
    let fits = i32::try_from(given).ok().filter(|limit| (1..=HIGHEST_RATE).contains(limit));
    fits.ok_or_else(|| format!("must be between 1 and {HIGHEST_RATE} a second, or null for none"))
}

/// With a default, for what was not right and is not used.
struct Order(DeliveryOrder);

impl Default for Order {
    fn default() -> Self {
        Self(DeliveryOrder::None)
    }
}

fn ordering(word: String) -> Result<Order, String> {
    match &*word {
        "none" => Ok(Order(DeliveryOrder::None)),
        "call" => Ok(Order(DeliveryOrder::Call)),
        _ => Err("must be none or call".to_owned()),
    }
}

fn headers(Headers(given): Headers) -> Result<Vec<(String, SecretString)>, String> {
    check_headers(&given).map_err(|wrong| format!("are not allowed: {wrong}"))?;
    Ok(given)
}

fn schedule(given: Vec<i64>) -> Result<Vec<i32>, String> {
    if !(1..=MOST_WAITS).contains(&given.len()) {
        return Err(format!("must have between 1 and {MOST_WAITS} waits, or be null"));
    }
    let fits =
        |wait: i64| i32::try_from(wait).ok().filter(|wait| (1..=LONGEST_WAIT).contains(wait));
    let waits: Option<Vec<i32>> = given.into_iter().map(fits).collect();
    let waits = waits.ok_or_else(|| format!("must have waits of 1 to {LONGEST_WAIT} seconds"))?;
    if waits.iter().sum::<i32>() > LONGEST_SCHEDULE {
        return Err(format!("must be over after {LONGEST_SCHEDULE} seconds, five days"));
    }
    Ok(waits)
}

fn secret(given: &SecretString) -> Result<(), String> {
    check_secret(given)
        .map_err(|_| "must be whsec_ and the base64 of 24 to 64 random bytes".to_owned())
}

#[cfg(test)]
mod tests;
