//! Claims: each is attempted, and what keeps one endpoint from getting its own keeps no other.

use postcall::dev::fakes::Provider;
use serde_json::json;
use uuid::Uuid;

use super::{made::PATIENCE, script};
use crate::harness::{
    World,
    held::Hold,
    plans::{pages_read, statement},
    wait::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_claim_leaves_none_that_nobody_attempts() {
    const EVENTS: usize = 20;
    let mut world = World::start().await;
    let endpoint = world.open_endpoint("stopped", "").await;
    let held = world.hold(Hold::Lock("lock table webhook_logs in share mode")).await;
    world.enqueue(endpoint, None, EVENTS).await;
    world.stopped_at(held, "of_organization_left").await;
    let sql = "select count(*) filter (where attempting_since is not null),
             count(*) filter (where attempts > 0) from webhook_deliveries";
    let row = world.db.query_one(sql, &[]).await.unwrap();
    let (claimed, attempted): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(claimed, 0, "claims were left behind");
    assert!(attempted > 0, "nothing was claimed when it stopped");
    assert_eq!(world.reached("stopped").len() as i64, attempted);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_fail_by_the_rules_of_endpoints_keep_no_other() {
    const EVENTS: i64 = 20;
    let world = World::start().await;
    let broken = world.open_endpoint("broken", "rate_limit = 100").await;
    let worse = world.open_endpoint("worse", "rate_limit = 100").await;
    let rated = world.open_endpoint("rated", "rate_limit = 100").await;
    let ordered = world.open_endpoint("ordered", "ordering = 'call'").await;
    let plain = world.open_endpoint("plain", "").await;
    let fails = format!(
        "create function fails() returns trigger language plpgsql
             as $$ begin raise exception 'fails'; end $$;
         create trigger fails before update of paced_until on webhooks for each row
             when (new.id in ('{broken}', '{worse}')) execute function fails()"
    );
    world.db.batch_execute(&fails).await.unwrap();
    let fail = [broken, worse];
    for endpoint in fail {
        world.enqueue(endpoint, None, EVENTS as usize).await;
    }
    let others = [rated, ordered, plain];
    for endpoint in others {
        world.enqueue(endpoint, Some(Uuid::now_v7()), EVENTS as usize).await;
    }
    for endpoint in others {
        world.done_with(endpoint).await;
        assert_eq!(world.states(endpoint).await, [("delivered".to_owned(), EVENTS)]);
    }
    for endpoint in fail {
        assert_eq!(world.states(endpoint).await, [("pending".to_owned(), EVENTS)]);
    }
    world.db.batch_execute("drop trigger fails on webhooks").await.unwrap();
    for endpoint in fail {
        world.done_with(endpoint).await;
        assert_eq!(world.states(endpoint).await, [("delivered".to_owned(), EVENTS)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_with_a_rate_has_its_turns_beside_slow_ones_of_its_organization() {
    let world = World::start().await;
    let answers = json!({ "answers": [{ "delay_ms": 3000 }], "then": "repeat_last" });
    let mut slow = Vec::new();
    for number in 0..6 {
        let name = format!("slow-{number}");
        world.fakes.script(Provider::Hooks, Some(&name), script(answers.clone()));
        let endpoint = world.open_endpoint(&name, "").await;
        world.enqueue(endpoint, None, 300).await;
        slow.push(endpoint);
    }
    let claimed = "select count(*) from webhook_deliveries where attempting_since is not null";
    until("their organization has no place left", PATIENCE, || async {
        let claimed: i64 = world.db.query_one(claimed, &[]).await.unwrap().get(0);
        (claimed >= 128).then_some(())
    })
    .await;
    let rated = world.open_endpoint("rated", "rate_limit = 100").await;
    world.enqueue(rated, None, 20).await;
    world.done_with(rated).await;
    let left =
        "select count(*) from webhook_deliveries where webhook_id = any($1) and attempts = 0";
    let left: i64 = world.db.query_one(left, &[&slow]).await.unwrap().get(0);
    assert!(left > 300, "it waited for the others' backlogs, of which {left} are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_with_its_endpoint_is_found_by_it() {
    let world = World::quiet().await;
    let endpoint = world.open_endpoint("old", "").await;
    world.enqueue(endpoint, None, 10_000).await;
    for past in
        ["update webhook_deliveries set state = 'delivered'", "vacuum analyze webhook_deliveries"]
    {
        world.db.batch_execute(past).await.unwrap();
    }
    world.enqueue(endpoint, None, 20).await;
    let asleep = "update webhook_deliveries set owner = 'workflow' where id in (
        select id from webhook_deliveries where state = 'pending' limit 10)";
    world.db.batch_execute(asleep).await.unwrap();
    let statement = statement(&["with queued as"]);
    let arguments = format!("array['{endpoint}'::uuid], 1000");
    let by_worker = world.plan_of_worker(&statement, &arguments).await;
    let by_api = world.plan_of(&statement, &arguments).await;
    for plan in [by_worker, by_api] {
        assert!(pages_read(&plan) < 500, "{plan}");
        assert!(plan.contains("(actual rows=20"), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_found_by_key_also_where_their_table_was_counted_empty() {
    let world = World::quiet().await;
    let endpoint = world.open_endpoint("young", "").await;
    world.enqueue(endpoint, None, 5000).await;
    for past in
        ["delete from webhook_deliveries", "vacuum (truncate false, analyze) webhook_deliveries"]
    {
        world.db.batch_execute(past).await.unwrap();
    }
    world.enqueue(endpoint, None, 5000).await;
    let own = world.organization();
    let (since, id) = (world.first_due().await, world.one_pending().await);

    let claim = statement(&["of_organization_left", "for update skip locked"]);
    let shares = format!(
        "'30 s', array['{endpoint}'::uuid], array['{own}'::uuid], array[16::bigint], array[false],
         array[0::bigint], array[128::bigint], array['{since}'::timestamptz], 128, array['infinity'::timestamptz]"
    );
    let settle = statement(&["with made as", "logged as"]);
    let attempt = format!(
        "array['{endpoint}'::uuid], array['{own}'::uuid], array['{id}'::uuid], array['test.event'],
         array['{id}'::uuid], array['{{}}'], array[200], array[''], array[null::text], array[1],
         array[1], array['{{}}'::jsonb], array['{{}}'::jsonb], array[now()], now(), array[now()],
         array['delivered'], array['queue'], array['1 s'::interval]"
    );
    let ids = format!("array['{id}'::uuid]");
    let (end, overdue) = (
        statement(&["with ended as"]),
        statement(&["set owner = 'queue'", "order by next_attempt_at limit $1"]),
    );
    // Interrupted, and its workflow's.
    let left = format!(
        "update webhook_deliveries set attempting_since = now() - interval '1 minute';
         update webhook_deliveries set owner = 'workflow', next_attempt_at = now() where id = '{id}'"
    );
    world.db.batch_execute(&left).await.unwrap();
    let plans = [
        (world.plan_of_worker(&claim, &shares).await, 16),
        (world.plan_of_worker(&overdue, "1000").await, 1),
        (world.plan_by_key(&settle, &attempt).await, 1),
        (world.plan_by_key(&end, &ids).await, 1),
    ];
    for (plan, rows) in plans {
        assert!(pages_read(&plan) < 700, "{plan}");
        let found = plan.lines().any(|line| {
            line.contains("Scan")
                && line.contains(&format!("(actual rows={rows} loops=1)"))
                && line.contains("on webhook_deliveries")
        });
        assert!(found, "{plan}");
    }
}
