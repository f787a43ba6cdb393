//! Where the days of each organization begin, as the arrays that the statements take.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use contract::{
    ids::OrganizationId,
    period::{self, Span},
    usage::{LONGEST_AFTER_CREATION, LONGEST_BEFORE_CREATION},
};
use uuid::Uuid;

use super::Look;

/// Organizations and their days.
pub(super) struct Zoned {
    days: BTreeMap<OrganizationId, Vec<(NaiveDate, Span)>>,
    /// Organization of each of `starts`.
    pub(super) owners: Vec<Uuid>,
    /// First instants of days; of each organization one more than it has days.
    pub(super) starts: Vec<DateTime<Utc>>,
    /// From the first day of any organization to the end of the last.
    pub(super) whole: Span,
    /// First and last day.
    pub(super) dates: (NaiveDate, NaiveDate),
}

impl Zoned {
    /// The days of `look` in the zones of these organizations; those of an unknown zone are UTC's.
    pub(super) fn new(zones: Vec<(OrganizationId, String)>, look: Look) -> Self {
        let dates: Vec<_> = look.from.iter_days().take_while(|date| *date <= look.to).collect();
        let days: BTreeMap<_, Vec<_>> = zones
            .into_iter()
            .map(|(organization, zone)| {
                let zone = period::zone_or_utc(&zone);
                let days = dates.iter().map(|date| (*date, period::day(*date, zone))).collect();
                (organization, days)
            })
            .collect();
        let mut owners = Vec::new();
        let mut starts = Vec::new();
        for (organization, days) in &days {
            let ends = days.last().map(|(_, span)| span.end);
            for start in days.iter().map(|(_, span)| span.start).chain(ends) {
                owners.push(organization.0);
                starts.push(start);
            }
        }
        let start = starts.iter().min().copied().unwrap_or(look.now);
        let end = starts.iter().max().copied().unwrap_or(look.now);
        let whole = Span { start, end };
        Self { days, owners, starts, whole, dates: (look.from, look.to) }
    }

    pub(super) fn organizations(&self) -> u32 {
        u32::try_from(self.days.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn ids(&self) -> Vec<Uuid> {
        self.days.keys().map(|organization| organization.0).collect()
    }

    /// The whole range of an organization; nothing where it has no day.
    pub(super) fn span_of(&self, organization: OrganizationId) -> Option<Span> {
        let days = self.days.get(&organization)?;
        let (first, last) = days.first().zip(days.last())?;
        Some(Span { start: first.1.start, end: last.1.end })
    }

    pub(super) fn days(&self) -> impl Iterator<Item = (OrganizationId, &[(NaiveDate, Span)])> {
        self.days.iter().map(|(organization, days)| (*organization, days.as_slice()))
    }

    /// The day of a bucket of `width_bucket`, which counts from 1; 0 is before, one too many is after.
    pub(super) fn date(&self, organization: OrganizationId, bucket: i32) -> Option<NaiveDate> {
        let index = usize::try_from(bucket).ok()?.checked_sub(1)?;
        Some(self.days.get(&organization)?.get(index)?.0)
    }

    /// When the rows of calls were made that count in the range.
    pub(super) fn created(&self) -> Span {
        Span {
            start: self.whole.start - LONGEST_AFTER_CREATION,
            end: self.whole.end + LONGEST_BEFORE_CREATION,
        }
    }

    /// Around the range, as far as another time of a call can move it.
    pub(super) fn moved(&self) -> Span {
        let farthest = LONGEST_AFTER_CREATION + LONGEST_BEFORE_CREATION;
        Span { start: self.whole.start - farthest, end: self.whole.end + farthest }
    }
}
