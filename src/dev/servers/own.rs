//! Processes of this binary (`serve`, `worker`), started and ended like the servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::account::Launcher;
use super::error::ServerError;
use super::find::SearchPlaces;
use super::leftover::Traces;
use super::process::{Process, Signal, Start};

/// A role of this binary as a child process. Dropping it asks it to end.
#[derive(Debug)]
pub struct OwnProcess {
    process: Process,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct OwnCommand {
    /// Names log and pid file: `serve`, `worker`.
    pub name: &'static str,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// The data folder, for `logs/NAME.log` and `run/NAME.pid`.
    pub data_dir: PathBuf,
}

impl OwnProcess {
    /// Ends what an earlier run left behind and starts the process anew.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(command: &OwnCommand, places: &SearchPlaces) -> Result<Self, ServerError> {
        let launcher = Launcher::detect(places)?;
        let pid_file = command.data_dir.join("run").join(format!("{}.pid", command.name));
        let log = command.data_dir.join("logs").join(format!("{}.log", command.name));
        end_leftover(&pid_file, &command.program, &command.data_dir).await;
        let mut process = launcher.command(&command.program, Signal::Terminate);
        process.args(&command.arguments);
        process.env_clear().envs(&command.environment);
        process.current_dir(&command.data_dir);
        let quit = Signal::Terminate;
        let start = Start { name: command.name, command: process, log, pid_file, quit };
        Ok(Self { process: Process::start(start).await? })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits for its end.
    pub async fn ended(&self) -> ExitStatus {
        self.process.ended().await
    }

    /// Waits until `answers` says so.
    ///
    /// # Errors
    /// When it ends before that, or takes too long; with the end of its log.
    pub async fn ready<F>(&self, answers: impl Fn() -> F) -> Result<(), ServerError>
    where
        F: Future<Output = bool>,
    {
        self.process.ready(answers).await
    }

    /// Asks it to end, and kills it when it does not.
    pub async fn stop(&self) {
        self.process.stop().await;
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(&self) {
        self.process.end_by(&[Signal::Kill]).await;
    }
}

/// Recognized by the binary's whole path: a role's name alone also stands in the command lines of
/// the servers.
async fn end_leftover(pid_file: &Path, program: &Path, data_dir: &Path) {
    let (program, quit) = (program.to_string_lossy(), Signal::Terminate);
    Traces { pid_file, program: &program, folder: data_dir, quit }.end().await;
}
