//! Shares of the included minutes that are used up: each is told once, to everybody, whatever happens.

mod flushed;
mod kills;
pub(crate) mod told;
mod trouble;

use self::told::Told;
use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn each_threshold_is_told_once_while_fifty_calls_are_counted_at_once() {
    let world = World::start().await;
    world.plan(50).await;
    world.post_calls_of(&[1; 50]).await;
    world.counted(50).await;
    let expected = Told::once(&[50, 75, 90, 100], &[50, 75, 90, 100]);
    world.told_exactly("fifty at once", &expected).await;
    world.post_calls_of(&[1; 3]).await;
    world.counted(53).await;
    world.told_exactly("beyond the plan", &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_jumps_over_thresholds_is_one_email_and_an_event_for_each() {
    let world = World::start().await;
    world.plan(100).await;
    world.post_calls_of(&[10]).await;
    world.counted(1).await;
    assert_eq!(world.alerts_told().await, Told::once(&[], &[]));
    world.post_calls_of(&[85]).await;
    world.counted(2).await;
    world.told_exactly("a jump", &Told::once(&[50, 75, 90], &[90])).await;
    let sql = "select used_minutes, included_minutes from usage_alerts";
    for row in world.db.query(sql, &[]).await.unwrap() {
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (95, 100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_minutes_has_no_thresholds() {
    let world = World::start().await;
    world.plan(0).await;
    world.post_calls_of(&[1; 3]).await;
    world.counted(3).await;
    assert_eq!(world.aggregate().await, 0);
    assert_eq!(world.alerts_told().await, Told::once(&[], &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregation_tells_what_was_not_told_and_another_tells_nothing() {
    let world = World::start().await;
    world.plan(100).await;
    world.post_calls_of(&[6]).await;
    world.counted(1).await;
    assert_eq!(world.aggregate().await, 0);
    let smaller = "update billing_periods set included_minutes = 8";
    world.db.batch_execute(smaller).await.unwrap();
    assert_eq!(world.aggregate().await, 2);
    assert_eq!(world.aggregate().await, 0);
    world.told_exactly("the aggregation", &Told::once(&[50, 75], &[75])).await;
}
