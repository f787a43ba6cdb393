//! The list of Temporal Schedules, how to make the server equal to it, and how to run one now.
//!
//! A schedule's action gets no date: the workflow takes it from `TemporalScheduledStartTime`, so
//! that backfills work.

mod days;
mod run;

use std::time::Duration;

use contract::{
    billing::SweepPeriods,
    call::Provider,
    maintenance::{EnsurePartitions, TrimLogs},
    names::{BILLING_QUEUE, MAINTENANCE_QUEUE},
    sweep::{ProviderSwept, SweepProvider, SweepTiming},
    usage::{AggregateUsage, ReconcileUsage},
};
use temporalio_client::{
    Client, RpcOptions,
    schedules::{
        CreateScheduleOptions, DeleteScheduleOptions, ScheduleAction, ScheduleError,
        ScheduleOverlapPolicy, ScheduleSpec,
    },
    tonic::Code,
};
use workflows::{
    BillingSweep, LogRetention, PartitionMaintenance, ProviderSweep, UsageAggregation,
    UsageReconciliation,
};

pub use days::{AGGREGATION, MOST_DAYS, aggregate_days};
pub use run::{Run, RunError, Triggered, trigger};

const HOUR: Duration = Duration::from_secs(3600);
/// Installations everywhere would else ask a provider at the same second.
const SWEEP_JITTER: Duration = Duration::from_secs(60);

/// One schedule as it should be.
struct Wanted {
    id: &'static str,
    /// In UTC.
    cron: &'static str,
    /// Each run is late by a random time up to this.
    jitter: Duration,
    /// A run that was missed for longer than this is not caught up with; the next one does its work.
    catch_up: Duration,
    /// What becomes of a run that is due while another one is under way.
    overlap: ScheduleOverlapPolicy,
    what: &'static str,
    action: fn() -> ScheduleAction,
}

/// Every schedule of postcall.
const ALL: &[Wanted] = &[
    Wanted {
        id: "partition-maintenance",
        cron: "17 3 * * *",
        jitter: Duration::ZERO,
        catch_up: HOUR.saturating_mul(24),
        overlap: ScheduleOverlapPolicy::Skip,
        what: "monthly partitions, three months ahead",
        action: || {
            ScheduleAction::start_workflow(
                PartitionMaintenance::run,
                EnsurePartitions { months_ahead: 3 },
                MAINTENANCE_QUEUE,
                "partition-maintenance",
            )
        },
    },
    Wanted {
        id: "webhook-log-retention",
        cron: "37 3 * * *",
        jitter: Duration::ZERO,
        catch_up: HOUR.saturating_mul(24),
        overlap: ScheduleOverlapPolicy::Skip,
        what: "attempts at deliveries, kept for 90 days",
        action: || {
            ScheduleAction::start_workflow(
                LogRetention::run,
                TrimLogs { keep_days: 90 },
                MAINTENANCE_QUEUE,
                "webhook-log-retention",
            )
        },
    },
    Wanted {
        id: "provider-sweep-vapi",
        cron: "*/10 * * * *",
        jitter: SWEEP_JITTER,
        catch_up: HOUR,
        overlap: ScheduleOverlapPolicy::Skip,
        what: "calls at Vapi that webhooks did not tell of",
        action: || sweep(Provider::Vapi, "provider-sweep-vapi"),
    },
    Wanted {
        id: "provider-sweep-retell",
        cron: "3-59/10 * * * *",
        jitter: SWEEP_JITTER,
        catch_up: HOUR,
        overlap: ScheduleOverlapPolicy::Skip,
        what: "calls at Retell that webhooks did not tell of",
        action: || sweep(Provider::Retell, "provider-sweep-retell"),
    },
    Wanted {
        id: "provider-sweep-twilio",
        cron: "6-59/10 * * * *",
        jitter: SWEEP_JITTER,
        catch_up: HOUR,
        overlap: ScheduleOverlapPolicy::Skip,
        what: "calls at Twilio that webhooks did not tell of",
        action: || sweep(Provider::Twilio, "provider-sweep-twilio"),
    },
    Wanted {
        id: AGGREGATION,
        cron: "0 2 * * *",
        jitter: Duration::ZERO,
        // Each run is for days of its own: after an outage every missed night has its turn.
        catch_up: HOUR.saturating_mul(24 * 31),
        overlap: ScheduleOverlapPolicy::BufferAll,
        what: "days of usage, added up from the calls",
        action: || {
            ScheduleAction::start_workflow(
                UsageAggregation::run,
                AggregateUsage::default(),
                BILLING_QUEUE,
                AGGREGATION,
            )
        },
    },
    Wanted {
        id: "usage-reconciliation",
        cron: "0 4 * * *",
        jitter: Duration::ZERO,
        catch_up: HOUR.saturating_mul(24),
        overlap: ScheduleOverlapPolicy::Skip,
        what: "the books of usage, side by side",
        action: || {
            ScheduleAction::start_workflow(
                UsageReconciliation::run,
                ReconcileUsage::default(),
                BILLING_QUEUE,
                "usage-reconciliation",
            )
        },
    },
    Wanted {
        id: "billing-sweep",
        cron: "5 * * * *",
        jitter: Duration::ZERO,
        // A run closes whatever is over, so that one makes up for all that were missed.
        catch_up: HOUR,
        overlap: ScheduleOverlapPolicy::Skip,
        what: "billing periods that are over",
        action: || {
            ScheduleAction::start_workflow(
                BillingSweep::run,
                SweepPeriods::default(),
                BILLING_QUEUE,
                "billing-sweep",
            )
        },
    },
];

/// Ids that older releases used: deleted where they are found. Others' schedules stay.
const RETIRED: &[&str] = &["postcall-partition-maintenance"];

fn sweep(provider: Provider, workflow_id: &str) -> ScheduleAction {
    let input = SweepProvider {
        provider,
        after: None,
        so_far: ProviderSwept::default(),
        timing: SweepTiming::default(),
    };
    ScheduleAction::start_workflow(ProviderSweep::run, input, MAINTENANCE_QUEUE, workflow_id)
}

/// A schedule that could not be made as it should be.
#[derive(Debug, thiserror::Error)]
#[error("schedule {id}: {problem}")]
pub struct ApplyError {
    id: &'static str,
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
        let done = apply_one(client, wanted).await.map_err(fail(wanted.id))?;
        applied.push((wanted.id.to_owned(), done));
    }
    for id in RETIRED {
        let handle = client.get_schedule_handle(*id);
        match handle.delete(DeleteScheduleOptions::default()).await {
            Ok(()) => applied.push(((*id).to_owned(), Applied::Deleted)),
            Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => {}
            Err(problem) => return Err(fail(id)(problem)),
        }
    }
    Ok(applied)
}

/// Id, cron expression (UTC) and purpose of every schedule.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ALL.iter().map(|wanted| (wanted.id, wanted.cron, wanted.what))
}

async fn apply_one(client: &Client, wanted: &'static Wanted) -> Result<Applied, ScheduleError> {
    let options = CreateScheduleOptions::builder()
        .action((wanted.action)())
        .spec(wanted.spec())
        .overlap_policy(wanted.overlap)
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
                update
                    .set_spec(wanted.spec())
                    .set_action((wanted.action)())
                    .set_overlap_policy(wanted.overlap)
                    .set_catchup_window(wanted.catch_up);
            },
            RpcOptions::default(),
        )
        .await?;
    Ok(done)
}

impl Wanted {
    fn spec(&self) -> ScheduleSpec {
        let spec = ScheduleSpec::builder().cron_strings(vec![self.cron.to_owned()]);
        let jitter = Some(self.jitter).filter(|jitter| !jitter.is_zero());
        spec.maybe_jitter(jitter).build()
    }
}

fn fail(id: &'static str) -> impl FnOnce(ScheduleError) -> ApplyError {
    move |problem| ApplyError { id, problem }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_none_of_them_is_retired() {
        let ids: BTreeSet<&str> = list().map(|(id, ..)| id).collect();
        assert_eq!(ids.len(), ALL.len());
        assert!(RETIRED.iter().all(|id| !ids.contains(id)));
    }

    #[test]
    fn every_provider_is_swept() {
        for provider in Provider::ALL {
            let id = format!("provider-sweep-{provider}");
            assert!(list().any(|(wanted, ..)| wanted == id), "{id}");
        }
    }

    #[test]
    fn no_missed_night_goes_without_its_aggregation() {
        let wanted = ALL.iter().find(|wanted| wanted.id == AGGREGATION);
        let wanted = wanted.map(|wanted| (wanted.overlap, wanted.catch_up > HOUR * 24 * 7));
        assert_eq!(wanted, Some((ScheduleOverlapPolicy::BufferAll, true)));
    }
}
