//! The queue: fair to every endpoint, by its rate and its order, and closed to one that only fails.

use std::time::Duration;

use postcall::dev::fakes::Provider;
use serde_json::json;
use tokio::time::sleep;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{made::PATIENCE, script};
use crate::harness::{
    World,
    plans::{pages_read, statement},
    wait::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_holds_up_no_other() {
    let world = World::start().await;
    let hung = world.open_endpoint("hung", "").await;
    let quick = world.open_endpoint("quick", "").await;
    let hangs = json!({ "answers": [{ "delay_ms": 600_000 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("hung"), script(hangs));
    world.enqueue(hung, None, 300).await;
    world.enqueue(quick, None, 300).await;
    world.done_with(quick).await;
    assert_eq!(world.states(quick).await, [("delivered".to_owned(), 300)]);
    let sql = "select attempts from webhook_deliveries where webhook_id = $1 and attempts > 0";
    let failed = world.db.query(sql, &[&hung]).await.unwrap().len();
    assert!(failed < 100, "{failed} of the hung one had ended before");

    // Its time is up for some of them, and then it gets no more than a probe.
    until("the circuit opens", PATIENCE, || async {
        let sql = "select circuit, last_error from webhooks where id = $1";
        let row = world.db.query_one(sql, &[&hung]).await.unwrap();
        let (circuit, error): (String, Option<String>) = (row.get(0), row.get(1));
        (circuit != "closed").then(|| assert_eq!(error.as_deref(), Some("timeout")))
    })
    .await;
    let tried = world.reached("hung").len();
    assert!(tried <= 64, "{tried} attempts at an endpoint that hangs");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_open_the_circuit_and_a_probe_that_arrives_closes_it() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("broken", "").await;
    let broken = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("broken"), script(broken));
    let events = world.enqueue(endpoint, None, 200).await;
    let circuit = async || -> String {
        let sql = "select circuit from webhooks where id = $1";
        world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0)
    };
    until("the circuit opens", PATIENCE, async || (circuit().await == "open").then_some(())).await;
    // Attempts that were under way when it opened, and those of a look that had begun before.
    sleep(Duration::from_secs(1)).await;
    until("nothing is under way", PATIENCE, || async {
        let sql = "select count(*) from webhook_deliveries
            where webhook_id = $1 and attempting_since is not null";
        let under_way: i64 = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
        (under_way == 0).then_some(())
    })
    .await;
    let tried = world.reached("broken").len();
    assert!((20..=128).contains(&tried), "{tried} attempts");
    // A probe that fails is alone, and the next one is farther away.
    let probe = "circuit_probe_at = now() - interval '1 second'";
    world.set_endpoint(endpoint, probe).await;
    until("the probe has failed", PATIENCE, || async {
        let sql = "select circuit_trips from webhooks where id = $1";
        let trips: i32 = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
        (trips == 2).then_some(())
    })
    .await;
    assert_eq!(world.reached("broken").len(), tried + 1);

    world.fakes.script(Provider::Hooks, Some("broken"), script(json!({ "answers": [{}] })));
    world.set_endpoint(endpoint, probe).await;
    world
        .db
        .execute(
            "update webhook_deliveries set next_attempt_at = now()
             where webhook_id = $1 and state = 'pending' and owner = 'queue'",
            &[&endpoint],
        )
        .await
        .unwrap();
    world.done_with(endpoint).await;
    assert_eq!(circuit().await, "closed");
    assert_eq!(world.states(endpoint).await, [("delivered".to_owned(), 200)]);
    let mut taken = world.delivered_to("broken");
    taken.sort_unstable();
    assert_eq!(taken, events, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_without_anything_to_probe_is_open_again_and_not_half_open_for_long() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("probed", "").await;
    let far = "circuit = 'open', circuit_trips = 1, circuit_probe_at = now() + interval '1 hour'";
    world.set_endpoint(endpoint, far).await;
    world.enqueue(endpoint, None, 1).await;
    // Somebody else is at work on it.
    let other = world.another_connection().await;
    let hold = "begin; select from webhook_deliveries for update";
    other.batch_execute(hold).await.unwrap();
    world.set_endpoint(endpoint, "circuit_probe_at = now(), circuit_probe = id").await;
    until("nothing was found to probe", PATIENCE, || async {
        let sql = "select circuit = 'open' and circuit_probe is null from webhooks where id = $1";
        let is_open: bool = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
        is_open.then_some(())
    })
    .await;
    other.batch_execute("rollback").await.unwrap();
    world.done_with(endpoint).await;
    let sql = "select circuit from webhooks where id = $1";
    let circuit: String = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
    assert_eq!((circuit.as_str(), world.delivered_to("probed").len()), ("closed", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_endpoints_of_an_organization_that_hang_leave_room_for_others() {
    const HUNG: usize = 20;
    let world = World::start().await;
    let other = world.second_organization().await;
    let quick = other.organization_id.parse().unwrap();
    let quick = world.open_endpoint_of(quick, "quick", "").await;
    let hangs = json!({ "answers": [{ "delay_ms": 600_000 }], "then": "repeat_last" });
    let mut names = Vec::new();
    for number in 0..HUNG {
        let name = format!("hung-{number}");
        world.fakes.script(Provider::Hooks, Some(&name), script(hangs.clone()));
        let endpoint = world.open_endpoint(&name, "").await;
        world.enqueue(endpoint, None, 30).await;
        names.push(name);
    }
    let under_way = || names.iter().map(|name| world.reached(name).len()).sum::<usize>();
    until("its share is under way", PATIENCE, || async { (under_way() >= 128).then_some(()) })
        .await;
    let own = world.open_endpoint("own", "").await;
    world.enqueue(quick, None, 300).await;
    world.enqueue(own, None, 300).await;
    world.done_with(quick).await;
    assert_eq!(world.states(quick).await, [("delivered".to_owned(), 300)]);
    // And of the organization's own: whoever has the fewest attempts under way is the next.
    world.done_with(own).await;
    assert_eq!(world.states(own).await, [("delivered".to_owned(), 300)]);
    // What hangs for ten seconds makes room for as much again.
    assert!(under_way() <= 3 * 128, "{} attempts at endpoints that hang", under_way());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_what_it_holds_back_is_told() {
    const RATE: usize = 20;
    const EVENTS: usize = 70;
    let world = World::start().await;
    let endpoint = world.open_endpoint("rated", &format!("rate_limit = {RATE}")).await;
    world.enqueue(endpoint, None, EVENTS).await;
    world.done_with(endpoint).await;
    let arrived = world.reached("rated");
    assert_eq!(arrived.len(), EVENTS);
    // By when they came: a second has no more than its share, but for what a late look makes up for and
    // for the time of the way itself.
    for (index, effect) in arrived.iter().enumerate() {
        let within = arrived[index..]
            .iter()
            .take_while(|later| (later.at - effect.at).num_milliseconds() < 900)
            .count();
        assert!(within <= RATE + 2, "{within} within 0.9 s");
    }
    let sql = "select count(*) from webhook_logs
        where webhook_id = $1 and kind = 'skip' and error = 'rate-limited'";
    let held: i64 = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
    assert!(held > 0, "nobody was told of what waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_late_is_found_behind_the_front_of_its_endpoint() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("late", "").await;
    // So that looks begin at the front.
    let old = taken_before_an_old_snapshot(&world, endpoint, TAKEN).await;
    let late = world.another_connection().await;
    let insert = format!(
        "begin;
         insert into webhook_deliveries (id, organization_id, event_id, webhook_id, body, event,
             next_attempt_at)
         select gen_random_uuid(), organization_id, gen_random_uuid(), id,
             '{{\"type\": \"test.event\"}}', 'test.event', now()
         from webhooks where id = '{endpoint}'"
    );
    late.batch_execute(&insert).await.unwrap();
    for _ in 0..20 {
        world.enqueue(endpoint, None, 1).await;
        sleep(Duration::from_millis(100)).await;
    }
    world.done_with(endpoint).await;
    assert_eq!(world.reached("late").len(), 20);
    late.batch_execute("commit").await.unwrap();
    world.done_with(endpoint).await;
    assert_eq!(world.reached("late").len(), 21);
    old.batch_execute("rollback").await.unwrap();
}

/// Enough for a walk to be slow, also on a quick machine: one that is not is made by each look.
const TAKEN: usize = 150_000;

/// Takes so many from an endpoint's queue while a snapshot is old that must go on to see them, and lets
/// Postgres count when the queue is empty.
async fn taken_before_an_old_snapshot(world: &World, endpoint: Uuid, count: usize) -> Client {
    let old = world.another_connection().await;
    old.batch_execute("begin isolation level repeatable read; select from webhooks").await.unwrap();
    let sql = format!(
        "begin;
         insert into webhook_deliveries (id, organization_id, event_id, webhook_id, body, event,
             next_attempt_at)
         select gen_random_uuid(), organization_id, gen_random_uuid(), id, '', 'test.event', now()
         from webhooks, generate_series(1, {count}) where id = '{endpoint}';
         update webhook_deliveries set state = 'delivered' where webhook_id = '{endpoint}';
         commit; analyze webhook_deliveries"
    );
    world.db.batch_execute(&sql).await.unwrap();
    old
}

impl World {
    /// When the first of what waits is due, as SQL has it.
    pub(super) async fn first_due(&self) -> String {
        let sql =
            "select min(next_attempt_at)::text from webhook_deliveries where state = 'pending'";
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// A delivery that waits.
    pub(super) async fn one_pending(&self) -> Uuid {
        let sql = "select id from webhook_deliveries where state = 'pending' limit 1";
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Whether a plan has found the one row that was there to be found, and read little else.
fn finds_one(plan: &str) -> bool {
    let found = ["d", "q"].map(|name| {
        format!("webhook_deliveries_queue on webhook_deliveries {name} (actual rows=1 ")
    });
    pages_read(plan) < 100 && found.iter().any(|found| plan.contains(found))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_begins_at_the_front_of_an_endpoint() {
    let world = World::quiet().await;
    let endpoint = world.open_endpoint("busy", "").await;
    let old = taken_before_an_old_snapshot(&world, endpoint, 5000).await;
    world.enqueue(endpoint, None, 1).await;
    let since = world.first_due().await;

    let look = statement(&["with recursive unknown (webhook_id, since, before)"]);
    let (first, last) = (Uuid::nil(), Uuid::max());
    let all = format!(
        "array['{first}'::uuid], array['{last}'::uuid], array[]::uuid[], array[]::timestamptz[]"
    );
    let whole = world.plan_of_worker(&look, &all).await;
    assert!(pages_read(&whole) > 4000, "nothing is left of what was taken:\n{whole}");
    let known = format!(
        "array['{first}'::uuid, '{endpoint}'], array['{endpoint}'::uuid, '{last}'],
         array['{endpoint}'::uuid], array['{since}'::timestamptz]"
    );
    let look = world.plan_of_worker(&look, &known).await;
    assert!(finds_one(&look), "{look}");

    let pick = statement(&["of_organization_left", "for update skip locked"]);
    let own = world.organization();
    let shares = format!(
        "'30 s', array['{endpoint}'::uuid], array['{own}'::uuid], array[16::bigint], array[false],
         array[0::bigint], array[128::bigint], array['{since}'::timestamptz], 128, array['infinity'::timestamptz]"
    );
    let pick = world.plan_of_worker(&pick, &shares).await;
    assert!(finds_one(&pick), "{pick}");
    old.batch_execute("rollback").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_do_not_read_again_and_again_what_was_taken() {
    const EVENTS: usize = 100;
    const BACKLOG: usize = 2000;
    let world = World::start().await;
    let endpoint = world.open_endpoint("busy", "").await;
    let old = taken_before_an_old_snapshot(&world, endpoint, TAKEN).await;
    // Whatever the other one does, each look finds something.
    let rated = world.open_endpoint("rated", "rate_limit = 1").await;
    world.enqueue(rated, None, 1000).await;
    let pages = async || -> u64 {
        // Until backends have told what they counted.
        sleep(Duration::from_secs(3)).await;
        let sql = "select (heap_blks_read + heap_blks_hit)::text from pg_statio_user_tables
            where relname = 'webhook_deliveries'";
        world.db.query_one(sql, &[]).await.unwrap().get::<_, &str>(0).parse().unwrap()
    };
    let before = pages().await;
    for _ in 0..EVENTS {
        world.enqueue(endpoint, None, 1).await;
        sleep(Duration::from_millis(20)).await;
    }
    world.enqueue(endpoint, None, BACKLOG).await;
    world.done_with(endpoint).await;
    let read = pages().await - before;
    // The whole of it about once a second, and what went of the backlog by each look; a backlog that only whole
    // walks found would need 60 of them.
    let limit = 40 * TAKEN as u64 + 200 * (EVENTS + BACKLOG) as u64;
    assert!(read < limit, "{read} pages of {limit}");
    old.batch_execute("rollback").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_asks_for_a_pause_gets_nothing_meanwhile() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("busy", "schedule = '{1,1,1}'").await;
    let asks = json!({ "answers": [{ "status": 429, "headers": { "retry-after": "8" } }] });
    world.fakes.script(Provider::Hooks, Some("busy"), script(asks));
    world.enqueue(endpoint, None, 1).await;
    until("it has asked", PATIENCE, || async {
        let sql = "select count(*) from webhook_logs where webhook_id = $1";
        let logged: i64 = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
        (logged == 1).then_some(())
    })
    .await;
    world.enqueue(endpoint, None, 20).await;
    world.done_with(endpoint).await;
    let arrived = world.reached("busy");
    assert_eq!(arrived.len(), 22);
    let waited = (arrived[1].at - arrived[0].at).num_milliseconds();
    assert!(waited >= 8000, "it asked for 8 s: {waited} ms");
}
