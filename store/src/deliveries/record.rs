//! Attempts are written down many at a time: what ends while one commit is under way goes into the next.

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use super::settle::{Attempted, Next, settle};
use crate::{Database, StoreError};

/// Attempts that wait to be written; as many as are ever under way.
const QUEUE: usize = 1024;
/// Most in one commit.
const GROUP: usize = 200;
/// Each commit gathers what ends within a moment: a short one where a step waits for it.
const GATHER: Duration = Duration::from_millis(10);
const GATHER_AWAITED: Duration = Duration::from_millis(5);
/// Within the rest of a claim.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Written one by one, so many at once.
const ALONE: usize = 8;

/// Who waits until an attempt is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// The step of a call, or somebody's workflow.
    Awaited,
    /// Nobody: it was the queue's.
    Queued,
}

struct Job {
    attempt: Attempted,
    /// To be written by then.
    until: Instant,
    reply: oneshot::Sender<Result<Next, NotRecorded>>,
}

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

    /// Writes an attempt down and says how its delivery goes on.
    ///
    /// # Errors
    /// When Postgres does not take it.
    pub async fn record(&self, attempt: Attempted, haste: Haste) -> Result<Next, NotRecorded> {
        let (reply, answer) = oneshot::channel();
        let gather = match haste {
            Haste::Awaited => GATHER_AWAITED,
            Haste::Queued => GATHER,
        };
        let until = Instant::now() + gather;
        let ended = || NotRecorded("the recorder has ended".to_owned());
        self.queue.send(Job { attempt, until, reply }).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

async fn write(db: Database, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = Vec::with_capacity(GROUP);
    while !waiting.is_empty() || jobs.recv_many(&mut waiting, GROUP).await > 0 {
        gather(&mut jobs, &mut waiting).await;
        let (attempts, replies): (Vec<_>, Vec<_>) =
            group(&mut waiting).into_iter().map(|job| (job.attempt, job.reply)).unzip();
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

/// Waits for others, as long as the most hurried of them can wait.
async fn gather(jobs: &mut mpsc::Receiver<Job>, waiting: &mut Vec<Job>) {
    let Some(mut until) = waiting.iter().map(|job| job.until).min() else { return };
    while waiting.len() < GROUP
        && let Ok(Some(job)) = timeout_at(until, jobs.recv()).await
    {
        until = until.min(job.until);
        waiting.push(job);
    }
}

/// What can be written at once. Two attempts at one delivery, of which the first came late, are two
/// commits: each has a result of its own.
fn group(waiting: &mut Vec<Job>) -> Vec<Job> {
    let mut seen = HashSet::new();
    let (now, later) = waiting.drain(..).partition(|job| seen.insert(job.attempt.delivery.id));
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
