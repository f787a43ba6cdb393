//! What each process took while a load went on.

use std::collections::BTreeMap;

use serde::Serialize;

use super::proc::{Memory, ProcessTable, Spent, peak_memory, shared_memory};

/// Unit of the times in `/proc/PID/stat`: `USER_HZ`, which is 100 a second on every platform that
/// Rust's Linux targets run on.
const TICKS_PER_SECOND: f64 = 100.0;
/// One process per connection that share their memory: it must not be counted for each.
const POSTGRES: &str = "postgres";
/// Parent of all the others, and ourselves: their children are not part of them.
const ALONE: &[&str] = &["dev", BENCH];
const BENCH: &str = "bench";

/// What one process, or one server of several processes, took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ProcessFigures {
    /// `postgres`, `redis`, `temporal`, `serve`, `worker`, `dev` (which has the fake providers in
    /// it) or `bench` (which posts).
    pub(super) name: String,
    /// Its id; for Postgres the postmaster's.
    pub(super) pid: u32,
    /// Processor seconds, user and system, from the first post to the last call done (`acks`: to
    /// the last answer); with those of its children except for `dev`. Null if it ended meanwhile,
    /// or the system does not tell.
    pub(super) cpu_seconds: Option<f64>,
    /// The same by completed calls (`acks`: by acknowledged posts, each of a call of its own).
    pub(super) cpu_seconds_per_1000_calls: Option<f64>,
    /// Most memory, in MiB. See `memory_measure`.
    pub(super) peak_memory_mib: Option<f64>,
    /// `vm_hwm`: the kernel's own peak of resident memory since the process began.
    /// `pss_sampled`: all processes of the server together, shared pages once, the largest of the
    /// samples taken every few seconds. `rss_sampled`: the same with shared pages counted in each.
    pub(super) memory_measure: Option<&'static str>,
}

/// Watches processes from the beginning of a load to its end.
#[derive(Debug)]
pub(super) struct Monitor {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    pid: u32,
    began: Option<Spent>,
    memory: Option<Memory>,
}

impl Monitor {
    /// Begins with these processes, and our own.
    pub(super) fn start(pids: &BTreeMap<String, u32>) -> Self {
        let bench = (BENCH.to_owned(), std::process::id());
        let all = pids.iter().map(|(name, pid)| (name.clone(), *pid)).chain([bench]);
        let table = ProcessTable::read();
        let watched = all.map(|(name, pid)| {
            let began = table.spent(pid, !ALONE.contains(&name.as_str()));
            Watched { name, pid, began, memory: None }
        });
        Self { watched: watched.collect() }
    }

    /// Takes a sample of the memory whose peak the kernel does not keep.
    pub(super) fn sample(&mut self) {
        for watched in self.watched.iter_mut().filter(|watched| watched.name == POSTGRES) {
            let now = shared_memory(&ProcessTable::read().family(watched.pid));
            // A sample of another kind cannot be compared, and the first kind is the better one.
            let is_higher = |old: Memory| {
                now.is_some_and(|now| now.measure == old.measure && now.kib > old.kib)
            };
            if watched.memory.is_none_or(is_higher) {
                watched.memory = now;
            }
        }
    }

    /// What was taken since the start, during which so many calls were completed.
    pub(super) fn finish(mut self, completed: u64) -> Vec<ProcessFigures> {
        let table = ProcessTable::read();
        self.sample();
        let figures = self.watched.into_iter().map(|watched| {
            let now = table.spent(watched.pid, !ALONE.contains(&watched.name.as_str()));
            let cpu_seconds = watched.began.zip(now).and_then(|(began, now)| took(began, now));
            let memory = match watched.name.as_str() {
                POSTGRES => watched.memory,
                _ => peak_memory(watched.pid),
            };
            ProcessFigures {
                cpu_seconds_per_1000_calls: cpu_seconds.and_then(|s| per_1000(s, completed)),
                cpu_seconds,
                // The id may belong to another process by now.
                peak_memory_mib: cpu_seconds.and(memory).map(|memory| mib(memory.kib)),
                memory_measure: cpu_seconds.and(memory).map(|memory| memory.measure),
                name: watched.name,
                pid: watched.pid,
            }
        });
        figures.collect()
    }
}

/// Processor seconds of the whole installation by completed calls; none where one is not known.
pub(super) fn cpu_seconds_per_1000_calls(processes: &[ProcessFigures]) -> Option<f64> {
    let others: Vec<&ProcessFigures> =
        processes.iter().filter(|process| process.name != BENCH).collect();
    if others.is_empty() {
        return None;
    }
    others.iter().map(|process| process.cpu_seconds_per_1000_calls).sum()
}

fn took(began: Spent, now: Spent) -> Option<f64> {
    let ticks = now.ticks.saturating_sub(began.ticks);
    (began.started == now.started).then_some(ticks as f64 / TICKS_PER_SECOND)
}

fn per_1000(seconds: f64, completed: u64) -> Option<f64> {
    (completed > 0).then(|| seconds * 1000.0 / completed as f64)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_id_is_not_compared() {
        let began = Spent { ticks: 100, started: 5 };
        assert_eq!(took(began, Spent { ticks: 350, started: 5 }), Some(2.5));
        assert_eq!(took(began, Spent { ticks: 350, started: 6 }), None);
        assert_eq!(per_1000(2.5, 500), Some(5.0));
        assert_eq!(per_1000(2.5, 0), None);
    }

    #[test]
    fn we_watch_ourselves_too() {
        let figures = Monitor::start(&BTreeMap::from([("dev".to_owned(), 0)])).finish(10);
        let names: Vec<&str> = figures.iter().map(|process| process.name.as_str()).collect();
        assert_eq!(names, ["dev", "bench"]);
        assert_eq!(figures[0].cpu_seconds, None);
        assert_eq!(cpu_seconds_per_1000_calls(&figures), None);
        if cfg!(target_os = "linux") {
            assert!(figures[1].peak_memory_mib.unwrap() > 1.0);
        }
    }
}
