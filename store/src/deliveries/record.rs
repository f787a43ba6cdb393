//! Attempts are written down many at a time: what ends while one commit is under way goes into the next.

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::settle::{Attempted, Next, settle};
use crate::{Database, StoreError};

/// Attempts that wait to be written; as many as are ever under way.
const QUEUE: usize = 1024;
/// Most in one commit.
const GROUP: usize = 200;
/// Nobody outside waits for a commit, so each gathers what ends within a moment.
const GATHER: Duration = Duration::from_millis(5);
/// Within the rest of a claim.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Written one by one, so many at once.
const ALONE: usize = 8;

type Job = (Attempted, oneshot::Sender<Result<Next, NotRecorded>>);

/// An attempt that was made and is not in the log: its claim runs out, and it is made again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NotRecorded(String);

/// Writes attempts down.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Job>,
}

impl Recorder {
    /// Starts the task that writes. It ends when the last clone is dropped.
    pub fn start(db: &Database) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(write(db.clone(), jobs));
        Self { queue }
    }

    /// Writes an attempt down, and says how its delivery goes on.
    ///
    /// # Errors
    /// When Postgres does not take it.
    pub async fn record(&self, attempt: Attempted) -> Result<Next, NotRecorded> {
        let (reply, answer) = oneshot::channel();
        let ended = || NotRecorded("the recorder has ended".to_owned());
        self.queue.send((attempt, reply)).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

async fn write(db: Database, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = Vec::with_capacity(GROUP);
    while !waiting.is_empty() || jobs.recv_many(&mut waiting, GROUP).await > 0 {
        tokio::time::sleep(GATHER).await;
        while waiting.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            waiting.push(job);
        }
        let (attempts, replies): (Vec<_>, Vec<_>) = group(&mut waiting).into_iter().unzip();
        match written(&db, &attempts).await {
            Ok(next) => replies.into_iter().zip(next).for_each(|(reply, next)| {
                drop(reply.send(Ok(next)));
            }),
            // One that Postgres never takes must not take the others with it.
            Err(NotWritten::Refused(_)) if attempts.len() > 1 => {
                let each = attempts.into_iter().zip(replies).map(|(attempt, reply)| {
                    let db = &db;
                    async move { drop(reply.send(alone(db, attempt).await)) }
                });
                stream::iter(each).buffer_unordered(ALONE).collect::<()>().await;
            }
            Err(error) => replies.into_iter().for_each(|reply| {
                drop(reply.send(Err(error.not_recorded())));
            }),
        }
    }
}

/// What can be written at once. Two attempts at one delivery, of which the first came late, are two
/// commits: each has a result of its own.
fn group(waiting: &mut Vec<Job>) -> Vec<Job> {
    let mut seen = HashSet::new();
    let (now, later) = waiting.drain(..).partition(|(attempt, _)| seen.insert(attempt.delivery.id));
    *waiting = later;
    now
}

async fn alone(db: &Database, attempt: Attempted) -> Result<Next, NotRecorded> {
    match written(db, &[attempt]).await {
        Ok(next) => Ok(next.first().copied().unwrap_or(Next::Lost)),
        Err(error) => Err(error.not_recorded()),
    }
}

enum NotWritten {
    Refused(StoreError),
    NoAnswer,
}

impl NotWritten {
    fn not_recorded(&self) -> NotRecorded {
        match self {
            Self::Refused(error) => NotRecorded(error.operation_failed()),
            Self::NoAnswer => NotRecorded("Postgres did not answer in time".to_owned()),
        }
    }
}

/// A connection may hang when Postgres fails over; what came after must not wait for it.
async fn written(db: &Database, attempts: &[Attempted]) -> Result<Vec<Next>, NotWritten> {
    match timeout(WRITE_TIMEOUT, settle(db, attempts)).await {
        Ok(settled) => settled.map_err(NotWritten::Refused),
        Err(_) => Err(NotWritten::NoAnswer),
    }
}
