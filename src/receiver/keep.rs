//! Where a verified event goes before it is acknowledged: the inbox, or the spool while Postgres
//! does not take it in time.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use contract::call::Origin;
use sha2::{Digest, Sha256};
use store::{
    inbox::{Appended, Fate, NewEvent},
    intake::{Intake, NotStored},
    signals::Teller,
};
use tokio::sync::Notify;

use super::spool::{Spool, SpoolError};

/// An inbox that takes longer is taken for down and the event goes to the spool as well: Postgres
/// usually commits in two milliseconds, and an event stored twice is one event.
const PATIENCE: Duration = Duration::from_millis(75);

/// Where the spool takes nothing either, the inbox gets this long: no provider has given up by then.
const LAST_PATIENCE: Duration = Duration::from_secs(4);

/// Keeps events: in one place at least, on disk, before it says so.
#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) intake: Intake,
    pub(super) spool: Spool,
    /// Wakes the dispatcher.
    teller: Teller,
    /// Postgres did not take the last event in time; until it takes one, events go to the spool.
    is_down: Arc<AtomicBool>,
    /// Wakes the task that empties the spool.
    pub(super) spooled: Arc<Notify>,
}

/// Where an event is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// In the inbox.
    Stored(Appended),
    /// In the spool.
    Spooled,
}

/// Neither the inbox nor the spool took the event.
#[derive(Debug, thiserror::Error)]
#[error("inbox: {inbox}; spool: {spool}")]
pub(super) struct KeepError {
    inbox: NotStored,
    #[source]
    spool: NotSpooled,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NotSpooled {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("the event cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
}

impl NotSpooled {
    fn and(self, inbox: NotStored) -> KeepError {
        KeepError { inbox, spool: self }
    }
}

impl Keeper {
    pub(super) fn new(intake: Intake, spool: Spool, teller: Teller) -> Self {
        let is_down = Arc::new(AtomicBool::new(!spool.is_empty()));
        Self { intake, spool, teller, is_down, spooled: Arc::default() }
    }

    /// Keeps an event. When this returns `Ok`, it is on disk.
    pub(super) async fn keep(&self, event: NewEvent) -> Result<Kept, KeepError> {
        let event = Arc::new(event);
        let mut storing = pin!(self.store(event.clone()));
        if !self.is_down() {
            match tokio::time::timeout(PATIENCE, &mut storing).await {
                Ok(Ok(appended)) => return Ok(Kept::Stored(appended)),
                // The future has ended; another try comes from the spool.
                Ok(Err(inbox)) => {
                    self.set_down(true);
                    return self.spool(&event).await.map_err(|spool| spool.and(inbox));
                }
                Err(_) => self.set_down(true),
            }
        }
        let Err(spool) = self.spool(&event).await else { return Ok(Kept::Spooled) };
        // Nothing but the inbox is left, and it may be only slow.
        match tokio::time::timeout(LAST_PATIENCE, storing).await {
            Ok(Ok(appended)) => Ok(Kept::Stored(appended)),
            Ok(Err(inbox)) => Err(spool.and(inbox)),
            Err(_) => {
                let reason = "no answer in time".to_owned();
                Err(spool.and(NotStored { reason, can_retry: true }))
            }
        }
    }

    async fn spool(&self, event: &NewEvent) -> Result<Kept, NotSpooled> {
        self.spool.append(encode(event)?).await?;
        metrics::counter!("postcall_spooled_events_total").increment(1);
        self.spooled.notify_one();
        Ok(Kept::Spooled)
    }

    /// Stores an event, in a parked form where the database will never take it as it is.
    pub(super) async fn store(&self, event: Arc<NewEvent>) -> Result<Appended, NotStored> {
        let stored = match self.intake.append(event.clone()).await {
            Err(error) if !error.can_retry => {
                tracing::error!(%error, "the inbox refuses an event, which is parked");
                self.intake.append(Arc::new(parked(&event, &error))).await
            }
            stored => stored,
        };
        if matches!(stored, Ok(Appended::New(_))) && matches!(event.fate, Fate::Dispatch { .. }) {
            self.teller.tell();
        }
        stored
    }

    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    pub(super) fn set_down(&self, down: bool) {
        let was_down = self.is_down.swap(down, Ordering::Relaxed);
        if down && !was_down {
            tracing::warn!("the inbox does not take events: they go to the spool");
            self.spooled.notify_one();
        } else if was_down && !down {
            tracing::info!("the inbox takes events again");
        }
        metrics::gauge!("postcall_inbox_down").set(f64::from(u8::from(down)));
    }
}

fn parked(event: &NewEvent, error: &NotStored) -> NewEvent {
    NewEvent {
        event_key: format!("refused/{}", hex::encode(Sha256::digest(&event.body))),
        event_kind: "unreadable".to_owned(),
        provider_call_id: None,
        notification_id: None,
        headers: serde_json::json!({}),
        fate: Fate::Park { reason: error.reason.clone() },
        ..event.clone()
    }
}

/// A record of the spool: length of the event's JSON (4 bytes, little endian), the JSON, the body.
fn encode(event: &NewEvent) -> Result<Vec<u8>, serde_json::Error> {
    let received_at = Some(event.received_at.unwrap_or_else(chrono::Utc::now));
    let event = NewEvent { origin: Origin::Spool, received_at, ..event.clone() };
    let head = serde_json::to_vec(&event)?;
    // Names and keys are bounded, so the head is too: a few KB.
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
    Ok([&length, &head[..], &event.body].concat())
}

/// Reads a record of the spool; nothing where it is none, which only another release can write.
pub(super) fn decode(record: &Bytes) -> Option<NewEvent> {
    let length = u32::from_le_bytes(record.get(..4)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(4)?;
    let event: NewEvent = serde_json::from_slice(record.get(4..end)?).ok()?;
    Some(NewEvent { body: record.slice(end..), ..event })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use contract::{
        call::{EventKind, Provider},
        ids::OrganizationId,
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_record_is_the_event_as_it_was_received() {
        let event = NewEvent {
            organization_id: OrganizationId(Uuid::from_u128(7)),
            provider: Provider::Retell,
            event_key: "call_1/call_ended".to_owned(),
            event_kind: "call_ended".to_owned(),
            provider_call_id: Some("call_1".to_owned()),
            notification_id: None,
            headers: serde_json::json!({ "user-agent": "x" }),
            body: Bytes::from_static(b"{\"a\":\"\xff\0\"}"),
            origin: Origin::Webhook,
            received_at: None,
            fate: Fate::Dispatch { life: EventKind::Ended, call_status: None },
        };
        let record = Bytes::from(encode(&event).unwrap());
        let read = decode(&record).unwrap();
        assert_eq!(
            (&read.body, &read.fate, read.origin),
            (&event.body, &event.fate, Origin::Spool)
        );
        assert_eq!((&read.event_key, &read.headers), (&event.event_key, &event.headers));
        assert!(read.received_at.is_some(), "the time at which it came, not at which it is stored");
        for cut in [0, 3, 10] {
            assert!(decode(&record.slice(..cut)).is_none());
        }
    }
}
