//! Calls as the providers' APIs list them: what webhooks should have told, for the sweep.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contract::{
    call::{CallStatus, EventKind, Provider},
    merge::{CallEvent, CallFacts},
};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    error::ProviderError,
    http::SetupError,
    incoming::{self, Incoming},
    json,
    retell::calls::RetellCalls,
    twilio::calls::TwilioCalls,
    vapi::calls::VapiCalls,
};

/// A call as a list shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedCall {
    /// The provider's id of it.
    pub provider_call_id: String,
    /// Whether somebody answered and it goes on.
    pub is_answered: bool,
    /// Whether it is over.
    pub has_ended: bool,
    /// Whether it is over and nobody was ever connected: its end is all there is to tell.
    pub is_unanswered: bool,
    /// Whether it is a leg of another call of the account.
    pub is_leg: bool,
}

/// One page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallsPage {
    /// The calls, in the provider's order.
    pub calls: Vec<ListedCall>,
    /// Where the next page begins, if there is one. Opaque.
    pub next: Option<String>,
}

/// Reads the calls of one account of one provider.
#[derive(Debug, Clone)]
pub enum CallsApi {
    /// `GET /call`.
    Vapi(VapiCalls),
    /// `POST /v3/list-calls`.
    Retell(RetellCalls),
    /// `GET /2010-04-01/Accounts/{sid}/Calls.json`.
    Twilio(TwilioCalls),
}

impl CallsApi {
    /// `account` is Twilio's account SID, and unused elsewhere.
    ///
    /// # Errors
    /// When `base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(
        provider: Provider,
        base_url: &str,
        account: &str,
        api_key: SecretString,
    ) -> Result<Self, SetupError> {
        Ok(match provider {
            Provider::Vapi => Self::Vapi(VapiCalls::new(base_url, api_key)?),
            Provider::Retell => Self::Retell(RetellCalls::new(base_url, api_key)?),
            Provider::Twilio => Self::Twilio(TwilioCalls::new(base_url, account, api_key)?),
        })
    }

    /// One page of the calls that changed at or after `since` and before `until`; `cursor` is
    /// `next` of the page before. Calls outside the range may be among them, none in it is missing.
    ///
    /// # Errors
    /// When the provider refuses or does not answer.
    pub async fn page(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        cursor: Option<&str>,
    ) -> Result<CallsPage, ProviderError> {
        match self {
            Self::Vapi(api) => api.page(since, until, cursor).await,
            Self::Retell(api) => api.page(since, until, cursor).await,
            Self::Twilio(api) => api.page(since, until, cursor).await,
        }
    }

    /// One call with everything that the provider tells of it, as the body of an event whose
    /// origin is `sweep`; nothing where it knows none.
    ///
    /// # Errors
    /// When the provider refuses or does not answer.
    pub async fn call(&self, provider_call_id: &str) -> Result<Option<Bytes>, ProviderError> {
        match self {
            Self::Vapi(api) => api.call(provider_call_id).await,
            Self::Retell(api) => api.call(provider_call_id).await,
            Self::Twilio(api) => api.call(provider_call_id).await,
        }
    }
}

/// Why a call ended whose end nobody tells: `calls.ended_reason` of a lost call.
pub const LOST_REASON: &str = "lost-by-provider";

/// The body of an event by which the sweep closes a call whose end its provider never tells.
///
/// `incoming::read` reads it back where the origin is `sweep`. Providers have no such field.
pub fn lost_call(provider_call_id: &str) -> Bytes {
    json!({"postcall": {"lost_call": provider_call_id}}).to_string().into()
}

/// Reads a body of [`lost_call`]; nothing where it is another.
pub(crate) fn read_lost_call(body: &[u8]) -> Option<Incoming> {
    // All others are spared the parsing.
    if !body.starts_with(br#"{"postcall":"#) {
        return None;
    }
    let root = json::parse(body).ok()?;
    let id = json::text(&root, &["/postcall/lost_call"])
        .filter(|id| id.len() <= incoming::MAX_CALL_ID_BYTES)?;
    let facts = CallFacts {
        status: Some(CallStatus::Failed),
        ended_reason: Some(LOST_REASON.to_owned()),
        ..CallFacts::default()
    };
    // The oldest of all times: whatever a provider still tells of the end wins over what is only
    // concluded from its silence.
    let event = CallEvent { kind: EventKind::Ended, at: DateTime::UNIX_EPOCH, facts };
    Some(Incoming {
        message_type: "lost-call".to_owned(),
        provider_call_id: Some(id.to_owned()),
        event_key: format!("{id}/sweep/lost"),
        event,
        message: None,
    })
}

#[cfg(test)]
mod tests {
    use contract::{call::Origin, merge};

    use super::*;

    #[test]
    fn a_lost_call_is_read_back_from_the_sweep_only() {
        for provider in [Provider::Vapi, Provider::Retell, Provider::Twilio] {
            let body = lost_call("call \"1\"");
            let now = Utc::now();
            let read = incoming::read(provider, Origin::Sweep, &body, now).expect("a lost call");
            assert_eq!(read.event_key, "call \"1\"/sweep/lost");
            assert_eq!(read.provider_call_id.as_deref(), Some("call \"1\""));
            assert_eq!(read.event.kind, EventKind::Ended);
            assert_eq!(read.event.facts.status, Some(CallStatus::Failed));
            let told = incoming::read(provider, Origin::Webhook, &body, now);
            assert!(told.map_or(true, |read| read.event.kind == EventKind::Other), "{provider}");
        }
    }

    #[test]
    fn whatever_a_provider_tells_of_the_end_wins() {
        let lost = read_lost_call(&lost_call("c")).expect("a lost call").event;
        let facts = CallFacts {
            status: Some(CallStatus::Completed),
            ended_reason: Some("hangup".to_owned()),
            ..CallFacts::default()
        };
        let told = CallEvent { kind: EventKind::Ended, at: Utc::now(), facts };
        let folded = merge::fold([&lost, &told]);
        assert_eq!(folded.status, Some(CallStatus::Completed));
        assert_eq!(folded.ended_reason.as_deref(), Some("hangup"));
    }
}
