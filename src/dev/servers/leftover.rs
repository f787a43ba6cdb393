//! Servers that outlived a process of ours which was killed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::process::{STOP_LIMIT, Signal};

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a leftover is recognized.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traces<'a> {
    /// Where its process id was written.
    pub(super) pid_file: &'a Path,
    /// A part of its command line.
    pub(super) program: &'a str,
    /// It runs in this folder, or its command line names it.
    pub(super) folder: &'a Path,
    /// Asks it to end.
    pub(super) quit: Signal,
}

impl Traces<'_> {
    /// Ends the process of the file if it is still ours. A process id alone proves nothing:
    /// systems give them out again.
    pub(super) async fn end(self) {
        let Some(pid) = self.running() else { return };
        tracing::info!(pid, program = self.program, "ending a server of an earlier run");
        for signal in [self.quit, Signal::Kill] {
            signal.send(pid);
            let deadline = Instant::now() + STOP_LIMIT;
            while self.running() == Some(pid) && Instant::now() < deadline {
                sleep(LOOK_AGAIN).await;
            }
            if self.running().is_none() {
                return;
            }
        }
        tracing::error!(pid, program = self.program, "a server of an earlier run stays");
    }

    /// The process id in the file, if that process lives and is what the file was written for.
    pub(super) fn running(&self) -> Option<u32> {
        // The first line: PostgreSQL's own file has more of them.
        let pid = fs::read_to_string(self.pid_file).ok()?.lines().next()?.trim().parse().ok()?;
        let described =
            if cfg!(target_os = "linux") { self.matches_proc(pid) } else { self.matches_ps(pid) };
        described.then_some(pid)
    }

    /// Redis replaces its command line by a title, so its working folder is looked at too. The
    /// command line of a zombie is empty: it is dead, though nobody took note of it yet. That of
    /// a new process is empty too, for less than a millisecond; finding the programs, which comes
    /// before this, takes longer.
    fn matches_proc(&self, pid: u32) -> bool {
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
        let line = String::from_utf8_lossy(&line);
        let named = || line.contains(&*self.folder.to_string_lossy());
        let works_there = || {
            fs::read_link(format!("/proc/{pid}/cwd"))
                .is_ok_and(|place| place.starts_with(self.folder))
        };
        line.contains(self.program) && (named() || works_there())
    }

    /// Other systems do not tell the working folder of a process, so its program must do.
    fn matches_ps(&self, pid: u32) -> bool {
        let mut ps = Command::new("ps");
        ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]);
        ps.stdin(Stdio::null()).stderr(Stdio::null());
        ps.output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(self.program))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn only_the_process_that_the_file_was_written_for_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().canonicalize().unwrap();
        let pid_file = place.join("x.pid");
        let mut child = Command::new("sleep").arg("61").current_dir(&place).spawn().unwrap();
        fs::write(&pid_file, format!("{}\n", child.id())).unwrap();

        let ours = Traces {
            pid_file: &pid_file,
            program: "sleep",
            folder: &place,
            quit: Signal::Terminate,
        };
        let deadline = Instant::now() + STOP_LIMIT;
        while ours.running().is_none() && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ours.running(), Some(child.id()));
        Traces { program: "redis-server", ..ours }.end().await;
        if cfg!(target_os = "linux") {
            Traces { folder: Path::new("/nowhere"), ..ours }.end().await;
        }
        assert!(child.try_wait().unwrap().is_none());
        ours.end().await;
        assert!(child.wait().unwrap().code().is_none());
        assert_eq!(ours.running(), None);
    }
}
