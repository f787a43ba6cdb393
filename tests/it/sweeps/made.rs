//! Calls that a provider had: what its webhooks tell of them, what its API shows, and what must
//! come of both. Made of the examples, which are moved to another time.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use contract::call::Provider;
use postcall::dev::fakes;
use serde_json::{Value, json};

use super::shift::{MADE, Shift, instant, text};
use crate::harness::{
    World,
    calls::example_of,
    signed::{Webhook, retell_event, twilio_form},
};

/// Why the call in Vapi's example of an error ended.
const NOT_AVAILABLE: &str =
    "call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable";
/// The account in Twilio's examples, whose recording it is.
const RECORDING: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/Calls/CALL\
                         /Recordings/RE1234567890abcdef1234567890abcdef.json";

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Talked through, by so many seconds longer than in the examples (two minutes and a bit).
    Talked { longer: i64 },
    /// Nobody answered.
    Unanswered,
    /// It broke off, or could not be made.
    Failed,
    /// It goes on.
    Running,
}

/// A call that a provider had.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) provider: Provider,
    pub(super) id: String,
    pub(super) life: Life,
    /// In the order of its life.
    pub(super) webhooks: Vec<Webhook>,
    /// The call as the provider's API shows it.
    pub(super) shown: Value,
}

/// What the row of a call must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: String,
    pub(super) seconds: Option<i32>,
    pub(super) minutes: Option<i32>,
}

impl Made {
    /// Places of the webhooks that tell the end; the last of them tells everything.
    pub(super) fn ends(&self) -> Vec<usize> {
        match (self.life, self.provider) {
            (Life::Running, _) => Vec::new(),
            (Life::Talked { .. }, Provider::Vapi) => vec![3, 4],
            (Life::Talked { .. }, Provider::Retell) => vec![1, 2],
            (Life::Talked { .. }, Provider::Twilio) => vec![3],
            (Life::Unanswered | Life::Failed, _) => vec![self.webhooks.len() - 1],
        }
    }

    /// The webhook that tells everything.
    pub(super) fn report(&self) -> Webhook {
        self.webhooks[*self.ends().last().expect("the call is over")].clone()
    }

    /// What of the call is posted while it goes on.
    pub(super) fn progress(&self) -> &[Webhook] {
        &self.webhooks[..self.ends().first().copied().unwrap_or(self.webhooks.len())]
    }

    /// What must come of it.
    pub(super) fn outcome(&self) -> Outcome {
        let (status, seconds) = match (self.life, self.provider) {
            (Life::Running, _) => ("in-progress", None),
            (Life::Talked { longer }, Provider::Twilio) => ("completed", Some(127 + longer)),
            (Life::Talked { longer }, _) => ("completed", Some(128 + longer)),
            (Life::Unanswered, _) => ("no-answer", Some(0)),
            (Life::Failed, Provider::Vapi) => ("failed", Some(9)),
            (Life::Failed, _) => ("failed", Some(0)),
        };
        let seconds = seconds.map(|seconds| i32::try_from(seconds).unwrap());
        let minutes = seconds.map(|seconds| (seconds + 59) / 60);
        Outcome { status: status.to_owned(), seconds, minutes }
    }

    /// Whether somebody talked: then there is a recording, and but for Twilio a transcript.
    pub(super) fn is_talked(&self) -> bool {
        matches!(self.life, Life::Talked { .. })
    }
}

impl World {
    /// A call that was made at `at`.
    pub(super) fn made(&self, provider: Provider, id: &str, life: Life, at: DateTime<Utc>) -> Made {
        let mut webhooks = self.examples(provider, id, life);
        let mut shown = match provider {
            Provider::Vapi => vapi_shown(&webhooks, life),
            Provider::Retell => parsed(webhooks.last().expect("one"))["call"].clone(),
            Provider::Twilio => twilio_shown(id, &self.demo.twilio_account_sid, life),
        };
        let longer = if let Life::Talked { longer } = life { longer } else { 0 };
        let shift = Shift { by: at.trunc_subsecs(0).timestamp_millis() - MADE, longer };
        shift.json(&mut shown);
        for webhook in &mut webhooks {
            shift.webhook(webhook);
        }
        Made { provider, id: id.to_owned(), life, webhooks, shown }
    }

    /// The examples that tell such a life.
    fn examples(&self, provider: Provider, id: &str, life: Life) -> Vec<Webhook> {
        let whole: Vec<Webhook> = self.life(provider, id).into_iter().map(|(_, w)| w).collect();
        let vapi = |name| Webhook::Vapi(example_of(name, id));
        let undialled = |reason: &str| {
            let reason = json!({ "disconnection_reason": reason });
            Webhook::Retell(retell_event("call_ended_dial_no_answer", id, &reason))
        };
        let twilio = |name| Webhook::Twilio("status", twilio_form(name, id));
        match (life, provider) {
            (Life::Talked { .. }, _) => whole,
            (Life::Running, Provider::Retell) => whole[..1].to_vec(),
            (Life::Running, _) => whole[..3].to_vec(),
            (Life::Unanswered, Provider::Vapi) => {
                vec![whole[1].clone(), vapi("end_of_call_report_outbound_no_answer")]
            }
            (Life::Failed, Provider::Vapi) => {
                let report = example_of("end_of_call_report_provider_error", id);
                let report = String::from_utf8(report).expect("UTF-8");
                // Vapi's example is of a line that was not available: nobody answered.
                let report = report.replace(NOT_AVAILABLE, "pipeline-error-openai-llm-failed");
                vec![whole[1].clone(), whole[2].clone(), Webhook::Vapi(report.into_bytes())]
            }
            (Life::Unanswered, Provider::Retell) => vec![undialled("dial_no_answer")],
            (Life::Failed, Provider::Retell) => vec![undialled("dial_failed")],
            (Life::Unanswered, Provider::Twilio) => {
                vec![whole[0].clone(), whole[1].clone(), twilio("voice_status_no_answer")]
            }
            (Life::Failed, Provider::Twilio) => {
                vec![whole[0].clone(), twilio("voice_status_failed")]
            }
        }
    }

    /// Lets the provider's API show the calls.
    pub(super) fn plant<'a>(&self, calls: impl IntoIterator<Item = &'a Made>) {
        for call in calls {
            self.fakes.plant(faked(call.provider), call.shown.clone()).expect("a call");
        }
    }
}

/// The fake of a provider.
pub(super) fn faked(provider: Provider) -> fakes::Provider {
    provider.as_str().parse().expect("every provider has a fake")
}

fn parsed(webhook: &Webhook) -> Value {
    match webhook {
        Webhook::Vapi(body) | Webhook::Retell(body) => serde_json::from_slice(body).expect("JSON"),
        Webhook::Twilio(..) => panic!("a form"),
    }
}

/// `GET /call/{id}`: what the last message has beside its call is part of the call.
fn vapi_shown(webhooks: &[Webhook], life: Life) -> Value {
    const MOVED_IN: [&str; 9] = [
        "analysis",
        "artifact",
        "cost",
        "costBreakdown",
        "costs",
        "endedAt",
        "endedReason",
        "messages",
        "startedAt",
    ];
    let message = parsed(webhooks.last().expect("one"))["message"].take();
    let mut call = message["call"].clone();
    if life == Life::Running {
        return call;
    }
    for name in MOVED_IN {
        if let Some(value) = message.get(name) {
            call[name] = value.clone();
        }
    }
    call["status"] = json!("ended");
    // Vapi changes the call once more when its analysis is done.
    call["updatedAt"] = json!(text(message["timestamp"].as_i64().expect("a time") + 2000));
    call
}

/// `GET Calls/{sid}.json`, with the recordings of the call in it.
fn twilio_shown(id: &str, account: &str, life: Life) -> Value {
    let (status, start, end) = match life {
        Life::Talked { .. } => ("completed", 7, Some(134)),
        Life::Unanswered => ("no-answer", 2, Some(65)),
        Life::Failed => ("failed", 3, Some(3)),
        Life::Running => ("in-progress", 7, None),
    };
    let at = |second: i64| instant(MADE + second * 1000).to_rfc2822();
    let (duration, recordings) = match life {
        Life::Talked { longer } => {
            let recording = json!({ "sid": "RE1234567890abcdef1234567890abcdef", "call_sid": id,
                "status": "completed", "uri": RECORDING.replace("CALL", id) });
            (Some((127 + longer).to_string()), vec![recording])
        }
        Life::Running => (None, Vec::new()),
        Life::Unanswered | Life::Failed => (Some("0".to_owned()), Vec::new()),
    };
    json!({
        "sid": id, "account_sid": account, "status": status, "direction": "outbound-api",
        "from": "+14155550100", "to": "+14155552671", "answered_by": null, "duration": duration,
        "date_created": at(0), "date_updated": at(end.unwrap_or(start)), "start_time": at(start),
        "end_time": end.map(at), "price": null, "price_unit": "USD", "recordings": recordings,
    })
}

/// `ago` minutes before now.
pub(super) fn minutes_ago(ago: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(ago)
}
