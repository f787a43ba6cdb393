//! Timeouts and retries of every step, each with its reason.

use std::time::Duration;

use contract::names::WEBHOOK_DELIVERY_QUEUE;
use temporalio_common::error::IncomingError;
use temporalio_workflow::{
    ActivityCloseTimeouts, ActivityExecutionError, ActivityOptions, ChildWorkflowOptions,
    LocalActivityOptions, ParentClosePolicy, RetryPolicy,
};

/// A worker that has not been heard of for so long is taken for dead.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Longest text of an error in the step list.
const LONGEST_ERROR: usize = 300;

/// Database and cache work: usually 10 ms, so 5 s means trouble worth showing.
pub(crate) fn local_short() -> LocalActivityOptions {
    local(Duration::from_secs(5))
}

/// One or a few HTTP requests of at most 10 s each, made at once: the provider's client gives up
/// first, so that the activity can tell what became of the request.
pub(crate) fn local_http() -> LocalActivityOptions {
    local(Duration::from_secs(12))
}

fn local(limit: Duration) -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(limit)
        .schedule_to_close_timeout(limit)
        .retry_policy(RetryPolicy::builder().maximum_attempts(1).build())
        .build()
}

/// Steps without which the call is not recorded: tried until they work, up to every minute.
pub(crate) fn until_done() -> ActivityOptions {
    tried_until_done(Duration::from_secs(30), Duration::from_secs(60))
}

/// The design's default: 30 s, 1 s doubling, 5 attempts.
pub(crate) fn notification() -> ActivityOptions {
    five_attempts(Duration::from_secs(30))
}

/// A large recording takes minutes; the heartbeat tells a dead worker from a long copy.
pub(crate) fn recording() -> ActivityOptions {
    let mut options = five_attempts(Duration::from_secs(600));
    options.heartbeat_timeout = Some(HEARTBEAT);
    options.summary = Some("copy the audio to object storage".to_owned());
    options
}

/// A model may think for a minute about a long transcript, and be asked up to five times in one
/// attempt: compatible servers differ in the parameters they refuse.
pub(crate) fn extraction() -> ActivityOptions {
    let mut options = five_attempts(Duration::from_secs(300));
    options.heartbeat_timeout = Some(HEARTBEAT);
    options.summary = Some("find what was agreed".to_owned());
    options
}

/// One organization's calls at one provider. Three attempts bridge a short outage of the provider;
/// after a longer one the next run, ten minutes later, begins where this one did. Both limits hold
/// also where the provider asks for a longer wait: the others' sweeps must not stand still for it.
pub(crate) fn sweep() -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(5))
        .backoff_coefficient(3.0)
        .maximum_interval(Duration::from_secs(60))
        .maximum_attempts(3)
        .build();
    let limits = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: Duration::from_secs(1200),
        start_to_close: Duration::from_secs(600),
    };
    ActivityOptions::with_close_timeouts(limits)
        .heartbeat_timeout(HEARTBEAT)
        .retry_policy(retry)
        .build()
}

/// A page of many organizations' books, half a minute with ten million calls a month; the ledger of one
/// organization's period; the list of all periods that are over. Tried until it
/// works: what is recomputed and replaced may be tried for ever. The heartbeat tells a dead worker from
/// many calls.
pub(crate) fn books() -> ActivityOptions {
    let mut options = tried_until_done(Duration::from_secs(15 * 60), Duration::from_secs(60));
    options.heartbeat_timeout = Some(HEARTBEAT);
    options
}

/// One request to Stripe, with its claim and its settlement. An outage of Stripe may last for hours.
pub(crate) fn stripe() -> ActivityOptions {
    tried_until_done(Duration::from_secs(60), Duration::from_secs(15 * 60))
}

/// The same before a period is closed, which does not wait for Stripe: what two minutes do not bring is
/// tried for longer after it.
pub(crate) fn stripe_at_first() -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_attempts(4)
        .build();
    let limits = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: Duration::from_secs(120),
        start_to_close: Duration::from_secs(60),
    };
    ActivityOptions::with_close_timeouts(limits)
        .heartbeat_timeout(HEARTBEAT)
        .retry_policy(retry)
        .build()
}

/// A page of reports that Stripe is asked for, a few at a time: seconds, or minutes where it is slow.
/// Each attempt goes on where the one before ended, so the pauses are short; `left` holds for all of
/// them together, also where Stripe asks for a longer wait.
pub(crate) fn verification(left: Duration) -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(2))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(30))
        .build();
    let limits = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: left,
        start_to_close: Duration::from_secs(600),
    };
    ActivityOptions::with_close_timeouts(limits)
        .heartbeat_timeout(HEARTBEAT)
        .retry_policy(retry)
        .build()
}

/// What Stripe tells of errors is there within minutes. What is not there after days is of another account,
/// or of another mode: the workflow fails, for a person to see.
pub(crate) fn stripe_for_days() -> ActivityOptions {
    let limits = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: Duration::from_secs(3 * 24 * 3600),
        start_to_close: Duration::from_secs(60),
    };
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(15 * 60))
        .build();
    ActivityOptions::with_close_timeouts(limits).retry_policy(retry).build()
}

fn tried_until_done(limit: Duration, longest_pause: Duration) -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(longest_pause)
        .build();
    ActivityOptions::with_start_to_close_timeout(limit).retry_policy(retry).build()
}

fn five_attempts(limit: Duration) -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(60))
        .maximum_attempts(5)
        .build();
    ActivityOptions::with_start_to_close_timeout(limit).retry_policy(retry).build()
}

/// A delivery outlives the call's workflow and runs on a queue of its own, so that a slow endpoint
/// delays no call.
pub(crate) fn delivery_child(workflow_id: String) -> ChildWorkflowOptions {
    ChildWorkflowOptions::builder()
        .workflow_id(workflow_id)
        .task_queue(WEBHOOK_DELIVERY_QUEUE.to_owned())
        .parent_close_policy(ParentClosePolicy::Abandon)
        .build()
}

/// Whether trying again cannot help: cancelled, or refused for good.
pub(crate) fn is_final(error: &ActivityExecutionError) -> bool {
    let refused = |reason: &IncomingError| matches!(reason, IncomingError::Application(failure) if failure.is_non_retryable());
    matches!(error, ActivityExecutionError::Cancelled(_)) || error.reason().is_some_and(refused)
}

/// What a failure says to people: its class and its message, which activities keep free of
/// personal data.
pub(crate) fn describe(error: &ActivityExecutionError) -> String {
    let text = match error.reason() {
        Some(IncomingError::Application(failure)) => {
            let class = failure.type_name().unwrap_or("Error");
            format!("{class}: {}", failure.source_error())
        }
        _ if error.as_timeout().is_some() => {
            "Timeout: no answer within the step's limit".to_owned()
        }
        _ => error.to_string(),
    };
    text.chars().take(LONGEST_ERROR).collect()
}
