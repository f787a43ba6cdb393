//! What was posted, answered and done so far; shared by the load and the live stream.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use contract::ids::CallId;

use super::latency::Latency;

/// Counts of one load.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

/// The figures behind a report.
#[derive(Debug)]
pub(super) struct Counts {
    /// When calls that are not done yet were due; the only thing that is kept for each call.
    waiting: HashMap<CallId, Due>,
    /// From when a post was due to when it was sent: what the bench itself is late.
    pub(super) post_lag: Latency,
    /// From when a post was due to the end of its 2xx.
    pub(super) ack: Latency,
    /// From when a post was due to the arrival of `call_completed`.
    pub(super) done: Latency,
    /// From when a post was due to when `call_completed` was written.
    pub(super) written: Latency,
    pub(super) posted: u64,
    pub(super) acknowledged: u64,
    /// Answered otherwise than 2xx.
    pub(super) refused: u64,
    /// Not answered: no connection, or no answer in time.
    pub(super) unanswered: u64,
    pub(super) completed: u64,
    pub(super) last_done: Option<Instant>,
    /// When the last 2xx was there.
    pub(super) last_acknowledged: Option<Instant>,
    /// How often the live stream was lost and opened again.
    pub(super) stream_reconnects: u64,
}

/// When a post is due: the moment that all its latencies begin at, however late it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) time: DateTime<Utc>,
}

/// How a post ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Acknowledged,
    Refused,
    /// It never reached the installation.
    NotSent,
    /// It may have been stored all the same.
    Lost,
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self { counts: Mutex::new(Counts::new()?) })
    }

    /// Begins anew and hands out what was counted.
    pub(super) fn restart(&self) -> anyhow::Result<Counts> {
        Ok(std::mem::replace(&mut *self.lock(), Counts::new()?))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            waiting: HashMap::new(),
            post_lag: Latency::new()?,
            ack: Latency::new()?,
            done: Latency::new()?,
            written: Latency::new()?,
            posted: 0,
            acknowledged: 0,
            refused: 0,
            unanswered: 0,
            completed: 0,
            last_done: None,
            last_acknowledged: None,
            stream_reconnects: 0,
        })
    }

    /// Called before the post is sent: a call may be done before its answer is read.
    pub(super) fn post(&mut self, call: CallId, due: Due, now: Instant) {
        self.waiting.insert(call, due);
        self.posted += 1;
        self.post_lag.record(now.saturating_duration_since(due.at));
    }

    pub(super) fn answer(&mut self, call: CallId, due: Due, answer: Answer, now: Instant) {
        match answer {
            Answer::Acknowledged => {
                self.acknowledged += 1;
                self.last_acknowledged = Some(now);
                self.ack.record(now.saturating_duration_since(due.at));
            }
            Answer::Refused => self.refused += 1,
            Answer::NotSent | Answer::Lost => self.unanswered += 1,
        }
        if matches!(answer, Answer::Refused | Answer::NotSent) {
            self.waiting.remove(&call);
        }
    }

    /// A call is done. Others' calls and a second run of the same call do not count.
    pub(super) fn done(&mut self, call: CallId, written: Option<DateTime<Utc>>, now: Instant) {
        let Some(due) = self.waiting.remove(&call) else { return };
        self.completed += 1;
        self.done.record(now.saturating_duration_since(due.at));
        if let Some(written) = written {
            let took = (written - due.time).to_std();
            self.written.record(took.unwrap_or(Duration::ZERO));
        }
        self.last_done = Some(now);
    }

    pub(super) fn is_waiting(&self, call: CallId) -> bool {
        self.waiting.contains_key(&call)
    }

    /// All of `count` posts were answered one way or another, or will not be any more.
    pub(super) fn is_settled(&self, count: u64) -> bool {
        self.acknowledged + self.refused + self.unanswered == count
    }

    /// They are settled, and no call is waited for.
    pub(super) fn is_over(&self, count: u64) -> bool {
        self.is_settled(count) && self.waiting.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn latencies_begin_when_the_post_was_due() {
        let tally = Tally::new().unwrap();
        let due = Due { at: Instant::now(), time: Utc::now() };
        let call = CallId(Uuid::from_u128(1));
        tally.lock().post(call, due, due.at + 5 * MS);
        tally.lock().done(call, Some(due.time + 30 * MS), due.at + 40 * MS);
        assert!(!tally.lock().is_over(1));
        tally.lock().answer(call, due, Answer::Acknowledged, due.at + 50 * MS);
        assert!(tally.lock().is_over(1));
        let counts = tally.restart().unwrap();
        let max = |latency: &Latency| latency.percentiles().unwrap().max_ms.round();
        let all = [&counts.post_lag, &counts.written, &counts.done, &counts.ack].map(max);
        assert_eq!(all, [5.0, 30.0, 40.0, 50.0]);
        assert_eq!(counts.last_acknowledged, Some(due.at + 50 * MS));
        assert_eq!(tally.lock().posted, 0);
    }

    #[test]
    fn only_what_may_be_stored_is_waited_for() {
        let tally = Tally::new().unwrap();
        let due = Due { at: Instant::now(), time: Utc::now() };
        let ends = [Answer::Refused, Answer::NotSent, Answer::Lost];
        for (id, end) in (0..).zip(ends) {
            tally.lock().post(CallId(Uuid::from_u128(id)), due, due.at);
            tally.lock().answer(CallId(Uuid::from_u128(id)), due, end, due.at);
        }
        assert!(tally.lock().is_settled(3) && !tally.lock().is_over(3));
        let lost = CallId(Uuid::from_u128(2));
        assert!(tally.lock().is_waiting(lost));
        tally.lock().done(lost, None, due.at);
        tally.lock().done(lost, None, due.at);
        let counts = tally.lock();
        assert!(counts.is_over(3));
        assert_eq!((counts.completed, counts.refused, counts.unanswered), (1, 1, 2));
    }
}
