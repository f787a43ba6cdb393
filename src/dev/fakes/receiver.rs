//! A customer's webhook receiver: takes everything and says so.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Kind,
    asked::Asked,
    reply::{Content, Fake, Identity, Reply},
};

#[derive(Debug)]
pub(super) struct Receiver;

impl Fake for Receiver {
    fn identify(&self, asked: &Asked) -> Identity {
        match asked.segments().first() {
            Some(name) => {
                let keys = [Some(*name), asked.header("webhook-id")];
                Identity::new(Kind::Webhook, keys.into_iter().flatten())
            }
            None => Identity::unknown(asked),
        }
    }

    fn perform(&self, asked: &Asked, _now: DateTime<Utc>) -> Reply {
        if asked.segments().is_empty() {
            return self.refuse(404);
        }
        Reply::done(200, Content::Json(json!({ "ok": true })))
    }

    fn failure(&self, _status: u16) -> Value {
        json!({ "ok": false })
    }
}
