//! Grouped commits of the inbox: what arrives while one commit is under way goes into the next.
//!
//! Nobody waits for a group to fill. A commit costs a round trip and a flush of Postgres' log whether
//! it holds one event or a hundred, so under load many share it and alone none is slower.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::query;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    Database, StoreError,
    error::During,
    inbox::{self, Appended, NewEvent},
};

/// Events that wait for a writer; more are refused, so that memory stays bounded.
const QUEUE: usize = 1024;
/// Most bytes of bodies in one commit: a group of large reports must not hold up small ones.
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;

/// A commit that takes longer is given up: the statement's own limit is Postgres', which cannot keep
/// it when the network between us is gone.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// An event that was not stored. The same may succeed later where `can_retry`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotStored {
    /// What failed, without values of the row.
    pub reason: String,
    /// Whether storing it may succeed later.
    pub can_retry: bool,
}

impl From<&StoreError> for NotStored {
    fn from(error: &StoreError) -> Self {
        Self { reason: error.operation_failed(), can_retry: error.can_retry() }
    }
}

/// Takes events and stores them in groups.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::Sender<Job>,
}

struct Job {
    event: Arc<NewEvent>,
    sha256: [u8; 32],
    reply: oneshot::Sender<Result<Appended, NotStored>>,
}

impl Intake {
    /// Starts, on a database of role [`crate::Role::Intake`], `writers` tasks that each commit up to `group` events at once. They end when the
    /// last clone is dropped.
    pub fn start(db: &Database, writers: usize, group: usize) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..writers.max(1) {
            tokio::spawn(write(db.clone(), jobs.clone(), group.max(1)));
        }
        Self { queue }
    }

    /// Stores an event. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// When Postgres refuses or does not answer, or too many events wait already. Dropping the
    /// future withdraws the event, unless it is being written just then.
    pub async fn append(&self, event: Arc<NewEvent>) -> Result<Appended, NotStored> {
        let (reply, answer) = oneshot::channel();
        let sha256 = event.sha256();
        let busy = || NotStored { reason: "too many events wait".to_owned(), can_retry: true };
        self.queue.try_send(Job { event, sha256, reply }).map_err(|_| busy())?;
        answer.await.unwrap_or_else(|_| Err(busy()))
    }
}

/// Whether the inbox takes rows now: Postgres answers, writes, and the table is not locked.
pub async fn can_write(db: &Database) -> Result<(), StoreError> {
    query!("update inbox set conflicts = conflicts where false")
        .execute(db.pool())
        .await
        .map(drop)
        .during("intake.can_write")
}

async fn write(db: Database, jobs: Arc<Mutex<mpsc::Receiver<Job>>>, group: usize) {
    loop {
        let taken = {
            let mut jobs = jobs.lock().await;
            take(&mut jobs, group).await
        };
        if taken.is_empty() {
            return;
        }
        let mut rest = taken;
        while !rest.is_empty() {
            rest = write_group(&db, rest).await;
        }
    }
}

/// Everything that waits, up to the bounds; waits for the first. Empty when the queue is closed.
async fn take(jobs: &mut mpsc::Receiver<Job>, group: usize) -> Vec<Job> {
    let mut taken = Vec::new();
    let Some(first) = jobs.recv().await else { return taken };
    let mut bytes = first.event.body.len();
    taken.push(first);
    while taken.len() < group && bytes < MAX_GROUP_BYTES {
        let Ok(next) = jobs.try_recv() else { break };
        bytes += next.event.body.len();
        taken.push(next);
    }
    taken
}

/// Commits what has distinct keys and answers it; gives back what must go in a group of its own.
async fn write_group(db: &Database, jobs: Vec<Job>) -> Vec<Job> {
    let mut leaders: Vec<Job> = Vec::new();
    let mut places: HashMap<(uuid::Uuid, &'static str, String), usize> = HashMap::new();
    let mut followers: Vec<(usize, Job)> = Vec::new();
    let mut later = Vec::new();
    // Nobody waits for it any more: it lies in the spool, or was refused.
    for job in jobs.into_iter().filter(|job| !job.reply.is_closed()) {
        let key =
            (job.event.organization_id.0, job.event.provider.as_str(), job.event.event_key.clone());
        match places.get(&key) {
            None => {
                places.insert(key, leaders.len());
                leaders.push(job);
            }
            Some(leader) if leaders[*leader].sha256 == job.sha256 => followers.push((*leader, job)),
            Some(_) => later.push(job),
        }
    }
    // Two groups that insert the same keys in different orders would wait for each other.
    let mut order: Vec<usize> = (0..leaders.len()).collect();
    order.sort_by(|a, b| leaders[*a].event.key().cmp(&leaders[*b].event.key()));
    let events: Vec<_> =
        order.iter().map(|at| (&*leaders[*at].event, leaders[*at].sha256)).collect();
    if events.is_empty() {
        return later;
    }
    let outcomes = match commit_group(db, &events).await {
        Ok(appended) => {
            let mut outcomes = vec![Ok(Appended::Duplicate); leaders.len()];
            for (at, appended) in order.into_iter().zip(appended) {
                outcomes[at] = Ok(appended);
            }
            outcomes
        }
        // One bad value must not refuse the others.
        Err(error) if !error.can_retry && leaders.len() > 1 => {
            let mut alone = Vec::with_capacity(leaders.len());
            for leader in &leaders {
                let stored = commit_group(db, &[(&leader.event, leader.sha256)]).await;
                alone.push(stored.map(|one| one[0]));
            }
            alone
        }
        Err(error) => vec![Err(error); leaders.len()],
    };
    for (leader, job) in followers {
        match &outcomes[leader] {
            Ok(Appended::New(_) | Appended::Duplicate) => {
                drop(job.reply.send(Ok(Appended::Duplicate)));
            }
            // Each conflict is counted.
            Ok(Appended::Conflict) => later.push(job),
            Err(error) => drop(job.reply.send(Err(error.clone()))),
        }
    }
    for (leader, outcome) in leaders.into_iter().zip(outcomes) {
        drop(leader.reply.send(outcome));
    }
    later
}

async fn commit_group(
    db: &Database,
    events: &[(&NewEvent, [u8; 32])],
) -> Result<Vec<Appended>, NotStored> {
    match tokio::time::timeout(COMMIT_TIMEOUT, inbox::append_batch(db, events)).await {
        Ok(done) => done.map_err(|error| NotStored::from(&error)),
        Err(_) => Err(NotStored { reason: "no answer in time".to_owned(), can_retry: true }),
    }
}
