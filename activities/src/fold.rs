//! Stored bodies to facts: parsed by `providers`, folded by `contract`.

use contract::{
    call::Provider,
    merge::{self, CallEvent, CallFacts},
};
use store::inbox::StoredEvent;

/// Folds the stored events of a call.
///
/// An event whose body aged out or can no longer be read is left out: what it told is in the row.
pub fn fold(provider: Provider, stored: &[StoredEvent]) -> CallFacts {
    let events: Vec<CallEvent> = stored.iter().filter_map(|event| read(provider, event)).collect();
    merge::fold(&events)
}

fn read(provider: Provider, stored: &StoredEvent) -> Option<CallEvent> {
    let body = stored.body.as_deref()?;
    match providers::incoming::read(provider, body, stored.received_at) {
        Ok(incoming) => Some(incoming.event),
        Err(error) => {
            // The receiver parks what it cannot read, so this was readable by an older release.
            tracing::error!(inbox_id = %stored.id, %error, "a stored event can no longer be read");
            None
        }
    }
}
