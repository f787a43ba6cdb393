//! Where periods begin and end.
#![expect(clippy::unwrap_used, reason = "a failed test")]

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().unwrap()
}

fn span(start: &str, end: &str) -> Span {
    Span { start: utc(start), end: utc(end) }
}

fn calendar(stripe: Option<(&str, &str)>) -> Calendar {
    let stripe = stripe.map(|(start, end)| span(start, end));
    Calendar { timezone: "UTC".to_owned(), anchor_day: 1, stripe }
}

#[test]
fn without_a_subscription_the_anchor_day_decides() {
    let first = calendar(None).first(utc("2026-11-20T10:00"));
    assert_eq!(first, span("2026-11-01T00:00", "2026-12-01T00:00"));
    assert_eq!(calendar(None).after(first.end), span("2026-12-01T00:00", "2027-01-01T00:00"));
    let timezone = "Asia/Kathmandu".to_owned();
    let kathmandu = Calendar { timezone, anchor_day: 31, stripe: None };
    let first = kathmandu.first(utc("2027-02-28T18:00"));
    assert_eq!(first, span("2027-02-27T18:15", "2027-03-30T18:15"));
}

#[test]
fn a_subscription_decides_for_its_own_period() {
    let stripe = ("2026-11-15T08:30", "2026-12-15T08:30");
    let calendar = calendar(Some(stripe));
    assert_eq!(calendar.first(utc("2026-11-20T10:00")), span(stripe.0, stripe.1));
    assert_eq!(calendar.after(utc(stripe.0)), span(stripe.0, stripe.1));
    // The one after it is known once Stripe has told of it.
    assert_eq!(calendar.after(utc(stripe.1)), span(stripe.1, "2027-01-01T00:00"));
    assert_eq!(
        calendar.first(utc("2026-12-20T10:00")),
        span("2026-12-01T00:00", stripe.1),
        "a period that is over again, and is followed by the one around now"
    );
}

#[test]
fn periods_before_the_subscriptions_end_where_it_begins() {
    let calendar = calendar(Some(("2026-11-15T08:30", "2026-12-15T08:30")));
    let september = calendar.after(utc("2026-09-10T00:00"));
    assert_eq!(september, span("2026-09-10T00:00", "2026-10-01T00:00"));
    let november = calendar.after(utc("2026-11-01T00:00"));
    assert_eq!(november, span("2026-11-01T00:00", "2026-11-15T08:30"));
    assert_eq!(calendar.after(november.end), span("2026-11-15T08:30", "2026-12-15T08:30"));
}
