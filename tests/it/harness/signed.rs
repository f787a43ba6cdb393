//! Webhooks of every provider: examples made those of other calls, signed as the provider signs.

use chrono::Utc;
use contract::{
    call::Provider,
    ids::{CallId, OrganizationId},
};
use providers::{retell, twilio};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    World,
    calls::{PATIENCE, example_of, fresh_id},
    wait::until,
};

/// Retell's id of the call in its examples.
const RETELL_CALL: &str = "call_a4441234567890777c4a4a123e6";
/// Twilio's id of the call in its examples.
const TWILIO_CALL: &str = "CA1234567890abcdef1234567890abcdef";

/// A webhook that is ready to be signed and posted.
#[derive(Debug, Clone)]
pub(crate) enum Webhook {
    /// A server message.
    Vapi(Vec<u8>),
    /// An event.
    Retell(Vec<u8>),
    /// A callback: where it goes below the organization, and its form.
    Twilio(&'static str, String),
}

/// How many events of a call there are, and how many of them are still to be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) events: i64,
    pub(crate) undone: i64,
}

/// A fresh id of a call, as the provider would make it.
pub(crate) fn fresh_call(provider: Provider) -> String {
    match provider {
        Provider::Vapi => fresh_id(),
        Provider::Retell => format!("call_{}", Uuid::now_v7().simple()),
        Provider::Twilio => format!("CA{}", Uuid::now_v7().simple()),
    }
}

/// An example event of Retell as one of another call, with some fields of `call` replaced.
pub(crate) fn retell_event(name: &str, provider_call_id: &str, fields: &Value) -> Vec<u8> {
    let body = fixture("retell", &format!("{name}.json")).replace(RETELL_CALL, provider_call_id);
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    for (field, value) in fields.as_object().expect("fields") {
        body["call"][field] = value.clone();
    }
    body.to_string().into_bytes()
}

/// An example callback of Twilio as one of another call.
pub(crate) fn twilio_form(name: &str, provider_call_id: &str) -> String {
    fixture("twilio", &format!("{name}.form")).trim().replace(TWILIO_CALL, provider_call_id)
}

fn fixture(provider: &str, file: &str) -> String {
    let path = format!("{}/tests/fixtures/{provider}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a fixture")
}

impl World {
    /// Every webhook of a call that was talked through, by name, in the order of its life.
    pub(crate) fn life(
        &self,
        provider: Provider,
        provider_call_id: &str,
    ) -> Vec<(&'static str, Webhook)> {
        let id = provider_call_id;
        // Retell's recordings lie where no test may go.
        let audio = json!({ "recording_url": format!("{}/retell/{id}.wav", self.fakes.url()),
            "recording_multi_channel_url": null });
        let vapi = |name| (name, Webhook::Vapi(example_of(name, id)));
        let retell = |name, fields| (name, Webhook::Retell(retell_event(name, id, fields)));
        let twilio = |name, path| (name, Webhook::Twilio(path, twilio_form(name, id)));
        match provider {
            Provider::Vapi => vec![
                vapi("status_update_queued"),
                vapi("status_update_ringing"),
                vapi("status_update_in_progress"),
                vapi("status_update_ended"),
                vapi("end_of_call_report"),
            ],
            Provider::Retell => vec![
                retell("call_started", &json!({})),
                retell("call_ended", &audio),
                retell("call_analyzed", &audio),
            ],
            Provider::Twilio => vec![
                twilio("voice_status_initiated", "status"),
                twilio("voice_status_ringing", "status"),
                twilio("voice_status_answered", "status"),
                twilio("voice_status_completed", "status"),
                twilio("recording_status_completed", "recording"),
            ],
        }
    }

    /// Posts a webhook, signed; gives the status.
    pub(crate) async fn post_webhook(&self, webhook: Webhook) -> u16 {
        match webhook {
            Webhook::Vapi(body) => self.post(body).await,
            Webhook::Retell(body) => self.post_retell(body).await,
            Webhook::Twilio(path, form) => self.post_twilio(path, &form).await,
        }
    }

    /// Posts a signed event of Retell; gives the status.
    pub(crate) async fn post_retell(&self, body: Vec<u8>) -> u16 {
        self.ask_retell(body).await.0
    }

    /// Posts a signed event of Retell; gives the status and the answer.
    pub(crate) async fn ask_retell(&self, body: Vec<u8>) -> (u16, String) {
        let url = format!("{}/retell/{}", self.api_url, self.demo.organization_id);
        let key = self.demo.retell_api_key.clone().into();
        let signature = retell::auth::sign(&body, &key, Utc::now());
        let request = self.http.post(url).header("x-retell-signature", signature);
        let request = request.header("content-type", "application/json");
        let answer = request.body(body).send().await.expect("serve answers");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// Posts a signed callback of Twilio to `status`, `recording` or `sms-status?…`; gives the
    /// status.
    pub(crate) async fn post_twilio(&self, path: &str, form: &str) -> u16 {
        let url = format!("{}/twilio/{}/{path}", self.api_url, self.demo.organization_id);
        self.post_twilio_to(&url, form).await
    }

    /// Posts a callback of Twilio that is signed for exactly this URL; gives the status.
    pub(crate) async fn post_twilio_to(&self, url: &str, form: &str) -> u16 {
        let signature = self.signed_by_twilio(url, form);
        let request = self.http.post(url).header("x-twilio-signature", signature);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form.to_owned()).send().await.expect("serve answers");
        answer.status().as_u16()
    }

    /// Twilio's signature of a form that is sent to a URL.
    pub(crate) fn signed_by_twilio(&self, url: &str, form: &str) -> String {
        let token = self.demo.twilio_auth_token.clone().into();
        twilio::auth::sign(url, form.as_bytes(), &token)
    }

    /// Our id of a provider's call.
    pub(crate) fn call_of(&self, provider: Provider, provider_call_id: &str) -> CallId {
        CallId::derive(OrganizationId(self.organization()), provider, provider_call_id)
    }

    /// Waits until a call's workflow has closed: its step list is there and no event of it is
    /// undone. Gives the call as the API shows it.
    pub(crate) async fn closed_of(&self, provider: Provider, provider_call_id: &str) -> Value {
        let id = self.call_of(provider, provider_call_id);
        until(&format!("call {provider_call_id} closes"), PATIENCE, || async {
            let (status, call) = self.get(&format!("/v1/calls/{id}")).await;
            let steps = call["steps"].as_array().is_some_and(|steps| !steps.is_empty());
            (status == 200 && steps && self.stored(id).await.undone == 0).then_some(call)
        })
        .await
    }

    /// The events of a call in the inbox. An event may be acknowledged and not be there yet: while
    /// Postgres is slow it lies in the spool.
    pub(crate) async fn stored(&self, call: CallId) -> Stored {
        let sql = "select count(*), count(*) filter (where status = 'received') from inbox
                   where call_id = $1";
        let row = self.db.query_one(sql, &[&call.0]).await.expect("counts");
        Stored { events: row.get(0), undone: row.get(1) }
    }
}
