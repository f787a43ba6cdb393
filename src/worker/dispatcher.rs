//! From the inbox to the workflows, oldest first.
//!
//! It runs beside the workers, so that a started workflow's first task comes back with the answer
//! (eager start) and is executed in this process.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use contract::{
    call::{CallStatus, EventKind},
    calls::{CallEventStored, ProcessCall},
    ids::{CallId, InboxId},
    names::{CALL_PROCESSING_QUEUE, call_workflow_id},
};
use futures::{StreamExt, stream};
use providers::supabase::Broadcaster;
use secrecy::SecretString;
use store::{
    Database, StoreError,
    calls::{self, CallIdentity, Opened},
    counters::Counters,
    dispatch,
    dispatch::{DueEvent, UnreadEvent},
    events,
    signals::{self, Listener, Teller},
};
use temporalio_client::{
    Client, WorkflowSignalOptions, WorkflowStartOptions,
    errors::{WorkflowInteractionError, WorkflowStartError},
};
use tokio::sync::watch;
use workflows::CallProcessing;

use super::{Room, unread};
use crate::{config::Config, temporal};

/// Events claimed at once.
const BATCH: i64 = 100;
/// Calls handled at once; a start takes the server about 10 ms.
const AT_ONCE: usize = 16;
/// Without a wake-up the inbox is looked at this often.
const POLL: Duration = Duration::from_millis(500);
/// An event that is not processed by then is dispatched again.
const LEASE: Duration = Duration::from_secs(60);
/// A start that takes longer has failed; the event comes up again.
const START_DEADLINE: Duration = Duration::from_secs(2);
/// Between two tries while Temporal does not answer.
const RETRY: Duration = Duration::from_secs(2);

/// Takes events from the inbox to calls and workflows.
pub(super) struct Dispatcher {
    db: Database,
    url: SecretString,
    client: Client,
    counters: Counters,
    broadcaster: Option<Broadcaster>,
    events: Teller,
    report_grace: Duration,
}

/// Why an event was not dispatched.
#[derive(Debug, thiserror::Error)]
enum DispatchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("temporal.{operation}: {problem}")]
    Temporal { operation: &'static str, problem: String },
}

impl Dispatcher {
    pub(super) fn new(config: &Config, db: Database, client: Client, room: &Room) -> Self {
        Self {
            db,
            url: config.database_url.clone(),
            client,
            counters: room.counters.clone(),
            broadcaster: room.calls.broadcaster.clone(),
            events: room.events.clone(),
            report_grace: config.report_grace,
        }
    }

    /// Dispatches until `stop` turns true.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut listener = Listener::new(&self.url, signals::INBOX, POLL);
        while !*stop.borrow() {
            // A connection may hang when Postgres fails over; the events come up again by their lease.
            match tokio::time::timeout(LEASE, self.batch()).await {
                Err(_) => tracing::warn!("a batch of events took too long and is given up"),
                // A full batch: more is waiting.
                Ok(Ok(claimed)) if claimed >= usize::try_from(BATCH).unwrap_or(usize::MAX) => {}
                Ok(Ok(_)) => {
                    tokio::select! {
                        () = listener.wait() => {}
                        _ = stop.wait_for(|stop| *stop) => {}
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the inbox cannot be read");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn batch(&self) -> Result<usize, StoreError> {
        let due = dispatch::claim(&self.db, BATCH, LEASE).await?;
        let claimed = due.len();
        stream::iter(due.unread).for_each_concurrent(AT_ONCE, |event| self.read_anew(event)).await;
        // Events of one call in their order, calls side by side.
        let mut calls: BTreeMap<CallId, Vec<DueEvent>> = BTreeMap::new();
        for event in due.of_calls {
            calls.entry(event.call_id).or_default().push(event);
        }
        stream::iter(calls.into_values())
            .for_each_concurrent(AT_ONCE, |events| self.dispatch_call(events))
            .await;
        Ok(claimed)
    }

    async fn read_anew(&self, event: UnreadEvent) {
        let Err(error) = unread::read(&self.db, event).await else { return };
        metrics::counter!("postcall_dispatch_failures_total").increment(1);
        if error.can_retry() {
            tracing::warn!(%error, "an event comes up again when its lease ends");
        } else {
            self.park(&[event.inbox_id], &error).await;
        }
    }

    async fn dispatch_call(&self, events: Vec<DueEvent>) {
        let ids: Vec<InboxId> = events.iter().map(|event| event.inbox_id).collect();
        let Err(error) = self.try_dispatch(&events).await else { return };
        metrics::counter!("postcall_dispatch_failures_total").increment(1);
        if let DispatchError::Store(refused) = &error
            && !refused.can_retry()
        {
            self.park(&ids, refused).await;
            return;
        }
        tracing::warn!(%error, "events wait to be dispatched again");
        if let Err(error) = dispatch::postpone(&self.db, &ids, RETRY).await {
            tracing::warn!(%error, "events come up again when their lease ends");
        }
    }

    /// The database will refuse these for ever: kept for people to look at, out of the way.
    async fn park(&self, ids: &[InboxId], error: &StoreError) {
        let reason = error.operation_failed();
        tracing::error!(reason, "events cannot be processed and are parked");
        for id in ids {
            if let Err(error) = dispatch::park(&self.db, *id, &reason).await {
                tracing::warn!(%error, "an event comes up again when its lease ends");
            }
        }
    }

    /// The newest event decides: a call with a report is the workflow's, one that only moves on is
    /// a row.
    async fn try_dispatch(&self, events: &[DueEvent]) -> Result<(), DispatchError> {
        let Some(event) = events.iter().max_by_key(|event| rank(event.life)) else { return Ok(()) };
        if event.life != EventKind::Report {
            let is_open = matches!(self.open(event).await?, Opened::Written { .. });
            if is_open && event.life == EventKind::Progress {
                return Ok(());
            }
            let age = (Utc::now() - event.received_at).to_std().unwrap_or_default();
            if is_open && age < self.report_grace {
                // The report brings everything at once: one workflow instead of two runs. The
                // event stays due, so the wait survives this process.
                let ids: Vec<InboxId> = events.iter().map(|event| event.inbox_id).collect();
                dispatch::postpone(&self.db, &ids, self.report_grace - age).await?;
                return Ok(());
            }
        }
        self.start(event, events).await
    }

    async fn open(&self, event: &DueEvent) -> Result<Opened, DispatchError> {
        let identity = CallIdentity {
            organization_id: event.organization_id,
            call_id: event.call_id,
            provider: event.provider,
            provider_call_id: &event.provider_call_id,
        };
        let opened = calls::open(&self.db, identity, activities::fold).await?;
        if let Opened::Written { status, first, .. } = opened {
            self.events.tell();
            self.show_on_dashboards(event, status, first).await;
        }
        Ok(opened)
    }

    /// Best effort: dashboards and counters look again by themselves.
    async fn show_on_dashboards(&self, event: &DueEvent, status: CallStatus, first: bool) {
        let organization = event.organization_id;
        if let Ok(active) = calls::count_active(&self.db, organization).await
            && let Err(error) = self.counters.set_active(organization, active).await
        {
            tracing::debug!(%error, "Redis takes no counters now");
        }
        let Some(broadcaster) = &self.broadcaster else { return };
        let topic = format!("org:{organization}:calls");
        let name = if first { "call_started" } else { "call_updated" };
        let payload = events::dashboard_payload(event.call_id, event.provider, status);
        if let Err(error) = broadcaster.broadcast(&topic, name, &payload).await {
            tracing::debug!(%error, "a broadcast was lost");
        }
    }

    /// Starts the call's workflow; one that runs already is told of events that are new to it.
    async fn start(&self, event: &DueEvent, events: &[DueEvent]) -> Result<(), DispatchError> {
        let input = ProcessCall {
            organization_id: event.organization_id,
            call_id: event.call_id,
            retry: Vec::new(),
        };
        let id = call_workflow_id(event.call_id);
        let options = WorkflowStartOptions::new(CALL_PROCESSING_QUEUE, id)
            .enable_eager_workflow_start(true)
            .search_attributes(temporal::search_attributes(
                event.organization_id,
                event.call_id,
                event.provider,
                &event.provider_call_id,
                event.call_status.unwrap_or(CallStatus::Completed),
            ))
            .static_summary(summary(event))
            .build();
        let started = self.client.start_workflow(CallProcessing::run, input, options);
        match within("start_workflow", started).await? {
            Ok(_) => {
                metrics::counter!("postcall_calls_started_total").increment(1);
                Ok(())
            }
            Err(WorkflowStartError::AlreadyStarted { .. }) => {
                // One that was folded is known to the workflow, which is still at work.
                match events.iter().find(|event| !event.folded) {
                    Some(new) => self.signal(new).await,
                    None => Ok(()),
                }
            }
            Err(error) => Err(refused("start_workflow", &error)),
        }
    }

    async fn signal(&self, event: &DueEvent) -> Result<(), DispatchError> {
        let handle =
            self.client.get_workflow_handle::<CallProcessing>(call_workflow_id(event.call_id));
        let news = CallEventStored { inbox_id: event.inbox_id };
        let options = WorkflowSignalOptions::builder().build();
        let signalled = handle.signal(CallProcessing::call_event, news, options);
        match within("signal", signalled).await? {
            Ok(()) => Ok(()),
            // It closed in between; the event is due again at once and starts a new run.
            Err(WorkflowInteractionError::NotFound(_)) => {
                dispatch::postpone(&self.db, &[event.inbox_id], Duration::ZERO).await?;
                Ok(())
            }
            Err(error) => Err(refused("signal", &error)),
        }
    }
}

const fn rank(life: EventKind) -> u8 {
    match life {
        EventKind::Other | EventKind::Message => 0,
        EventKind::Progress => 1,
        EventKind::Ended => 2,
        EventKind::Report => 3,
    }
}

fn summary(event: &DueEvent) -> String {
    let status = event.call_status.map_or("ended", CallStatus::as_str);
    format!("{} call {}: {status}", event.provider, event.provider_call_id)
}

async fn within<T>(
    operation: &'static str,
    work: impl Future<Output = T>,
) -> Result<T, DispatchError> {
    tokio::time::timeout(START_DEADLINE, work).await.map_err(|_| DispatchError::Temporal {
        operation,
        problem: format!("no answer within {} s", START_DEADLINE.as_secs()),
    })
}

fn refused(operation: &'static str, error: &dyn std::error::Error) -> DispatchError {
    DispatchError::Temporal { operation, problem: error.to_string() }
}
