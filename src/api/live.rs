//! What wakes the live streams: one task per process that hears of new events, for all of them.

use std::sync::Arc;

use store::signals::Listener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Streams that a process serves at a time. Each costs a query whenever there may be news.
const MOST_STREAMS: usize = 1_000;

/// News for the live streams of this process.
#[derive(Debug, Clone)]
pub struct Live {
    news: watch::Receiver<u64>,
    seats: Arc<Semaphore>,
}

impl Live {
    /// Waits on `listener`, of channel [`store::signals::EVENTS`] with a poll of about a second,
    /// until `stop`; then every stream ends, so that a graceful shutdown need not wait for them.
    pub fn start(mut listener: Listener, stop: CancellationToken) -> Self {
        let (teller, news) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = listener.wait() => teller.send_modify(|count| *count += 1),
                    () = stop.cancelled() => break,
                    () = teller.closed() => break,
                }
            }
        });
        Self { news, seats: Arc::new(Semaphore::new(MOST_STREAMS)) }
    }

    /// A seat for one more stream, as long as it is kept; none where all are taken.
    pub(super) fn seat(&self) -> Option<Seat> {
        let permit = self.seats.clone().try_acquire_owned().ok()?;
        Some(Seat { news: self.news.clone(), _permit: permit })
    }
}

/// One stream's place among those that are served.
#[derive(Debug)]
pub(super) struct Seat {
    news: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// What comes from here on is news. Called before reading, or what comes meanwhile is lost.
    pub(super) fn seen(&mut self) {
        self.news.mark_unchanged();
    }

    /// Waits until there may be news; false where there will be none, for the process stops.
    pub(super) async fn news(&mut self) -> bool {
        self.news.changed().await.is_ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;
    use store::signals;

    use super::*;

    #[tokio::test]
    async fn seats_are_bounded_and_end_with_the_process() {
        // Nothing listens there: the poll alone wakes.
        let url = SecretString::from("postgres://127.0.0.1:1/none");
        let listener = Listener::new(&url, signals::EVENTS, Duration::from_millis(5));
        let stop = CancellationToken::new();
        let live = Live::start(listener, stop.clone());
        let mut seats: Vec<Seat> = (0..MOST_STREAMS).map(|_| live.seat().unwrap()).collect();
        assert!(live.seat().is_none());
        drop(seats.pop());
        let mut last = live.seat().unwrap();
        stop.cancel();
        while last.news().await {}
    }
}
