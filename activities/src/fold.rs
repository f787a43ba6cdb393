//! Stored bodies to facts: parsed by `providers`, folded by `contract`.

use contract::{
    call::Provider,
    merge::{self, CallEvent},
};
use store::inbox::{Folded, StoredEvent};

/// Folds the stored events of a call, and what the call's row says where it is given.
///
/// An event whose body aged out, or is not understood any more, leaves a hole: what it told is in
/// the row, which is then asked for.
pub fn fold(provider: Provider, stored: &[StoredEvent], row: Option<&CallEvent>) -> Folded {
    let read: Vec<Option<CallEvent>> = stored.iter().map(|event| read(provider, event)).collect();
    let unread = stored.iter().zip(&read).filter(|(_, read)| read.is_none());
    let hole = unread.map(|(stored, _)| stored.life).max();
    Folded { facts: merge::fold(read.iter().flatten().chain(row)), hole }
}

fn read(provider: Provider, stored: &StoredEvent) -> Option<CallEvent> {
    let body = stored.body.as_deref()?;
    match providers::incoming::read(provider, stored.origin, body, stored.received_at) {
        Ok(incoming) => Some(incoming.event),
        Err(error) => {
            // The receiver parks what it cannot read, so this was readable by an older release.
            tracing::error!(inbox_id = %stored.id, %error, "a stored event can no longer be read");
            None
        }
    }
}
