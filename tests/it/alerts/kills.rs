//! kill -9 of the worker before and after each effect of an alert, one by one.

use activities::faults::OF_BOOKS;

use super::told::Told;
use crate::harness::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_of_an_alert_tells_it_once() {
    let points = OF_BOOKS.iter().copied().filter(|point| point.starts_with("alert."));
    let points: Vec<&'static str> = points.collect();
    assert_eq!(points.len(), 4, "{points:?}");
    futures::future::join_all(points.into_iter().map(killed_at)).await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.plan(2).await;
    world.start_worker(&world.faults(&format!("{point}=kill"))).await;
    world.post_calls_of(&[1]).await;
    world.dies_at(point).await;
    world.ten_minutes_later().await;
    world.start_worker(&[]).await;
    world.told_exactly(point, &Told::once(&[50], &[50])).await;
    world.is_reconciled(point).await;
}
