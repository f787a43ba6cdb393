//! How much memory the aggregation takes, here and in Postgres.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::cli::bench::proc::{own_memory, peak_memory};

/// Between two samples of what the kernel keeps no peak of.
const SAMPLE: Duration = Duration::from_millis(50);

/// Watches one process of Postgres.
#[derive(Debug)]
pub(super) struct Memory {
    backend: u32,
    own_kib: Arc<AtomicU64>,
    watch: JoinHandle<()>,
}

impl Memory {
    pub(super) fn watch(backend: u32) -> Self {
        let own_kib = Arc::new(AtomicU64::new(0));
        let peak = own_kib.clone();
        let watch = tokio::spawn(async move {
            loop {
                peak.fetch_max(own_memory(backend).unwrap_or(0), Ordering::Relaxed);
                tokio::time::sleep(SAMPLE).await;
            }
        });
        Self { backend, own_kib, watch }
    }

    /// Peaks in MiB: of this process; of Postgres' with the buffers that it shares with others, which
    /// count as soon as it has touched them; and of what is its own. Nothing where the system tells none.
    pub(super) async fn finish(self) -> (Option<f64>, Option<f64>, Option<f64>) {
        self.watch.abort();
        // Its end is all that is waited for.
        drop(self.watch.await);
        let peak = |pid| peak_memory(pid).map(|memory| mib(memory.kib));
        let own = Some(self.own_kib.load(Ordering::Relaxed)).filter(|kib| *kib > 0).map(mib);
        (peak(std::process::id()), peak(self.backend), own)
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
