//! Postgres restarted, read-only, locked and gone while webhooks arrive: what was acknowledged is in
//! the inbox once it is back.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::harness::{
    Options, World,
    calls::{example_of, fresh_id},
    wait::until,
};

/// Between two webhooks: a hundred a second.
const PAUSE: Duration = Duration::from_millis(10);
/// Recovery after a crash, and the emptying of the spool.
const PATIENCE: Duration = Duration::from_secs(60);

/// A webhook as its sender saw it.
#[derive(Debug, Clone)]
struct Sent {
    call: String,
    phase: &'static str,
    status: u16,
    latency: Duration,
}

/// Sends at a fixed rate, whatever the answers do.
struct Traffic {
    sent: Arc<Mutex<Vec<Sent>>>,
    phase: Arc<Mutex<&'static str>>,
    sending: tokio::task::JoinHandle<()>,
}

impl Traffic {
    fn start(world: &World) -> Self {
        let (sent, phase) = (Arc::<Mutex<Vec<Sent>>>::default(), Arc::new(Mutex::new("before")));
        let url = format!("{}/vapi/{}", world.api_url, world.demo.organization_id);
        let (http, secret) = (world.http.clone(), world.demo.vapi_secret.clone());
        let (log, now) = (sent.clone(), phase.clone());
        let sending = tokio::spawn(async move {
            let mut due = tokio::time::interval(PAUSE);
            let mut posts = tokio::task::JoinSet::new();
            loop {
                due.tick().await;
                let call = fresh_id();
                let body = example_of("status_update_queued", &call);
                let request = http.post(&url).header("x-vapi-secret", &secret).body(body);
                let (log, phase) = (log.clone(), *now.lock().expect("phase"));
                posts.spawn(async move {
                    let begun = Instant::now();
                    let answer = request.send().await;
                    let status = answer.map_or(0, |answer| answer.status().as_u16());
                    let sent = Sent { call, phase, status, latency: begun.elapsed() };
                    log.lock().expect("log").push(sent);
                });
                while posts.try_join_next().is_some() {}
            }
        });
        Self { sent, phase, sending }
    }

    fn enter(&self, phase: &'static str) {
        *self.phase.lock().expect("phase") = phase;
    }

    /// Stops sending and prints what each phase saw.
    async fn stop(self) -> Vec<Sent> {
        self.sending.abort();
        drop(self.sending.await);
        let sent = self.sent.lock().expect("log").clone();
        let phases: BTreeSet<&str> = sent.iter().map(|one| one.phase).collect();
        for phase in phases {
            print(phase, sent.iter().filter(|one| one.phase == phase));
        }
        print("all outside the restarts", sent.iter().filter(|one| one.phase != "restarting"));
        sent
    }
}

fn print<'a>(what: &str, sent: impl Iterator<Item = &'a Sent>) {
    let (mut latencies, mut refused) = (Vec::new(), 0);
    for one in sent {
        latencies.push(one.latency);
        refused += usize::from(one.status != 200);
    }
    latencies.sort();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
    eprintln!(
        "{what}: {} webhooks, {refused} not acknowledged, p50 {:?}, p99 {:?}, max {:?}",
        latencies.len(),
        at(50),
        at(99),
        at(100),
    );
}

impl World {
    /// Every acknowledged call is in the inbox, once, and no other event of it.
    async fn holds_all(&self, sent: &[Sent]) {
        let acknowledged: BTreeSet<String> =
            sent.iter().filter(|one| one.status == 200).map(|one| one.call.clone()).collect();
        assert!(!acknowledged.is_empty());
        let missing = || async {
            let rows = self.db.query("select provider_call_id from inbox", &[]).await.ok()?;
            let stored: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let distinct: BTreeSet<String> = stored.iter().cloned().collect();
            assert_eq!(stored.len(), distinct.len(), "no event is stored twice");
            Some(acknowledged.difference(&distinct).cloned().collect::<Vec<_>>())
        };
        until("every acknowledged webhook is in the inbox", PATIENCE, || async {
            missing().await.filter(Vec::is_empty)
        })
        .await;
    }

    fn spooled(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.folder.join("spool")).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "spool")).collect()
    }

    async fn post_queued(&self) -> Sent {
        let call = fresh_id();
        let body = example_of("status_update_queued", &call);
        let begun = Instant::now();
        let status = self.post(body).await;
        Sent { call, phase: "", status, latency: begun.elapsed() }
    }
}

fn own() -> Options {
    Options { own_servers: true, no_worker: true, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_read_only_and_a_locked_table_lose_nothing_that_was_acknowledged() {
    let mut world = World::with(own()).await;
    world.post_queued().await;
    let traffic = Traffic::start(&world);
    sleep(Duration::from_secs(2)).await;
    for _ in 0..10 {
        traffic.enter("restarting");
        let postgres = &mut world.servers.as_mut().expect("own").postgres;
        postgres.kill().await;
        postgres.start().await.expect("it recovers");
        traffic.enter("between restarts");
        sleep(Duration::from_millis(700)).await;
    }
    world.reconnect().await;
    traffic.enter("read only");
    let read_only = "alter system set default_transaction_read_only = on";
    world.db.batch_execute(read_only).await.expect("a setting");
    world.db.batch_execute("select pg_reload_conf()").await.expect("reloaded");
    sleep(Duration::from_secs(4)).await;
    let writable = "set session characteristics as transaction read write";
    world.db.batch_execute(writable).await.expect("a setting");
    let reset = "alter system reset default_transaction_read_only";
    world.db.batch_execute(reset).await.expect("a setting");
    world.db.batch_execute("select pg_reload_conf()").await.expect("reloaded");
    traffic.enter("writable again");
    sleep(Duration::from_secs(2)).await;
    traffic.enter("locked");
    let lock = "begin; lock table inbox in access exclusive mode";
    world.db.batch_execute(lock).await.expect("a lock");
    sleep(Duration::from_secs(8)).await;
    world.db.batch_execute("rollback").await.expect("unlocked");
    traffic.enter("unlocked");
    sleep(Duration::from_secs(2)).await;
    let sent = traffic.stop().await;
    world.holds_all(&sent).await;
    let refused: Vec<_> = sent.iter().filter(|one| one.status != 200).collect();
    assert!(refused.is_empty(), "the spool takes what Postgres does not: {refused:?}");
    let spooled = world.db.query_one("select count(*) from inbox where origin = 'spool'", &[]);
    assert!(spooled.await.expect("a count").get::<_, i64>(0) > 100, "the spool was in use");

    world.start_worker(&[]).await;
    until("all is processed", PATIENCE, || async {
        let sql = "select count(*) from inbox where status <> 'processed'";
        let left: i64 = world.db.query_one(sql, &[]).await.ok()?.get(0);
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_outlives_its_process_and_a_record_that_was_cut() {
    let mut world = World::with(own()).await;
    let mut sent = vec![world.post_queued().await];
    world.servers.as_mut().expect("own").postgres.kill().await;
    for _ in 0..20 {
        sent.push(world.post_queued().await);
    }
    assert!(sent.iter().all(|one| one.status == 200), "{sent:?}");
    world.kill_serve().await;
    let segments = world.spooled();
    assert!(!segments.is_empty());
    let newest = segments.iter().max().expect("a segment");
    // As a crash in the middle of a write leaves it: the head of a record, and half of its body.
    let whole = std::fs::read(newest).expect("a segment");
    let mut segment = OpenOptions::new().append(true).open(newest).expect("a segment");
    const HEADER: usize = 56;
    segment.write_all(&whole[HEADER..whole.len().min(HEADER + 500)]).expect("a torn record");
    drop(segment);

    world.start_serve().await;
    let unknown = world.post_queued().await;
    assert_eq!(unknown.status, 503, "a fresh process knows no secret while Postgres is down");
    world.servers.as_mut().expect("own").postgres.start().await.expect("it recovers");
    world.reconnect().await;
    world.holds_all(&sent).await;
    let sql = "select provider_call_id from inbox where origin = 'spool' order by received_at";
    let rows = world.db.query(sql, &[]).await.expect("the inbox");
    let order: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    // The first may have gone there too, where Postgres was slow to begin with.
    let spooled = sent.iter().map(|one| &one.call).filter(|call| order.contains(call));
    let expected: Vec<String> = spooled.cloned().collect();
    assert_eq!(order, expected, "in the order in which they came");
    assert!(sent[1..].iter().all(|one| order.contains(&one.call)));
    until("the spool is empty", PATIENCE, || async {
        // The segment in use may stay, but holds nothing.
        world
            .spooled()
            .iter()
            .all(|path| path.metadata().is_ok_and(|m| m.len() < 100))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_answers_503_and_what_it_took_is_kept() {
    let full = [("POSTCALL_SPOOL_MAX_BYTES", "30000".to_owned())];
    let mut world = World::with(Options { environment: full.to_vec(), ..own() }).await;
    let mut sent = vec![world.post_queued().await];
    world.servers.as_mut().expect("own").postgres.kill().await;
    for _ in 0..60 {
        sent.push(world.post_queued().await);
    }
    let taken = sent.iter().filter(|one| one.status == 200).count();
    assert!((2..60).contains(&taken), "{taken}");
    assert!(sent.iter().all(|one| [200, 503].contains(&one.status)), "{sent:?}");
    let url = format!("{}/vapi/{}", world.api_url, world.demo.organization_id);
    let request = world.http.post(url).header("x-vapi-secret", &world.demo.vapi_secret);
    let refused = request.body(example_of("status_update_queued", &fresh_id())).send().await;
    let refused = refused.expect("an answer");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    world.servers.as_mut().expect("own").postgres.start().await.expect("it recovers");
    world.reconnect().await;
    world.holds_all(&sent).await;
    until("acknowledged by the inbox again", PATIENCE, || async {
        let sent = world.post_queued().await;
        let sql = "select origin from inbox where provider_call_id = $1";
        let row = world.db.query_opt(sql, &[&sent.call]).await.ok()??;
        (row.get::<_, String>(0) == "webhook").then_some(())
    })
    .await;
}
