//! A process that is killed while it appends.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use super::{files, folder, open};

/// Only where this file lies in the current folder does the child do anything.
const MARK: &str = "appends-until-it-is-killed";
/// How long a child appends if nobody kills it.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "a process of `what_was_acknowledged_survives_a_kill`, and nothing without it"]
async fn appends_until_it_is_killed() {
    let folder = env::current_dir().unwrap();
    if !folder.join(MARK).exists() {
        return;
    }
    let spool = open(&folder.join("spool"));
    let appends: Vec<_> = (0..8).map(|task| tokio::spawn(append(spool.clone(), task))).collect();
    for append in appends {
        append.await.unwrap();
    }
}

async fn append(spool: super::Spool, task: usize) {
    let started = Instant::now();
    for number in 0.. {
        let name = format!("{}/{task}/{number}", process::id());
        spool.append(record(&name, number)).await.unwrap();
        println!("acknowledged {name}.");
        if started.elapsed() > PATIENCE {
            return;
        }
    }
}

/// Of lengths from a few bytes to 30 KB.
fn record(name: &str, number: usize) -> Vec<u8> {
    format!("{name} {}", "x".repeat(number * 997 % 30_000)).into_bytes()
}

/// Starts a child, kills it after so many acknowledgements, and returns all that it printed.
fn killed_after(folder: &Path, acknowledgements: usize) -> Vec<String> {
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args([&format!("{module}::appends_until_it_is_killed"), "--exact", "--ignored"])
        .arg("--nocapture")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness prints words of its own before the first.
        if let Some((_, name)) = line.split_once("acknowledged ") {
            acknowledged.extend(name.strip_suffix('.').map(String::from));
        }
        if acknowledged.len() == acknowledgements {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && status.code().is_none(), "it ended by itself: {status}");
    acknowledged
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = folder();
    fs::write(folder.path().join(MARK), "").unwrap();
    let mut acknowledged = BTreeSet::new();
    // Each child takes over what the ones before it left.
    for round in 1..=5 {
        let names = killed_after(folder.path(), 37 * round);
        assert!(names.len() >= 37 * round, "{} of round {round}", names.len());
        acknowledged.extend(names);
    }
    let spool = open(&folder.path().join("spool"));
    let (mut found, mut records) = (BTreeSet::new(), 0);
    while let Some(batch) = spool.next_batch(100, usize::MAX).await.unwrap() {
        for bytes in &batch.records {
            let text = std::str::from_utf8(bytes).unwrap();
            let (name, _) = text.split_once(' ').unwrap();
            let number = name.rsplit('/').next().unwrap().parse().unwrap();
            assert!(*bytes == record(name, number), "{name} came back changed");
            found.insert(name.to_owned());
            records += 1;
        }
        spool.done(batch).await.unwrap();
    }
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    // At most one of each of the 8 tasks of each child was stored without its answer being heard.
    assert!(records == found.len() && records <= acknowledged.len() + 5 * 8);
    assert_eq!(spool.damaged(), 0);
    assert!(files(&folder.path().join("spool"), "spool").is_empty());
}
