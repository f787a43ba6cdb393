//! Twilio's Messages API (`2010-04-01`): text messages, which have no idempotency key.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    error::ProviderError,
    http::{self, SetupError},
    operation::{Answer, Operation},
};

/// How much Twilio's clock may lie behind ours. Recipient and text decide anyway.
const CLOCK_SLACK: TimeDelta = TimeDelta::minutes(15);
/// Most pages of the list that are read, newest first; each has up to 1,000 messages.
const MAX_PAGES: usize = 5;
/// Twilio's largest page.
const PAGE_SIZE: &str = "1000";
/// `21611`: the number's queue is full. A refusal by its status, but one that passes.
const QUEUE_FULL: u32 = 21611;

const SEND: Operation = Operation { provider: "twilio", name: "send_sms", repeatable: false };
const FIND: Operation = Operation { provider: "twilio", name: "find_sms", repeatable: true };

/// A message that Twilio has taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SentSms {
    /// Twilio's id, `SM…`.
    pub sid: String,
}

/// Sends from one account and one number.
#[derive(Debug, Clone)]
pub struct TwilioClient {
    client: Client,
    base_url: Url,
    account_sid: String,
    auth_token: SecretString,
    from: String,
}

#[derive(Deserialize)]
struct Refusal {
    code: Option<u32>,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Message>,
    next_page_uri: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    sid: String,
    body: Option<String>,
    to: Option<String>,
    date_created: String,
}

impl TwilioClient {
    /// `from` is a number of the account in E.164, or a messaging service (`MG…`).
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(
        base_url: &str,
        account_sid: &str,
        auth_token: SecretString,
        from: &str,
    ) -> Result<Self, SetupError> {
        Self::with_timeout(base_url, account_sid, auth_token, from, http::TOTAL_TIMEOUT)
    }

    fn with_timeout(
        base_url: &str,
        account_sid: &str,
        auth_token: SecretString,
        from: &str,
        timeout: Duration,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: http::client(timeout)?,
            base_url: http::base_url("twilio", base_url)?,
            account_sid: account_sid.to_owned(),
            auth_token,
            from: from.to_owned(),
        })
    }

    /// Sends one text message, once: the request is never repeated here.
    ///
    /// # Errors
    /// `Rejected` with Twilio's code, `Unavailable` when it was certainly not sent (429, full
    /// queue, no connection), `Ambiguous` when it may have been: ask [`Self::find_sms`] then.
    pub async fn send_sms(
        &self,
        to: &str,
        body: &str,
        status_callback: Option<&str>,
    ) -> Result<SentSms, ProviderError> {
        let mut form = vec![("To", to), (self.sender_field(), &self.from), ("Body", body)];
        form.extend(status_callback.map(|url| ("StatusCallback", url)));
        let request = self.client.post(self.messages_url()).form(&form);
        let answer = SEND.send(self.signed(request)).await?;
        if !answer.status.is_success() {
            return Err(refused(SEND, &answer));
        }
        answer.json().ok_or_else(|| SEND.malformed(answer.status))
    }

    /// Looks for a message that [`Self::send_sms`] may have sent: same recipient, sender and text,
    /// made at or after `since` (less 15 minutes for the clocks), and none of the `lost` ones.
    ///
    /// Twilio's filter by date is left out, because it is by `date_sent`, which a message in a
    /// queue does not have: it would hide just the one that must not be sent again. Lists are
    /// newest first, so reading ends at the first message before `since`.
    ///
    /// # Errors
    /// When Twilio does not answer, or there are more messages than are read: then nobody knows.
    pub async fn find_sms(
        &self,
        to: &str,
        body: &str,
        since: DateTime<Utc>,
        lost: &[String],
    ) -> Result<Option<SentSms>, ProviderError> {
        let since = since - CLOCK_SLACK;
        let mut url = self.messages_url();
        url.query_pairs_mut().append_pair("To", to).append_pair("PageSize", PAGE_SIZE);
        if self.sender_field() == "From" {
            url.query_pairs_mut().append_pair("From", &self.from);
        }
        for _ in 0..MAX_PAGES {
            let page = self.page(url).await?;
            for message in page.messages {
                let created = DateTime::parse_from_rfc2822(&message.date_created)
                    .map_err(|error| FIND.malformed(reqwest::StatusCode::OK).caused_by(error))?;
                if created < since {
                    return Ok(None);
                }
                let is_it =
                    message.to.as_deref() == Some(to) && message.body.as_deref() == Some(body);
                if is_it && !lost.contains(&message.sid) {
                    return Ok(Some(SentSms { sid: message.sid }));
                }
            }
            match page.next_page_uri {
                Some(next) => url = self.next_page(&next)?,
                None => return Ok(None),
            }
        }
        Err(FIND.rejected("too-many-messages"))
    }

    async fn page(&self, url: Url) -> Result<Page, ProviderError> {
        let answer = FIND.send(self.signed(self.client.get(url))).await?;
        if !answer.status.is_success() {
            return Err(refused(FIND, &answer));
        }
        answer.json().ok_or_else(|| FIND.malformed(answer.status))
    }

    /// `next_page_uri` is a path; anything that leads elsewhere would get our credentials.
    fn next_page(&self, uri: &str) -> Result<Url, ProviderError> {
        let next = self.base_url.join(uri).ok();
        next.filter(|url| url.origin() == self.base_url.origin())
            .ok_or_else(|| FIND.malformed(reqwest::StatusCode::OK))
    }

    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.basic_auth(&self.account_sid, Some(self.auth_token.expose_secret()))
    }

    fn messages_url(&self) -> Url {
        let path = ["2010-04-01", "Accounts", &self.account_sid, "Messages.json"];
        http::under(&self.base_url, &path)
    }

    fn sender_field(&self) -> &'static str {
        if self.from.starts_with("MG") { "MessagingServiceSid" } else { "From" }
    }
}

/// Every 4xx and 5xx of Twilio carries `{"code":21610,…}`.
pub(super) fn refused(operation: Operation, answer: &Answer) -> ProviderError {
    let code = answer.json::<Refusal>().and_then(|refusal| refusal.code);
    if answer.status.is_client_error() && code == Some(QUEUE_FULL) {
        return operation.unavailable(answer);
    }
    operation.refused(answer, code.map(|code| code.to_string()))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use serde_json::json;

    use super::*;
    use crate::{
        canned::{Canned, Reply, serve},
        error::ErrorKind,
    };

    const CREATED: &str = include_str!("../../../tests/fixtures/twilio/messages_create_201.json");
    const TO: &str = "+14155552671";

    fn client(server: &Canned) -> TwilioClient {
        let timeout = Duration::from_millis(500);
        let token = SecretString::from("token");
        TwilioClient::with_timeout(&server.url, "AC1", token, "+14155550100", timeout)
            .expect("client")
    }

    async fn send(reply: Reply) -> (Result<SentSms, ProviderError>, Vec<String>) {
        let server = serve([reply]).await;
        let callback = Some("https://example.com/sms?x=1");
        let result = client(&server).send_sms(TO, "Hi & bye", callback).await;
        (result, server.requests())
    }

    #[tokio::test]
    async fn a_message_is_posted_once_and_its_sid_returned() {
        let (sent, requests) = send(Reply::Json(201, CREATED.into())).await;
        assert_eq!(sent.expect("sent").sid, "SM1234567890abcdef1234567890abcdef");
        assert_eq!(requests.len(), 1);
        let (head, body) = requests[0].split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1"));
        assert!(head.contains("authorization: Basic QUMxOnRva2Vu"), "AC1:token");
        assert_eq!(
            body,
            "To=%2B14155552671&From=%2B14155550100&Body=Hi+%26+bye\
             &StatusCallback=https%3A%2F%2Fexample.com%2Fsms%3Fx%3D1"
        );
    }

    #[tokio::test]
    async fn refusals_are_classified_by_status_and_code() {
        let fixture = |status, text: &str| Reply::Json(status, text.to_owned());
        let rejected = |code: &str| ErrorKind::Rejected { code: code.to_owned() };
        let unavailable =
            |status| ErrorKind::Unavailable { status: Some(status), retry_after: None };
        let ambiguous = |status| ErrorKind::Ambiguous { status, repeatable: false };
        macro_rules! twilio {
            ($name:literal) => {
                include_str!(concat!("../../../tests/fixtures/twilio/", $name))
            };
        }
        for (reply, kind) in [
            (fixture(401, twilio!("error_20003_401.json")), rejected("20003")),
            (fixture(400, twilio!("error_21211_400.json")), rejected("21211")),
            (fixture(400, twilio!("error_21408_400.json")), rejected("21408")),
            (fixture(400, twilio!("error_21610_400.json")), rejected("21610")),
            (fixture(404, twilio!("error_20404_404.json")), rejected("20404")),
            (fixture(400, "<html>"), rejected("http-400")),
            (fixture(429, twilio!("error_20429_429.json")), unavailable(429)),
            (fixture(400, r#"{"code":21611}"#), unavailable(400)),
            (fixture(500, twilio!("error_20500_500.json")), ambiguous(Some(500))),
            (fixture(503, r#"{"code":20503}"#), ambiguous(Some(503))),
            (fixture(201, "<html>"), ambiguous(Some(201))),
            (Reply::Short(b"{".to_vec()), ambiguous(Some(200))),
            (Reply::Endless, ambiguous(Some(200))),
            (Reply::Hang, ambiguous(None)),
            (Reply::Cut, ambiguous(None)),
        ] {
            let (result, requests) = send(reply).await;
            let error = result.expect_err("refused");
            assert_eq!(error.kind, kind);
            assert_eq!(requests.len(), 1, "{error}: sent once");
            let chain = format!("{error} {error:?}");
            assert!(!chain.contains("415555") && !chain.contains("AC1"), "{chain}");
        }
    }

    #[tokio::test]
    async fn without_a_connection_nothing_was_sent() {
        let mut server = serve([Reply::Cut]).await;
        server.url = "http://127.0.0.1:1".to_owned();
        let error = client(&server).send_sms(TO, "Hi", None).await.expect_err("closed");
        assert_eq!(error.kind, ErrorKind::Unavailable { status: None, retry_after: None });
    }

    fn listed(body: &str, second: u32, next: Option<&str>) -> Reply {
        let message = json!({"sid": format!("SM{second}"), "body": body, "to": TO,
            "date_created": format!("Fri, 20 Nov 2026 15:02:{second:02} +0000")});
        let page = json!({"messages": [message], "next_page_uri": next});
        Reply::Json(200, page.to_string())
    }

    async fn find(replies: Vec<Reply>) -> (Result<Option<SentSms>, ProviderError>, Vec<String>) {
        let server = serve(replies).await;
        let since = Utc.with_ymd_and_hms(2026, 11, 20, 15, 17, 15).single().expect("exists");
        let result = client(&server).find_sms(TO, "Hi", since, &["SM29".to_owned()]).await;
        (result, server.requests())
    }

    #[tokio::test]
    async fn a_message_is_found_by_its_text_and_time_over_pages() {
        let next = Some("/2010-04-01/Accounts/AC1/Messages.json?Page=1");
        let (found, requests) = find(vec![listed("Ho", 30, next), listed("Hi", 15, None)]).await;
        assert_eq!(found.expect("listed").map(|sms| sms.sid), Some("SM15".to_owned()));
        assert!(requests[0].contains("?To=%2B14155552671&PageSize=1000&From=%2B14155550100 "));
        assert!(requests[1].starts_with("GET /2010-04-01/Accounts/AC1/Messages.json?Page=1 "));
        for (replies, pages) in [
            (vec![listed("Hi", 14, next)], 1),
            (vec![listed("Hi ", 30, None)], 1),
            (vec![listed("Ho", 30, next), listed("Ho", 28, None)], 2),
            // A message of that text which did not arrive is not the one in doubt.
            (vec![listed("Hi", 29, None)], 1),
        ] {
            let (found, requests) = find(replies).await;
            assert_eq!(found.expect("listed"), None);
            assert_eq!(requests.len(), pages);
        }
    }

    #[tokio::test]
    async fn not_knowing_is_an_error() {
        let next = Some("/2010-04-01/x");
        let (endless, requests) = find(vec![listed("Ho", 30, next)]).await;
        assert!(endless.is_err());
        assert_eq!(requests.len(), MAX_PAGES);
        let elsewhere = Some("//evil.example/x");
        for reply in [
            listed("Ho", 30, elsewhere),
            Reply::Json(200, "<html>".into()),
            Reply::Json(503, String::new()),
            Reply::Hang,
        ] {
            let (result, requests) = find(vec![reply]).await;
            assert!(result.expect_err("unknown").can_retry());
            assert_eq!(requests.len(), 1);
        }
    }
}
