//! `webhooks.send_notice`: emails about an endpoint that fails, or is disabled.

use askama::Template;
use contract::{
    failure::INVALID,
    recovery::{OwnersTold, TellOwners},
};
use store::{
    deliveries::{self, OwnersNotice},
    mail::Mail,
    notifications::Message,
};
use temporalio_sdk::activities::ActivityError;

use super::WebhookActivities;
use crate::{
    failure::{failure, of_store_until_done},
    mail::{self, Postbox, Sent},
};

/// Their kind, by which each is sent once.
const EMAIL_KIND: &str = "endpoint-notice";

/// One email to each owner.
pub(super) async fn send(
    room: &WebhookActivities,
    asked: &TellOwners,
) -> Result<OwnersTold, ActivityError> {
    room.faults.point("notice.before").await?;
    let notice = deliveries::owners_notice(&room.db, asked).await;
    let Some(notice) = notice.map_err(|error| of_store_until_done(&error))? else {
        return Ok(OwnersTold::default());
    };
    if notice.recipients.is_empty() {
        tracing::warn!(endpoint = %asked.endpoint_id, "nobody's address is known: nobody hears of it");
    } else if room.resend.is_none() {
        tracing::warn!(endpoint = %asked.endpoint_id, "no RESEND_API_KEY: nobody hears of it");
    }
    let message = write(&notice)
        .map_err(|_| failure(INVALID, "the notice cannot be written".to_owned(), false, None))?;
    let postbox = Postbox {
        db: &room.db,
        sealer: &room.sealer,
        resend: room.resend.as_ref(),
        now: room.clock.now(),
        faults: &room.faults,
        points: ["notice.claimed", "notice.posted"],
    };
    let about = format!("{}/{}", asked.endpoint_id, asked.at.timestamp_micros());
    let mut told = OwnersTold::default();
    for recipient in &notice.recipients {
        let mail = Mail {
            organization_id: asked.organization_id,
            kind: EMAIL_KIND,
            about: &about,
            recipient,
            message: &message,
        };
        match mail::send(postbox, mail).await? {
            Sent::Accepted => told.sent += 1,
            Sent::Refused | Sent::Unknown | Sent::NotConfigured => told.failed += 1,
        }
    }
    room.faults.point("notice.after").await?;
    Ok(told)
}

#[derive(Template)]
#[template(path = "endpoint_notice.html")]
struct Html<'a> {
    headline: &'a str,
    happened: &'a str,
    next: &'a str,
}

#[derive(Template)]
#[template(path = "endpoint_notice.txt")]
struct Text<'a> {
    headline: &'a str,
    happened: &'a str,
    next: &'a str,
}

fn write(notice: &OwnersNotice) -> Result<Message, askama::Error> {
    let OwnersNotice { organization, url_host, reason, percent, .. } = notice;
    let (headline, happened, next) = match reason.as_deref() {
        Some("gone") => (
            "A webhook endpoint is disabled",
            format!(
                "The endpoint at {url_host} answered 410 Gone, so nothing is sent to it any more."
            ),
            "Enable it again when it is back, and recover what it missed.",
        ),
        Some(_) => (
            "A webhook endpoint is disabled",
            format!(
                "Every delivery to {url_host} has failed for five days, so nothing is sent to it any more."
            ),
            "Mend it, enable it again, and recover what it missed.",
        ),
        None => (
            "A webhook endpoint fails",
            format!(
                "Every delivery to {url_host} fails. {}% of the five days after which it is disabled are over.",
                percent.unwrap_or_default()
            ),
            "Its log says what it answered. One delivery that arrives is enough to stop the clock.",
        ),
    };
    let (happened, organization) = (happened.as_str(), organization.as_str());
    Ok(Message {
        subject: format!("{organization}: {headline}").into(),
        text: Text { headline, happened, next }.render()?.into(),
        html: Html { headline, happened, next }.render()?.into(),
    })
}
