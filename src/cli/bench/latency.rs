//! Latencies: recorded in microseconds, told in milliseconds.

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;

/// Longer ones are recorded as this, apart from the maximum, which is always exact.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Decimal digits that a recorded value keeps: an error of at most 0.1 %.
const DIGITS: u8 = 3;

/// Many durations in little memory.
#[derive(Debug)]
pub(super) struct Latency {
    microseconds: Histogram<u64>,
    longest: Duration,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p99_9_ms: f64,
    pub(super) max_ms: f64,
}

impl Latency {
    pub(super) fn new() -> anyhow::Result<Self> {
        let microseconds =
            Histogram::new_with_max(micros(LONGEST), DIGITS).context("latency histogram")?;
        Ok(Self { microseconds, longest: Duration::ZERO })
    }

    pub(super) fn record(&mut self, duration: Duration) {
        self.microseconds.saturating_record(micros(duration));
        self.longest = self.longest.max(duration);
    }

    /// None where nothing was recorded.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        if self.microseconds.is_empty() {
            return None;
        }
        let longest = micros(self.longest);
        // The histogram tells the upper end of a bucket, which may lie above all that was seen.
        let at = |quantile| ms(self.microseconds.value_at_quantile(quantile).min(longest));
        Some(Percentiles {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: ms(longest),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn ms(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1e3
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn of(values: impl Iterator<Item = u64>) -> Percentiles {
        let mut latency = Latency::new().unwrap();
        values.for_each(|ms| latency.record(Duration::from_millis(ms)));
        latency.percentiles().unwrap()
    }

    #[test]
    fn percentiles_are_exact_to_a_thousandth() {
        let near = |value: f64, exact: f64| (value - exact).abs() <= exact / 1e3;
        let thousand = of(1..=1000);
        assert!(near(thousand.p50_ms, 500.0), "{thousand:?}");
        assert!(near(thousand.p99_ms, 990.0), "{thousand:?}");
        assert!(near(thousand.p99_9_ms, 999.0), "{thousand:?}");
        assert!(near(thousand.max_ms, 1000.0), "{thousand:?}");
    }

    #[test]
    fn the_largest_is_exact_however_long_it_is() {
        let one = of(std::iter::once(1234));
        assert!([one.p50_ms, one.p99_ms, one.p99_9_ms].iter().all(|p| *p <= 1234.0), "{one:?}");
        let two_days = of(std::iter::once(48 * 3600 * 1000));
        assert!((two_days.max_ms - 172_800_000.0).abs() < 1e-3, "{two_days:?}");
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Latency::new().unwrap().percentiles(), None);
    }
}
