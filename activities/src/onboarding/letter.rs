//! The welcome, and the reminders that no call has come yet.

use askama::Template;
use store::notifications::Message;

#[derive(Template)]
#[template(path = "onboarding_welcome.html")]
struct WelcomeHtml<'a> {
    organization: &'a str,
}

#[derive(Template)]
#[template(path = "onboarding_welcome.txt")]
struct WelcomeText<'a> {
    organization: &'a str,
}

#[derive(Template)]
#[template(path = "onboarding_reminder.html")]
struct ReminderHtml<'a> {
    organization: &'a str,
    is_last: bool,
}

#[derive(Template)]
#[template(path = "onboarding_reminder.txt")]
struct ReminderText<'a> {
    organization: &'a str,
    is_last: bool,
}

/// The reminder after which there is none.
const LAST: u32 = 3;

/// Writes the welcome (0) or a reminder (1 to 3).
pub(super) fn write(number: u32, organization: &str) -> Result<Message, askama::Error> {
    if number == 0 {
        return Ok(Message {
            subject: format!("Welcome: {organization} is ready for its first call").into(),
            text: WelcomeText { organization }.render()?.into(),
            html: WelcomeHtml { organization }.render()?.into(),
        });
    }
    let is_last = number >= LAST;
    Ok(Message {
        subject: format!("{organization} has not had a call yet").into(),
        text: ReminderText { organization, is_last }.render()?.into(),
        html: ReminderHtml { organization, is_last }.render()?.into(),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn every_letter_names_the_organization_and_html_is_escaped() {
        for number in 0..=LAST {
            let letter = write(number, "Tables <& Co>").unwrap();
            assert!(letter.subject.expose_secret().contains("Tables <& Co>"));
            assert!(letter.text.expose_secret().contains("Tables <& Co>"));
            let html = letter.html.expose_secret();
            assert!(html.contains("Tables &#60;&#38; Co&#62;") && !html.contains("<& Co>"));
        }
    }

    #[test]
    fn the_last_reminder_says_that_it_is_the_last() {
        let says_so = |number| {
            let letter = write(number, "x").unwrap();
            let forms = [letter.text, letter.html];
            forms.map(|form| form.expose_secret().contains("last reminder"))
        };
        assert_eq!(says_so(0), [false, false]);
        assert_eq!(says_so(2), [false, false]);
        assert_eq!(says_so(3), [true, true]);
    }
}
