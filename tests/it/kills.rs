//! kill -9 of the worker before and after each effect, one by one.

use std::time::Duration;

use activities::faults::OF_CALLS;
use postcall::dev::fakes::Kind;

use crate::harness::{Options, World, audit::Counts, wait::until};

/// Worlds of this test at once: they mostly wait for Temporal to miss the worker.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_repeats_nothing_and_loses_nothing() {
    use futures::StreamExt;
    futures::stream::iter(OF_CALLS.iter().copied())
        .map(killed_at)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let log = world.folder.join("faults.log");
    world
        .start_worker(&[
            ("POSTCALL_FAULTS", format!("{point}=kill")),
            ("POSTCALL_FAULTS_LOG", log.display().to_string()),
        ])
        .await;
    let id = world.post_call().await;
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, world.worker().ended())
        .await
        .unwrap_or_else(|_| panic!("{point} did not strike"));
    let struck = std::fs::read_to_string(&log).unwrap_or_default();
    assert_eq!(struck.lines().collect::<Vec<_>>(), [point]);
    world.start_worker(&[]).await;
    world.closed(&id).await;
    // A message in doubt is settled by a later try of its step.
    until(&format!("{point}: everything once"), Duration::from_secs(60), || async {
        (world.counts(&id).await == Counts::once(3)).then_some(())
    })
    .await;
    assert_eq!(world.accepted(Kind::Sms), 1, "{point}");
    assert_eq!(world.accepted(Kind::Email), 1, "{point}");
    world.redis_equals_ledger().await;
}
