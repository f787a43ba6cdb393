//! The effect log: every request that reached a provider, and whether what it asked took place.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Provider, RequestSeen,
    journal::{Journal, Mark},
};

/// How many effects are kept in memory and read back at a start; the oldest go first.
pub(super) const MOST_EFFECTS: usize = 200_000;
/// How many bytes of effects are kept in memory (256 MiB), since a body may be 1 MiB.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A text message.
    Sms,
    /// An email.
    Email,
    /// An outbound call.
    Call,
    /// A call was ended or redirected.
    CallChange,
    /// A recording was downloaded.
    Recording,
    /// The model was asked.
    Model,
    /// A call was put there by a test, not placed through the provider.
    Planted,
    /// Usage reported to Stripe.
    MeterEvent,
    /// A Stripe customer.
    Customer,
    /// A broadcast to dashboards.
    Broadcast,
    /// A webhook delivered to a customer.
    Webhook,
    /// Something was read: never an effect, so never accepted.
    Lookup,
    /// No route of the fake.
    Unknown,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Place in the log, from 1, never used again.
    pub seq: u64,
    /// When the request was read, by this machine's clock.
    pub at: DateTime<Utc>,
    /// How far the fakes' clock was ahead of this machine's, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_seconds: i64,
    /// Whose fake was asked.
    pub provider: Provider,
    /// What was asked for.
    pub kind: Kind,
    /// What identifies it best: recipient, hook name, meter event identifier, topic, path.
    pub key: String,
    /// What else identifies it: further recipients, idempotency key, customer, webhook id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_keys: Vec<String>,
    /// The HTTP status answered; 0 when the connection was dropped without an answer.
    pub status: u16,
    /// Whether the effect truly took place, whatever the answer said. False for refusals, look-ups
    /// and repeats that an idempotency key caught.
    pub accepted: bool,
    /// The request.
    pub request: RequestSeen,
    /// What the provider made, with its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

// Serde hands fields over by reference.
fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// Which effects are meant; all that is unset matches everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only this provider's.
    pub provider: Option<Provider>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those with this key among their keys.
    pub key: Option<String>,
    /// Only those that took place, or only those that did not.
    pub accepted: Option<bool>,
    /// Only those after this place in the log.
    pub after: u64,
    /// How many to list, oldest first: 1,000 if unset, at most 10,000. Counting ignores it.
    pub limit: Option<usize>,
}

impl Filter {
    fn page(&self) -> usize {
        self.limit.unwrap_or(1_000).min(10_000)
    }

    fn wants(&self, stored: &Stored) -> bool {
        self.provider.is_none_or(|provider| provider == stored.provider)
            && self.kind.is_none_or(|kind| kind == stored.kind)
            && self.accepted.is_none_or(|accepted| accepted == stored.accepted)
            && self.key.as_ref().is_none_or(|key| stored.keys.contains(key))
    }
}

/// The effect log of running fakes.
#[derive(Debug)]
pub struct Effects {
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    stored: VecDeque<Stored>,
    bytes: usize,
    last_seq: u64,
    dropped: u64,
    mark: Mark,
    journal: Option<Journal>,
}

/// An effect as its line of JSON, with what filters look at beside it.
#[derive(Debug)]
struct Stored {
    seq: u64,
    provider: Provider,
    kind: Kind,
    accepted: bool,
    keys: Vec<String>,
    line: String,
}

impl Effects {
    /// Opens the log; what the file holds comes back too, oldest first, so that the fakes remember,
    /// together with the seconds by which their clock was ahead.
    pub(super) fn open(file: Option<&Path>) -> io::Result<(Self, Vec<Effect>, i64)> {
        let mut log = Log::default();
        let mut past = Vec::new();
        if let Some(path) = file {
            let (journal, found) = Journal::open(path)?;
            log.mark = found.mark;
            log.last_seq = found.mark.cleared_through;
            for (effect, line) in found.effects {
                log.last_seq = log.last_seq.max(effect.seq);
                if effect.seq > found.mark.cleared_through {
                    log.keep(&effect, line);
                }
                past.push(effect);
            }
            log.journal = Some(journal);
        }
        let clock_seconds = log.mark.clock_seconds;
        Ok((Self { log: Mutex::new(log) }, past, clock_seconds))
    }

    /// The effects that match, oldest first, up to the filter's limit.
    pub fn list(&self, filter: &Filter) -> Vec<Effect> {
        let lines = self.lines(filter);
        // The lines were written by this module; one that does not parse cannot exist.
        lines.0.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How many effects match.
    pub fn count(&self, filter: &Filter) -> usize {
        let log = self.lock();
        log.after(filter.after).filter(|stored| filter.wants(stored)).count()
    }

    /// Forgets all effects. Places in the log go on counting, and the providers still remember what
    /// they have done (idempotency keys, messages, calls).
    pub fn clear(&self) {
        let mut log = self.lock();
        log.stored.clear();
        log.bytes = 0;
        log.dropped = 0;
        log.mark.cleared_through = log.last_seq;
        log.write_mark();
    }

    /// How many effects were pushed out because the log was full; counts are too low by as many.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// As `list`, as lines of JSON, with the place of the last one.
    pub(super) fn lines(&self, filter: &Filter) -> (Vec<String>, u64) {
        let log = self.lock();
        let mut next = filter.after;
        let mut lines = Vec::new();
        let wanted = log.after(filter.after).filter(|stored| filter.wants(stored));
        for stored in wanted.take(filter.page()) {
            next = stored.seq;
            lines.push(stored.line.clone());
        }
        (lines, next)
    }

    /// Appends an effect; its place in the log is set here.
    pub(super) fn record(&self, mut effect: Effect) {
        let mut log = self.lock();
        log.last_seq += 1;
        effect.seq = log.last_seq;
        match serde_json::to_string(&effect) {
            Ok(line) => {
                if let Some(journal) = &mut log.journal {
                    journal.append(&line);
                }
                log.keep(&effect, line);
            }
            Err(error) => tracing::error!(%error, "an effect could not be logged"),
        }
    }

    /// Keeps the fakes' clock across a restart.
    pub(super) fn clock_is(&self, ahead_seconds: i64) {
        let mut log = self.lock();
        log.mark.clock_seconds = ahead_seconds;
        log.write_mark();
    }

    /// Hands what was appended to the operating system.
    pub(super) fn flush(&self) {
        if let Some(journal) = &mut self.lock().journal {
            journal.flush();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// The effects after a place; the log is in order, so the way there is short.
    fn after(&self, seq: u64) -> impl Iterator<Item = &Stored> {
        let first = self.stored.partition_point(|stored| stored.seq <= seq);
        self.stored.range(first..)
    }

    fn keep(&mut self, effect: &Effect, line: String) {
        let mut keys = Vec::with_capacity(1 + effect.other_keys.len());
        keys.push(effect.key.clone());
        keys.extend_from_slice(&effect.other_keys);
        self.bytes += line.len();
        self.stored.push_back(Stored {
            seq: effect.seq,
            provider: effect.provider,
            kind: effect.kind,
            accepted: effect.accepted,
            keys,
            line,
        });
        while self.stored.len() > MOST_EFFECTS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.stored.pop_front() else { break };
            self.bytes -= oldest.line.len();
            self.dropped += 1;
        }
    }

    fn write_mark(&mut self) {
        let mark = self.mark;
        if let Some(journal) = &mut self.journal {
            journal.append(&mark.line());
        }
    }
}
