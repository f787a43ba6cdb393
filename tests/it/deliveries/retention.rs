//! Old attempts go, a few thousand at a time, and nobody waits for it.

use store::{Database, Role, maintenance};

use crate::harness::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_more_than_90_days_go_beside_whoever_writes() {
    const OLD: i32 = 12_000;
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let endpoint = world.open_endpoint("logged", "").await;
    let fill = "insert into webhook_logs (id, webhook_id, organization_id, event, event_id, error,
            attempt_number, created_at)
        select gen_random_uuid(), w.id, w.organization_id, 'test.event', gen_random_uuid(), 'status', 1,
            now() - make_interval(days => case when n <= $2 then 91 else 89 end)
        from webhooks w cross join generate_series(1, $2 + 3) n where w.id = $1";
    world.db.execute(fill, &[&endpoint, &OLD]).await.unwrap();
    // Somebody writes to the log all the while, and a lock of the table would wait for it.
    let writer = world.another_connection().await;
    writer.batch_execute("begin; lock table webhook_logs in row exclusive mode").await.unwrap();
    let db = Database::connect(&world.database_url(), Role::Worker, 1).unwrap();
    let mut batches = Vec::new();
    loop {
        match maintenance::trim_logs(&db, 90).await.unwrap() {
            0 => break,
            removed => batches.push(removed),
        }
    }
    writer.batch_execute("commit").await.unwrap();
    assert_eq!(batches, [5000, 5000, 2000]);
    let left = "select count(*) from webhook_logs";
    assert_eq!(world.db.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 3);
}
