//! Empties the spool into the inbox, oldest first, when Postgres is back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::body::Bytes;
use futures::future::join_all;
use sha2::{Digest, Sha256};
use store::{Database, intake::NotStored};
use tokio::io::AsyncWriteExt;

use super::{
    keep::{Keeper, decode},
    spool::SpoolError,
};

/// Records read back at once, and bytes of them.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Between two tries while Postgres is down, and two looks for what other processes left.
const PAUSE: Duration = Duration::from_millis(250);
/// A commit that takes longer has failed; the records stay.
const PATIENCE: Duration = Duration::from_secs(10);

/// Empties the spool for as long as the process lives.
pub(super) async fn keep_draining(keeper: Keeper, db: Database, folder: PathBuf) {
    loop {
        let spool = &keeper.spool;
        metrics::gauge!("postcall_spool_bytes").set(spool.bytes() as f64);
        metrics::gauge!("postcall_spool_records").set(spool.records_waiting() as f64);
        metrics::gauge!("postcall_spool_damaged_segments").set(spool.damaged() as f64);
        match drain_once(&keeper, &db, &folder).await {
            Ok(true) => {}
            Ok(false) => {
                drop(tokio::time::timeout(PAUSE, keeper.spooled.notified()).await);
            }
            Err(error) => {
                tracing::error!(%error, "the spool cannot be read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One step: true where there may be more to do at once.
async fn drain_once(keeper: &Keeper, db: &Database, folder: &Path) -> Result<bool, SpoolError> {
    if keeper.spool.is_empty() {
        if keeper.is_down() && can_write(db).await {
            keeper.set_down(false);
        }
        return Ok(false);
    }
    let Some(batch) = keeper.spool.next_batch(BATCH, BATCH_BYTES).await? else { return Ok(false) };
    let records = batch.records.iter().map(|record| Bytes::copy_from_slice(record));
    let stored = join_all(records.map(|record| store(keeper, folder, record))).await;
    if let Some(Err(error)) = stored.into_iter().find(Result::is_err) {
        tracing::debug!(%error, "the spool waits for the inbox");
        // What was stored of the batch is stored; the whole of it comes again, to no effect.
        tokio::time::sleep(PAUSE).await;
        return Ok(true);
    }
    keeper.spool.done(batch).await?;
    keeper.set_down(false);
    Ok(true)
}

/// Stores a record, or puts it aside where no inbox will ever take it.
async fn store(keeper: &Keeper, folder: &Path, record: Bytes) -> Result<(), NotStored> {
    let Some(event) = decode(&record) else { return put_aside(folder, &record).await };
    let late = || NotStored { reason: "too slow".to_owned(), can_retry: true };
    match tokio::time::timeout(PATIENCE, keeper.store(Arc::new(event))).await {
        Err(_) => Err(late()),
        Ok(Err(error)) if !error.can_retry => put_aside(folder, &record).await,
        Ok(stored) => stored.map(drop),
    }
}

/// A record that another release wrote, or that the database refuses in every form: it was
/// acknowledged, so it stays for a person to look at, and holds up no other.
async fn put_aside(folder: &Path, record: &Bytes) -> Result<(), NotStored> {
    let path = folder.join(format!("{}.refused", hex::encode(Sha256::digest(record))));
    tracing::error!(path = %path.display(), "a record of the spool cannot be stored and is put aside");
    metrics::counter!("postcall_spool_refused_total").increment(1);
    let written = async {
        // Bodies are for nobody else's eyes.
        let mut options = tokio::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).await?;
        file.write_all(record).await?;
        file.sync_all().await
    };
    written.await.map_err(|error| NotStored {
        reason: format!("it cannot be put aside: {error}"),
        can_retry: true,
    })
}

async fn can_write(db: &Database) -> bool {
    let tried = tokio::time::timeout(PATIENCE, store::intake::can_write(db)).await;
    matches!(tried, Ok(Ok(())))
}
