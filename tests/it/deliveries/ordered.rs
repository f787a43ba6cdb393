//! Endpoints that get the events of a call one after the other.

use postcall::dev::fakes::Provider;
use serde_json::json;
use uuid::Uuid;

use super::{made::PATIENCE, script};
use crate::harness::{
    World,
    plans::{pages_read, statement},
    wait::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn events_behind_one_that_fails_are_put_off_and_still_come_after_it() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("behind", "ordering = 'call', schedule = '{3,3}'").await;
    let fails = json!({ "answers": [{ "status": 503, "times": 2 }] });
    world.fakes.script(Provider::Hooks, Some("behind"), script(fails));
    let events = world.enqueue(endpoint, Some(Uuid::now_v7()), 5).await;
    until("what waits behind it is put off", PATIENCE, || async {
        let sql = "select count(*) from webhook_deliveries
            where webhook_id = $1 and attempts = 0 and attempting_since is null
              and next_attempt_at > now()";
        let put_off: i64 = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
        (put_off == 4).then_some(())
    })
    .await;
    world.done_with(endpoint).await;
    assert_eq!(world.delivered_to("behind"), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_endpoint_gets_the_events_of_a_call_one_after_the_other() {
    let world = World::start().await;
    let endpoint = world.open_endpoint("ordered", "ordering = 'call', schedule = '{1,1,1}'").await;
    let fails = json!({ "answers": [{ "status": 503, "times": 2 }] });
    world.fakes.script(Provider::Hooks, Some("ordered"), script(fails));
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let of_first = world.enqueue(endpoint, Some(first), 12).await;
    let of_second = world.enqueue(endpoint, Some(second), 12).await;
    world.done_with(endpoint).await;
    let taken = world.delivered_to("ordered");
    let only = |events: &[Uuid]| -> Vec<Uuid> {
        taken.iter().copied().filter(|event| events.contains(event)).collect()
    };
    assert_eq!((only(&of_first), only(&of_second)), (of_first, of_second));
    assert_eq!(taken.len(), 24, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_that_wait_for_others_under_way_keep_no_other_call() {
    const CALLS: usize = 30;
    let world = World::start().await;
    let hangs = json!({ "answers": [{ "delay_ms": 9000, "times": CALLS }] });
    world.fakes.script(Provider::Hooks, Some("ordered"), script(hangs));
    let endpoint = world.open_endpoint("ordered", "ordering = 'call'").await;
    for _ in 0..CALLS {
        world.enqueue(endpoint, Some(Uuid::now_v7()), 20).await;
    }
    until("the first of each call is under way", PATIENCE, || async {
        let sql = "select count(*) from webhook_deliveries where attempting_since is not null";
        let under_way: i64 = world.db.query_one(sql, &[]).await.unwrap().get(0);
        (under_way == CALLS as i64).then_some(())
    })
    .await;
    let events = world.enqueue(endpoint, Some(Uuid::now_v7()), 2).await;
    let taken = until("the last call has its events", PATIENCE, || async {
        let taken = world.delivered_to("ordered");
        (taken.len() >= CALLS + events.len()).then_some(taken)
    })
    .await;
    assert_eq!(taken[CALLS..][..2], events);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_attempt_under_way_is_not_put_off_for_long() {
    let world = World::start().await;
    let hangs = json!({ "answers": [{ "delay_ms": 9000, "times": 1 }] });
    world.fakes.script(Provider::Hooks, Some("soon"), script(hangs));
    let endpoint = world.open_endpoint("soon", "ordering = 'call'").await;
    world.enqueue(endpoint, Some(Uuid::now_v7()), 300).await;
    let is_soon = until("what waits for the first is put off", PATIENCE, || async {
        let sql = "select count(*), bool_and(d.next_attempt_at
                <= now() + (now() - first.attempting_since) + interval '250 ms')
            from webhook_deliveries d cross join webhook_deliveries first
            where first.attempting_since < now() - interval '1 s' and d.attempting_since is null
              and d.next_attempt_at > now()";
        let row = world.db.query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0) >= 200).then(|| row.get::<_, bool>(1))
    })
    .await;
    assert!(is_soon);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_order_is_found_by_its_call() {
    let world = World::quiet().await;
    let endpoint = world.open_endpoint("ordered", "ordering = 'call'").await;
    world.enqueue(endpoint, None, 5000).await;
    let taken = "update webhook_deliveries set state = 'delivered'; analyze webhook_deliveries";
    world.db.batch_execute(taken).await.unwrap();
    world.enqueue(endpoint, Some(Uuid::now_v7()), 20).await;
    let (own, since) = (world.organization(), world.first_due().await);
    let put_off = statement(&["with waiting as materialized"]);
    let arguments =
        format!("array['{endpoint}'::uuid], array['{since}'::timestamptz], 250, '1 minute'");
    let pick = statement(&["of_organization_left", "for update skip locked"]);
    let shares = format!(
        "'30 s', array['{endpoint}'::uuid], array['{own}'::uuid], array[16::bigint], array[true],
         array[0::bigint], array[128::bigint], array['{since}'::timestamptz], 128, array['infinity'::timestamptz]"
    );
    for (statement, arguments) in [(put_off, arguments), (pick, shares)] {
        let plan = world.plan_of_worker(&statement, &arguments).await;
        assert!(plan.contains("webhook_deliveries_call on webhook_deliveries e"), "{plan}");
        assert!(pages_read(&plan) < 2000, "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_sees_a_part_of_what_is_due_at_an_ordered_endpoint() {
    let world = World::quiet().await;
    let endpoint = world.open_endpoint("ordered", "ordering = 'call'").await;
    world.enqueue(endpoint, None, 20_000).await;
    let one_by_one = "update webhook_deliveries d set call_id = gen_random_uuid(),
            next_attempt_at = now() - interval '1 hour' + numbered.number * interval '1 ms'
        from (select id, row_number() over () as number from webhook_deliveries) numbered
        where numbered.id = d.id";
    world.db.batch_execute(one_by_one).await.unwrap();
    world.db.batch_execute("vacuum analyze webhook_deliveries").await.unwrap();
    let since = world.first_due().await;
    let put_off = statement(&["with waiting as materialized"]);
    let arguments =
        format!("array['{endpoint}'::uuid], array['{since}'::timestamptz], 250, '1 minute'");
    let plan = world.plan_of_worker(&put_off, &arguments).await;
    assert!(pages_read(&plan) < 3000, "{plan}");
    // All of them wait for an event of their call that is nobody's just now.
    let waiting = "insert into webhook_deliveries (id, organization_id, event_id, webhook_id,
            call_id, body, event, owner, next_attempt_at)
        select gen_random_uuid(), organization_id,
            ('00000000-0000-7000-8000-' || right(event_id::text, 12))::uuid, webhook_id, call_id,
            '{}', 'test.event', 'workflow', now() + interval '1 hour' from webhook_deliveries";
    world.db.batch_execute(waiting).await.unwrap();
    world.db.batch_execute("vacuum analyze webhook_deliveries").await.unwrap();
    let until = format!("('{since}'::timestamptz + interval '250 ms')");
    let pick = statement(&["of_organization_left", "for update skip locked"]);
    let own = world.organization();
    let shares = format!(
        "'30 s', array['{endpoint}'::uuid], array['{own}'::uuid], array[16::bigint], array[true],
         array[0::bigint], array[128::bigint], array['{since}'::timestamptz], 128, array[{until}]"
    );
    let plan = world.plan_of_worker(&pick, &shares).await;
    assert!(plan.contains("actual rows=0"), "{plan}");
    assert!(pages_read(&plan) < 3000, "{plan}");
}
