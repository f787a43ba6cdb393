//! Spans of time, and the text that stands for those still to be read.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// More halvings than milliseconds since 1970 allow.
const MAX_OLDER: usize = 64;

/// A span of time, in whole milliseconds, with the older spans that follow it without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Where the older spans begin, oldest first; each reaches to the next, the last to `from`.
    older: Vec<DateTime<Utc>>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Span {
    /// From `since` on, until before `until`; widened to whole milliseconds. Nothing if it is empty.
    pub(super) fn new(since: DateTime<Utc>, until: DateTime<Utc>) -> Option<Self> {
        let from = DateTime::from_timestamp_millis(since.timestamp_millis())?;
        let to = DateTime::from_timestamp_millis(until.timestamp_millis())?;
        let to = if to < until { to + TimeDelta::milliseconds(1) } else { to };
        (from < to).then_some(Self { older: Vec::new(), from, to })
    }

    /// Reads what `Display` wrote: milliseconds since 1970, strictly ascending.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bounds = Vec::new();
        for part in text.split('-') {
            let bound = DateTime::from_timestamp_millis(part.parse().ok()?)?;
            if bounds.len() > MAX_OLDER || bounds.last().is_some_and(|last| *last >= bound) {
                return None;
            }
            bounds.push(bound);
        }
        let to = bounds.pop()?;
        let from = bounds.pop()?;
        Some(Self { older: bounds, from, to })
    }

    /// The first instant, as Vapi writes times.
    pub(super) fn from(&self) -> String {
        self.from.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The first instant after it, as Vapi writes times.
    pub(super) fn to(&self) -> String {
        self.to.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    pub(super) fn contains(&self, at: DateTime<Utc>) -> bool {
        (self.from..self.to).contains(&at)
    }

    pub(super) fn can_be_halved(&self) -> bool {
        self.to - self.from > TimeDelta::milliseconds(1)
    }

    /// Leaves the later half; the earlier one comes next.
    pub(super) fn halve(&mut self) {
        let half = TimeDelta::milliseconds((self.to - self.from).num_milliseconds() / 2);
        self.older.push(self.from);
        self.from += half;
    }

    /// What follows this span, if anything does.
    pub(super) fn older(mut self) -> Option<Self> {
        let from = self.older.pop()?;
        Some(Self { to: self.from, from, older: self.older })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bound in self.older.iter().chain([&self.from]) {
            write!(f, "{}-", bound.timestamp_millis())?;
        }
        write!(f, "{}", self.to.timestamp_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("in range")
    }

    #[test]
    fn halves_follow_each_other_without_a_gap() {
        let mut span = Span::new(at(0), at(1000)).expect("not empty");
        let mut ends = vec![1000];
        span.halve();
        span.halve();
        assert_eq!(span.to_string(), "0-500-750-1000");
        assert_eq!(Span::parse("0-500-750-1000").as_ref(), Some(&span));
        let mut next = Some(span);
        while let Some(span) = next {
            assert_eq!(ends.last(), Some(&span.to.timestamp_millis()));
            ends.push(span.from.timestamp_millis());
            next = span.older();
        }
        assert_eq!(ends, [1000, 750, 500, 0]);
    }

    #[test]
    fn parts_of_milliseconds_are_inside() {
        let micros = |micros| DateTime::from_timestamp_micros(micros).expect("in range");
        let span = Span::new(micros(1_999), micros(2_001)).expect("not empty");
        assert_eq!(span.to_string(), "1-3");
        assert_eq!(
            (span.from().as_str(), span.can_be_halved()),
            ("1970-01-01T00:00:00.001Z", true)
        );
        assert!(!Span::new(at(1), at(2)).expect("not empty").can_be_halved());
        assert_eq!(Span::new(at(2), at(2)), None);
        assert_eq!(Span::new(at(3), at(2)), None);
    }

    #[test]
    fn other_texts_are_no_spans() {
        let many: Vec<String> = (0..100).map(|bound| bound.to_string()).collect();
        for text in ["", "1", "2-1", "1-1", "1-2-2", "a-b", "1--2", "1-9223372036854775807"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        assert_eq!(Span::parse(&many.join("-")), None);
    }
}
