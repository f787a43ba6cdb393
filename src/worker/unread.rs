//! Events that the receiver did not make one of a call: callbacks of text messages, and what people
//! replay. They are read with today's parser.

use contract::call::EventKind;
use providers::incoming::{self, Incoming, MessageState};
use store::{
    Database, StoreError, dispatch,
    dispatch::UnreadEvent,
    notifications,
    notifications::Callback,
    unread::{self, Identified, Stored},
};

/// Reads one event and settles what it is.
pub(super) async fn read(db: &Database, event: UnreadEvent) -> Result<(), StoreError> {
    let stored = unread::get(db, event).await?;
    let Some(body) = stored.body.as_deref() else {
        return dispatch::park(db, event.inbox_id, "its body aged out").await;
    };
    match incoming::read(event.provider, stored.origin, body, stored.received_at) {
        Err(unreadable) => dispatch::park(db, event.inbox_id, &unreadable.to_string()).await,
        Ok(incoming) => settle(db, event, &stored, &incoming).await,
    }
}

async fn settle(
    db: &Database,
    event: UnreadEvent,
    stored: &Stored,
    incoming: &Incoming,
) -> Result<(), StoreError> {
    let life = incoming.event.kind;
    if let (EventKind::Message, Some(fate)) = (life, &incoming.message) {
        // A message that we did not send by a notification is none of ours.
        if let Some(notification) = stored.notification_id {
            let callback = Callback {
                provider_id: &fate.provider_id,
                is_lost: fate.state == MessageState::Lost,
                error_code: fate.error_code.as_deref(),
            };
            notifications::called_back(db, event.organization_id, notification, callback).await?;
        }
        return unread::processed(db, event).await;
    }
    let (true, Some(call)) = (life.is_of_call(), &incoming.provider_call_id) else {
        return unread::processed(db, event).await;
    };
    let read = Identified {
        event_key: &incoming.event_key,
        event_kind: &incoming.message_type,
        provider_call_id: call,
        life,
        call_status: incoming.event.facts.status,
    };
    unread::identify(db, event, &read).await
}
