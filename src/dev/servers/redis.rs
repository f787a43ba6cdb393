//! Redis on this machine: without files, because everything in it is projected from PostgreSQL.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::account::Launcher;
use super::error::ServerError;
use super::folder::DataFolder;
use super::leftover::Traces;
use super::process::{Process, Signal, Start};

const NAME: &str = "redis";
const QUIT: Signal = Signal::Terminate;

/// An answer of a server on this machine takes less than a millisecond.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// The answer to `INFO server` is about 1 KB.
const LARGEST_ANSWER: usize = 16 * 1024;

/// A Redis server.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    launcher: Arc<Launcher>,
    folder: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Redis {
    pub(super) fn new(
        program: PathBuf,
        launcher: Arc<Launcher>,
        data: &DataFolder,
        port: u16,
    ) -> Result<Self, ServerError> {
        let (folder, log) = (data.data_of(NAME)?, data.log(NAME));
        let pid_file = data.pid_file(NAME);
        Ok(Self { program, launcher, folder, log, pid_file, port, process: None })
    }

    pub(super) async fn end_leftover(data: &DataFolder) {
        let (pid_file, folder) = (data.pid_file(NAME), data.path_of(NAME));
        // Part of both `redis-server` and `valkey-server`.
        let program = "-server";
        Traces { pid_file: &pid_file, program, folder: &folder, quit: QUIT }.end().await;
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().filter(|process| process.is_running()).map(Process::pid)
    }

    /// Starts it and waits until it answers; nothing to do when it runs. Always empty at first.
    ///
    /// # Errors
    /// When the program cannot be run, ends early, or does not answer within 60 s.
    pub async fn start(&mut self) -> Result<(), ServerError> {
        if self.pid().is_some() {
            return Ok(());
        }
        let mut command = self.launcher.command(&self.program, QUIT);
        let port = self.port.to_string();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--daemonize", "no"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(&self.folder);
        command.current_dir(&self.folder);
        let (log, pid_file) = (self.log.clone(), self.pid_file.clone());
        let process =
            Process::start(Start { name: NAME, command, log, pid_file, quit: QUIT }).await?;
        let (port, pid) = (self.port, process.pid());
        process.ready(|| answers(port, pid)).await?;
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

    pub(super) async fn died(&self) -> ExitStatus {
        match &self.process {
            Some(process) => process.ended().await,
            None => std::future::pending().await,
        }
    }
}

/// Whether the server on that port answers, and is ours: one that took the port at the same
/// moment would answer as well.
async fn answers(port: u16, pid: u32) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"PING\r\nINFO server\r\n").await?;
        let mut answer = Vec::new();
        let mut part = [0; 1024];
        let mark = format!("\r\nprocess_id:{pid}\r\n");
        loop {
            let length = stream.read(&mut part).await?;
            answer.extend_from_slice(&part[..length]);
            let text = String::from_utf8_lossy(&answer);
            if text.starts_with("+PONG\r\n") && text.contains(&mark) {
                return std::io::Result::Ok(true);
            }
            if length == 0 || answer.len() > LARGEST_ANSWER {
                return Ok(false);
            }
        }
    };
    matches!(tokio::time::timeout(ANSWER_LIMIT, asking).await, Ok(Ok(true)))
}
