//! `postcall listen`: events on the developer's own machine, as an endpoint would get them.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chrono::Utc;
use providers::webhook_out::{new_secret, verify};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};
use uuid::Uuid;

use crate::harness::{Options, World, wait::until};

/// For a line, an event or an end; many worlds may share the machine.
const PATIENCE: Duration = Duration::from_secs(120);

type Requests = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A server as a developer has it.
struct Local {
    url: String,
    requests: Requests,
}

impl Local {
    async fn start() -> Self {
        let requests = Requests::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let take = |State(requests): State<Requests>, headers: HeaderMap, body: Bytes| async move {
            requests.lock().unwrap().push((headers, body));
            StatusCode::ACCEPTED
        };
        let app = Router::new().fallback(take).with_state(requests.clone());
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { url, requests }
    }

    async fn got(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        until("the events are forwarded", PATIENCE, || async {
            let requests = self.requests.lock().unwrap();
            (requests.len() >= count).then(|| requests.clone())
        })
        .await
    }
}

/// The running command.
struct Listening {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Listening {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command(&[&["listen"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the command runs");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it follows.
    async fn ready(&mut self) -> Vec<String> {
        let mut talk = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        while !said.iter().any(|line: &String| line.contains("whsec_")) {
            let line = timeout(PATIENCE, talk.next_line()).await.expect("it says that it follows");
            said.push(line.unwrap().expect("it goes on"));
        }
        // A full pipe would hold it.
        tokio::spawn(async move { while let Ok(Some(_)) = talk.next_line().await {} });
        said
    }

    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line in time");
        line.unwrap().expect("it goes on")
    }
}

impl World {
    /// A call whose report lies in the inbox, not in the spool of a busy machine, where the death of
    /// `serve` would hold it; gives Vapi's id of it.
    async fn stored_call(&self) -> String {
        let id = self.post_call().await;
        until("the report is stored", PATIENCE, || async {
            let sql = "select 1 from inbox where provider_call_id = $1";
            self.db.query_opt(sql, &[&id]).await.ok()?.map(drop)
        })
        .await;
        id
    }

    async fn written(&self, count: i64) {
        until("the event is written", PATIENCE, || async {
            let sql = "select count(*) from events where type = 'call.completed'";
            let written: i64 = self.db.query_one(sql, &[]).await.ok()?.get(0);
            (written == count).then_some(())
        })
        .await;
    }

    /// What deliveries of calls that were talked through send, in the order of the stream.
    async fn bodies(&self) -> Vec<(Uuid, String)> {
        let sql = "select e.id, d.body from events e join webhook_deliveries d on d.event_id = e.id
            where e.type = 'call.completed' order by e.txid, e.id";
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

fn check(request: &(HeaderMap, Bytes), event: &(Uuid, String), secret: &SecretString) {
    let (headers, body) = request;
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("webhook-id"), event.0.to_string());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(String::from_utf8_lossy(body), event.1, "the bytes of a delivery");
    let (id, time, signature) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let secrets = [secret.clone()];
    verify(id, time, signature, body, &secrets, Utc::now(), PATIENCE * 2).expect("it is signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_loses_no_event_and_repeats_none() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let local = Local::start().await;
    let secret = new_secret().unwrap();
    let wanted = "call.completed,usage.*";
    let arguments = ["--forward-to", &local.url, "--events", wanted, "--secret"];
    let arguments = [&arguments[..], &[secret.expose_secret()]].concat();
    let mut listening = Listening::start(&world, &arguments);
    listening.ready().await;

    // Before it has seen anything, and while nobody could tell it.
    let first = world.stored_call().await;
    world.kill_serve().await;
    world.start_worker(&[]).await;
    world.written(1).await;
    world.start_serve().await;
    local.got(1).await;
    world.closed(&first).await;
    // As it happens.
    let second = world.post_call().await;
    world.closed(&second).await;
    local.got(2).await;
    // After it has seen something.
    world.stored_call().await;
    world.kill_serve().await;
    world.written(3).await;
    world.start_serve().await;
    local.got(3).await;
    let fourth = world.post_call().await;
    world.closed(&fourth).await;

    let requests = local.got(4).await;
    let events = world.bodies().await;
    assert_eq!((requests.len(), events.len()), (4, 4));
    for (request, event) in requests.iter().zip(&events) {
        check(request, event, &secret);
        let line = listening.line().await;
        let words: Vec<&str> = line.split(' ').collect();
        let id = event.0.to_string();
        assert_eq!(words[1..4], ["call.completed", &id, "202"], "{line}");
        assert_eq!((words.len(), words[5]), (6, "ms"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_replayed_and_mistakes_are_told() {
    let world = World::start().await;
    let local = Local::start().await;
    for _ in 0..2 {
        let id = world.post_call().await;
        world.closed(&id).await;
    }
    let events = world.bodies().await;
    let since = events[0].0.to_string();
    let arguments = ["--forward-to", &local.url, "--since", &since, "--print", "-o", "jsonl"];
    let mut listening = Listening::start(&world, &arguments);
    let said = listening.ready().await;
    let secret = said.iter().find_map(|line| line.strip_prefix("signed with ")).unwrap();
    let request = local.got(1).await.remove(0);
    check(&request, &events[1], &SecretString::from(secret));
    let line: Value = serde_json::from_str(&listening.line().await).unwrap();
    let payload: Value = serde_json::from_str(&events[1].1).unwrap();
    assert_eq!((&line["payload"], &line["status"]), (&payload, &json!(202)));
    assert!(line["latency_ms"].is_u64(), "{line}");

    let nil = Uuid::nil().to_string();
    let arguments = ["--since", &nil, "--print", "--events", "call.completed"];
    let mut all = Listening::start(&world, &arguments);
    for (id, body) in &events {
        assert!(all.line().await.ends_with(&format!(" call.completed {id}")));
        assert_eq!(all.line().await, *body);
    }

    for (arguments, code, part) in [
        (&["--print", "--events", "call.nope"][..], 2, "call.nope"),
        (&["--print", "--since", "yesterday"], 2, "--since"),
        (&["--print", "--secret", "whsec_"], 2, "--secret"),
        (&["--forward-to", "ftp://127.0.0.1/"], 2, "--forward-to"),
        (&[], 2, "--forward-to"),
    ] {
        let (_, error, found) = world.cli(&[&["listen"], arguments].concat()).await;
        assert_eq!(found, code, "{arguments:?}: {error}");
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    let sql = "update api_keys set scopes = array['calls:read']";
    world.db.execute(sql, &[]).await.unwrap();
    // A key that was found is believed for a while.
    until("the key is refused", PATIENCE, || async {
        let refused = world.get("/v1/webhooks").await.0 == 403;
        refused.then_some(())
    })
    .await;
    let (_, error, code) = world.cli(&["listen", "--print"]).await;
    assert_eq!(code, 4, "{error}");
}
