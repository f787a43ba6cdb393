//! Histories as the Temporal server has them.

use contract::{ids::CallId, names::call_workflow_id};
use postcall::temporal;
use prost::Message;
use temporalio_client::{WorkflowFetchHistoryOptions, errors::WorkflowInteractionError};
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use workflows::CallProcessing;

use super::World;

impl World {
    /// The events of a workflow's newest run.
    pub(crate) async fn history_of(&self, workflow_id: &str) -> Vec<HistoryEvent> {
        self.history_if_any(workflow_id).await.expect("a history")
    }

    /// The same; none where Temporal knows no such workflow.
    pub(crate) async fn history_if_any(&self, workflow_id: &str) -> Option<Vec<HistoryEvent>> {
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        let client = client.expect("Temporal");
        let handle = client.get_workflow_handle::<CallProcessing>(workflow_id);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        match history.into_events().await {
            Ok(events) => Some(events),
            Err(WorkflowInteractionError::NotFound(_)) => None,
            Err(error) => panic!("the history of {workflow_id}: {error}"),
        }
    }

    /// The events of a call's newest run.
    pub(crate) async fn call_history(&self, call: CallId) -> Vec<HistoryEvent> {
        self.history_of(&call_workflow_id(call)).await
    }
}

/// What Temporal Cloud would bill for a history: the start, each activity with its retries, timers,
/// signals, children, and each workflow task that ran local activities.
pub(crate) fn billable_actions(events: &[HistoryEvent]) -> usize {
    let mut actions = 0;
    let mut tasks_with_local_activities = std::collections::BTreeSet::new();
    for event in events {
        match event.event_type() {
            EventType::WorkflowExecutionStarted
            | EventType::ActivityTaskScheduled
            | EventType::TimerStarted
            | EventType::WorkflowExecutionSignaled
            | EventType::StartChildWorkflowExecutionInitiated
            | EventType::UpsertWorkflowSearchAttributes => actions += 1,
            _ => {}
        }
        match &event.attributes {
            Some(Attributes::ActivityTaskStartedEventAttributes(started)) => {
                actions += usize::try_from(started.attempt - 1).unwrap_or(0);
            }
            Some(Attributes::MarkerRecordedEventAttributes(marker)) => {
                tasks_with_local_activities.insert(marker.workflow_task_completed_event_id);
            }
            _ => {}
        }
    }
    actions + tasks_with_local_activities.len()
}

/// Timers that a workflow has set, in seconds, first to last.
pub(crate) fn timers(history: &[HistoryEvent]) -> Vec<f64> {
    let timer = |event: &HistoryEvent| match &event.attributes {
        Some(Attributes::TimerStartedEventAttributes(timer)) => timer.start_to_fire_timeout,
        _ => None,
    };
    let seconds = history.iter().filter_map(timer);
    seconds.map(|wait| wait.seconds as f64 + f64::from(wait.nanos) / 1e9).collect()
}

/// All bytes of a history, for looking for planted strings.
pub(crate) fn bytes_of(events: &[HistoryEvent]) -> Vec<u8> {
    events.iter().flat_map(Message::encode_to_vec).collect()
}

/// Size of the largest event in bytes; an event is larger than any payload in it.
pub(crate) fn largest_event(events: &[HistoryEvent]) -> usize {
    events.iter().map(Message::encoded_len).max().unwrap_or(0)
}
