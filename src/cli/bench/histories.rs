//! What a call costs in Temporal, counted from its history.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, anyhow};
use contract::{ids::CallId, names::call_workflow_id};
use futures::future::BoxFuture;
use prost::Message;
use serde::Serialize;
use temporalio_client::{Client, WorkflowFetchHistoryOptions};
use temporalio_common::{
    data_converters::PayloadConversionError,
    payload_visitor::{AsyncPayloadVisitor, PayloadField, PayloadFieldData, PayloadVisitable},
    protos::{
        constants::LOCAL_ACTIVITY_MARKER_NAME,
        temporal::api::{
            common::v1::Payload,
            history::v1::{HistoryEvent, history_event::Attributes},
        },
    },
};
use workflows::CallProcessing;

/// One history is a few kilobytes; the SDK itself tries again for long.
const FETCH_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether a history is complete.
const FETCH_PAUSE: Duration = Duration::from_millis(100);

/// Histories of a sample of the completed calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct HistoryFigures {
    /// Calls whose history was read: up to 20, spread evenly over the load.
    pub(super) sampled_calls: usize,
    /// Billable actions of a call's `CallProcessing`, on average; see [`billable_actions`].
    pub(super) billable_actions_per_call_mean: f64,
    /// The most of any sampled call.
    pub(super) billable_actions_per_call_max: u64,
    /// Events of its history, on average.
    pub(super) events_per_call_mean: f64,
    /// The most of any sampled call.
    pub(super) events_per_call_max: u64,
    /// Size of its history, as protobuf, in bytes, on average.
    pub(super) history_bytes_per_call_mean: f64,
    /// The most of any sampled call.
    pub(super) history_bytes_per_call_max: u64,
    /// The largest payload of all, with its metadata, in bytes.
    pub(super) largest_payload_bytes: u64,
}

/// What one history holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Contents {
    actions: u64,
    events: u64,
    bytes: u64,
    largest_payload: u64,
}

/// Reads the histories of these calls; one that cannot be read is left out, with a word about it.
pub(super) async fn read(client: &Client, calls: &[CallId]) -> anyhow::Result<HistoryFigures> {
    let mut all = Vec::with_capacity(calls.len());
    for call in calls {
        match read_one(client, *call).await {
            Ok(contents) => all.push(contents),
            Err(error) => eprintln!("the history of call {call}: {error:#}"),
        }
    }
    figures(&all).ok_or_else(|| anyhow!("none of {} histories was read", calls.len()))
}

async fn read_one(client: &Client, call: CallId) -> anyhow::Result<Contents> {
    let events = tokio::time::timeout(FETCH_LIMIT, closed_history(client, call))
        .await
        .with_context(|| format!("it was not complete within {FETCH_LIMIT:?}"))??;
    contents(events).await
}

/// `call_completed` is written by a local activity, of which the history knows when its workflow
/// task is over.
async fn closed_history(client: &Client, call: CallId) -> anyhow::Result<Vec<HistoryEvent>> {
    let handle = client.get_workflow_handle::<CallProcessing>(call_workflow_id(call));
    loop {
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        let events = history.into_events().await?;
        if events.last().is_some_and(closes) {
            return Ok(events);
        }
        tokio::time::sleep(FETCH_PAUSE).await;
    }
}

fn closes(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Attributes::WorkflowExecutionCompletedEventAttributes(_)
                | Attributes::WorkflowExecutionFailedEventAttributes(_)
                | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
                | Attributes::WorkflowExecutionTerminatedEventAttributes(_)
                | Attributes::WorkflowExecutionCanceledEventAttributes(_)
                | Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)
        )
    )
}

/// Billable actions of one run, by the rules of Temporal Cloud's price list: its start, every
/// ordinary activity and each of its retries, timers, signals, child workflows, search attribute
/// updates; the local activities of one workflow task are one action together.
fn billable_actions(events: &[HistoryEvent]) -> u64 {
    let mut tasks_with_local_activities = BTreeSet::new();
    let of_event = |event: &HistoryEvent| match &event.attributes {
        Some(
            Attributes::WorkflowExecutionStartedEventAttributes(_)
            | Attributes::ActivityTaskScheduledEventAttributes(_)
            | Attributes::TimerStartedEventAttributes(_)
            | Attributes::WorkflowExecutionSignaledEventAttributes(_)
            | Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_)
            | Attributes::UpsertWorkflowSearchAttributesEventAttributes(_),
        ) => 1,
        // Written once, when the last attempt is over; attempts count from 1.
        Some(Attributes::ActivityTaskStartedEventAttributes(started)) => {
            u64::try_from(started.attempt - 1).unwrap_or_default()
        }
        Some(Attributes::MarkerRecordedEventAttributes(marker))
            if marker.marker_name == LOCAL_ACTIVITY_MARKER_NAME =>
        {
            let task = marker.workflow_task_completed_event_id;
            u64::from(tasks_with_local_activities.insert(task))
        }
        _ => 0,
    };
    events.iter().map(of_event).sum()
}

async fn contents(mut events: Vec<HistoryEvent>) -> anyhow::Result<Contents> {
    let bytes = events.iter().map(Message::encoded_len).sum::<usize>() as u64;
    let mut largest = LargestPayload(0);
    for event in &mut events {
        event
            .visit_payloads_mut(&mut largest)
            .await
            .map_err(|error| anyhow!("payloads of a history: {error}"))?;
    }
    Ok(Contents {
        actions: billable_actions(&events),
        events: events.len() as u64,
        bytes,
        largest_payload: largest.0,
    })
}

/// Looks at every payload, wherever in an event it is.
struct LargestPayload(u64);

impl AsyncPayloadVisitor for LargestPayload {
    fn visit<'a>(
        &'a mut self,
        field: PayloadField<'a>,
    ) -> BoxFuture<'a, Result<(), PayloadConversionError>> {
        let payloads: &[Payload] = match field.data {
            PayloadFieldData::Single(payload) => std::slice::from_ref(payload),
            PayloadFieldData::Repeated(payloads) => payloads,
            PayloadFieldData::Payloads(payloads) => &payloads.payloads,
        };
        let largest = payloads.iter().map(Message::encoded_len).max().unwrap_or_default() as u64;
        self.0 = self.0.max(largest);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn figures(all: &[Contents]) -> Option<HistoryFigures> {
    let mean = |of: fn(&Contents) -> u64| all.iter().map(of).sum::<u64>() as f64 / all.len() as f64;
    let max = |of: fn(&Contents) -> u64| all.iter().map(of).max();
    Some(HistoryFigures {
        sampled_calls: all.len(),
        billable_actions_per_call_mean: mean(|history| history.actions),
        billable_actions_per_call_max: max(|history| history.actions)?,
        events_per_call_mean: mean(|history| history.events),
        events_per_call_max: max(|history| history.events)?,
        history_bytes_per_call_mean: mean(|history| history.bytes),
        history_bytes_per_call_max: max(|history| history.bytes)?,
        largest_payload_bytes: max(|history| history.largest_payload)?,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use temporalio_common::protos::temporal::api::{
        common::v1::Payloads,
        history::v1::{
            ActivityTaskScheduledEventAttributes, ActivityTaskStartedEventAttributes,
            MarkerRecordedEventAttributes, StartChildWorkflowExecutionInitiatedEventAttributes,
            TimerStartedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
            WorkflowExecutionCompletedEventAttributes, WorkflowExecutionSignaledEventAttributes,
            WorkflowExecutionStartedEventAttributes, WorkflowTaskScheduledEventAttributes,
        },
    };

    use super::*;

    fn event(attributes: impl Into<Attributes>) -> HistoryEvent {
        HistoryEvent { attributes: Some(attributes.into()), ..HistoryEvent::default() }
    }

    fn marker(name: &str, task: i64, bytes: usize) -> HistoryEvent {
        let payload = Payload { data: vec![b'x'; bytes], ..Payload::default() };
        let details = Payloads { payloads: vec![Payload::default(), payload] };
        event(MarkerRecordedEventAttributes {
            marker_name: name.to_owned(),
            details: [("data".to_owned(), details)].into(),
            workflow_task_completed_event_id: task,
            ..MarkerRecordedEventAttributes::default()
        })
    }

    fn attempt(attempt: i32) -> HistoryEvent {
        let started = ActivityTaskStartedEventAttributes { attempt, ..Default::default() };
        event(started)
    }

    #[test]
    fn local_activities_of_one_task_are_one_action() {
        let events = [
            event(WorkflowExecutionStartedEventAttributes::default()),
            event(WorkflowTaskScheduledEventAttributes::default()),
            marker(LOCAL_ACTIVITY_MARKER_NAME, 4, 10),
            event(ActivityTaskScheduledEventAttributes::default()),
            event(ActivityTaskScheduledEventAttributes::default()),
            attempt(1),
            marker(LOCAL_ACTIVITY_MARKER_NAME, 12, 10),
            marker(LOCAL_ACTIVITY_MARKER_NAME, 12, 10),
            marker(LOCAL_ACTIVITY_MARKER_NAME, 12, 10),
            marker("core_patch", 20, 10),
            event(WorkflowExecutionCompletedEventAttributes::default()),
        ];
        assert_eq!(billable_actions(&events), 5);
        assert!(closes(&events[10]) && !closes(&events[9]));
        assert_eq!(billable_actions(&[]), 0);
    }

    #[test]
    fn retries_timers_signals_children_and_updates_count() {
        let events = [
            event(ActivityTaskScheduledEventAttributes::default()),
            attempt(4),
            event(TimerStartedEventAttributes::default()),
            event(WorkflowExecutionSignaledEventAttributes::default()),
            event(StartChildWorkflowExecutionInitiatedEventAttributes::default()),
            event(UpsertWorkflowSearchAttributesEventAttributes::default()),
        ];
        assert_eq!(billable_actions(&events), 8);
    }

    #[tokio::test]
    async fn the_largest_payload_is_found_in_any_event() {
        let events = vec![marker("any", 4, 3000), marker("any", 4, 70), attempt(1)];
        let encoded: usize = events.iter().map(Message::encoded_len).sum();
        let found = contents(events).await.unwrap();
        assert_eq!((found.events, found.bytes), (3, encoded as u64));
        assert!((3000..3010).contains(&found.largest_payload), "{found:?}");
    }

    #[test]
    fn figures_are_of_all_sampled_calls() {
        let call = |actions, events| Contents { actions, events, bytes: 10, largest_payload: 1 };
        let figures = figures(&[call(4, 20), call(5, 23)]).unwrap();
        assert_eq!(figures.sampled_calls, 2);
        assert_eq!(figures.billable_actions_per_call_max, 5);
        assert!((figures.events_per_call_mean - 21.5).abs() < 1e-9);
        assert_eq!(super::figures(&[]), None);
    }
}
