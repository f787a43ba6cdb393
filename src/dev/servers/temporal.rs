//! Temporal's development server on this machine, with its UI.

mod registered;

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use self::registered::Registered;
use super::account::Launcher;
use super::error::ServerError;
use super::folder::{self, DataFolder};
use super::leftover::Traces;
use super::ports::Ports;
use super::process::{Process, Signal, Start};
use super::{ServerOptions, tool};

const NAME: &str = "temporal";
const QUIT: Signal = Signal::Terminate;
const DEFAULT_NAMESPACE: &str = "default";

/// What SQLite puts beside its file.
const DATABASE_SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A Temporal server.
#[derive(Debug)]
pub struct Temporal {
    program: PathBuf,
    launcher: Arc<Launcher>,
    folder: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
    ports: Ports,
    in_memory: bool,
    registered: Registered,
    settings: Vec<String>,
    pragmas: Vec<String>,
    process: Option<Process>,
}

impl Temporal {
    pub(super) fn new(
        program: PathBuf,
        launcher: Arc<Launcher>,
        data: &DataFolder,
        ports: Ports,
        options: &ServerOptions,
    ) -> Result<Self, ServerError> {
        let mut namespaces = vec![DEFAULT_NAMESPACE.to_owned()];
        for namespace in &options.namespaces {
            if !namespaces.contains(namespace) {
                namespaces.push(namespace.clone());
            }
        }
        let search_attributes = options.search_attributes.clone();
        Ok(Self {
            program,
            launcher,
            folder: data.data_of(NAME)?,
            log: data.log(NAME),
            pid_file: data.pid_file(NAME),
            ports,
            in_memory: options.temporal_in_memory,
            registered: Registered { namespaces, search_attributes },
            settings: options.temporal_settings.clone(),
            pragmas: options.temporal_sqlite_pragmas.clone(),
            process: None,
        })
    }

    pub(super) async fn end_leftover(data: &DataFolder) {
        let (pid_file, folder) = (data.pid_file(NAME), data.path_of(NAME));
        Traces { pid_file: &pid_file, program: NAME, folder: &folder, quit: QUIT }.end().await;
    }

    /// The frontend: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.temporal)
    }

    /// The web page: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn ui_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.temporal_ui)
    }

    /// The process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().filter(|process| process.is_running()).map(Process::pid)
    }

    /// Starts it and waits until it has its namespaces and search attributes; nothing to do when
    /// it runs.
    ///
    /// # Errors
    /// When the program cannot be run, ends early, or does not answer within 60 s.
    pub async fn start(&mut self) -> Result<(), ServerError> {
        if self.pid().is_some() {
            return Ok(());
        }
        let known = self.known();
        if known.is_none() {
            // A first start that was killed may have left half a schema, which the server would
            // take for a whole one.
            self.remove_database()?;
        }
        let (log, pid_file) = (self.log.clone(), self.pid_file.clone());
        let command = self.command();
        let process =
            Process::start(Start { name: NAME, command, log, pid_file, quit: QUIT }).await?;
        process.ready(|| self.answers()).await?;
        if !self.in_memory && known.as_ref() != Some(&self.registered) {
            if known.is_some() {
                self.register_missing().await?;
            }
            self.remember()?;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to end, and kills it after 10 s.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Kills it (SIGKILL).
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.end_by(&[]).await;
        }
    }

    /// Deletes all its data. The next start has the namespaces again, and nothing in them.
    ///
    /// # Errors
    /// [`ServerError::Running`] while it runs; else when the files cannot be removed.
    pub async fn wipe(&mut self) -> Result<(), ServerError> {
        if self.pid().is_some() {
            return Err(ServerError::Running { name: NAME });
        }
        self.remove_database()
    }

    pub(super) async fn died(&self) -> ExitStatus {
        match &self.process {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Eager starts and updates need no setting: server 1.29 has them on.
    fn command(&self) -> Command {
        let mut command = self.launcher.command(&self.program, QUIT);
        command.args(["server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]);
        for (flag, port) in [
            ("--port", self.ports.temporal),
            ("--ui-port", self.ports.temporal_ui),
            ("--http-port", self.ports.temporal_http),
            ("--metrics-port", self.ports.temporal_metrics),
        ] {
            command.args([flag, &port.to_string()]);
        }
        if !self.in_memory {
            command.arg("--db-filename").arg(self.database());
            for pragma in &self.pragmas {
                command.args(["--sqlite-pragma", pragma]);
            }
        }
        for namespace in &self.registered.namespaces {
            // The server has this one anyway, and would make it twice.
            if namespace != DEFAULT_NAMESPACE {
                command.args(["--namespace", namespace]);
            }
        }
        for name in &self.registered.search_attributes {
            command.args(["--search-attribute", &format!("{name}=Keyword")]);
        }
        for setting in &self.settings {
            command.args(["--dynamic-config-value", setting]);
        }
        // It keeps a file of its own in the home folder, which is nobody's business but ours.
        command.env("HOME", &self.folder).current_dir(&self.folder);
        command
    }

    /// A frontend that accepts connections may still have no history service behind it: asking
    /// for a workflow that does not exist goes through both.
    async fn answers(&self) -> bool {
        // The HTTP port opens only once the frontend has got its own, so that another server,
        // which took that one at the same moment, does not answer for ours.
        if !tool::listens(self.ports.temporal_http).await
            || !tool::listens(self.ports.temporal).await
        {
            return false;
        }
        for namespace in &self.registered.namespaces {
            let describe = self.client(namespace, &["operator", "namespace", "describe"]);
            if tool::run("describing a namespace", describe).await.is_err() {
                return false;
            }
        }
        let ask = ["workflow", "describe", "--workflow-id", "is-history-there"];
        match tool::run("asking for a workflow", self.client(DEFAULT_NAMESPACE, &ask)).await {
            Ok(_) => true,
            Err(ServerError::Tool { output, .. }) => output.contains("not found"),
            Err(_) => false,
        }
    }

    fn client(&self, namespace: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.launcher.clean(&mut command);
        command.env("HOME", &self.folder).args(args);
        command.args(["--address", &self.address(), "--namespace", namespace]);
        command
    }

    fn database(&self) -> PathBuf {
        self.folder.join("temporal.db")
    }

    fn remove_database(&self) -> Result<(), ServerError> {
        if self.in_memory {
            return Ok(());
        }
        folder::remove_file(&self.registered_file())?;
        for suffix in DATABASE_SUFFIXES {
            let mut file = self.database().into_os_string();
            file.push(suffix);
            folder::remove_file(file.as_ref())?;
        }
        Ok(())
    }
}
