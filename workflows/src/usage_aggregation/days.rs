//! Which days a run is for.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contract::failure::INVALID;
use temporalio_common::{
    error::ApplicationFailure,
    search_attributes::{SearchAttributeKey, Timestamp},
};
use temporalio_workflow::{WorkflowContext, WorkflowTermination};

/// Days of one run: more are several runs, each with an end in sight.
pub const MOST_DAYS: i64 = 400;

/// Temporal's own: the time that a schedule's run was for, also where it began later or by backfill.
const SCHEDULED: SearchAttributeKey<Timestamp> =
    SearchAttributeKey::datetime("TemporalScheduledStartTime");

/// The time that the run is for: of its schedule, else when somebody started it.
pub(crate) fn due<W>(ctx: &WorkflowContext<W>) -> Result<DateTime<Utc>, WorkflowTermination> {
    let info = ctx.info();
    let scheduled = info.search_attributes().and_then(|all| all.get(&SCHEDULED));
    let scheduled = scheduled.and_then(|time| DateTime::from_timestamp(time.seconds(), 0));
    scheduled
        .or_else(|| info.start_time().map(DateTime::from))
        .ok_or_else(|| refused("the run has neither a scheduled time nor a start"))
}

/// The days that were asked for by hand; nothing where none were. `to` is `from` where it is absent.
pub(crate) fn asked(
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<Option<(NaiveDate, NaiveDate)>, WorkflowTermination> {
    let Some(from) = from else {
        return if to.is_none() { Ok(None) } else { Err(refused("`to` needs `from`")) };
    };
    let to = to.unwrap_or(from);
    if from > to {
        return Err(refused("`from` is after `to`"));
    }
    if to - from >= TimeDelta::days(MOST_DAYS) {
        return Err(refused("more than 400 days"));
    }
    Ok(Some((from, to)))
}

fn refused(why: &'static str) -> WorkflowTermination {
    ApplicationFailure::builder(why)
        .type_name(INVALID.to_owned())
        .non_retryable(true)
        .build()
        .into()
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn on(text: &str) -> Option<NaiveDate> {
        Some(text.parse().expect("a date"))
    }

    #[test]
    fn days_that_are_asked_for_have_an_order_and_an_end() {
        let day = on("2026-11-20");
        let both = |from, to| asked(from, to).ok();
        assert_eq!(both(None, None), Some(None));
        assert_eq!(both(day, None), Some(day.zip(day)));
        assert_eq!(both(day, on("2026-11-21")), Some(day.zip(on("2026-11-21"))));
        assert_eq!(both(day, on("2026-11-19")), None);
        assert_eq!(both(None, day), None);
        assert_eq!(
            both(on("2026-01-01"), on("2027-02-04")),
            Some(on("2026-01-01").zip(on("2027-02-04")))
        );
        assert_eq!(both(on("2026-01-01"), on("2027-02-05")), None, "the 401st day");
    }
}
