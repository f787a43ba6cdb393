//! The notice about a call, in the three forms that it travels in.

use askama::Template;
use contract::{calls::CallRef, notifications::Channel};
use store::{notice::Notice, notifications::Message, results::Action};

/// A text message of this length fits into three segments.
const LONGEST_SMS: usize = 450;

#[derive(Template)]
#[template(path = "call_processed.html")]
struct Html<'a> {
    organization: &'a str,
    headline: &'a str,
    summary: Option<&'a str>,
    actions: &'a [Action],
    call_id: String,
}

#[derive(Template)]
#[template(path = "call_processed.txt")]
struct Text<'a> {
    organization: &'a str,
    headline: &'a str,
    summary: Option<&'a str>,
    actions: &'a [Action],
    call_id: String,
}

/// Writes the notice for one channel.
pub(crate) fn write(
    call: CallRef,
    channel: Channel,
    notice: &Notice,
) -> Result<Message, askama::Error> {
    let headline = headline(notice);
    let (organization, summary) = (notice.organization.as_str(), notice.summary.as_deref());
    let actions = notice.actions.as_slice();
    if channel == Channel::Sms {
        return Ok(Message {
            subject: String::new().into(),
            text: sms(call, &headline, summary, actions).into(),
            html: String::new().into(),
        });
    }
    let call_id = call.call_id.to_string();
    let html =
        Html { organization, headline: &headline, summary, actions, call_id: call_id.clone() };
    let text = Text { organization, headline: &headline, summary, actions, call_id };
    Ok(Message {
        subject: headline.clone().into(),
        text: text.render()?.into(),
        html: html.render()?.into(),
    })
}

fn headline(notice: &Notice) -> String {
    let who = notice.other_party.as_deref().unwrap_or("unknown number");
    let minutes = notice.duration_seconds / 60;
    let seconds = notice.duration_seconds % 60;
    format!("{} call with {who}, {minutes}:{seconds:02} min", notice.status)
}

/// Ends with the call's short id, so that a lost answer is looked up by a text of this call alone.
fn sms(call: CallRef, headline: &str, summary: Option<&str>, actions: &[Action]) -> String {
    let reference = call.call_id.to_string();
    let reference = format!("\n#{}", &reference[..8]);
    let mut text = headline.to_owned();
    if let Some(summary) = summary {
        text.push('\n');
        text.push_str(summary);
    }
    for action in actions {
        text.push_str("\n- ");
        text.push_str(&action.description);
    }
    let room = LONGEST_SMS - reference.len();
    if text.chars().count() > room {
        text = text.chars().take(room - 1).chain(['…']).collect();
    }
    text + &reference
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use chrono::DateTime;
    use contract::ids::{CallId, OrganizationId};
    use secrecy::ExposeSecret;
    use store::organizations::NotificationSettings;
    use uuid::Uuid;

    use super::*;

    fn notice() -> (CallRef, Notice) {
        let call = CallRef {
            organization_id: OrganizationId(Uuid::nil()),
            call_id: CallId(Uuid::nil()),
            created_at: DateTime::UNIX_EPOCH,
        };
        let notice = Notice {
            organization: "Tables & Co".to_owned(),
            status: "completed".to_owned(),
            other_party: Some("+14155552671".to_owned()),
            duration_seconds: 128,
            summary: Some("A table for <four>.".to_owned()),
            actions: vec![Action {
                description: "Book the table".to_owned(),
                owner: Some("agent".to_owned()),
                due_at: None,
                due_text: Some("friday".to_owned()),
            }],
            recipients: NotificationSettings::default(),
        };
        (call, notice)
    }

    #[test]
    fn html_is_escaped_and_all_forms_name_summary_and_actions() {
        let (call, notice) = notice();
        let email = write(call, Channel::Email, &notice).unwrap();
        assert!(email.html.expose_secret().contains("A table for &#60;four&#62;."));
        assert!(email.text.expose_secret().contains("A table for <four>."));
        assert!(email.text.expose_secret().contains("- Book the table (agent, friday)"));
        let sms = write(call, Channel::Sms, &notice).unwrap();
        assert_eq!(
            sms.text.expose_secret(),
            "completed call with +14155552671, 2:08 min\nA table for <four>.\n- Book the table\n#00000000"
        );
    }

    #[test]
    fn a_long_summary_is_cut_to_three_segments() {
        let (call, mut notice) = notice();
        notice.actions.clear();
        notice.summary = Some("ä".repeat(2000));
        let sms = write(call, Channel::Sms, &notice).unwrap();
        assert_eq!(sms.text.expose_secret().chars().count(), LONGEST_SMS);
    }
}
