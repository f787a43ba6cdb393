//! PostgreSQL on this machine: durable, on 127.0.0.1 only, with a password.

mod initialize;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use super::account::Launcher;
use super::error::ServerError;
use super::find::PostgresPrograms;
use super::folder::{self, DataFolder};
use super::leftover::Traces;
use super::process::{Process, STOP_LIMIT, Signal, Start};
use super::tool;

const NAME: &str = "postgres";
const INITDB: &str = "initdb";

/// "Fast": ends sessions, writes a checkpoint. SIGTERM would wait for every client to leave.
const QUIT: Signal = Signal::Interrupt;

/// The superuser.
const USER: &str = "postgres";

/// The database of the application.
const DATABASE: &str = "postcall";

/// A killed server's last processes let go of its memory within moments.
const LET_GO_LIMIT: Duration = Duration::from_secs(10);

/// Made for a development machine, but durable: a crash test proves nothing without `fsync`.
const SETTINGS: [&str; 13] = [
    "listen_addresses=127.0.0.1",
    // Paths of sockets are limited to about 100 bytes, and nobody needs one here.
    "unix_socket_directories=",
    // Pools of receiver, API, worker and tests that run at once.
    "max_connections=200",
    "shared_buffers=256MB",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    // Commits wait while a new file of the log is written; those that are kept are used again.
    "min_wal_size=512MB",
    "log_destination=stderr",
    "logging_collector=off",
    "timezone=UTC",
    "log_timezone=UTC",
    // Statements carry personal data, and errors would copy them into the log.
    "log_min_error_statement=panic",
];

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    programs: PostgresPrograms,
    launcher: Arc<Launcher>,
    /// Holds `data` and, for moments, what becomes it.
    place: PathBuf,
    password: SecretString,
    logs: [PathBuf; 2],
    pid_files: [PathBuf; 2],
    port: u16,
    process: Option<Process>,
}

impl Postgres {
    pub(super) fn new(
        programs: PostgresPrograms,
        launcher: Arc<Launcher>,
        data: &DataFolder,
        place: PathBuf,
        port: u16,
    ) -> Result<Self, ServerError> {
        let version = data_version(&place);
        if let Some(version) = version.filter(|version| *version != programs.major) {
            return Err(ServerError::OtherVersion {
                place,
                data: version,
                installed: programs.major,
            });
        }
        let password = data.password(&place, version.is_none())?;
        let logs = [NAME, INITDB].map(|name| data.log(name));
        let pid_files = [NAME, INITDB].map(|name| data.pid_file(name));
        Ok(Self { programs, launcher, place, password, logs, pid_files, port, process: None })
    }

    pub(super) async fn end_leftover(data: &DataFolder, place: &Path) {
        for (name, quit) in [(NAME, QUIT), (INITDB, Signal::Terminate)] {
            let pid_file = data.pid_file(name);
            Traces { pid_file: &pid_file, program: name, folder: place, quit }.end().await;
        }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The application's database, as the superuser.
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.database_url(DATABASE)
    }

    /// The maintenance database, as the superuser.
    #[must_use]
    pub fn admin_url(&self) -> SecretString {
        self.database_url("postgres")
    }

    /// Another database, as the superuser.
    #[must_use]
    pub fn database_url(&self, database: &str) -> SecretString {
        let (password, address) = (self.password.expose_secret(), self.address());
        format!("postgres://{USER}:{password}@{address}/{database}").into()
    }

    /// The process id of the postmaster while it runs; its children do the work.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().filter(|process| process.is_running()).map(Process::pid)
    }

    /// Makes a database unless it is there.
    ///
    /// # Errors
    /// When the server is down or refuses.
    pub async fn create_database(&self, name: &str) -> Result<(), ServerError> {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--list", "--tuples-only", "--no-align"]);
        let databases = tool::run("listing the databases", psql).await?;
        if databases.lines().any(|line| line.split('|').next() == Some(name)) {
            return Ok(());
        }
        let mut createdb = self.client("createdb");
        createdb.arg("--").arg(name);
        tool::run("creating a database", createdb).await.map(drop)
    }

    /// Starts it, on new data if there is none, and waits until it answers a query; nothing to
    /// do when it runs.
    ///
    /// # Errors
    /// When the programs cannot be run, end early, or do not answer within 60 s.
    pub async fn start(&mut self) -> Result<(), ServerError> {
        if self.pid().is_some() {
            return Ok(());
        }
        self.own_place().await?;
        if data_version(&self.place).is_none() {
            self.initialize().await?;
        }
        let deadline = Instant::now() + LET_GO_LIMIT;
        let process = loop {
            let process = self.spawn().await?;
            match process.ready(|| self.answers()).await {
                Ok(()) => break process,
                Err(error) if Instant::now() < deadline && self.will_pass(&error)? => {
                    sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error),
            }
        };
        self.process = Some(process);
        Ok(())
    }

    /// Stops it (fast: with a checkpoint), and kills it when that takes too long.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end_by(&[QUIT, Signal::Quit]).await;
        }
    }

    /// Ends it as a crash would ("immediate": no checkpoint, recovery at the next start). Not
    /// SIGKILL, which would leave its children behind for moments.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.end_by(&[Signal::Quit]).await;
        }
    }

    pub(super) async fn died(&self) -> ExitStatus {
        match &self.process {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    }

    pub(super) async fn create_own_database(&self) -> Result<(), ServerError> {
        self.create_database(DATABASE).await
    }

    fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    async fn spawn(&self) -> Result<Process, ServerError> {
        let mut command = self.launcher.unprivileged(&self.programs.program("postgres"), QUIT);
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.current_dir(&self.place);
        let [log, _] = self.logs.clone();
        let [pid_file, _] = self.pid_files.clone();
        Process::start(Start { name: NAME, command, log, pid_file, quit: QUIT }).await
    }

    async fn answers(&self) -> bool {
        if !tool::listens(self.port).await {
            return false;
        }
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--command=SELECT 1"]);
        tool::run("a first query", psql).await.is_ok()
    }

    /// Whether an early end has a cause that goes away: what a killed server left behind.
    fn will_pass(&self, error: &ServerError) -> Result<bool, ServerError> {
        let ServerError::DiedEarly { output, .. } = error else { return Ok(false) };
        if output.contains("pre-existing shared memory block") {
            return Ok(true);
        }
        let lock = self.data().join("postmaster.pid");
        let other = Traces { pid_file: &lock, program: NAME, folder: &self.place, quit: QUIT };
        // The process of that id is somebody else's by now, for example after the restart of a
        // container, where the numbers are small. PostgreSQL cannot tell; we can.
        let stale =
            output.contains("\"postmaster.pid\" already exists") && other.running().is_none();
        if stale {
            folder::remove_file(&lock)?;
        }
        Ok(stale)
    }

    /// A client program that finds this server.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.program(program));
        self.launcher.clean(&mut command);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", USER).env("PGPASSWORD", self.password.expose_secret());
        command.env("PGDATABASE", "postgres").env("PGSSLMODE", "disable");
        let limit = STOP_LIMIT.as_secs().to_string();
        command.env("PGCONNECT_TIMEOUT", limit);
        command
    }
}

/// The major version that wrote the data; none where there is no data.
pub(super) fn data_version(place: &Path) -> Option<u32> {
    fs::read_to_string(place.join("data/PG_VERSION")).ok()?.trim().parse().ok()
}
