//! A call's minutes in a sentence.

use contract::period::{local_date, zone_or_utc};

use super::{BookedPeriod, Story};

/// As `3 minutes on 2026-11-20 (Asia/Kathmandu), in the period from 2026-11-01 to 2026-12-01, closed,
/// billed as part of report usage-…`.
pub(super) fn of(story: &Story) -> String {
    let zone = &story.call.timezone;
    let Some(day) = &story.day else {
        return format!("not counted yet: the call is {}", story.call.status);
    };
    let net: i64 = story.periods.iter().map(|period| period.minutes).sum();
    let mut sentence = format!("{} on {} ({zone})", minutes(net), day.date);
    if story.voided.is_some() {
        let said = story.call.billed_minutes.unwrap_or(0).into();
        sentence = format!("voided, so {sentence}; the call itself says {}", minutes(said));
    }
    match story.periods.as_slice() {
        [] => sentence.push_str(", not on the ledger"),
        [only] => sentence.push_str(&format!(", in {}", period(only, zone))),
        several => {
            for part in several {
                let sign = if part.minutes < 0 { "less " } else { "" };
                let amount = minutes(part.minutes.abs());
                sentence.push_str(&format!("; {sign}{amount} in {}", period(part, zone)));
            }
        }
    }
    sentence.push_str(match (&day.computed_at, &day.touched_at) {
        (_, Some(_)) => "; its day is to be added up again",
        (None, None) => "; its day is not added up yet",
        (Some(_), None) => "",
    });
    sentence
}

fn minutes(quantity: i64) -> String {
    if quantity == 1 { "1 minute".to_owned() } else { format!("{quantity} minutes") }
}

fn period(period: &BookedPeriod, zone: &str) -> String {
    let zone = zone_or_utc(zone);
    let (start, end) = (local_date(period.span.start, zone), local_date(period.span.end, zone));
    let status = &period.status;
    format!("the period from {start} to {end}, {status}{}", billed(period))
}

fn billed(period: &BookedPeriod) -> String {
    match (period.overage_minutes, period.reports.last()) {
        (_, Some(report)) if report.state == "accepted" => {
            let billed = format!(", billed as part of report {}", report.identifier);
            match report.counted_minutes.filter(|counted| *counted != report.quantity) {
                Some(counted) => {
                    format!(
                        "{billed} (Stripe has counted {counted} of {})",
                        minutes(report.quantity)
                    )
                }
                None => billed,
            }
        }
        (_, Some(report)) => format!(", report {} is {}", report.identifier, report.state),
        (Some(0), None) => ", within the included minutes".to_owned(),
        (Some(_), None) => ", not reported yet".to_owned(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::{
        ids::{CallId, PeriodId},
        period::{self, period_of},
    };
    use uuid::Uuid;

    use super::super::{CallFigures, DayFigures, ReportOfPeriod, Voided};
    use super::*;

    const ZONE: &str = "Asia/Kathmandu";

    fn story(periods: Vec<BookedPeriod>) -> Story {
        let at = "2026-11-20T05:00:00Z".parse().unwrap();
        let zone = period::zone(ZONE).unwrap();
        let date = local_date(at, zone);
        Story {
            call: CallFigures {
                id: CallId(Uuid::nil()),
                status: "completed".to_owned(),
                duration_seconds: Some(151),
                billed_minutes: Some(3),
                cost_usd: None,
                duration_flag: None,
                occurred_at: Some(at),
                updated_at: at,
                timezone: ZONE.to_owned(),
            },
            events: Vec::new(),
            ledger: Vec::new(),
            periods,
            voided: None,
            day: Some(DayFigures {
                date,
                span: period::day(date, zone),
                computed_at: Some(at),
                total_calls: 1,
                total_minutes: 3,
                touched_at: None,
            }),
            summary: String::new(),
        }
    }

    fn november(minutes: i64) -> BookedPeriod {
        let at = "2026-11-20T05:00:00Z".parse().unwrap();
        BookedPeriod {
            id: PeriodId(Uuid::nil()),
            span: period_of(at, 1, period::zone(ZONE).unwrap()),
            status: "closed".to_owned(),
            watermark: Some(at),
            minutes,
            overage_minutes: Some(0),
            reports: Vec::new(),
        }
    }

    #[test]
    fn a_sentence_says_where_minutes_are_and_whether_they_are_billed() {
        let mut billed = november(3);
        billed.reports.push(ReportOfPeriod {
            identifier: "usage-1-overage-0".to_owned(),
            quantity: 9,
            state: "accepted".to_owned(),
            last_sent_at: None,
            settled_at: None,
            counted_minutes: Some(9),
            counted_at: None,
        });
        let sentence = "3 minutes on 2026-11-20 (Asia/Kathmandu), in the period from 2026-11-01 to \
            2026-12-01, closed, billed as part of report usage-1-overage-0";
        assert_eq!(of(&story(vec![billed.clone()])), sentence);
        billed.reports[0].counted_minutes = Some(18);
        let twice = format!("{sentence} (Stripe has counted 18 of 9 minutes)");
        assert_eq!(of(&story(vec![billed])), twice);
        let mut december = november(-1);
        december.span = period::period_after(december.span.end, 1, period::zone(ZONE).unwrap());
        december.status = "open".to_owned();
        december.overage_minutes = None;
        assert_eq!(
            of(&story(vec![november(3), december])),
            "2 minutes on 2026-11-20 (Asia/Kathmandu); 3 minutes in the period from 2026-11-01 to \
             2026-12-01, closed, within the included minutes; less 1 minute in the period from \
             2026-12-01 to 2027-01-01, open"
        );
    }

    #[test]
    fn what_is_not_counted_or_not_to_be_paid_for_is_said() {
        let mut open = story(Vec::new());
        open.day = None;
        open.call.status = "in-progress".to_owned();
        assert_eq!(of(&open), "not counted yet: the call is in-progress");
        let mut voided = story(vec![november(0)]);
        let at = voided.call.updated_at;
        voided.voided = Some(Voided { reason: "a test call".to_owned(), at });
        assert!(of(&voided).starts_with("voided, so 0 minutes on 2026-11-20"), "{}", of(&voided));
        assert!(of(&voided).contains("the call itself says 3 minutes"));
    }
}
