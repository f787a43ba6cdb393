//! Our client of Stripe against Stripe's own mock server, which checks every parameter against the
//! OpenAPI document of the API. It remembers nothing and has no `/v2`: that part is only tried against
//! our fake, and against the payloads that Stripe documents.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::OrganizationId;
use postcall::{
    config::ClientConfig,
    dev::{
        search_places,
        servers::{OwnCommand, OwnProcess, SearchPlaces, stripe_mock},
    },
};
use providers::{
    error::ErrorKind,
    stripe::{MeterEvent, MeterEventError, NewCustomer, StripeClient},
};
use uuid::Uuid;

use crate::harness::folder;

/// The only kind of key that it takes.
const KEY: &str = "sk_test_123";
/// The one meter that it has, which has counted 25.
const METER: &str = "test-meter-event-name";

/// The running mock server; it ends with the test.
struct Mock {
    url: String,
    _process: OwnProcess,
}

impl Mock {
    /// `name` is that of its folder: each ends what another one left in its own.
    async fn start(name: &str) -> Self {
        let client = ClientConfig::from_env().expect("environment");
        let places = search_places(&client);
        let folder = folder(name);
        for name in ["logs", "run"] {
            std::fs::create_dir_all(folder.join(name)).expect("folder");
        }
        let log = folder.join("logs/install.log");
        let say = |line: &str| eprintln!("stripe-mock: {line}");
        let program = stripe_mock(&places, client.install, &log, &say).await;
        let program = program.unwrap_or_else(|error| panic!("{error}"));
        let (http, https) = (free_address(), free_address());
        let process = start(program, http, https, folder.clone(), &places).await;
        let answers = || async { tokio::net::TcpStream::connect(http).await.is_ok() };
        process.ready(answers).await.expect("stripe-mock answers");
        Self { url: format!("http://{http}"), _process: process }
    }

    fn client(&self, key: &str) -> StripeClient {
        StripeClient::new(&self.url, key.into()).expect("a client")
    }
}

async fn start(
    program: PathBuf,
    http: SocketAddr,
    https: SocketAddr,
    data_dir: PathBuf,
    places: &SearchPlaces,
) -> OwnProcess {
    let command = OwnCommand {
        name: "stripe-mock",
        program,
        // Without an address for HTTPS it takes a fixed port on every interface.
        arguments: vec![
            "-http-addr".to_owned(),
            http.to_string(),
            "-https-addr".to_owned(),
            https.to_string(),
        ],
        environment: [].into(),
        data_dir,
    };
    OwnProcess::start(&command, places).await.expect("stripe-mock starts")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

fn event(at: DateTime<Utc>) -> MeterEvent {
    MeterEvent {
        event_name: "voice_minutes".to_owned(),
        customer: "cus_NciAYcXfLnqBoz".to_owned(),
        quantity: 212,
        identifier: format!("usage-{}-overage-0", Uuid::now_v7()),
        at,
    }
}

#[tokio::test]
async fn every_request_is_one_that_stripe_documents() {
    let mock = Mock::start("stripe-mock-documented").await;
    let stripe = mock.client(KEY);
    let now = Utc::now();

    let event = event(now);
    stripe.meter_event(&event, &event.identifier).await.expect("a documented meter event");

    let from = now - TimeDelta::days(30);
    let meters = stripe.meters().await.expect("a documented list");
    let counted = meters.counted(METER, "cus_NciAYcXfLnqBoz", from, now).await;
    assert_eq!(counted.expect("a documented look-up"), Some(25));
    let none = meters.counted("voice_minutes", "cus_NciAYcXfLnqBoz", from, now).await;
    assert_eq!(none.expect("no question"), None);

    let organization_id = OrganizationId(Uuid::now_v7());
    let mut customer = NewCustomer {
        organization_id,
        name: "Bob & Co".to_owned(),
        email: Some("billing@example.com".into()),
    };
    let made = stripe.create_customer(&customer).await.expect("a documented customer");
    assert!(made.starts_with("cus_"), "{made}");
    customer.email = None;
    stripe.create_customer(&customer).await.expect("a documented customer without an email");
    let found = stripe.find_customer(organization_id).await.expect("a documented search");
    assert!(found.is_some_and(|id| id.starts_with("cus_")), "it finds its one customer");

    // Its document has no /v2: 404, which to us is an event that Stripe does not have.
    let report = stripe.meter_error_report("evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TG").await;
    assert_eq!(report.expect("an answer"), None);
}

/// Without this the test above could not fail.
#[tokio::test]
async fn what_stripe_does_not_document_is_refused() {
    let mock = Mock::start("stripe-mock-refused").await;
    let http = reqwest::Client::new();
    let post = |form: &[(&str, &str)]| {
        let request = http.post(format!("{}/v1/billing/meter_events", mock.url));
        request.bearer_auth(KEY).form(form).send()
    };
    let name = ("event_name", "voice_minutes");
    let value = ("payload[value]", "3");
    assert_eq!(post(&[name, value]).await.expect("an answer").status(), 200);
    for form in [
        vec![name],
        vec![value],
        vec![name, value, ("quantity", "3")],
        vec![name, value, ("timestamp", "2026-11-20T15:00:00Z")],
    ] {
        assert_eq!(post(&form).await.expect("an answer").status(), 400, "{form:?}");
    }
    let window = "customer=cus_1&start_time=1795186800&end_time=1795186860";
    for (query, status) in [(window, 200), ("customer=cus_1&start_time=1795186800", 400)] {
        let url = format!("{}/v1/billing/meters/mtr_1/event_summaries?{query}", mock.url);
        let answer = http.get(url).bearer_auth(KEY).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{query}");
    }

    let event = event(Utc::now());
    let error = mock.client("nonsense").meter_event(&event, "key").await.expect_err("no key");
    assert!(matches!(error, MeterEventError::Unauthorized(_)), "{error:?}");
    let kind = ErrorKind::Rejected { code: "http-401".to_owned() };
    assert_eq!(error.error().kind, kind);
}
