//! The worker of `postcall dev` stands still, so that what it would do with the posts does not
//! take processor time from their acknowledgement.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::cli::bench::proc::ProcessTable;

/// What the worker did while webhooks were posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Worker {
    /// It was stopped.
    Paused,
    /// It went on, as asked.
    Running,
    /// It runs elsewhere, if it runs.
    Unknown,
}

/// A worker that goes on when this is dropped.
#[derive(Debug)]
pub(super) struct Paused {
    pid: Option<u32>,
}

impl Paused {
    /// Stops the worker of these processes; where there are none, nothing is known of it.
    pub(super) fn begin(pids: &BTreeMap<String, u32>) -> anyhow::Result<Self> {
        let Some(pid) = pids.get("worker").copied() else { return Ok(Self { pid: None }) };
        // The process of a `dev` that was killed, or of a worker that was started anew, may be
        // another's by now.
        let family = pids.get("dev").map(|dev| ProcessTable::read().family(*dev));
        if !family.is_some_and(|family| family.contains(&pid)) {
            return Err(anyhow!(
                "process {pid} is not the worker of `postcall dev` any more; start `dev` again, \
                 or let its worker go on by --with-worker"
            ));
        }
        send("STOP", pid)?;
        eprintln!(
            "the worker (process {pid}) is stopped until the bench ends; should the bench be \
             killed: kill -CONT {pid}"
        );
        Ok(Self { pid: Some(pid) })
    }

    pub(super) const fn worker(&self) -> Worker {
        match self.pid {
            Some(_) => Worker::Paused,
            None => Worker::Unknown,
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let Some(pid) = self.pid else { return };
        match send("CONT", pid) {
            Ok(()) => eprintln!("the worker goes on and opens the calls that were posted"),
            Err(error) => eprintln!("the worker is still stopped ({error:#}): kill -CONT {pid}"),
        }
    }
}

/// By the shell's own `kill`: a small Debian has no `/bin/kill`.
fn send(signal: &str, pid: u32) -> anyhow::Result<()> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("kill -{signal} {pid}"));
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = shell.status().context("cannot run sh to send a signal")?;
    status.success().then_some(()).ok_or_else(|| anyhow!("SIG{signal} cannot be sent to {pid}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use std::{process::Child, time::Duration};

    use super::*;

    fn state(child: &Child) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').next().unwrap().to_owned()
    }

    /// Signals take effect when the kernel next looks at the process.
    fn becomes(child: &Child, wanted: &str) -> bool {
        (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            state(child) == wanted
        })
    }

    fn pids(dev: u32, worker: u32) -> BTreeMap<String, u32> {
        [("dev", dev), ("worker", worker)].map(|(name, pid)| (name.to_owned(), pid)).into()
    }

    #[test]
    fn the_worker_stands_still_until_the_end() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(becomes(&child, "S"));
        let paused = Paused::begin(&pids(std::process::id(), child.id())).unwrap();
        assert_eq!(paused.worker(), Worker::Paused);
        assert!(becomes(&child, "T"));
        drop(paused);
        assert!(becomes(&child, "S"));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_not_the_worker_is_left_alone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        // Not a child of that `dev`.
        let error = Paused::begin(&pids(child.id(), std::process::id())).unwrap_err();
        assert!(error.to_string().contains("--with-worker"), "{error:#}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Paused::begin(&BTreeMap::new()).unwrap().worker(), Worker::Unknown);
    }
}
