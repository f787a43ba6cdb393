//! Events about an organization: no call's workflow delivers them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contract::ids::OrganizationId;
use store::{
    Database, Role,
    reconcile::{self, Look},
};
use tokio::time::Instant;

use crate::harness::{Options, World, wait::until, world::free_address};

/// So many in a row, each of which is written when the one before has arrived.
const EVENTS: i64 = 12;
/// For all of them: looks half a minute apart would need twice as long.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_an_organization_waits_for_no_sweep() {
    let world = World::start().await;
    // A day of usage that no call stands behind: books that differ are an event.
    let sql = "update webhooks set events = array['usage.*'];
        insert into daily_usage (organization_id, date, total_calls, completed_calls, failed_calls,
            total_minutes, total_seconds, cost_usd, computed_at)
        select id, '2026-11-20', 1, 1, 0, 1, 60, 0, now() from organizations";
    world.db.batch_execute(sql).await.unwrap();
    let db = Database::connect(&world.database_url(), Role::Worker, 1).unwrap();
    let organization = OrganizationId(world.organization());
    let day = "2026-11-20".parse().unwrap();
    let now: DateTime<Utc> = "2026-11-28T04:00:00Z".parse().unwrap();
    let look = Look { from: day, to: day, now, all: false };
    let books = reconcile::without_counters(&db, organization, look).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    for number in 1..=EVENTS {
        // Once for each day.
        let now = now + TimeDelta::days(number);
        assert!(reconcile::tell(&db, organization, &books.rows, now).await.unwrap());
        until("the event is delivered", deadline - Instant::now(), || async {
            let sql = "select count(*) from webhook_deliveries
                where state = 'delivered' and call_id is null and attempts = 1";
            let delivered: i64 = world.db.query_one(sql, &[]).await.ok()?.get(0);
            (delivered == number).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_the_oldest_that_has_not_arrived_is_a_metric_whatever_holds_it() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let far = "circuit = 'open', circuit_probe_at = now() + interval '1 day'";
    let endpoint = world.open_endpoint("held", far).await;
    world.enqueue(endpoint, None, 1).await;
    let old = "update webhook_deliveries set created_at = now() - interval '2 hours'";
    world.db.batch_execute(old).await.unwrap();
    let listen = free_address().to_string();
    world.start_worker(&[("POSTCALL_WORKER_LISTEN", listen.clone())]).await;
    let age = || async {
        let metrics = world.http.get(format!("http://{listen}/metrics")).send().await.ok()?;
        let metrics = metrics.text().await.ok()?;
        let name = "postcall_webhook_oldest_undelivered_seconds ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line?.parse::<f64>().ok()
    };
    let is = async |what: &'static str, right: fn(f64) -> bool| {
        until(what, PATIENCE, || async { age().await.filter(|age| right(*age)).map(drop) }).await;
    };
    is("it is two hours old", |age| (7200.0..9000.0).contains(&age)).await;
    world.set_endpoint(endpoint, "circuit_probe_at = now()").await;
    world.done_with(endpoint).await;
    is("nothing waits", |age| age == 0.0).await;
}
