//! Twilio: messages, and the routes of its REST API 2010-04-01. Calls are in `twilio_calls`.

use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Effect, Kind,
    asked::Asked,
    audio,
    reply::{Fake, Identity, Reply, phrase},
    shelf::Shelf,
    twilio_calls,
    twilio_list::{OF_CALLS, OF_MESSAGES, page, recordings, shown},
};

/// The longest message, in characters (error 21617 beyond).
const LONGEST_BODY: usize = 1_600;

#[derive(Debug, Default)]
pub(super) struct Twilio {
    messages: Shelf,
    pub(super) calls: Shelf,
}

/// What a request means; segments after the account are all that tells.
enum Route<'a> {
    CreateMessage,
    ListMessages,
    Message(&'a str),
    CreateCall,
    ListCalls,
    Call(&'a str),
    ChangeCall(&'a str),
    Recordings(&'a str),
}

fn route<'a>(method: &Method, segments: &[&'a str]) -> Option<Route<'a>> {
    let ["2010-04-01", "Accounts", _, rest @ ..] = segments else { return None };
    let id = |file: &'a str| file.strip_suffix(".json");
    match (method, rest) {
        (&Method::POST, ["Messages.json"]) => Some(Route::CreateMessage),
        (&Method::GET, ["Messages.json"]) => Some(Route::ListMessages),
        (&Method::GET, ["Messages", file]) => id(file).map(Route::Message),
        (&Method::POST, ["Calls.json"]) => Some(Route::CreateCall),
        (&Method::GET, ["Calls.json"]) => Some(Route::ListCalls),
        (&Method::GET, ["Calls", file]) => id(file).map(Route::Call),
        (&Method::GET, ["Calls", sid, "Recordings.json"]) => Some(Route::Recordings(sid)),
        (&Method::POST, ["Calls", file]) => id(file).map(Route::ChangeCall),
        _ => None,
    }
}

impl Fake for Twilio {
    fn identify(&self, asked: &Asked) -> Identity {
        if let Some(recording) = audio::identify(asked) {
            return recording;
        }
        match route(&asked.method, &asked.segments()) {
            Some(Route::CreateMessage) => Identity::new(Kind::Sms, asked.field("To")),
            Some(Route::CreateCall) => Identity::new(Kind::Call, asked.field("To")),
            Some(Route::ListMessages) => Identity::new(Kind::Lookup, asked.query("To")),
            Some(Route::ListCalls) => {
                let account = asked.segments().get(2).copied();
                Identity::new(Kind::Lookup, asked.query("To").into_iter().chain(account))
            }
            Some(Route::Message(sid) | Route::Call(sid) | Route::Recordings(sid)) => {
                Identity::new(Kind::Lookup, [sid])
            }
            Some(Route::ChangeCall(sid)) => Identity::new(Kind::CallChange, [sid]),
            None => Identity::unknown(asked),
        }
    }

    fn perform(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if audio::identify(asked).is_some() {
            return audio::reply(asked);
        }
        if asked.basic_user().is_none() {
            return self.refuse(401);
        }
        let segments = asked.segments();
        let account = segments.get(2).copied().unwrap_or_default();
        match route(&asked.method, &segments) {
            Some(Route::CreateMessage) => self.create_message(account, asked, now),
            Some(Route::ListMessages) => page(&self.messages, "messages", OF_MESSAGES, asked),
            Some(Route::Message(sid)) => found(&self.messages, sid, asked),
            Some(Route::CreateCall) => twilio_calls::create(&self.calls, account, asked, now),
            Some(Route::ListCalls) => page(&self.calls, "calls", OF_CALLS, asked),
            Some(Route::Call(sid)) => found(&self.calls, sid, asked),
            Some(Route::Recordings(sid)) => match self.calls.get(sid) {
                Some(call) => recordings(call, asked),
                None => not_found(asked),
            },
            Some(Route::ChangeCall(sid)) => twilio_calls::change(&self.calls, sid, asked, now),
            None => not_found(asked),
        }
    }

    fn failure(&self, status: u16) -> Value {
        let (code, message) = match status {
            401 => (20003, "Authenticate"),
            404 => (20404, "The requested resource was not found"),
            429 => (20429, "Too Many Requests"),
            503 => (20503, "Service unavailable"),
            500..=599 => (20500, "An internal server error has occurred"),
            status => (20001, phrase(status)),
        };
        error(status, code, message)
    }

    fn restore(&self, effect: &Effect, _at: DateTime<Utc>) {
        match effect.kind {
            Kind::Sms => self.messages.put_back("sid", effect.result.as_ref()),
            Kind::Call | Kind::CallChange | Kind::Planted => {
                self.calls.put_back("sid", effect.result.as_ref())
            }
            _ => {}
        }
    }

    /// What no call of Twilio's is without is filled in: its dates, and the start of one that was
    /// dialled.
    fn plant(&self, id: &str, mut call: Value, now: DateTime<Utc>) -> Value {
        let waits = matches!(call["status"].as_str(), None | Some("queued"));
        if let Some(fields) = call.as_object_mut() {
            let now = json!(now.to_rfc2822());
            let made = fields.entry("date_created").or_insert_with(|| now.clone()).clone();
            fields.entry("date_updated").or_insert(now);
            fields.entry("start_time").or_insert(if waits { Value::Null } else { made });
        }
        self.calls.put(id, call.clone());
        call
    }
}

impl Twilio {
    fn create_message(&self, account: &str, asked: &Asked, now: DateTime<Utc>) -> Reply {
        if let Some(refusal) = message_fault(asked) {
            return refusal;
        }
        let sid = format!("SM{}", Uuid::new_v4().simple());
        let uri = format!("/2010-04-01/Accounts/{account}/Messages/{sid}");
        let body = asked.field("Body").unwrap_or_default();
        let mut message = json!({
            "account_sid": account, "api_version": "2010-04-01", "body": body,
            "date_created": now.to_rfc2822(), "date_sent": null, "date_updated": now.to_rfc2822(),
            "direction": "outbound-api", "error_code": null, "error_message": null,
            "from": asked.field("From"),
            "messaging_service_sid": asked.field("MessagingServiceSid"),
            "num_media": "0", "num_segments": body.chars().count().div_ceil(153).max(1).to_string(),
            "price": null, "price_unit": "USD", "sid": sid, "status": "queued",
            "subresource_uris": { "media": format!("{uri}/Media.json") },
            "to": asked.field("To"), "uri": format!("{uri}.json"),
        });
        let answered = message.clone();
        // Whoever looks it up later finds it on its way.
        message["status"] = json!("sent");
        message["date_sent"] = message["date_created"].clone();
        self.messages.put(&sid, message.clone());
        Reply { result: Some(message), ..Reply::made(201, answered) }
    }
}

/// Twilio's error form, for every 4xx and 5xx.
pub(super) fn error(status: u16, code: u32, message: &str) -> Value {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    json!({ "code": code, "message": message, "more_info": more_info, "status": status })
}

/// A plus, then 8 to 15 digits that do not start with 0.
pub(super) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

pub(super) fn not_found(asked: &Asked) -> Reply {
    let path = asked.path.strip_prefix("/twilio").unwrap_or(&asked.path);
    let message = format!("The requested resource {path} was not found");
    Reply::refused(404, error(404, 20404, &message))
}

fn message_fault(asked: &Asked) -> Option<Reply> {
    let refuse = |code, message: &str| Some(Reply::refused(400, error(400, code, message)));
    let Some(to) = asked.field("To") else {
        return refuse(21604, "A 'To' phone number is required.");
    };
    if !is_e164(to) {
        return refuse(21211, &format!("Invalid 'To' Phone Number: {to}"));
    }
    if asked.field("From").or(asked.field("MessagingServiceSid")).is_none() {
        return refuse(21603, "A 'From' phone number is required.");
    }
    match (asked.field("Body"), asked.field("ContentSid").or(asked.field("MediaUrl"))) {
        (None, None) => refuse(21602, "Message body is required."),
        (Some(body), _) if body.chars().count() > LONGEST_BODY => {
            refuse(21617, "The concatenated message body exceeds the 1600 character limit")
        }
        _ => None,
    }
}

fn found(shelf: &Shelf, sid: &str, asked: &Asked) -> Reply {
    shelf.get(sid).map(shown).map_or_else(|| not_found(asked), Reply::known)
}
