//! Generated rows, in Postgres' text format: columns between tabs, `\N` for nothing.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use uuid::Uuid;

/// Copies organizations.
pub(super) const ORGANIZATIONS: &str = "copy organizations (id, name, slug, timezone) from stdin";

/// Zones with odd distances from UTC, with and without clock changes, one unknown to everybody.
const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/Berlin",
    "UTC",
    "America/Los_Angeles",
    "Asia/Kathmandu",
    "Europe/London",
    "Pacific/Apia",
    "America/Chicago",
    "Australia/Lord_Howe",
    "Asia/Tokyo",
    "America/Sao_Paulo",
    "Mars/Olympus",
];

/// A call's row may be made so much later than its neighbours'.
const DISORDER_SECONDS: u64 = 600;

/// Copies calls into one partition.
pub(super) fn calls_into(partition: &str) -> String {
    format!(
        "copy {partition} (id, organization_id, provider, provider_call_id, assistant_id, direction,
             status, from_number, to_number, started_at, ended_at, duration_seconds,
             billed_minutes, ended_reason, cost_usd, origin, created_at, updated_at, occurred_at)
         from stdin"
    )
}

pub(super) fn organization(number: u64, to: &mut String) {
    let zone = ZONES[number as usize % ZONES.len()];
    let id = organization_id(number);
    // Writing to a String cannot fail.
    let _ = writeln!(to, "{id}\tOrganization {number}\torganization-{number}\t{zone}");
}

fn organization_id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0199_a000_0000_7000, 0x8000_0000_0000_0000 | number)
}

/// Makes a month of calls, one after the other.
#[derive(Debug)]
pub(super) struct Rows {
    random: Random,
    organizations: u64,
    first: DateTime<Utc>,
    /// Length of the month.
    seconds: u64,
}

impl Rows {
    pub(super) fn new(organizations: u64, first: NaiveDate, next: NaiveDate) -> Self {
        let first = first.and_time(NaiveTime::MIN).and_utc();
        let next = next.and_time(NaiveTime::MIN).and_utc();
        let seconds = u64::try_from((next - first).num_seconds()).unwrap_or(0);
        Self { random: Random(1), organizations, first, seconds }
    }

    /// The row of call `number` of `calls`: four in five were answered.
    pub(super) fn call(&mut self, number: u64, calls: u64, to: &mut String) {
        let random = &mut self.random;
        let organization = random.few(self.organizations);
        let due = u128::from(number) * u128::from(self.seconds) / u128::from(calls.max(1));
        let due = u64::try_from(due).unwrap_or(0) + random.below(DISORDER_SECONDS);
        let created = self.first + seconds(due.min(self.seconds - 1));
        let ring = seconds(4 + random.below(20));
        let answered = random.below(5) > 0;
        let talked = if answered { 5 + random.few(900) } else { 0 };
        let ended = created + ring + seconds(talked);
        let occurred = if answered { created + ring } else { ended };
        let (status, reason) = match (answered, random.below(3)) {
            (true, _) => ("completed", "customer-ended-call"),
            (false, 0) => ("no-answer", "customer-did-not-answer"),
            (false, 1) => ("busy", "customer-busy"),
            (false, _) => ("failed", "call.start.error-get-transport"),
        };
        let started = if answered { occurred.to_rfc3339() } else { "\\N".to_owned() };
        let assistant = match random.below(10) {
            0 => "\\N".to_owned(),
            drawn => Uuid::from_u64_pair(organization, 1 + drawn % 3).to_string(),
        };
        let direction = ["inbound", "outbound"][random.below(2) as usize];
        let (id, other, caller) = (random.uuid(), random.uuid(), random.below(10_000_000));
        // Writing to a String cannot fail.
        let _ = writeln!(
            to,
            "{id}\t{organization}\tvapi\t{other}\t{assistant}\t{direction}\t{status}\t\
             +1415{caller:07}\t+14155550100\t{started}\t{ended}\t{talked}\t{minutes}\t{reason}\t\
             {cost}\twebhook\t{created}\t{ended}\t{occurred}",
            organization = organization_id(organization),
            ended = ended.to_rfc3339(),
            minutes = talked.div_ceil(60),
            cost = format_args!("{}.{:06}", talked * 1537 / 1_000_000, talked * 1537 % 1_000_000),
            created = created.to_rfc3339(),
            occurred = occurred.to_rfc3339(),
        );
    }
}

fn seconds(number: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(number).unwrap_or(0))
}

/// SplitMix64: the same numbers every time.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Small numbers more often than large ones: the lower half of them in seven draws of ten.
    fn few(&mut self, limit: u64) -> u64 {
        let share = self.below(1 << 20) as f64 / (1_u64 << 20) as f64;
        (share * share * limit as f64) as u64
    }

    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(
            (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes(),
        )
        .into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_as_many_columns_as_the_statement_and_lie_in_the_month() {
        let on = |day| NaiveDate::from_ymd_opt(2026, 10, day).unwrap_or_default();
        let mut rows = Rows::new(5, on(1), on(31));
        let statement = calls_into("calls_2026_10");
        let columns = statement.matches(',').count() + 1;
        let mut text = String::new();
        for number in 0..1000 {
            text.clear();
            rows.call(number, 1000, &mut text);
            let fields: Vec<&str> = text.trim_end().split('\t').collect();
            assert_eq!(fields.len(), columns, "{text}");
            assert!(
                (on(1)..on(31)).contains(&fields[16][..10].parse().unwrap_or_default()),
                "{text}"
            );
        }
    }
}
