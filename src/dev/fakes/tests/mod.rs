//! The fakes over real connections: every provider, idempotency, scripts, and the log across
//! restarts.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod idempotency;
mod log;
mod planted;
mod providers;
mod scripts;
mod stripe;

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::{Fakes, FakesOptions, Filter, Kind, Provider};

/// Fakes of one test, and a client.
struct Bench {
    fakes: Fakes,
    http: Client,
}

impl Bench {
    async fn start() -> Self {
        Self::start_on(None).await
    }

    async fn start_on(log_file: Option<PathBuf>) -> Self {
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let options = FakesOptions { listen, log_file, delay: Duration::ZERO };
        let fakes = Fakes::start(options).await.expect("the fakes start");
        let http = Client::builder()
            .user_agent("tests")
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self { fakes, http }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.fakes.url())
    }

    /// How many effects of a kind took place.
    fn accepted(&self, kind: Kind) -> usize {
        let filter = Filter { kind: Some(kind), accepted: Some(true), ..Filter::default() };
        self.fakes.effects().count(&filter)
    }

    /// One text message, with what Twilio needs.
    fn sms(&self, to: &str) -> RequestBuilder {
        let form = [("To", to), ("From", "+14155550100"), ("Body", "Your table is confirmed.")];
        self.post(MESSAGES).basic_auth("AC1", Some("token")).form(&form)
    }

    fn script(&self, provider: Provider, key: Option<&str>, script: Value) {
        let script = serde_json::from_value(script).expect("a script");
        self.fakes.script(provider, key, script);
    }
}

const MESSAGES: &str = "/twilio/2010-04-01/Accounts/AC1/Messages.json";

/// Sends and gives the status and the body as JSON (null if it is none).
async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// Every field of a provider's sample is in the answer.
fn assert_has_fields_of(answer: &Value, sample: &str) {
    let sample: Value = serde_json::from_str(sample).expect("a sample");
    for name in sample.as_object().expect("an object").keys() {
        assert!(answer.get(name).is_some(), "{name} is missing in {answer}");
    }
}
