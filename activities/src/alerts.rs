//! `usage.send_alert`: emails about minutes that are used up.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    billing::UsageLimit,
    failure::INVALID,
    period::{local_date, zone_or_utc},
    usage::{TellUsage, UsageTold},
};
use futures::{StreamExt, stream};
use store::{
    alerts::{self, Alert, EMAIL_KIND},
    error::Problem,
    mail::Mail,
    notifications::Message,
};
use temporalio_sdk::activities::ActivityError;

use crate::{
    failure::{failure, of_store_until_done},
    mail::{self, Postbox, Sent},
    usage::UsageActivities,
};

/// Emails under way at once: Resend takes ten requests a second, and an attempt at twenty recipients
/// must end within its limit also where each request takes its full ten seconds.
const AT_ONCE: usize = 10;

/// One email to each recipient. What may pass decides before what will not: the step is tried again
/// while that helps anybody.
pub(crate) async fn send(
    room: &UsageActivities,
    input: TellUsage,
) -> Result<UsageTold, ActivityError> {
    room.faults.point("alert.before").await?;
    let TellUsage { organization_id, alert_id } = input;
    let alert = match alerts::get(&room.db, organization_id, alert_id).await {
        Ok(alert) => alert,
        // Settings that cannot be read, or an organization that was deleted, tell nobody.
        Err(error) if matches!(error.problem(), Problem::NotFound | Problem::Invalid(_)) => {
            tracing::warn!(alert = %alert_id, %error, "an alert is sent to nobody");
            return Ok(UsageTold::default());
        }
        Err(error) => return Err(of_store_until_done(&error)),
    };
    let message = write(&alert)
        .map_err(|_| failure(INVALID, "the alert cannot be written".to_owned(), false, None))?;
    if room.resend.is_none() && !alert.recipients.is_empty() {
        tracing::warn!(alert = %alert_id, "no RESEND_API_KEY: an alert is sent to nobody");
    }
    let postbox = Postbox {
        db: &room.db,
        sealer: &room.sealer,
        resend: room.resend.as_ref(),
        now: room.clock.now(),
        faults: &room.faults,
        points: ["alert.claimed", "alert.posted"],
    };
    let about = alert_id.to_string();
    let mails: Vec<_> = alert
        .recipients
        .iter()
        .map(|recipient| {
            let (about, message) = (about.as_str(), &message);
            mail::send(
                postbox,
                Mail { organization_id, kind: EMAIL_KIND, about, recipient, message },
            )
        })
        .collect();
    let results: Vec<_> = stream::iter(mails).buffer_unordered(AT_ONCE).collect().await;
    room.faults.point("alert.after").await?;
    let mut told = UsageTold::default();
    for result in results {
        match result? {
            Sent::Accepted => told.sent += 1,
            Sent::Refused | Sent::Unknown | Sent::NotConfigured => told.failed += 1,
        }
    }
    Ok(told)
}

#[derive(Template)]
#[template(path = "usage_alert.html")]
struct Html<'a> {
    headline: &'a str,
    organization: &'a str,
    used: i64,
    included: i64,
    percent: i64,
    first_day: &'a str,
    last_day: &'a str,
    next: &'a str,
}

#[derive(Template)]
#[template(path = "usage_alert.txt")]
struct Text<'a> {
    headline: &'a str,
    organization: &'a str,
    used: i64,
    included: i64,
    percent: i64,
    first_day: &'a str,
    last_day: &'a str,
    next: &'a str,
}

fn write(alert: &Alert) -> Result<Message, askama::Error> {
    let zone = zone_or_utc(&alert.timezone);
    let day = |at: DateTime<Utc>| local_date(at, zone).format("%-d %B %Y").to_string();
    let (first_day, last_day) =
        (day(alert.period.start), day(alert.period.end - TimeDelta::seconds(1)));
    let headline = headline(alert.threshold);
    let (organization, next) = (alert.organization.as_str(), next(alert));
    let (used, included) = (alert.used_minutes, alert.included_minutes);
    let percent = used.saturating_mul(100) / included.max(1);
    let (headline, first_day, last_day, next) =
        (headline.as_str(), first_day.as_str(), last_day.as_str(), next.as_str());
    let text = Text { headline, organization, used, included, percent, first_day, last_day, next };
    let html = Html { headline, organization, used, included, percent, first_day, last_day, next };
    Ok(Message {
        subject: format!("{organization}: {headline}").into(),
        text: text.render()?.into(),
        html: html.render()?.into(),
    })
}

fn headline(threshold: i16) -> String {
    if threshold >= 100 {
        return "All included minutes are used".to_owned();
    }
    format!("{threshold}% of the included minutes are used")
}

/// What happens with minutes beyond the included ones.
fn next(alert: &Alert) -> String {
    let all = alert.threshold >= 100;
    match alert.usage_limit {
        UsageLimit::Hard if all => {
            "The plan has a hard limit: no further minutes are sold in this period.".to_owned()
        }
        UsageLimit::Hard => "The plan has a hard limit: once the included minutes are used, no \
             further minutes are sold in this period."
            .to_owned(),
        UsageLimit::Soft if alert.overage_price.is_zero() => "Calls go on as usual.".to_owned(),
        UsageLimit::Soft => {
            let price = alert.overage_price.normalize();
            let places = usize::try_from(price.scale().max(2)).unwrap_or(2);
            let when = if all { "From now on" } else { "Beyond the included minutes" };
            format!("Calls go on as usual. {when} each further minute costs ${price:.places$}.")
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::period::Span;
    use secrecy::ExposeSecret;

    use super::*;

    fn alert(threshold: i16, usage_limit: UsageLimit) -> Alert {
        Alert {
            organization: "Tables & Co".to_owned(),
            timezone: "America/New_York".to_owned(),
            recipients: vec!["owner@example.com".to_owned()],
            threshold,
            included_minutes: 1000,
            used_minutes: i64::from(threshold) * 10 + 4,
            period: Span {
                start: "2026-11-01T04:00:00Z".parse().unwrap(),
                end: "2026-12-01T05:00:00Z".parse().unwrap(),
            },
            overage_price: "0.050000".parse().unwrap(),
            usage_limit,
        }
    }

    #[test]
    fn an_alert_says_how_much_in_which_period_and_what_comes_next() {
        let message = write(&alert(90, UsageLimit::Soft)).unwrap();
        assert_eq!(
            message.subject.expose_secret(),
            "Tables & Co: 90% of the included minutes are used"
        );
        assert_eq!(
            message.text.expose_secret(),
            "90% of the included minutes are used\n\n\
             Tables & Co has used 904 of 1000 included minutes (90%) in the billing period from \
             1 November 2026 to 30 November 2026.\n\n\
             Calls go on as usual. Beyond the included minutes each further minute costs $0.05.\n\n\
             The next period begins after 30 November 2026, with its own included minutes."
        );
        let html = message.html.expose_secret();
        assert!(html.contains("Tables &#38; Co has used <strong>904 of 1000</strong>"), "{html}");
        assert!(html.contains("further minute costs $0.05."), "{html}");
    }

    #[test]
    fn what_comes_next_is_the_plans() {
        assert_eq!(
            next(&alert(100, UsageLimit::Soft)),
            "Calls go on as usual. From now on each further minute costs $0.05."
        );
        assert!(next(&alert(50, UsageLimit::Hard)).contains("once the included minutes are used"));
        assert!(next(&alert(100, UsageLimit::Hard)).contains("no further minutes are sold"));
        let free = Alert { overage_price: "0".parse().unwrap(), ..alert(100, UsageLimit::Soft) };
        assert_eq!(next(&free), "Calls go on as usual.");
        let cheap = Alert { overage_price: "0.0125".parse().unwrap(), ..free };
        assert!(next(&cheap).ends_with("costs $0.0125."), "{}", next(&cheap));
        let dear = Alert { overage_price: "2".parse().unwrap(), ..cheap };
        assert!(next(&dear).ends_with("costs $2.00."), "{}", next(&dear));
    }

    #[test]
    fn a_zone_that_nobody_knows_is_utc() {
        let lost = Alert { timezone: "Mars/Olympus".to_owned(), ..alert(50, UsageLimit::Soft) };
        let message = write(&lost).unwrap();
        let text = message.text.expose_secret();
        assert!(text.contains("from 1 November 2026 to 1 December 2026"), "{text}");
    }
}
