//! `/proc`, read by proc(5): Linux only. Elsewhere there is nothing to read, and nothing is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Processor time of a server so far. `started` tells whether the id is still the same process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    /// In units of `USER_HZ`.
    pub(super) ticks: u64,
    pub(super) started: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) kib: u64,
    /// How it was measured, by the name that reports have for it.
    pub(super) measure: &'static str,
}

/// Every process of this machine.
#[derive(Debug, Default)]
pub(super) struct ProcessTable {
    by_pid: BTreeMap<u32, Stat>,
}

impl ProcessTable {
    pub(super) fn read() -> Self {
        let Ok(entries) = fs::read_dir("/proc") else { return Self::default() };
        let stat = |entry: fs::DirEntry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, Stat::parse(&read(pid, "stat")?)?))
        };
        Self { by_pid: entries.flatten().filter_map(stat).collect() }
    }

    /// A process and all its descendants.
    pub(super) fn family(&self, root: u32) -> BTreeSet<u32> {
        let mut family = BTreeSet::from([root]);
        loop {
            let born: Vec<u32> = self
                .by_pid
                .iter()
                .filter(|(pid, stat)| family.contains(&stat.parent) && !family.contains(*pid))
                .map(|(pid, _)| *pid)
                .collect();
            if born.is_empty() {
                return family;
            }
            family.extend(born);
        }
    }

    pub(super) fn spent(&self, pid: u32, with_children: bool) -> Option<Spent> {
        let root = self.by_pid.get(&pid)?;
        let ticks = match with_children {
            false => root.own_ticks,
            // What ended is in the times of the parent that waited for it.
            true => {
                let family = self.family(pid);
                let stats = family.iter().filter_map(|pid| self.by_pid.get(pid));
                stats.map(|stat| stat.own_ticks + stat.ended_children_ticks).sum()
            }
        };
        Some(Spent { ticks, started: root.started })
    }
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    ended_children_ticks: u64,
    /// In ticks since the machine started.
    started: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may have spaces and parentheses in it.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) numbers the fields from 1; the first after the name is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own_ticks: field(14)? + field(15)?,
            ended_children_ticks: field(16)? + field(17)?,
            started: field(22)?,
        })
    }
}

/// The kernel's own peak of a process' resident memory.
pub(super) fn peak_memory(pid: u32) -> Option<Memory> {
    let kib = kib(&read(pid, "status")?, "VmHWM")?;
    Some(Memory { kib, measure: "vm_hwm" })
}

/// What a process has in memory now that it shares with nobody, in KiB.
pub(super) fn own_memory(pid: u32) -> Option<u64> {
    kib(&read(pid, "status")?, "RssAnon")
}

/// What several processes have in memory now: shared pages once where we may see them.
pub(super) fn shared_memory(family: &BTreeSet<u32>) -> Option<Memory> {
    let pss = |pid: &u32| kib(&read(*pid, "smaps_rollup")?, "Pss");
    let rss = |pid: &u32| kib(&read(*pid, "status")?, "VmRSS");
    // A connection's process may end between the look at the table and this one.
    let living: Vec<&u32> = family.iter().filter(|pid| rss(pid).is_some()).collect();
    if living.is_empty() {
        return None;
    }
    let proportional: Option<u64> = living.iter().map(|pid| pss(pid)).sum();
    Some(match proportional {
        Some(kib) => Memory { kib, measure: "pss_sampled" },
        None => {
            let kib = living.iter().filter_map(|pid| rss(pid)).sum();
            Memory { kib, measure: "rss_sampled" }
        }
    })
}

/// The value of a line such as `VmHWM:     39208 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

fn read(pid: u32, file: &str) -> Option<String> {
    let bytes = fs::read(Path::new("/proc").join(pid.to_string()).join(file)).ok()?;
    // A process can name itself with any bytes.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A postmaster (its program renamed), as Linux 6 tells it.
    const STAT: &str = "22806 (post) R 1 (gres) S 22757 22806 1360 0 -1 4194560 6823 24025 0 0 \
        11 25 527 818 20 0 1 0 392639 369315840 9712 18446744073709551615 94501740949504 \
        94501746362793 140735175178880 0 0 0 0 24129536 84487 1 0 0 17 1 0 0 0 0 0\n";
    const STATUS: &str = "Name:\tpostgres\nState:\tS (sleeping)\nVmPeak:\t  360660 kB\n\
        VmHWM:\t   39208 kB\nVmRSS:\t   39104 kB\nThreads:\t1\n";
    const SMAPS_ROLLUP: &str = "55f2e6a66000-7fff761fc000 ---p 00000000 00:00 0    [rollup]\n\
        Rss:               39208 kB\nPss:               15209 kB\nPss_Dirty:         11175 kB\n";

    fn stat(parent: u32, own_ticks: u64, ended_children_ticks: u64) -> Stat {
        Stat { parent, own_ticks, ended_children_ticks, started: u64::from(parent) + 7 }
    }

    #[test]
    fn times_are_found_behind_any_name() {
        let expected =
            Stat { parent: 22757, own_ticks: 36, ended_children_ticks: 1345, started: 392_639 };
        assert_eq!(Stat::parse(STAT), Some(expected));
        assert_eq!(Stat::parse("22806 (cut"), None);
        assert_eq!(Stat::parse("22806 (cut) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn memory_is_read_by_its_exact_name() {
        assert_eq!(kib(STATUS, "VmHWM"), Some(39208));
        assert_eq!(kib(STATUS, "VmRSS"), Some(39104));
        assert_eq!(kib(SMAPS_ROLLUP, "Pss"), Some(15209));
        assert_eq!(kib(STATUS, "Vm"), None);
        assert_eq!(kib(STATUS, "Threads"), None);
    }

    #[test]
    fn a_server_is_its_whole_family_with_those_that_ended() {
        let processes = [
            (1, stat(0, 900, 900)),
            (10, stat(1, 5, 100)),
            (11, stat(10, 20, 0)),
            (9, stat(11, 30, 1)),
            (12, stat(1, 70, 0)),
        ];
        let table = ProcessTable { by_pid: processes.into() };
        assert_eq!(table.family(10), BTreeSet::from([9, 10, 11]));
        assert_eq!(table.spent(10, true), Some(Spent { ticks: 156, started: 8 }));
        assert_eq!(table.spent(10, false), Some(Spent { ticks: 5, started: 8 }));
        assert_eq!(table.spent(99, true), None);
    }
}
