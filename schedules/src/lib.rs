//! The list of Temporal Schedules, and how to make the server equal to it.
//!
//! A schedule's action gets no date: the workflow takes it from `TemporalScheduledStartTime`, so
//! that backfills work.

use std::time::Duration;

use contract::{maintenance::EnsurePartitions, names::MAINTENANCE_QUEUE};
use futures::StreamExt;
use temporalio_client::{
    Client, RpcOptions,
    schedules::{
        CreateScheduleOptions, DeleteScheduleOptions, ListSchedulesOptions, ScheduleAction,
        ScheduleError, ScheduleOverlapPolicy, ScheduleSpec,
    },
    tonic::Code,
};
use workflows::PartitionMaintenance;

/// A run that was missed for longer than this is not caught up with; the next one does its work.
const CATCH_UP: Duration = Duration::from_secs(24 * 3600);
/// A schedule that is ours, so that ours alone are compared with the list.
const PREFIX: &str = "postcall-";

/// One schedule as it should be.
struct Wanted {
    id: &'static str,
    cron: &'static str,
    what: &'static str,
    action: fn() -> ScheduleAction,
}

/// Every schedule of postcall.
const ALL: &[Wanted] = &[Wanted {
    id: "postcall-partition-maintenance",
    cron: "17 3 * * *",
    what: "monthly partitions, three months ahead",
    action: || {
        ScheduleAction::start_workflow(
            PartitionMaintenance::run,
            EnsurePartitions { months_ahead: 3 },
            MAINTENANCE_QUEUE,
            "partition-maintenance",
        )
    },
}];

/// A schedule that could not be made as it should be.
#[derive(Debug, thiserror::Error)]
#[error("schedule {id}: {problem}")]
pub struct ApplyError {
    id: String,
    #[source]
    problem: ScheduleError,
}

/// What applying did to a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is new.
    Created,
    /// It was there and is now as the list has it; paused stays paused.
    Updated,
    /// It is no longer on the list.
    Deleted,
}

/// Makes the server's schedules equal to the list.
///
/// # Errors
/// When the server refuses one; those before it are applied.
pub async fn apply(client: &Client) -> Result<Vec<(String, Applied)>, ApplyError> {
    let mut applied = Vec::new();
    for wanted in ALL {
        let done = apply_one(client, wanted).await.map_err(|problem| fail(wanted.id, problem))?;
        applied.push((wanted.id.to_owned(), done));
    }
    for id in ours(client).await? {
        if !ALL.iter().any(|wanted| wanted.id == id) {
            let handle = client.get_schedule_handle(id.as_str());
            let deleted = handle.delete(DeleteScheduleOptions::default()).await;
            deleted.map_err(|problem| fail(&id, problem))?;
            applied.push((id, Applied::Deleted));
        }
    }
    Ok(applied)
}

/// Id, cron expression (UTC) and purpose of every schedule.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ALL.iter().map(|wanted| (wanted.id, wanted.cron, wanted.what))
}

async fn apply_one(client: &Client, wanted: &'static Wanted) -> Result<Applied, ScheduleError> {
    let spec = || ScheduleSpec::builder().cron_strings(vec![wanted.cron.to_owned()]).build();
    let options = CreateScheduleOptions::builder()
        .action((wanted.action)())
        .spec(spec())
        .overlap_policy(ScheduleOverlapPolicy::Skip)
        .note(wanted.what)
        .build();
    let done = match client.create_schedule(wanted.id, options).await {
        Ok(_) => Applied::Created,
        Err(ScheduleError::Rpc(status)) if status.code() == Code::AlreadyExists => Applied::Updated,
        Err(error) => return Err(error),
    };
    let handle = client.get_schedule_handle(wanted.id);
    handle
        .update(
            move |update| {
                update.set_spec(spec()).set_action((wanted.action)()).set_catchup_window(CATCH_UP);
            },
            RpcOptions::default(),
        )
        .await?;
    Ok(done)
}

async fn ours(client: &Client) -> Result<Vec<String>, ApplyError> {
    let mut listed = client.list_schedules(ListSchedulesOptions::default());
    let mut ids = Vec::new();
    while let Some(schedule) = listed.next().await {
        let id = schedule.map_err(|problem| fail("list", problem))?.schedule_id().to_owned();
        if id.starts_with(PREFIX) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn fail(id: &str, problem: ScheduleError) -> ApplyError {
    ApplyError { id: id.to_owned(), problem }
}
