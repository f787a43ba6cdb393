//! A run of a schedule now, asked for by a person.

use temporalio_client::{
    Client, NamespacedClient, RpcOptions, WorkflowExecutionInfo, WorkflowGetResultOptions,
    errors::{WorkflowGetResultError, WorkflowStartError},
    schedules::{
        ScheduleError, ScheduleOverlapPolicy, ScheduleRecentAction, TriggerScheduleOptions,
    },
    tonic::Code,
};

/// Why a schedule did not run, or what became of its run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server has no such schedule.
    #[error("there is no schedule {0}; `postcall schedules apply` makes those of `schedules list`")]
    Unknown(String),
    /// The server refused, or did not answer.
    #[error("schedule {id}: {problem}")]
    Schedule {
        /// The schedule.
        id: String,
        /// The server's words.
        #[source]
        problem: ScheduleError,
    },
    /// The run could not be started.
    #[error("workflow {workflow_id}: {problem}")]
    Start {
        /// The run's workflow.
        workflow_id: String,
        /// The server's words.
        #[source]
        problem: Box<WorkflowStartError>,
    },
    /// The run did not end well, or cannot be asked for its end.
    #[error("workflow {workflow_id}: {problem}")]
    Run {
        /// The run's workflow.
        workflow_id: String,
        /// What became of it.
        #[source]
        problem: Box<WorkflowGetResultError>,
    },
}

/// A run that was asked for.
#[derive(Debug)]
pub struct Triggered {
    id: String,
    before: Vec<Run>,
}

/// A run that started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its workflow. Not unique: two runs that begin in one second share it.
    pub workflow_id: String,
    pub(crate) run_id: String,
}

/// Asks for a run of a schedule now. One that is under way ends first.
///
/// # Errors
/// When the server has no such schedule, or refuses.
pub async fn trigger(client: &Client, id: &str) -> Result<Triggered, RunError> {
    let before = runs(client, id).await?;
    let handle = client.get_schedule_handle(id);
    let options = TriggerScheduleOptions::default();
    let triggered = handle.trigger(ScheduleOverlapPolicy::BufferOne, options).await;
    triggered.map_err(|problem| refused(id, problem))?;
    Ok(Triggered { id: id.to_owned(), before })
}

impl Triggered {
    /// The run that started since; nothing as long as none did.
    ///
    /// # Errors
    /// When the server refuses, or does not answer.
    pub async fn started(&self, client: &Client) -> Result<Option<Run>, RunError> {
        let now = runs(client, &self.id).await?;
        Ok(now.into_iter().find(|run| !self.before.contains(run)))
    }
}

impl Run {
    /// Waits for the end of the run, and returns its result as JSON.
    ///
    /// # Errors
    /// When it fails, or the server does not answer.
    pub async fn result(&self, client: &Client) -> Result<Vec<u8>, RunError> {
        let run = WorkflowExecutionInfo::builder()
            .namespace(client.namespace())
            .workflow_id(self.workflow_id.as_str())
            .run_id(self.run_id.as_str())
            .build();
        let handle = run.bind_untyped(client.clone());
        let result = handle.get_result(WorkflowGetResultOptions::default()).await;
        let value = result.map_err(|problem| RunError::Run {
            workflow_id: self.workflow_id.clone(),
            problem: Box::new(problem),
        })?;
        Ok(value.payloads.into_iter().next().map(|payload| payload.data).unwrap_or_default())
    }
}

/// The runs that a schedule started lately.
async fn runs(client: &Client, id: &str) -> Result<Vec<Run>, RunError> {
    let handle = client.get_schedule_handle(id);
    let described = handle.describe(RpcOptions::default()).await;
    let described = described.map_err(|problem| refused(id, problem))?;
    let run = |action: ScheduleRecentAction| Run {
        workflow_id: action.workflow_id,
        run_id: action.run_id,
    };
    Ok(described.recent_actions().into_iter().map(run).collect())
}

fn refused(id: &str, problem: ScheduleError) -> RunError {
    match problem {
        ScheduleError::Rpc(status) if status.code() == Code::NotFound => {
            RunError::Unknown(id.to_owned())
        }
        problem => RunError::Schedule { id: id.to_owned(), problem },
    }
}
