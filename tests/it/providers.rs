//! Calls of Retell and Twilio, end to end: what their webhooks say, and what comes of it.

use contract::call::Provider;
use postcall::dev::fakes::{self, Effect, Filter, Kind, Script};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::harness::{
    World,
    calls::{PATIENCE, example_of, step},
    signed::{Stored, fresh_call, retell_event, twilio_form},
    wait::until,
};

/// Twilio's id of the message in its examples.
const MESSAGE: &str = "SM1234567890abcdef1234567890abcdef";

impl World {
    /// Posts every webhook of a call's life in order; gives the closed call and the provider's id.
    async fn whole_call(&self, provider: Provider) -> (Value, String) {
        let id = fresh_call(provider);
        let life = self.life(provider, &id);
        let done = Stored { events: i64::try_from(life.len()).unwrap(), undone: 0 };
        for (name, webhook) in life {
            assert_eq!(self.post_webhook(webhook).await, 204, "{name}");
        }
        until("every event is processed", PATIENCE, || async {
            (self.stored(self.call_of(provider, &id)).await == done).then_some(())
        })
        .await;
        (self.closed_of(provider, &id).await, id)
    }

    fn effects_of(&self, kind: Kind) -> Vec<Effect> {
        self.fakes.effects().list(&Filter { kind: Some(kind), ..Filter::default() })
    }

    /// Everything that follows from a call of three minutes, and nothing twice.
    async fn everything_once(&self, call: &Value) {
        let told = [Kind::Sms, Kind::Email, Kind::Webhook].map(|kind| self.accepted(kind));
        assert_eq!(told, [1, 1, 1], "{call}");
        let id: uuid::Uuid = call["id"].as_str().unwrap().parse().unwrap();
        let sql = "select count(*), sum(quantity)::bigint from usage_ledger
                   where call_id = $1 and meter = 'call_minutes'";
        let ledger = self.db.query_one(sql, &[&id]).await.unwrap();
        assert_eq!((ledger.get::<_, i64>(0), ledger.get::<_, i64>(1)), (1, 3));
        self.redis_equals_ledger().await;
        let path = call["recording"]["path"].as_str().unwrap();
        assert!(path.ends_with(&format!("/{id}.wav")), "{path}");
        let audio = std::fs::read(self.folder.join("recordings").join(path)).unwrap();
        assert!(audio.starts_with(b"RIFF"));
        assert_eq!(call["recording"]["bytes"], json!(audio.len()));
    }

    /// How many events were kept, and how many of them are processed callbacks of messages.
    async fn kept(&self) -> (i64, i64) {
        let sql =
            "select count(*), count(*) filter (where life = 'message' and status = 'processed')
                   from inbox";
        let row = self.db.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The one text message of this world: state, Twilio's id, error.
    async fn text_message(&self) -> (String, Option<String>, Option<String>) {
        let sql = "select state, provider_id, error from notifications where channel = 'sms'";
        let row = self.db.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    /// Waits for the one text message to be accepted; gives its id and where it calls back.
    async fn accepted_message(&self) -> (String, String) {
        until("the message is accepted", PATIENCE, || async {
            let messages = self.effects_of(Kind::Sms);
            let message = messages.iter().find(|message| message.accepted)?;
            let sid = message.result.as_ref()?["sid"].as_str()?.to_owned();
            Some((sid, message.request.body["StatusCallback"].as_str()?.to_owned()))
        })
        .await
    }

    /// Twilio's word on a message, to where the message asked for it.
    async fn call_back(&self, example: &str, sid: &str, url: &str) {
        let form = twilio_form(example, "").replace(MESSAGE, sid);
        let (_, before) = self.kept().await;
        assert_eq!(self.post_twilio_to(url, &form).await, 204, "{example}");
        until("the callback is processed", PATIENCE, || async {
            (self.kept().await.1 > before).then_some(())
        })
        .await;
    }
}

fn script(value: Value) -> Script {
    serde_json::from_value(value).expect("a script")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_retell_is_recorded_whole() {
    let world = World::start().await;
    let (call, id) = world.whole_call(Provider::Retell).await;
    for name in ["finish", "recording", "extract", "sms", "email", "webhooks", "close"] {
        assert_eq!(step(&call, name)["status"], "completed", "{name}: {call}");
    }
    assert_eq!((&call["status"], &call["direction"]), (&json!("completed"), &json!("outbound")));
    assert_eq!((&call["duration_seconds"], &call["billed_minutes"]), (&json!(128), &json!(3)));
    assert_eq!(call["cost_usd"], 0.277, "27.7 cents");
    assert_eq!(call["ended_reason"], "user_hangup");
    assert_eq!(call["summary"], "The agent called Ana and confirmed a table for four.");
    let path = format!("/v1/calls/{}/transcript", world.call_of(Provider::Retell, &id));
    let (_, transcript) = world.get(&path).await;
    assert!(transcript["text"].as_str().unwrap().contains("User: Yes, go ahead."), "{transcript}");
    world.everything_once(&call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_twilio_is_recorded_and_its_audio_fetched_with_the_accounts_proof() {
    let world = World::start().await;
    let (call, _) = world.whole_call(Provider::Twilio).await;
    for name in ["finish", "recording", "sms", "email", "webhooks", "close"] {
        assert_eq!(step(&call, name)["status"], "completed", "{name}: {call}");
    }
    assert_eq!(step(&call, "extract")["status"], "skipped", "Twilio sends no transcript");
    assert_eq!((&call["status"], &call["direction"]), (&json!("completed"), &json!("outbound")));
    assert_eq!((&call["duration_seconds"], &call["billed_minutes"]), (&json!(127), &json!(3)));
    let download = &world.effects_of(Kind::Recording)[0].request;
    let recording = "/Recordings/RE1234567890abcdef1234567890abcdef.wav";
    assert!(download.path.starts_with("/twilio/2010-04-01/Accounts/AC"), "{}", download.path);
    assert!(download.path.ends_with(recording), "{}", download.path);
    assert!(download.headers.contains_key("authorization"), "{:?}", download.headers);
    world.everything_once(&call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_nobody_answered_bill_nothing() {
    let world = World::start().await;
    let unanswered = fresh_call(Provider::Retell);
    let event = retell_event("call_ended_dial_no_answer", &unanswered, &json!({}));
    assert_eq!(world.post_retell(event).await, 204);
    let mut calls = vec![(Provider::Retell, unanswered, "no-answer", "dial_no_answer")];
    let busy = |id: &str| twilio_form("voice_status_busy", id);
    let canceled = |id: &str| busy(id).replace("CallStatus=busy", "CallStatus=canceled");
    let ids: [String; 4] = std::array::from_fn(|_| fresh_call(Provider::Twilio));
    let forms = [
        (twilio_form("voice_status_no_answer", &ids[0]), "no-answer", "no-answer"),
        (busy(&ids[1]), "busy", "busy"),
        (canceled(&ids[2]), "canceled", "canceled"),
        (twilio_form("voice_status_failed", &ids[3]), "failed", "failed/404"),
    ];
    for (id, (form, status, reason)) in ids.into_iter().zip(forms) {
        assert_eq!(world.post_twilio("status", &form).await, 204);
        calls.push((Provider::Twilio, id, status, reason));
    }
    for (provider, id, status, reason) in calls {
        let call = world.closed_of(provider, &id).await;
        assert_eq!(
            (&call["status"], &call["billed_minutes"]),
            (&json!(status), &json!(0)),
            "{call}"
        );
        assert_eq!(call["ended_reason"], reason);
        let rows = world.rows(provider, &id).await;
        assert_eq!(rows.first("usage_ledger")["quantity"], 0, "proof that it was counted");
        assert!(rows.text("events").contains(&format!("\"status\": \"{status}\"")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drives_no_call_is_answered_and_dropped() {
    let world = World::start().await;
    let inbound = include_bytes!("../fixtures/retell/call_inbound.json").to_vec();
    let (status, answer) = world.ask_retell(inbound).await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer, json!({ "call_inbound": {} }), "the number's own agent takes the call");
    let id = fresh_call(Provider::Retell);
    let future = json!({ "event": "call_of_next_year", "call": { "call_id": id } });
    assert_eq!(world.post_retell(future.to_string().into_bytes()).await, 204);
    let sid = fresh_call(Provider::Twilio);
    let unknown = [
        ("status", format!("CallSid={sid}&OfNextYear=1")),
        ("recording", twilio_form("recording_status_absent", &sid)),
        ("sms-status", format!("MessageSid={MESSAGE}&MessageStatus=dancing")),
    ];
    for (path, form) in unknown {
        assert_eq!(world.post_twilio(path, &form).await, 204, "{form}");
    }
    // A new word for where a call stands is kept, because the call is real.
    let dancing = format!("CallSid={sid}&CallStatus=dancing&SequenceNumber=1");
    assert_eq!(world.post_twilio("status", &dancing).await, 204);
    until("the last one is kept", PATIENCE, || async {
        (world.stored(world.call_of(Provider::Twilio, &sid)).await.events == 1).then_some(())
    })
    .await;
    assert_eq!(world.kept().await, (1, 0), "nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_counts_only_where_and_as_it_was_signed() {
    let world = World::start().await;
    let id = fresh_call(Provider::Twilio);
    let form = twilio_form("voice_status_completed", &id);
    let own = format!("{}/twilio/{}", world.api_url, world.demo.organization_id);
    let signature = world.signed_by_twilio(&format!("{own}/status"), &form);
    for (url, body) in [
        (format!("{own}/recording"), form.clone()),
        (format!("{own}/status?more=1"), form.clone()),
        (format!("{own}/status"), format!("{form}&More=1")),
    ] {
        let request = world.http.post(url).header("x-twilio-signature", &signature);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(request.body(body).send().await.unwrap().status(), 401);
    }
    let json: serde_json::Map<String, Value> = form_urlencoded::parse(form.as_bytes())
        .map(|(name, value)| (name.into_owned(), json!(value)))
        .collect();
    let body = Value::Object(json).to_string();
    let hash = hex::encode(Sha256::digest(&body));
    let url = format!("{own}/status?bodySHA256={hash}");
    let post = |body: String| {
        let request = world.http.post(&url).header("content-type", "application/json");
        request.header("x-twilio-signature", world.signed_by_twilio(&url, "")).body(body).send()
    };
    assert_eq!(post(body.replace("127", "0")).await.unwrap().status(), 401, "another body");
    assert_eq!(world.kept().await, (0, 0));
    assert_eq!(post(body).await.unwrap().status(), 204);
    let call = world.closed_of(Provider::Twilio, &id).await;
    assert_eq!((&call["status"], &call["billed_minutes"]), (&json!("completed"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_doubt_is_settled_by_its_callback() {
    let world = World::start().await;
    let lost = json!({ "kind": "sms", "answers": [{ "do_it": true, "drop_connection": true }] });
    world.fakes.script(fakes::Provider::Twilio, None, script(lost));
    let blind = json!({ "kind": "lookup", "answers": [{ "status": 503 }], "then": "repeat_last" });
    world.fakes.script(fakes::Provider::Twilio, None, script(blind));
    let id = world.post_call().await;
    let (sid, url) = world.accepted_message().await;
    assert!(url.starts_with(&format!("{}/twilio/", world.api_url)), "{url}");
    until("the message is in doubt", PATIENCE, || async {
        (world.text_message().await.0 == "unknown").then_some(())
    })
    .await;

    world.call_back("sms_status_delivered", &sid, &url).await;
    assert_eq!(world.text_message().await, ("sent".to_owned(), Some(sid), None));
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "sms")["status"], "completed", "{call}");
    assert_eq!(world.effects_of(Kind::Sms).len(), 1, "asked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_did_not_arrive_has_failed_for_good() {
    let world = World::start().await;
    let id = world.post_call().await;
    world.closed(&id).await;
    let (sid, url) = world.accepted_message().await;
    let sent = ("sent".to_owned(), Some(sid.clone()), None);
    assert_eq!(world.text_message().await, sent);
    world.call_back("sms_status_undelivered", MESSAGE, &url).await;
    assert_eq!(world.text_message().await, sent, "another message says nothing of this one");

    world.call_back("sms_status_undelivered", &sid, &url).await;
    let lost = ("failed".to_owned(), Some(sid.clone()), Some("twilio.callback: 30003".to_owned()));
    assert_eq!(world.text_message().await, lost);
    world.call_back("sms_status_delivered", &sid, &url).await;
    assert_eq!(world.text_message().await, lost, "a loss is final");

    // A late event runs the workflow again.
    assert_eq!(world.post(example_of("status_update_in_progress", &id)).await, 200);
    world.closed(&id).await;
    assert_eq!(world.effects_of(Kind::Sms).len(), 1, "nothing is sent again");
}
