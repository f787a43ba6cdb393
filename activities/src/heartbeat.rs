//! Heartbeats of slow steps: they tell a dead worker from a long answer.

use std::time::Duration;

use temporalio_sdk::activities::{ActivityContext, ActivityError};

/// The SDK thins these out to what the step's heartbeat timeout needs.
const BEAT: Duration = Duration::from_secs(2);

/// Does `work` while heartbeats go out; ends early when the activity is cancelled.
pub(crate) async fn beating<T>(
    ctx: &ActivityContext,
    work: impl Future<Output = Result<T, ActivityError>>,
) -> Result<T, ActivityError> {
    let mut work = std::pin::pin!(work);
    // Not at once: most work is done before the first beat is due, and each one costs the server.
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = ctx.cancelled() => return Err(ActivityError::cancelled()),
            _ = ticks.tick() => drop(ctx.record_heartbeat(()).await),
        }
    }
}
