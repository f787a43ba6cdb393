//! From the queue of deliveries to customers' endpoints: what is due, many at once, a fair share for each
//! endpoint. What fails goes on in workflows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use activities::{Made, WebhookActivities};
use chrono::Utc;
use contract::{
    delivery::DeliverWebhook,
    names::{WEBHOOK_DELIVERY_QUEUE, delivery_workflow_id},
};
use futures::FutureExt;
use secrecy::SecretString;
use store::{
    Database,
    deliveries::{self, Capacity, Claimed, Due, Next, Queue},
    recoveries,
    signals::{self, Listener},
};
use temporalio_client::{Client, WorkflowIdConflictPolicy, WorkflowStartOptions};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{sleep, timeout, timeout_at},
};
use workflows::WebhookDelivery;

use super::Room;
use crate::{config::Config, temporal};

/// Attempts under way at once, at all endpoints; one takes at most 10 s and about 100 KB.
const AT_ONCE: usize = 512;
/// Without a wake-up the queue is looked at this often.
const POLL: Duration = Duration::from_millis(500);
/// Where more is due within moments.
const PACE: Duration = Duration::from_millis(20);
/// Between two claims, so that a busy queue is taken by handfuls.
const PAUSE: Duration = Duration::from_millis(1);
/// A look that takes longer is given up: a connection may hang when Postgres fails over.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// What is claimed by rules comes after all else, and must not keep the next look for long.
const RULES_LIMIT: Duration = Duration::from_secs(5);
/// After a look that failed.
const RETRY: Duration = Duration::from_secs(2);
/// Deliveries whose workflow is missing are looked for this often, so many at once.
const OVERDUE_POLL: Duration = Duration::from_secs(5);
const OVERDUE_BATCH: i64 = 1000;
/// A start that takes longer has failed; the delivery is found overdue.
const START_DEADLINE: Duration = Duration::from_secs(2);

/// Takes deliveries from the queue to endpoints.
#[derive(Clone)]
pub(super) struct Deliverer {
    db: Database,
    url: SecretString,
    client: Client,
    webhooks: WebhookActivities,
    woken: Arc<Notify>,
}

impl Deliverer {
    pub(super) fn new(config: &Config, db: Database, client: Client, room: &Room) -> Self {
        Self {
            db,
            url: config.database_url.clone(),
            client,
            webhooks: room.webhooks.clone(),
            woken: Arc::default(),
        }
    }

    /// Delivers until `stop` turns true; what is claimed then is attempted.
    pub(super) async fn run(self, stop: watch::Receiver<bool>) {
        let mut attempts = JoinSet::new();
        tokio::select! {
            () = async { tokio::join!(self.listen(), self.look_after(), self.measure()); } => {}
            () = self.deliver(&mut attempts, stop) => {}
        }
        while attempts.join_next().await.is_some() {}
    }

    async fn listen(&self) {
        let mut listener = Listener::new(&self.url, signals::EVENTS, POLL);
        loop {
            listener.wait().await;
            self.woken.notify_one();
        }
    }

    async fn deliver(&self, attempts: &mut JoinSet<()>, mut stop: watch::Receiver<bool>) {
        let mut queue = Queue::new(&self.url);
        loop {
            while attempts.try_join_next().is_some() {}
            // What was told until now is seen by this look, as are the places that are free.
            self.woken.notified().now_or_never();
            self.webhooks.gate.ended().now_or_never();
            // Not dropped by a stop: what it claims would wait for its lease.
            let wait = self.look(&mut queue, attempts, &stop).await;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.wait(wait, attempts) => {}
            }
        }
    }

    async fn wait(&self, wait: Wait, attempts: &mut JoinSet<()>) {
        match wait {
            Wait::For(pause) => sleep(pause).await,
            Wait::ForMore(ends) => drop(timeout_at(ends.into(), self.woken.notified()).await),
            Wait::ForNews => self.woken.notified().await,
            Wait::ForRoom => tokio::select! {
                () = self.woken.notified() => {}
                () = self.webhooks.gate.ended() => {}
                Some(_) = attempts.join_next() => {}
            },
        }
    }

    /// Claims what is due and begins to attempt it; what to wait for then.
    async fn look(
        &self,
        queue: &mut Queue,
        attempts: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) -> Wait {
        let free = u32::try_from(AT_ONCE.saturating_sub(attempts.len())).unwrap_or(0);
        if free == 0 {
            return Wait::ForRoom;
        }
        let (sealer, capacity) =
            (&self.webhooks.sealer, Capacity { free, under_way: self.webhooks.gate.under_way() });
        let mut due = match timeout(LOOK_TIMEOUT, queue.claim(sealer, &capacity)).await {
            Ok(Ok(due)) => due,
            Ok(Err(error)) => {
                tracing::warn!(%error, "deliveries wait for a later look");
                return Wait::For(RETRY);
            }
            Err(_) => {
                tracing::warn!("a look for deliveries took too long");
                return Wait::For(RETRY);
            }
        };
        let mut has_claimed = self.attempt(&mut due, attempts);
        if let Some(ruled) = due.ruled.take().filter(|_| !*stop.borrow()) {
            queue.claim_ruled(&self.db, sealer, ruled, RULES_LIMIT, &mut due).await;
            has_claimed |= self.attempt(&mut due, attempts);
        }
        Wait::after(&due, has_claimed, Instant::now())
    }

    /// Begins what was claimed. Whether there was something.
    fn attempt(&self, due: &mut Due, attempts: &mut JoinSet<()>) -> bool {
        let has_claimed = !due.claimed.is_empty();
        for delivery in due.claimed.drain(..) {
            self.spawn(attempts, delivery);
        }
        has_claimed
    }

    fn spawn(&self, attempts: &mut JoinSet<()>, delivery: Claimed) {
        // Counted from now on, so that the next look knows of it.
        let pass = self.webhooks.gate.enter(delivery.organization_id, delivery.endpoint_id);
        let this = self.clone();
        attempts.spawn(async move {
            let mut input = DeliverWebhook {
                organization_id: delivery.organization_id,
                delivery_id: delivery.id,
                attempts_made: delivery.attempts + 1,
                retry_after_seconds: None,
                schedule: delivery.schedule.clone(),
            };
            match this.webhooks.attempt_claimed(delivery, pass).await {
                Ok(Made { next: Next::Workflow(_), retry_after, .. }) => {
                    input.retry_after_seconds = retry_after.map(|asked| asked.as_secs());
                    this.start(input).await;
                }
                Ok(_) => {}
                // Logged by it; the attempt is made again when its claim runs out.
                Err(_) => {}
            }
        });
    }

    /// Starts a delivery's workflow. One that runs already is of an earlier round, for the queue owned the
    /// delivery: it is ended. One that does not start is found overdue.
    async fn start(&self, input: DeliverWebhook) {
        let id = delivery_workflow_id(input.delivery_id);
        let options = WorkflowStartOptions::new(WEBHOOK_DELIVERY_QUEUE, id)
            .enable_eager_workflow_start(true)
            .id_conflict_policy(WorkflowIdConflictPolicy::TerminateExisting)
            .search_attributes(temporal::of_organization(input.organization_id))
            .build();
        let started = self.client.start_workflow(WebhookDelivery::run, input, options);
        match timeout(START_DEADLINE, started).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a delivery's workflow is started later"),
            Err(_) => tracing::warn!("a delivery's workflow is started later: no answer"),
        }
    }

    /// Looks for deliveries and recoveries that nobody is at work on.
    async fn look_after(&self) {
        loop {
            let looked = timeout(LOOK_TIMEOUT, async {
                self.release_overdue().await;
                if let Err(error) = recoveries::restart_stalled(&self.db).await {
                    tracing::warn!(%error, "recoveries without a workflow wait for a later look");
                }
            });
            if looked.await.is_err() {
                tracing::warn!("a look after deliveries took too long");
            }
            sleep(OVERDUE_POLL).await;
        }
    }

    async fn release_overdue(&self) {
        match deliveries::release_overdue(&self.db, OVERDUE_BATCH).await {
            Ok(0) => {}
            Ok(_) => self.woken.notify_one(),
            Err(error) => {
                tracing::warn!(%error, "deliveries without a workflow wait for a later look");
            }
        }
    }

    /// Age of the oldest delivery that has not arrived, for whatever reason. Where it cannot be asked for, what
    /// was the oldest grows older.
    async fn measure(&self) {
        let mut oldest = None;
        loop {
            match timeout(LOOK_TIMEOUT, deliveries::backlog(&self.db)).await {
                Ok(Ok(backlog)) => oldest = backlog.oldest,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the backlog of deliveries was not measured");
                }
                Err(_) => tracing::debug!("the backlog of deliveries was not measured in time"),
            }
            let age = oldest.map(|oldest| (Utc::now() - oldest).num_milliseconds());
            let seconds = age.unwrap_or(0).max(0) as f64 / 1000.0;
            metrics::gauge!("postcall_webhook_oldest_undelivered_seconds").set(seconds);
            sleep(OVERDUE_POLL).await;
        }
    }
}

/// What comes before the next look.
#[derive(Debug, PartialEq, Eq)]
enum Wait {
    For(Duration),
    /// A wake-up, or what is due by then.
    ForMore(Instant),
    /// A wake-up.
    ForNews,
    /// A wake-up, or the end of an attempt: its place is free at once, and what waits for it in order when it
    /// is written down.
    ForRoom,
}

impl Wait {
    fn after(due: &Due, has_claimed: bool, now: Instant) -> Self {
        let paced = now + PACE;
        match *due {
            Due { is_busy: true, .. } if has_claimed => Self::For(PAUSE),
            Due { is_paced: true, rest_ends, .. } => {
                Self::ForMore(rest_ends.map_or(paced, |ends| ends.min(paced)))
            }
            Due { is_full: true, .. } => Self::ForRoom,
            _ => Self::ForNews,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_followed_by_the_shortest_wait_that_finds_more() {
        let now = Instant::now();
        let after = |[is_busy, is_paced, is_full]: [bool; 3], has_claimed| {
            let due = Due { is_busy, is_paced, is_full, ..Due::default() };
            Wait::after(&due, has_claimed, now)
        };
        let more = || Wait::ForMore(now + PACE);
        assert_eq!(after([true, true, true], true), Wait::For(PAUSE));
        assert_eq!([after([false, true, true], true), after([true; 3], false)], [more(), more()]);
        assert_eq!(after([true, false, true], false), Wait::ForRoom);
        assert_eq!(after([false; 3], true), Wait::ForNews);
        let rests = |until| Due { is_paced: true, rest_ends: Some(until), ..Due::default() };
        let soon = now + PACE / 2;
        assert_eq!(Wait::after(&rests(soon), true, now), Wait::ForMore(soon));
        assert_eq!(Wait::after(&rests(now + PACE * 2), true, now), more());
    }
}
