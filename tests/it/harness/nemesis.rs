//! A network that loses webhooks and repeats them: a proxy in front of `serve`.
//!
//! What becomes of a webhook depends on the seed and its name only, not on when it comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
};
use chrono::Utc;
use providers::retell;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{World, signed::Webhook};

/// Names a webhook, as `CALL/PLACE`; not passed on.
const NAME: &str = "x-nemesis-name";
/// Of a hundred webhooks so many are lost, beside those of the silent calls.
const LOST: u64 = 20;
/// Of a hundred webhooks so many come twice.
const REPEATED: u64 = 5;

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It went through.
    Passed,
    /// It was acknowledged, and swallowed.
    Lost,
    /// It went through twice at once.
    Repeated,
}

/// The running proxy. Dropping it ends it.
pub(crate) struct Nemesis {
    url: String,
    room: Arc<Room>,
    server: tokio::task::JoinHandle<()>,
}

struct Room {
    target: String,
    seed: u64,
    /// Calls of which no webhook comes through.
    silent: BTreeSet<String>,
    http: reqwest::Client,
    fates: Mutex<BTreeMap<String, Fate>>,
}

/// The seed of a run: `SEED` in decimal where it is set, to repeat one, else a new one. Printed.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SEED").ok();
    let seed = given.map_or_else(
        || Uuid::new_v4().as_u64_pair().0,
        |seed| seed.parse().expect("SEED is a number"),
    );
    eprintln!("SEED={seed}");
    seed
}

/// A number that seed and name decide.
pub(crate) fn drawn(seed: u64, name: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed} {name}"));
    digest.iter().take(8).fold(0, |drawn, byte| drawn << 8 | u64::from(*byte))
}

impl Nemesis {
    /// Starts it in front of `target`, as `http://127.0.0.1:PORT`.
    pub(crate) async fn start(target: &str, seed: u64, silent: BTreeSet<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let room = Arc::new(Room {
            target: target.to_owned(),
            seed,
            silent,
            http: reqwest::Client::new(),
            fates: Mutex::default(),
        });
        let router = Router::new().fallback(meet).with_state(Arc::clone(&room));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the proxy serves");
        });
        Self { url, room, server }
    }

    /// What became of each webhook, by name.
    pub(crate) fn fates(&self) -> BTreeMap<String, Fate> {
        self.room.fates.lock().expect("not poisoned").clone()
    }

    /// Each fault truly struck: about 30 % were lost, some came twice, and nothing was heard of the
    /// silent calls.
    pub(crate) fn assert_fired(&self) {
        let fates = self.fates();
        let count = |fate| fates.values().filter(|found| **found == fate).count();
        let (lost, repeated) = (count(Fate::Lost), count(Fate::Repeated));
        let share = lost * 100 / fates.len();
        assert!((20..=40).contains(&share), "{lost} of {} were lost", fates.len());
        assert!(repeated > 0, "of {} none came twice", fates.len());
        for call in &self.room.silent {
            let mut of_call = fates.iter().filter(|(name, _)| call_of(name) == call).peekable();
            assert!(of_call.peek().is_some(), "nothing was posted of {call}");
            assert!(of_call.all(|(_, fate)| *fate == Fate::Lost), "{call} was heard of");
        }
    }
}

impl Drop for Nemesis {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn call_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(call, _)| call)
}

impl Room {
    fn fate(&self, name: &str) -> Fate {
        match drawn(self.seed, name) % 100 {
            _ if self.silent.contains(call_of(name)) => Fate::Lost,
            ..LOST => Fate::Lost,
            roll if roll >= 100 - REPEATED => Fate::Repeated,
            _ => Fate::Passed,
        }
    }

    async fn forward(&self, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> StatusCode {
        let url = format!("{}{uri}", self.target);
        let request = self.http.post(url).headers(headers.clone()).body(body.clone());
        request.send().await.expect("serve answers").status()
    }
}

async fn meet(
    State(room): State<Arc<Room>>,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let name = headers.remove(NAME).expect("a name").to_str().expect("ASCII").to_owned();
    for hop in [header::HOST, header::CONTENT_LENGTH] {
        headers.remove(hop);
    }
    let fate = room.fate(&name);
    let earlier = room.fates.lock().expect("not poisoned").insert(name.clone(), fate);
    assert!(earlier.is_none(), "{name} was posted before");
    let uri = uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = uri.parse().expect("a path");
    match fate {
        Fate::Lost => StatusCode::OK,
        Fate::Passed => room.forward(&uri, &headers, &body).await,
        Fate::Repeated => {
            let twice = [room.forward(&uri, &headers, &body), room.forward(&uri, &headers, &body)];
            let statuses = futures::future::join_all(twice).await;
            *statuses.iter().max().expect("two")
        }
    }
}

impl World {
    /// Posts a webhook to the proxy, signed for `serve`'s own address; gives the status.
    pub(crate) async fn post_through(
        &self,
        nemesis: &Nemesis,
        name: &str,
        webhook: &Webhook,
    ) -> u16 {
        let organization = &self.demo.organization_id;
        let to = |path: String| self.http.post(format!("{}{path}", nemesis.url));
        let request = match webhook {
            Webhook::Vapi(body) => to(format!("/vapi/{organization}"))
                .header("x-vapi-secret", &self.demo.vapi_secret)
                .body(body.clone()),
            Webhook::Retell(body) => {
                let key = self.demo.retell_api_key.clone().into();
                to(format!("/retell/{organization}"))
                    .header("x-retell-signature", retell::auth::sign(body, &key, Utc::now()))
                    .header("content-type", "application/json")
                    .body(body.clone())
            }
            Webhook::Twilio(path, form) => {
                let path = format!("/twilio/{organization}/{path}");
                let signature = self.signed_by_twilio(&format!("{}{path}", self.api_url), form);
                to(path)
                    .header("x-twilio-signature", signature)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form.clone())
            }
        };
        let answer = request.header(NAME, name).send().await.expect("the proxy answers");
        answer.status().as_u16()
    }
}
