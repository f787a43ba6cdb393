//! What goes wrong, and how often: answers laid out beforehand, used up one by one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, Provider, reply::Identity};

/// The longest delay of a script or of a provider, in milliseconds (10 minutes).
pub(super) const LONGEST_DELAY_MS: u64 = 600_000;
/// How many scripts may lie at once, and how many answers one may have.
const MOST: usize = 10_000;

/// The answers to come for a provider, or for one key of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Only requests of this kind use the script. Unset: all but look-ups, so that a failure meant
    /// for a message is not used up by the search for it.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// One for each request, in order.
    pub answers: Vec<Answer>,
    /// What follows the last one.
    #[serde(default)]
    pub then: Then,
}

/// What follows a script's last answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The fake answers as it always does.
    #[default]
    Normal,
    /// The last answer for ever.
    RepeatLast,
}

/// One scripted answer. What is unset stays as the fake does it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// HTTP status, 200 to 599.
    pub status: Option<u16>,
    /// Headers, also those that lie: a `Content-Length` is sent as it stands.
    pub headers: BTreeMap<String, String>,
    /// A text is sent as it is, other JSON as JSON. Unset: the provider's own error body for the
    /// status.
    pub body: Option<Value>,
    /// Milliseconds to wait, in place of the provider's base latency; at most 10 minutes.
    pub delay_ms: Option<u64>,
    /// Whether the effect takes place, whatever is answered. Unset: yes if the status is 2xx or
    /// unset, no for other statuses and dropped connections.
    pub do_it: Option<bool>,
    /// Close the connection in place of an answer.
    pub drop_connection: bool,
    /// Send the body at one byte a second.
    pub drip: bool,
    /// Send the body again and again without an end.
    pub endless: bool,
    /// Keep the status, and a body that is JSON, under the request's idempotency key: as Stripe
    /// does, which repeats them for 24 hours, also a 500. Other providers keep no answers.
    pub stored: bool,
    /// For how many requests this answer serves; 1 if unset.
    pub times: Option<u32>,
}

impl Answer {
    /// Whether the effect takes place.
    pub(super) fn does_it(&self) -> bool {
        let answered = self.status.is_none_or(|status| (200..300).contains(&status));
        self.do_it.unwrap_or(answered && !self.drop_connection)
    }
}

impl Script {
    /// What is wrong with a script that came from outside.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.answers.is_empty() || self.answers.len() > MOST {
            return Some("answers: from 1 to 10,000 of them");
        }
        for answer in &self.answers {
            if answer.status.is_some_and(|status| !(200..600).contains(&status)) {
                return Some("status: from 200 to 599");
            }
            if answer.delay_ms.is_some_and(|ms| ms > LONGEST_DELAY_MS) {
                return Some("delay_ms: at most 600000");
            }
            if answer.times == Some(0) {
                return Some("times: at least 1");
            }
            let sendable = |(name, value): (&String, &String)| {
                name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok()
            };
            if !answer.headers.iter().all(sendable) {
                return Some("headers: a name or value cannot be sent over HTTP");
            }
        }
        None
    }
}

/// The scripts that lie ready.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    lying: Mutex<Vec<Lying>>,
}

/// One script with what is left of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Lying {
    provider: Provider,
    key: Option<String>,
    kind: Option<Kind>,
    answers: VecDeque<Answer>,
    then: Then,
}

impl Scripts {
    /// Lays a script in place of an earlier one for the same provider, key and kind. False if too
    /// many lie already.
    pub(super) fn lay(&self, provider: Provider, key: Option<String>, script: Script) -> bool {
        let Script { kind, answers, then } = script;
        let mut lying = self.lock();
        lying.retain(|l| l.provider != provider || l.key != key || l.kind != kind);
        let room = lying.len() < MOST;
        if room && !answers.is_empty() {
            lying.push(Lying { provider, key, kind, answers: answers.into(), then });
        }
        room
    }

    /// The answer for a request, if one is scripted: a script for its key comes before one for all,
    /// and one for its kind before one for any.
    pub(super) fn take(&self, provider: Provider, identity: &Identity) -> Option<Answer> {
        let mut lying = self.lock();
        let matching = lying.iter().enumerate().filter(|(_, l)| l.meets(provider, identity));
        let closest = matching.max_by_key(|(_, l)| (l.key.is_some(), l.kind.is_some()));
        let place = closest?.0;
        let answer = lying[place].next();
        if lying[place].answers.is_empty() {
            lying.remove(place);
        }
        answer
    }

    /// What is left.
    pub(super) fn left(&self) -> Vec<Lying> {
        self.lock().clone()
    }

    /// Takes scripts away: all, a provider's, or those for one key of it.
    pub(super) fn remove(&self, provider: Option<Provider>, key: Option<&str>) {
        self.lock().retain(|l| {
            provider.is_some_and(|provider| provider != l.provider)
                || key.is_some_and(|key| l.key.as_deref() != Some(key))
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lying>> {
        self.lying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lying {
    fn meets(&self, provider: Provider, identity: &Identity) -> bool {
        let kind = match self.kind {
            Some(kind) => kind == identity.kind,
            None => identity.kind != Kind::Lookup,
        };
        let key = self.key.as_ref().is_none_or(|key| identity.keys.contains(key));
        provider == self.provider && kind && key
    }

    /// Uses one answer up; the last of a script that repeats it stays.
    fn next(&mut self) -> Option<Answer> {
        let last = self.answers.len() == 1;
        let front = self.answers.front_mut()?;
        let times = front.times.unwrap_or(1);
        if times > 1 {
            front.times = Some(times - 1);
            return Some(front.clone());
        }
        if last && self.then == Then::RepeatLast {
            return Some(front.clone());
        }
        self.answers.pop_front()
    }
}
