//! Wake-ups between processes.

use std::time::Duration;

use store::signals::{INBOX, Listener};
use tokio::time::{sleep, timeout};

use crate::harness::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_many_times_wakes_seldom() {
    const TOLD: usize = 200;
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let tell = async |times: usize| {
        let sql = format!(
            "select pg_notify('postcall_inbox', n::text) from generate_series(1, {times}) n"
        );
        world.db.batch_execute(&sql).await.unwrap();
    };
    // It polls when nobody waits any more: what wakes is told.
    let mut listener = Listener::new(&world.database_url(), INBOX, Duration::from_secs(600));
    {
        let mut listens = std::pin::pin!(listener.wait());
        while timeout(Duration::from_millis(50), &mut listens).await.is_err() {
            tell(1).await;
        }
    }
    tell(TOLD).await;
    // All of it is there when it is first asked for.
    sleep(Duration::from_secs(1)).await;
    let mut woken = 0;
    while timeout(Duration::from_secs(1), listener.wait()).await.is_ok() {
        woken += 1;
    }
    assert!((1..TOLD / 10).contains(&woken), "{woken} times");
}
