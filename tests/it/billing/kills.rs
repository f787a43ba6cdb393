//! kill -9 of the worker at each point and each await of billing, one by one.

mod awaits;
mod detours;
mod kept;

use activities::faults::OF_BOOKS;
use futures::StreamExt;

use self::kept::Kept;
use super::made::Plan;
use crate::harness::World;

/// Worlds of a test at once: they mostly wait for Temporal to miss the worker.
const AT_ONCE: usize = 3;
/// The points that closing a period passes.
const OF_BILLING: [&str; 4] = ["due.", "freeze.", "report.", "close-period."];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_of_billing_bills_once() {
    let is_ours = |point: &&str| OF_BILLING.iter().any(|family| point.starts_with(family));
    let points: Vec<&'static str> = OF_BOOKS.iter().copied().filter(is_ours).collect();
    assert_eq!(points.len(), 11, "{points:?}");
    let killed = futures::stream::iter(points).map(killed_at).buffer_unordered(AT_ONCE);
    killed.collect::<Vec<()>>().await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::postgres_alone().await;
    let faults = world.faults(&format!("{point}=kill"));
    world.start_biller(&faults).await;
    let kept = Kept::open(&world, Plan::default()).await;
    world.begin_sweep().await;
    world.dies_at(point).await;
    world.start_biller(&[]).await;
    kept.is_billed_once(&world, point, &[]).await;
}
