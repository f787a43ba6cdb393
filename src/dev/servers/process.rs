//! One running server: started, watched, signalled and stopped.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::error::ServerError;
use super::log::Log;

/// How long a server gets to end by itself. PostgreSQL writes a checkpoint, Temporal drains for
/// one to two seconds.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long the kernel gets to take away a process that was killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long a server gets until it answers. A cold disk and a busy machine are slow; a server
/// that cannot start ends, and is noticed at once.
const READY_LIMIT: Duration = Duration::from_secs(240);

/// Between two looks whether a server answers.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Signals by their names in `kill` and `setpriv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Interrupt,
    Terminate,
    Quit,
    Kill,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }

    /// Sends the signal. The shell's own `kill` is used because a small Debian has no `/bin/kill`.
    /// It takes 2 ms, which is why async code may wait for it. That the process is gone already
    /// is no error.
    pub(super) fn send(self, pid: u32) {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("kill -{} {pid}", self.name()));
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = shell.status() {
            tracing::warn!(%error, pid, "cannot run sh to send a signal");
        }
    }
}

/// What is needed to start a server.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) name: &'static str,
    pub(super) command: Command,
    pub(super) log: PathBuf,
    pub(super) pid_file: PathBuf,
    /// Asks it to end.
    pub(super) quit: Signal,
}

/// A child process. Dropping it asks it to end, so that nothing is left behind by a panic.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    pid: u32,
    quit: Signal,
    log: Log,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts the server with its output appended to its log.
    pub(super) async fn start(start: Start) -> Result<Self, ServerError> {
        let Start { name, mut command, log, pid_file, quit } = start;
        let (output, log) = Log::open(&log)?;
        let errors = output.try_clone().map_err(ServerError::file("open", log.path()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Ctrl-C in a terminal reaches the whole group: the servers must outlive it, because we
        // stop what uses them first.
        command.process_group(0);
        let program = PathBuf::from(command.get_program());
        let (pid, ended) = spawn(command, pid_file)
            .await
            .map_err(|source| ServerError::Run { program, source })?;
        tracing::debug!(name, pid, "started");
        Ok(Self { name, pid, quit, log, ended })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        loop {
            if let Some(status) = *ended.borrow_and_update() {
                return status;
            }
            if ended.changed().await.is_err() {
                // The waiting thread always reports before it ends.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until `answers` says so, the process ends, or the limit is over.
    pub(super) async fn ready<F>(&self, answers: impl Fn() -> F) -> Result<(), ServerError>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + READY_LIMIT;
        let asking = async {
            while !answers().await {
                sleep(LOOK_AGAIN).await;
            }
        };
        tokio::select! {
            biased;
            status = self.ended() => Err(self.died_early(status)),
            answer = tokio::time::timeout_at(deadline, asking) => answer.map_err(|_| {
                ServerError::NotReady {
                    name: self.name,
                    seconds: READY_LIMIT.as_secs(),
                    log: self.log.path(),
                    output: self.log.excerpt(),
                }
            }),
        }
    }

    pub(super) fn died_early(&self, status: ExitStatus) -> ServerError {
        let (log, output) = (self.log.path(), self.log.excerpt());
        ServerError::DiedEarly { name: self.name, status, log, output }
    }

    /// Asks it to end and kills it when it does not.
    pub(super) async fn stop(&self) {
        self.end_by(&[self.quit]).await;
    }

    /// Sends each signal in turn, each with its bound, and at last SIGKILL, until it has ended.
    pub(super) async fn end_by(&self, signals: &[Signal]) {
        for signal in signals {
            if !self.is_running() {
                return;
            }
            signal.send(self.pid);
            if timeout(STOP_LIMIT, self.ended()).await.is_ok() {
                return;
            }
            tracing::warn!(name = self.name, signal = signal.name(), "did not end in time");
        }
        if self.is_running() {
            Signal::Kill.send(self.pid);
            if timeout(KILL_LIMIT, self.ended()).await.is_err() {
                tracing::error!(name = self.name, pid = self.pid, "survived SIGKILL");
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.quit.send(self.pid);
        }
    }
}

type Spawned = std::io::Result<(u32, watch::Receiver<Option<ExitStatus>>)>;

struct Order {
    command: Command,
    pid_file: PathBuf,
    reply: oneshot::Sender<Spawned>,
}

/// Spawns on a thread that lives as long as we do: the signal at a parent's death (`pdeathsig`)
/// comes when the *thread* that spawned ends, and threads of an async runtime come and go.
async fn spawn(command: Command, pid_file: PathBuf) -> Spawned {
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, receiver) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for Order { command, pid_file, reply } in receiver {
                // Nobody waits for the answer any more: Drop never saw the process, so end it.
                if let Err(Ok((pid, _))) = reply.send(spawn_here(command, pid_file)) {
                    Signal::Kill.send(pid);
                }
            }
        });
        orders
    });
    let gone = || std::io::Error::other("the spawning thread has ended");
    let (reply, answer) = oneshot::channel();
    orders.send(Order { command, pid_file, reply }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn spawn_here(mut command: Command, pid_file: PathBuf) -> Spawned {
    let child = command.spawn()?;
    let pid = child.id();
    if let Err(error) = fs::write(&pid_file, pid.to_string()) {
        // Only a start after `kill -9` of us needs the file.
        tracing::warn!(%error, file = %pid_file.display(), "cannot write the process id");
    }
    let (sender, ended) = watch::channel(None);
    thread::spawn(move || wait(child, &pid_file, &sender));
    Ok((pid, ended))
}

fn wait(mut child: Child, pid_file: &PathBuf, sender: &watch::Sender<Option<ExitStatus>>) {
    match child.wait() {
        Ok(status) => {
            // Before the report: who reads it may start the server, and its file, anew.
            let _ = fs::remove_file(pid_file);
            sender.send_replace(Some(status));
        }
        Err(error) => tracing::error!(%error, "cannot wait for a child process"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    async fn shell(folder: &tempfile::TempDir, script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = folder.path().join("x.log");
        let pid_file = folder.path().join("x.pid");
        let quit = Signal::Terminate;
        Process::start(Start { name: "x", command, log, pid_file, quit }).await.unwrap()
    }

    #[tokio::test]
    async fn an_early_end_is_noticed_at_once_and_explained() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(&folder, "echo bad luck >&2; exit 3").await;
        let error = process.ready(|| async { false }).await.unwrap_err().to_string();
        assert!(error.contains("bad luck") && error.contains('3'), "{error}");
        assert!(!folder.path().join("x.pid").exists());
    }

    #[tokio::test]
    async fn stop_ends_it_and_a_second_stop_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(&folder, "exec sleep 60").await;
        let written = fs::read_to_string(folder.path().join("x.pid")).unwrap();
        assert_eq!(written, process.pid().to_string());
        process.stop().await;
        assert!(!process.is_running());
        process.stop().await;
    }

    #[tokio::test]
    async fn a_dropped_process_ends() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(&folder, "exec sleep 60").await;
        let mut ended = process.ended.clone();
        drop(process);
        ended.wait_for(Option::is_some).await.unwrap();
    }
}
