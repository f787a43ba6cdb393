//! Bad input: a clear answer, nothing lost, no 5xx.

use std::time::{Duration, Instant};

use contract::call::Provider;
use futures::StreamExt;
use providers::twilio;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::harness::{
    Options, World,
    calls::{PATIENCE, REPORT, example_of, fresh_id, report_with},
    signed::{fresh_call, retell_event, twilio_form},
    wait::until,
};

const PROVIDERS: [Provider; 3] = [Provider::Vapi, Provider::Retell, Provider::Twilio];
/// Planted in bodies: neither a reason nor a log may quote them.
const MARK: &str = "zebra-4711";
/// Most memory that `serve` may ever have had, in KiB: about 60 MB of its own, and some bodies.
const MOST_KIB: u64 = 400 * 1024;
/// Longest callback of Twilio that is read, in bytes.
const LARGEST_CALLBACK: usize = 64 * 1024;
/// Connections that are used at once.
const AT_ONCE: usize = 16;

impl World {
    async fn post_to(
        &self,
        organization: &str,
        secret: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, String) {
        let mut request = self.http.post(format!("{}/vapi/{organization}", self.api_url));
        if let Some(secret) = secret {
            request = request.header("x-vapi-secret", secret);
        }
        let answer = request.body(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    async fn inbox(&self) -> Vec<(String, String)> {
        let sql = "select status, coalesce(parked_reason, '') from inbox order by received_at, id";
        let rows = self.db.query(sql, &[]).await.expect("the inbox");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_request_is_refused_and_leaves_nothing() {
    let world = World::start().await;
    let own = world.demo.organization_id.clone();
    let wrong = world.post_to(&own, Some("wrong"), REPORT.to_vec()).await;
    assert_eq!(wrong.0, 401);
    let secret = Some(world.demo.vapi_secret.as_str());
    let stranger = uuid::Uuid::now_v7().to_string();
    for (organization, secret) in [
        (own.as_str(), None),
        (own.as_str(), Some("")),
        (stranger.as_str(), secret),
        ("no-id", secret),
    ] {
        let answer = world.post_to(organization, secret, REPORT.to_vec()).await;
        assert_eq!(answer, wrong, "all refusals look alike");
    }
    assert_eq!(world.inbox().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_parked_and_what_drives_no_call_is_answered() {
    let world = World::start().await;
    let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
    let poison: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "not JSON"),
        (b"not json".to_vec(), "not JSON"),
        (deep, "nested"),
        (report_with(&fresh_id(), &json!({ "transcript": "a\u{0}b" })), "NUL"),
        (br#"{"message":{"type":"status-update","status":"ended"}}"#.to_vec(), "call"),
        (
            br#"{"message":{"type":"end-of-call-report","cost":1e309,"call":{"id":"x"}}}"#.to_vec(),
            "out of range",
        ),
        (br#"{"message":{"type":"hang","note":"\ud800","call":{"id":"x"}}}"#.to_vec(), "surrogate"),
    ];
    for (body, _) in &poison {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(world.post(body.clone()).await, 200, "{shown}");
    }
    // Where Postgres is slow some come by the spool.
    let inbox = until("each is stored", PATIENCE, || async {
        let inbox = world.inbox().await;
        (inbox.len() >= poison.len()).then_some(inbox)
    })
    .await;
    assert_eq!(inbox.len(), poison.len(), "each is stored once: {inbox:?}");
    assert!(inbox.iter().all(|(status, _)| status == "parked"), "{inbox:?}");
    for (_, word) in &poison {
        let told = inbox.iter().any(|(_, reason)| reason.contains(word));
        assert!(told, "{inbox:?} should tell of {word:?}");
    }

    assert_eq!(world.post(br#"{"message":{"type":"from-the-future"}}"#.to_vec()).await, 200);
    assert_eq!(world.inbox().await.len(), poison.len(), "dropped by default");
    let own = world.demo.organization_id.clone();
    let secret = Some(world.demo.vapi_secret.as_str());
    let tools = include_bytes!("../fixtures/vapi/tool_calls.json").to_vec();
    let (status, reply) = world.post_to(&own, secret, tools).await;
    assert_eq!(status, 200);
    assert!(reply.contains("call_W5Li5VmfGO1r4i1gCwYxYhRP"), "{reply}");
    let ask = include_bytes!("../fixtures/vapi/assistant_request.json").to_vec();
    let (status, reply) = world.post_to(&own, secret, ask).await;
    assert!(status == 200 && (reply.contains("assistantId") || reply.contains("error")), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_20_mb_is_refused_and_odd_reports_are_understood() {
    let world = World::start().await;
    assert_eq!(world.post(vec![b' '; 20 * 1024 * 1024]).await, 413);
    assert_eq!(world.inbox().await, []);

    let text_numbers = fresh_id();
    let body = json!({ "message": { "type": "end-of-call-report", "durationSeconds": "61.5",
        "cost": "0.25", "call": { "id": text_numbers } } });
    assert_eq!(world.post(body.to_string().into_bytes()).await, 200);
    let call = world.closed(&text_numbers).await;
    assert_eq!((&call["billed_minutes"], &call["cost_usd"]), (&json!(2), &json!(0.25)));

    let bare = fresh_id();
    let body = json!({ "message": { "type": "end-of-call-report", "call": { "id": bare } } });
    assert_eq!(world.post(body.to_string().into_bytes()).await, 200);
    let call = world.closed(&bare).await;
    assert_eq!(call["billed_minutes"], 0, "{call}");

    let long = fresh_id();
    let talk = "User: one more sentence about nothing.\n".repeat(130_000);
    let body = report_with(&long, &json!({ "transcript": talk, "artifact": {} }));
    assert!(body.len() > 5_000_000);
    assert_eq!(world.post(body).await, 200);
    let call = world.closed(&long).await;
    assert_eq!(call["status"], "completed");
}

/// A report, the last word of a call, with something in it that another delivery may differ in.
fn report(world: &World, provider: Provider, id: &str, variant: &str) -> Vec<u8> {
    let audio = json!({ "recording_url": format!("{}/retell/{id}.wav", world.fakes.url()),
        "recording_multi_channel_url": null, "metadata": { "note": variant } });
    match provider {
        Provider::Vapi => report_with(id, &json!({ "note": variant })),
        Provider::Retell => retell_event("call_analyzed", id, &audio),
        Provider::Twilio => {
            format!("{}&Note={variant}", twilio_form("voice_status_completed", id)).into_bytes()
        }
    }
}

impl World {
    fn by(&self, provider: Provider, body: Vec<u8>) -> RequestBuilder {
        self.signed(&self.demo.organization_id, provider, self.secret_of(provider), body)
    }

    /// JSON as Twilio sends it: the URL names its hash, and is all that is signed.
    fn by_twilio_in_json(&self, body: Vec<u8>) -> RequestBuilder {
        let url = self.webhook_url(&self.demo.organization_id, Provider::Twilio);
        let url = format!("{url}?bodySHA256={}", hex::encode(Sha256::digest(&body)));
        let token = self.demo.twilio_auth_token.clone().into();
        let request = self.http.post(&url).header("content-type", "application/json");
        request.header("x-twilio-signature", twilio::auth::sign(&url, b"", &token)).body(body)
    }

    /// Posts all of them, some at a time; gives the statuses in their order.
    async fn post_all(&self, requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<u16> {
        let answers = futures::stream::iter(requests)
            .map(|request| async { request.send().await.expect("an answer").status().as_u16() });
        answers.buffered(AT_ONCE).collect().await
    }

    /// Process id of `serve`: the process that listens where this world does.
    fn serve_pid(&self) -> u32 {
        let listen = format!("POSTCALL_LISTEN={}", self.api_url.trim_start_matches("http://"));
        let is_ours = |pid: &u32| {
            let read = |what| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            let has =
                |what, text: &str| read(what).split(|b| *b == 0).any(|t| t == text.as_bytes());
            has("cmdline", "serve") && has("environ", &listen)
        };
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(is_ours).expect("serve is alive")
    }

    /// The most memory that `serve` ever had, in KiB.
    fn serve_peak_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.serve_pid());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Every event has ended, in order or parked for a reason that quotes nothing of it.
    async fn all_has_ended_and_nothing_is_quoted(&self) {
        until("every event is processed or parked", PATIENCE * 2, || async {
            let inbox = self.inbox().await;
            inbox.iter().all(|(status, _)| status != "received").then_some(())
        })
        .await;
        let inbox = self.inbox().await;
        assert!(inbox.iter().all(|(status, reason)| (status == "parked") != reason.is_empty()));
        let told: String = inbox.into_iter().map(|(_, reason)| reason).collect();
        let told = told + &self.log("serve") + &self.log("worker");
        assert!(!told.contains(MARK), "a body is quoted");
        assert!(!told.contains("panicked"), "{told}");
    }

    /// How many events Postgres did not take in time: they may be stored, and counted, twice.
    async fn went_to_the_spool(&self) -> i32 {
        let metrics = self.http.get(format!("{}/metrics", self.api_url)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("postcall_spooled_events_total "));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// Rows of a call's events, conflicts and the body of the first.
    async fn first_of(&self, provider: Provider, id: &str) -> (usize, i32, Vec<u8>) {
        let sql = "select conflicts, body from inbox where call_id = $1";
        let rows = self.db.query(sql, &[&self.call_of(provider, id).0]).await.unwrap();
        (rows.len(), rows[0].get(0), rows[0].get(1))
    }

    /// Waits for a number of conflicts: exactly that many, unless Postgres was slow.
    async fn has_conflicts(&self, provider: Provider, id: &str, expected: i32) {
        until(&format!("{expected} conflicts of {provider}"), Duration::from_secs(20), || async {
            (self.first_of(provider, id).await.1 >= expected).then_some(())
        })
        .await;
        let conflicts = self.first_of(provider, id).await.1;
        let most = expected + self.went_to_the_spool().await;
        assert!(conflicts <= most, "{provider}: {conflicts} in place of {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_are_one_and_another_body_is_a_conflict() {
    let world = World::start().await;
    for provider in PROVIDERS {
        let id = fresh_call(provider);
        let first = report(&world, provider, &id, "first");
        let posts = (0..200).map(|_| world.by(provider, first.clone()).send());
        let answers = futures::future::join_all(posts).await;
        let refused = answers.iter().filter(|one| !one.as_ref().unwrap().status().is_success());
        assert_eq!(refused.count(), 0, "{provider}");
        until("it is stored", PATIENCE, || async {
            let sql = "select from inbox where call_id = $1";
            let call = world.call_of(provider, &id).0;
            world.db.query_opt(sql, &[&call]).await.ok()?.map(|_| ())
        })
        .await;
        assert_eq!(world.first_of(provider, &id).await, (1, 0, first.clone()), "{provider}");

        let other = |variant: usize| report(&world, provider, &id, &variant.to_string());
        let one = world.by(provider, other(1)).send().await.unwrap().status();
        assert!(one.is_success(), "{provider}: {one}");
        world.has_conflicts(provider, &id, 1).await;
        let posts = (0..50).map(|variant| world.by(provider, other(variant)).send());
        let answers = futures::future::join_all(posts).await;
        assert!(answers.iter().all(|one| one.as_ref().unwrap().status().is_success()));
        world.has_conflicts(provider, &id, 51).await;
        assert!(world.by(provider, first.clone()).send().await.unwrap().status().is_success());
        let (rows, _, body) = world.first_of(provider, &id).await;
        assert_eq!((rows, body), (1, first), "{provider}: the first wins");
        let call = world.closed_of(provider, &id).await;
        assert_eq!(call["status"], "completed", "{provider}");

        let id = fresh_call(provider);
        let bodies = (0..50).map(|variant| report(&world, provider, &id, &variant.to_string()));
        let posts = bodies.map(|body| world.by(provider, body).send());
        let answers = futures::future::join_all(posts).await;
        assert!(answers.iter().all(|one| one.as_ref().unwrap().status().is_success()));
        world.closed_of(provider, &id).await;
        world.has_conflicts(provider, &id, 49).await;
        assert_eq!(world.first_of(provider, &id).await.0, 1, "{provider}");
    }
}

/// A gzip file (RFC 1952) of one stored block.
fn gzip(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len().min(0xffff)).unwrap();
    let text = &text[..usize::from(length)];
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    let lengths = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
    let sum = crc32fast::hash(text).to_le_bytes();
    [&head, &lengths[..], text, &sum, &u32::from(length).to_le_bytes()].concat()
}

fn cuts(body: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..40).map(|part| body[..body.len() * part / 40].to_vec())
}

/// What may become of a good JSON body that holds [`MARK`] in a text.
fn json_poison(body: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains(MARK) && text.starts_with('{'));
    let marked = |with: &[u8]| {
        let at = text.find(MARK).unwrap();
        [&body[..at], MARK.as_bytes(), with, &body[at + MARK.len()..]].concat()
    };
    let first = |member: &str| format!("{{{member},{}", &text[1..]).into_bytes();
    let nested =
        |open: &str, close: &str| [open.repeat(1_000_000), close.repeat(1_000_000)].concat();
    let mut poison = vec![
        b"   ".to_vec(),
        b"null".to_vec(),
        format!("[\"{MARK}\"]").into_bytes(),
        format!("\"{MARK}\"").into_bytes(),
        b"1e309".to_vec(),
        marked(br"\u0000"),
        marked(b"\0"),
        marked(br"\ud800"),
        marked(br"\udc00\ud800"),
        marked(br"\ud83dA"),
        marked(b"\xff\xfe"),
        marked(b"\xc0\x80"),
        marked(b"\n"),
        nested("[", "]").into_bytes(),
        nested("{\"a\":", "}").into_bytes(),
        "[".repeat(1_000_000).into_bytes(),
        first(&format!("\"x\":{}", "[".repeat(100_000))),
        first("\"x\":1e309"),
        first(&format!("\"x\":{}", "9".repeat(100_000))),
        first(&format!("\"x\":\"{}\"", "long ".repeat(1_000_000))),
        [body, b"}"].concat(),
        [b"\xef\xbb\xbf", body].concat(),
        gzip(body),
        (0..2_000).map(|n| format!("{MARK}{n}={n}&")).collect::<String>().into_bytes(),
        format!("{MARK}=%zz&%=%1").into_bytes(),
    ];
    poison.extend(cuts(body));
    poison
}

/// What may become of a good form that holds [`MARK`] as a value.
fn form_poison(body: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let marked = |with: &[u8]| {
        let at = text.find(MARK).unwrap() + MARK.len();
        [&body[..at], with, &body[at..]].concat()
    };
    let mut poison = vec![
        marked(b"%00"),
        marked(b"\0"),
        marked(b"%ed%a0%80"),
        marked(b"\xff"),
        marked(b"%ff%fe"),
        marked(b"%zz"),
        marked(b"%"),
        marked(b"%2"),
        marked("9".repeat(40_000).as_bytes()),
        marked(&b"&CallSid=CA0&CallStatus=ringing".repeat(200)),
        marked(&b"&".repeat(900)),
        (0..2_000).map(|n| format!("{MARK}{n}={n}&")).collect::<String>().into_bytes(),
        b"=".to_vec(),
        b"&&&".to_vec(),
        MARK.as_bytes().to_vec(),
        "[".repeat(60_000).into_bytes(),
        "{\"a\":".repeat(10_000).into_bytes(),
        br#"{"CallSid":"\u0000","CallStatus":1e309}"#.to_vec(),
        vec![b'x'; LARGEST_CALLBACK],
        gzip(body),
    ];
    poison.extend(cuts(body));
    poison
}

/// A signed request that is bad in some way.
struct Poison {
    provider: Provider,
    sha256: Vec<u8>,
    request: RequestBuilder,
}

/// The corpus for all providers.
fn poison(world: &World) -> Vec<Poison> {
    let good = |provider| report(world, provider, &fresh_call(provider), MARK);
    let signed = |provider, body: Vec<u8>| Poison {
        provider,
        sha256: Sha256::digest(&body).to_vec(),
        request: world.by(provider, body),
    };
    let mut corpus = Vec::new();
    for provider in PROVIDERS {
        let bodies = match provider {
            Provider::Twilio => form_poison(&good(provider)),
            _ => json_poison(&good(provider)),
        };
        corpus.extend(bodies.into_iter().map(|body| signed(provider, body)));
        for body in [gzip(&good(provider)), good(provider)] {
            let Poison { sha256, request, .. } = signed(provider, body);
            let request = request.header("content-encoding", "gzip");
            corpus.push(Poison { provider, sha256, request });
        }
    }
    let form = good(Provider::Twilio);
    let fields = form_urlencoded::parse(&form).map(|(name, value)| (name.into(), value.into()));
    let fields = Value::Object(fields.collect()).to_string();
    for body in json_poison(fields.as_bytes()) {
        // A longer one is refused at any time, perhaps before all is sent: see the tests of limits.
        if body.len() <= LARGEST_CALLBACK {
            let sha256 = Sha256::digest(&body).to_vec();
            let (provider, request) = (Provider::Twilio, world.by_twilio_in_json(body));
            corpus.push(Poison { provider, sha256, request });
        }
    }
    corpus
}

/// What was taken is stored once; of the same key the first. Postgres takes longer for large bodies
/// than it is waited for, so some come by the spool.
async fn all_is_stored(world: &World, taken: &[(Provider, Vec<u8>)]) {
    until("what was taken is stored", PATIENCE, || async {
        let sql = "select provider, body_sha256 from inbox";
        let rows = world.db.query(sql, &[]).await.ok()?;
        let stored: Vec<(String, Vec<u8>)> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let has = |one: &(Provider, Vec<u8>)| {
            stored.iter().filter(|row| row.0 == one.0.as_str() && row.1 == one.1).count() == 1
        };
        // Cut forms have the key of the whole, and are conflicts; see the test of those.
        let mut others = taken.iter().filter(|one| one.0 != Provider::Twilio);
        others.all(has).then_some(())
    })
    .await;
    until("each provider's poison is parked", PATIENCE, || async {
        let sql = "select provider, count(*) from inbox where status = 'parked'
                   group by provider having count(*) >= 50";
        (world.db.query(sql, &[]).await.ok()?.len() == PROVIDERS.len()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_parked_or_refused_and_memory_stays_bounded() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.without_options().await;
    let (pid, before) = (world.serve_pid(), world.serve_peak_kib());
    let (mut sent, mut requests) = (Vec::new(), Vec::new());
    for Poison { provider, sha256, request } in poison(&world) {
        sent.push((provider, sha256));
        requests.push(request);
    }
    assert!(sent.len() > 200);
    let answers = world.post_all(requests).await;
    let mut taken = Vec::new();
    for (status, one) in answers.iter().zip(&sent) {
        assert!([200, 204, 401].contains(status), "{}: {status} in {answers:?}", one.0);
        if *status != 401 {
            taken.push(one.clone());
        }
    }
    // Twilio's signature covers a thousand parameters: a form with more proves nothing.
    assert_eq!(sent.len() - taken.len(), 1, "what is signed is parked: {answers:?}");
    all_is_stored(&world, &taken).await;

    // Much of it at once, and more than any body may have.
    let large = (0..8).map(|n| world.by(Provider::Vapi, vec![b'['; 10_000_000 + n]));
    let answers = world.post_all(large).await;
    // On a busy machine one may take longer than a body has time for; its provider sends it again.
    let late = answers.iter().enumerate().filter(|(_, status)| **status == 408);
    let again = late.map(|(n, _)| world.by(Provider::Vapi, vec![b'['; 10_000_000 + n]));
    let again = world.post_all(again).await;
    let mut answers = answers.iter().filter(|status| **status != 408).chain(&again);
    assert!(answers.all(|status| *status == 200), "{again:?}");
    let endless =
        futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'['; 65_536])).take(1_600);
    let endless = world.by(Provider::Vapi, Vec::new()).body(reqwest::Body::wrap_stream(endless));
    // The answer is lost where the rest of the body meets a closed connection.
    if let Ok(answer) = endless.send().await {
        assert_eq!(answer.status(), 413);
    }
    assert_eq!(world.serve_pid(), pid, "the same process");
    let after = world.serve_peak_kib();
    eprintln!("serve had at most {before} KiB before and {after} KiB after");
    assert!(after < MOST_KIB, "{after} KiB");
    world.start_worker(&[]).await;
    world.all_has_ended_and_nothing_is_quoted().await;
    let call = world.post_call().await;
    world.closed(&call).await;
}

/// Places of all values in a document.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
            members.iter().map(|(name, value)| (escaped(name), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in below {
        pointers(value, format!("{at}/{name}"), found);
    }
    found.push(at);
}

/// The document again and again, each time with another value of another type than it should have.
fn mistyped(document: &dyn Fn() -> Vec<u8>) -> Vec<Vec<u8>> {
    let odd = [
        json!(null),
        json!("12"),
        json!(-1),
        json!([]),
        json!(1e300),
        json!({ "a": MARK }),
        json!(true),
        json!("99999999999999999999"),
        json!([[{ "a": [MARK] }]]),
        json!(u64::MAX),
        json!(""),
        json!("0000-13-45T99:99:99Z"),
        json!(-0.5),
    ];
    let mut places = Vec::new();
    pointers(&serde_json::from_slice(&document()).unwrap(), String::new(), &mut places);
    let bodies = places.iter().enumerate().map(|(n, place)| {
        let mut body: Value = serde_json::from_slice(&document()).unwrap();
        *body.pointer_mut(place).unwrap() = odd[n % odd.len()].clone();
        body.to_string().into_bytes()
    });
    bodies.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_wrong_types_end_as_calls_or_parked() {
    let world = World::start().await;
    world.without_options().await;
    let begun = Instant::now();
    let vapi = || example_of("end_of_call_report", &fresh_id());
    let ended = || example_of("status_update_ended", &fresh_id());
    let retell = || report(&world, Provider::Retell, &fresh_call(Provider::Retell), "x");
    let mut requests = Vec::new();
    for (provider, bodies) in [
        (Provider::Vapi, mistyped(&vapi)),
        (Provider::Vapi, mistyped(&ended)),
        (Provider::Retell, mistyped(&retell)),
    ] {
        requests.extend(bodies.into_iter().map(|body| world.by(provider, body)));
    }
    let form = |id: &str| String::from_utf8(report(&world, Provider::Twilio, id, "x")).unwrap();
    let odd = ["", "abc", "-1", "1e309", "99999999999999999999", "%F0%9F%98%80", "%00", "1.5"];
    for (n, pair) in form("").split('&').enumerate() {
        let (name, _) = pair.split_once('=').unwrap();
        for skip in 0..3 {
            let form = form(&fresh_call(Provider::Twilio));
            let pairs = form.split('&').map(|pair| match pair.split_once('=') {
                Some((of, _)) if of == name => format!("{name}={}", odd[(n + skip) % odd.len()]),
                _ => pair.to_owned(),
            });
            let body = pairs.collect::<Vec<_>>().join("&");
            requests.push(world.by(Provider::Twilio, body.into_bytes()));
        }
    }
    let sent = requests.len();
    let answers = world.post_all(requests).await;
    assert!(answers.iter().all(|status| [200, 204].contains(status)), "{answers:?}");
    assert!(sent > 500, "{sent}");
    world.all_has_ended_and_nothing_is_quoted().await;
    let inbox = world.inbox().await;
    let parked = inbox.iter().filter(|(status, _)| status == "parked").count();
    eprintln!("{sent} sent, {} stored, {parked} parked, {:?}", inbox.len(), begun.elapsed());
    assert!(parked > 0 && parked * 5 < inbox.len(), "{parked} of {}", inbox.len());
    let (mut shown, mut path) = (0, "/v1/calls?limit=100&from=2026-11-01T00:00:00Z".to_owned());
    loop {
        let (status, page) = world.get(&path).await;
        assert_eq!(status, 200, "{page}");
        shown += page["data"].as_array().unwrap().len();
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/calls?limit=100&from=2026-11-01T00:00:00Z&cursor={next}");
    }
    assert!(shown > 400, "{shown} calls can be shown");
}
