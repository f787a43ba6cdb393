//! Limits of the receiver: sizes, times, rates. None of them turns away a signed event of a call.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use contract::call::Provider;
use futures::StreamExt;
use reqwest::header::RETRY_AFTER;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    credentials::opening,
    harness::{
        Options, World,
        calls::{example_of, fresh_id},
        wait::until,
    },
};

const PROVIDERS: [Provider; 3] = [Provider::Vapi, Provider::Retell, Provider::Twilio];
/// Largest bodies, in bytes.
const MIB_10: usize = 10 * 1024 * 1024;
const KIB_64: usize = 64 * 1024;
/// Connections that are used at once.
const AT_ONCE: usize = 64;

impl World {
    fn address(&self) -> SocketAddr {
        self.api_url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    async fn connection(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("a connection")
    }

    /// Signed lifecycle events of every provider; each must be taken.
    async fn lifecycle_goes_on(&self) {
        for provider in PROVIDERS {
            let own = &self.demo.organization_id;
            let request = self.signed(own, provider, self.secret_of(provider), opening(provider));
            let status = request.send().await.expect("an answer").status();
            assert!(status.is_success(), "{provider}: {status}");
        }
    }

    /// Posts with a wrong secret; gives status and whether it says when to come again.
    async fn forge(&self) -> (u16, bool) {
        let own = &self.demo.organization_id;
        let request = self.signed(own, Provider::Vapi, "wrong", opening(Provider::Vapi));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.headers().contains_key(RETRY_AFTER))
    }

    /// The head of a request to a path, without its end.
    fn head(&self, path: &str, fields: &[&str]) -> String {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\n", self.address());
        for proof in ["x-vapi-secret", "x-retell-signature", "x-twilio-signature"] {
            head.push_str(&format!("{proof}: {}\r\n", self.demo.vapi_secret));
        }
        fields.iter().for_each(|field| head.push_str(&format!("{field}\r\n")));
        head
    }
}

/// The status of the answer that comes within `limit`; none where the connection is closed.
async fn status(stream: &mut (impl AsyncReadExt + Unpin), limit: Duration) -> Option<u16> {
    let mut answer = Vec::new();
    let reading = async {
        let mut part = [0; 1024];
        while !answer.ends_with(b"\r\n") {
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => break,
                Ok(length) => answer.extend_from_slice(&part[..length]),
            }
        }
    };
    timeout(limit, reading).await.expect("an answer, or an end");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_are_slowed_down_and_signed_events_never() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let forging = futures::stream::iter(0..300)
        .map(|_| world.forge())
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    let signed = async {
        for _ in 0..30 {
            world.lifecycle_goes_on().await;
        }
    };
    let (forged, ()) = tokio::join!(forging, signed);
    let (polite, slowed): (Vec<_>, Vec<_>) = forged.into_iter().partition(|one| one.0 == 401);
    assert!((100..200).contains(&polite.len()), "{}", polite.len());
    assert!(slowed.iter().all(|one| *one == (429, true)), "{slowed:?}");
    world.lifecycle_goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_drive_no_call_are_limited_and_calls_are_not() {
    // So few that a slow machine sends more.
    let environment = vec![("POSTCALL_CHATTER_PER_SECOND", "10".to_owned())];
    let world = World::with(Options { environment, no_worker: true, ..Options::default() }).await;
    let sql = "update organizations set settings = settings || '{\"keep_all_events\": true}'";
    world.db.batch_execute(sql).await.unwrap();
    let own = &world.demo.organization_id;
    let secret = &world.demo.vapi_secret;
    let begun = Instant::now();
    let example = String::from_utf8(example_of("transcript_partial", "the-call")).unwrap();
    let chat = || async {
        let body = example.replace("the-call", &fresh_id()).into_bytes();
        let answer = world.signed(own, Provider::Vapi, secret, body).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.headers().contains_key(RETRY_AFTER))
    };
    let chatting = async {
        let mut answers: BTreeMap<(u16, bool), usize> = BTreeMap::new();
        // A burst of 40 is taken, and 10 a second.
        let mut chats = futures::stream::iter(0..400).map(|_| chat()).buffer_unordered(AT_ONCE);
        while let Some(answer) = chats.next().await {
            *answers.entry(answer).or_default() += 1;
        }
        answers
    };
    let signed = async {
        for _ in 0..30 {
            world.lifecycle_goes_on().await;
        }
    };
    let (answers, ()) = tokio::join!(chatting, signed);
    eprintln!("{answers:?} in {:?}", begun.elapsed());
    assert!(answers.keys().all(|answer| [(200, false), (429, true)].contains(answer)));
    assert!(answers[&(200, false)] >= 40 && answers[&(429, true)] >= 100, "{answers:?}");
    world.lifecycle_goes_on().await;
    let sql = "select count(*) from inbox where life = 'other' and status = 'processed'";
    let kept: i64 = world.db.query_one(sql, &[]).await.unwrap().get(0);
    assert!(kept >= 40, "what was acknowledged is kept: {kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_a_largest_body_announced_or_not() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let own = &world.demo.organization_id;
    for (path, largest) in [
        (format!("/vapi/{own}"), MIB_10),
        (format!("/retell/{own}"), MIB_10),
        (format!("/twilio/{own}/status"), KIB_64),
        (format!("/twilio/{own}/recording"), KIB_64),
        (format!("/twilio/{own}/sms-status"), KIB_64),
    ] {
        let mut stream = world.connection().await;
        let announced = format!("content-length: {}", largest + 1);
        let head = world.head(&path, &[&announced]) + "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let limit = Duration::from_secs(5);
        assert_eq!(status(&mut stream, limit).await, Some(413), "{path} announced");

        let (mut reading, mut writing) = world.connection().await.into_split();
        let head = world.head(&path, &["transfer-encoding: chunked"]) + "\r\n";
        let sending = async move {
            writing.write_all(head.as_bytes()).await?;
            let chunk = [b"8000\r\n", &[b' '; 0x8000][..], b"\r\n"].concat();
            for _ in 0..largest / 0x8000 {
                writing.write_all(&chunk).await?;
            }
            // The end is not announced: only this byte tells that there is too much.
            writing.write_all(b"1\r\n \r\n").await?;
            Ok::<_, std::io::Error>(writing)
        };
        let limit = Duration::from_secs(9);
        let (answer, sent) = tokio::join!(status(&mut reading, limit), sending);
        assert_eq!(answer, Some(413), "{path} in chunks");
        drop(sent);
    }
    for (provider, largest) in
        [(Provider::Vapi, MIB_10), (Provider::Retell, MIB_10), (Provider::Twilio, KIB_64)]
    {
        let body = vec![b' '; largest];
        let request = world.signed(own, provider, world.secret_of(provider), body);
        let status = request.send().await.expect("an answer").status();
        assert!(status.is_success(), "{provider}: the largest body is read and parked: {status}");
    }
    // A body of that size takes Postgres longer than it is waited for: some come by the spool.
    until("each is in the inbox", Duration::from_secs(20), || async {
        let rows = world.db.query("select from inbox where status = 'parked'", &[]).await.ok()?;
        (rows.len() == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_end_and_hold_up_nobody() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let path = format!("/vapi/{}", world.demo.organization_id);
    // Whatever the client has sent of its first request: nothing, a byte that could become either
    // HTTP/1 or HTTP/2, half of HTTP/2's greeting (which may be refused at once), a line without its
    // end, a head without its end.
    let head = world.head(&path, &["content-length: 1000"]);
    let beginnings = ["", "P", "PRI * HTTP/2.0\r\n", "POST /vapi", &head];
    let (world, head) = (&world, &head);
    let heads = beginnings.map(|beginning| async move {
        let mut stream = world.connection().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let (begun, limit) = (Instant::now(), Duration::from_secs(34));
        let (mut reading, mut writing) = stream.into_split();
        let dripping = async {
            // Each byte comes in time; the whole never does.
            while beginning == head && writing.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = timeout(limit, async {
            tokio::select! {
                status = status(&mut reading, limit * 2) => status,
                () = dripping => None,
            }
        });
        let ended = ended.await.map(|status| (status, begun.elapsed()));
        (beginning.chars().take(20).collect::<String>(), ended)
    });
    let bodies = (0..200).map(|_| async {
        let mut stream = world.connection().await;
        let head = world.head(&path, &["content-length: 1000"]) + "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let (mut reading, mut writing) = stream.into_split();
        let dripping = async {
            while writing.write_all(b" ").await.is_ok() {
                sleep(Duration::from_millis(250)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            status = status(&mut reading, Duration::from_secs(20)) => (status, begun.elapsed()),
            () = dripping => unreachable!("it drips for ever"),
        }
    });
    let quick = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..50 {
            let begun = Instant::now();
            world.lifecycle_goes_on().await;
            slowest = slowest.max(begun.elapsed() / 3);
            sleep(Duration::from_millis(100)).await;
        }
        slowest
    };
    let (heads, bodies, slowest) =
        tokio::join!(futures::future::join_all(heads), futures::future::join_all(bodies), quick);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    for (status, after) in bodies {
        assert_eq!(status, Some(408));
        assert!(after < Duration::from_secs(9), "{after:?}");
    }
    let open: Vec<_> = heads.iter().filter(|(_, ended)| ended.is_err()).collect();
    assert!(open.is_empty(), "still open after 34 s: {open:?}");
    for (beginning, ended) in heads {
        let (status, after) = ended.unwrap();
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{beginning}: {status:?}"
        );
        let is_patient = after > Duration::from_secs(5) || beginning.starts_with("PRI");
        assert!(is_patient, "{beginning}: {after:?}");
    }
    world.lifecycle_goes_on().await;
}
