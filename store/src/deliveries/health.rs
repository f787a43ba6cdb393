//! How an endpoint does: its circuit, and whether it has failed for so long that it is disabled.
//!
//! After [`TRIP_AFTER`] failures in a row the circuit opens: nothing is sent but one delivery at a time,
//! the probe, at growing distances. A success closes it. An endpoint that has done nothing but fail for
//! five days is disabled; the clock starts once two failures are twelve hours apart, so that one bad
//! evening does not count.

use chrono::{DateTime, TimeDelta, Utc};

/// Failures in a row that open the circuit.
pub(super) const TRIP_AFTER: i32 = 20;
/// From the opening to the first probe; doubled by each that fails.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// And at most.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);
/// Failures so far apart start the clock.
const CLOCK_STARTS_AFTER: TimeDelta = TimeDelta::hours(12);
/// And by then the endpoint is disabled.
const DISABLED_AFTER: TimeDelta = TimeDelta::days(5);
/// Per cent of that time at which its owners are warned.
const WARNED_AT: [i16; 3] = [50, 75, 90];

/// Whether an endpoint gets what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Circuit {
    /// Everything.
    Closed,
    /// Nothing before this time.
    Open(DateTime<Utc>),
    /// One delivery, whose result is awaited until then.
    HalfOpen(DateTime<Utc>),
}

impl Circuit {
    pub(super) fn read(literal: &str, probe_at: Option<DateTime<Utc>>) -> Self {
        match (literal, probe_at) {
            ("open", Some(at)) => Self::Open(at),
            ("half-open", Some(at)) => Self::HalfOpen(at),
            _ => Self::Closed,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen(_) => "half-open",
        }
    }

    pub(super) const fn probe_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Closed => None,
            Self::Open(at) | Self::HalfOpen(at) => Some(at),
        }
    }
}

/// What is known of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    /// Failures since the last success.
    pub(super) failures: i32,
    pub(super) circuit: Circuit,
    /// Times that it opened since it was last closed.
    pub(super) trips: i32,
    pub(super) failing_since: Option<DateTime<Utc>>,
    pub(super) clock_since: Option<DateTime<Utc>>,
    /// Per cent of the time to its end that were warned of.
    pub(super) warned: i16,
}

/// What attempts found out, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether one arrived.
    pub(super) success: bool,
    /// Failures after the last that arrived, or all.
    pub(super) failures: i32,
    /// Whether the probe of a half-open circuit is among them.
    pub(super) probe: bool,
}

/// What the endpoint's owners are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// So much of the time to its end is over.
    Failing(i16),
    /// It has done nothing but fail.
    Disabled,
    /// It takes events again.
    Recovered,
}

impl Health {
    /// Of an endpoint that nothing is known of.
    pub(super) const NEW: Self = Self {
        failures: 0,
        circuit: Circuit::Closed,
        trips: 0,
        failing_since: None,
        clock_since: None,
        warned: 0,
    };

    /// What attempts make of it, and what is to be told.
    pub(super) fn after(self, found: Found, now: DateTime<Utc>) -> (Self, Option<Notice>) {
        let recovered = found.success && self.clock_since.is_some();
        let before = if found.success { Self::NEW } else { self };
        let failed = before.fail(found, now);
        let (after, notice) = failed.judge(now);
        (after, notice.or(recovered.then_some(Notice::Recovered)))
    }

    fn fail(self, found: Found, now: DateTime<Utc>) -> Self {
        if found.failures == 0 {
            return self;
        }
        let total = self.failures.saturating_add(found.failures);
        let failing_since = self.failing_since.unwrap_or(now);
        let starts = now - failing_since >= CLOCK_STARTS_AFTER;
        let (circuit, trips) = match self.circuit {
            Circuit::Closed if total < TRIP_AFTER => (Circuit::Closed, 0),
            // Late results of attempts from before it opened change nothing.
            late @ Circuit::Open(_) => (late, self.trips),
            late @ Circuit::HalfOpen(_) if !found.probe => (late, self.trips),
            Circuit::Closed | Circuit::HalfOpen(_) => {
                (Circuit::Open(now + pause(self.trips)), self.trips.saturating_add(1))
            }
        };
        Self {
            failures: total,
            circuit,
            trips,
            failing_since: Some(failing_since),
            clock_since: self.clock_since.or(starts.then_some(now)),
            warned: self.warned,
        }
    }

    fn judge(self, now: DateTime<Utc>) -> (Self, Option<Notice>) {
        let Some(since) = self.clock_since else { return (self, None) };
        let passed = now - since;
        if passed >= DISABLED_AFTER {
            return (self, Some(Notice::Disabled));
        }
        let reached = |share: &i16| passed >= DISABLED_AFTER * i32::from(*share) / 100;
        let warned = WARNED_AT.into_iter().filter(reached).max().unwrap_or(0);
        if warned > self.warned {
            return (Self { warned, ..self }, Some(Notice::Failing(warned)));
        }
        (self, None)
    }
}

fn pause(trips: i32) -> TimeDelta {
    (FIRST_PAUSE * 2_i32.saturating_pow(u32::try_from(trips).unwrap_or(0).min(10)))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    const FAILED: Found = Found { success: false, failures: 1, probe: false };
    const PROBED: Found = Found { probe: true, ..FAILED };
    const ARRIVED: Found = Found { success: true, failures: 0, probe: false };

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn many(failures: i32) -> Found {
        Found { failures, ..FAILED }
    }

    /// Fails each hour until it is disabled; the hours at which something is told.
    fn told(health: Health) -> Vec<(i64, Notice)> {
        let mut health = health;
        let mut told = Vec::new();
        for hour in 0..200 {
            let (after, notice) = health.after(FAILED, at(hour));
            health = after;
            told.extend(notice.map(|notice| (hour, notice)));
            if notice == Some(Notice::Disabled) {
                break;
            }
        }
        told
    }

    #[test]
    fn five_days_of_failures_are_warned_of_three_times_and_end_it() {
        let expected = [
            (12 + 60, Notice::Failing(50)),
            (12 + 90, Notice::Failing(75)),
            (12 + 108, Notice::Failing(90)),
            (12 + 120, Notice::Disabled),
        ];
        assert_eq!(told(Health::NEW), expected);
    }

    #[test]
    fn one_success_stops_the_clock_and_is_told_where_it_ran() {
        let (failing, _) = Health::NEW.after(FAILED, at(0));
        assert_eq!(failing.after(ARRIVED, at(11)), (Health::NEW, None), "the clock did not run");
        let (clocked, _) = failing.after(FAILED, at(12));
        assert_eq!(clocked.after(ARRIVED, at(13)), (Health::NEW, Some(Notice::Recovered)));
        let mixed = Found { failures: 2, ..ARRIVED };
        let (again, notice) = clocked.after(mixed, at(13));
        assert_eq!((again.failures, again.failing_since), (2, Some(at(13))));
        assert_eq!(notice, Some(Notice::Recovered));
    }

    #[test]
    fn a_circuit_opens_by_failures_in_a_row_and_probes_at_growing_distances() {
        let (nearly, _) = Health::NEW.after(many(TRIP_AFTER - 1), at(0));
        assert_eq!(nearly.circuit, Circuit::Closed);
        let (open, _) = nearly.after(FAILED, at(0));
        assert_eq!(open.circuit, Circuit::Open(at(0) + TimeDelta::seconds(30)));
        let (late, _) = open.after(many(5), at(0) + TimeDelta::seconds(5));
        assert_eq!((late.circuit, late.failures), (open.circuit, TRIP_AFTER + 5));
        let mut probed = open;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            probed.circuit = Circuit::HalfOpen(at(1));
            let (late, _) = probed.after(FAILED, at(0));
            assert_eq!((late.circuit, late.trips), (probed.circuit, probed.trips), "not the probe");
            probed = probed.after(PROBED, at(0)).0;
            pauses.push((probed.circuit.probe_at().unwrap() - at(0)).num_seconds());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 600, 600]);
        assert_eq!(probed.after(ARRIVED, at(1)).0, Health::NEW);
    }

    #[test]
    fn a_success_among_failures_counts_from_there() {
        let found = Found { failures: TRIP_AFTER, ..ARRIVED };
        let (open, _) = Health::NEW.after(found, at(0));
        assert!(matches!(open.circuit, Circuit::Open(_)));
        let (most, _) = Health { failures: 15, ..Health::NEW }.after(many(5), at(0));
        assert!(matches!(most.circuit, Circuit::Open(_)));
    }
}
