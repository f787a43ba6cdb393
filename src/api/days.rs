//! Ranges of local days, as queries name them.

use chrono::{Datelike, Days, NaiveDate};

use super::problem::Problem;

/// Most days of one answer.
pub(crate) const MAX_DAYS: i64 = 400;
/// Years that are taken for years: Postgres knows fewer than a date can name.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2199;

/// Why days are no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrongRange {
    /// It ends before it begins.
    Reversed,
    /// It has more than [`MAX_DAYS`].
    TooLong,
    /// It lies where there was no telephone, or will be none of ours.
    Absurd {
        /// Whether only its last day does.
        is_end: bool,
    },
}

/// The days from `from` to `to`, both included. Without an end it is today, without a beginning it is
/// `before` days earlier.
pub(crate) fn range(
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    today: NaiveDate,
    before: u64,
) -> Result<(NaiveDate, NaiveDate), WrongRange> {
    let is_absurd = |day: NaiveDate| !YEARS.contains(&day.year());
    let to = to.or(from.filter(|from| *from > today)).unwrap_or(today);
    let is_end = is_absurd(to) && !from.is_some_and(is_absurd);
    let from = from.or_else(|| to.checked_sub_days(Days::new(before))).unwrap_or(to);
    if is_absurd(from) || is_absurd(to) {
        return Err(WrongRange::Absurd { is_end });
    }
    match (to - from).num_days() {
        ..0 => Err(WrongRange::Reversed),
        days if days >= MAX_DAYS => Err(WrongRange::TooLong),
        _ => Ok((from, to)),
    }
}

impl From<WrongRange> for Problem {
    fn from(wrong: WrongRange) -> Self {
        match wrong {
            WrongRange::Reversed => Self::query("from", "must not be after `to`"),
            WrongRange::TooLong => {
                Self::query("from", format!("no more than {MAX_DAYS} days at once"))
            }
            WrongRange::Absurd { is_end } => {
                Self::query(if is_end { "to" } else { "from" }, "must be a day of 2000 to 2199")
            }
        }
    }
}
