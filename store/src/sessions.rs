//! `session:{token}` in Redis: tokens that were verified, by their SHA-256. Losing it costs another
//! verification.
//!
//! Values are sealed: whoever can write to Redis cannot make a session.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use redis::AsyncCommands;
use uuid::Uuid;

use crate::{
    StoreError,
    counters::{Counters, within_time},
    error::During,
    sealing::{Place, Sealer},
};

/// No request waits longer for a cache.
const PATIENCE: Duration = Duration::from_millis(50);
/// Whatever the token says.
const LONGEST: i64 = 24 * 3600;
/// A session belongs to no organization alone.
const PLACE: Place =
    Place { table: "sessions", column: "session", organization: OrganizationId(Uuid::nil()) };

/// Who presented a token that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user: Uuid,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
}

/// Finds a session. `verifier` names what tokens are verified by: one that was verified by something
/// else is not believed.
pub async fn find(
    redis: &Counters,
    sealer: &Sealer,
    token: [u8; 32],
    verifier: &str,
) -> Result<Option<Session>, StoreError> {
    let read = async {
        let mut connection = redis.connection().await?;
        connection.get::<_, Option<Vec<u8>>>(name(token)).await
    };
    let sealed = within_time(PATIENCE, read).await.during("sessions.find")?;
    Ok(sealed.and_then(|sealed| read_session(sealer, &sealed, token, verifier)))
}

/// Keeps a session until its token ends, for a day at most.
pub async fn keep(
    redis: &Counters,
    sealer: &Sealer,
    token: [u8; 32],
    verifier: &str,
    session: &Session,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let left = (session.expires_at - now).num_seconds().min(LONGEST);
    let Ok(left @ 1..) = u64::try_from(left) else { return Ok(()) };
    let sealed = sealer.seal(PLACE, text(token, verifier, session).as_bytes())?;
    let write = async {
        let mut connection = redis.connection().await?;
        connection.set_ex::<_, _, ()>(name(token), sealed, left).await
    };
    within_time(PATIENCE, write).await.during("sessions.keep")
}

fn name(token: [u8; 32]) -> String {
    format!("session:{}", hex::encode(token))
}

/// The token's own hash is part of it: a value under another name is none.
fn text(token: [u8; 32], verifier: &str, session: &Session) -> String {
    let (user, end) = (session.user, session.expires_at.timestamp());
    format!("{} {verifier} {user} {end}", hex::encode(token))
}

fn read_session(
    sealer: &Sealer,
    sealed: &[u8],
    token: [u8; 32],
    verifier: &str,
) -> Option<Session> {
    let plain = String::from_utf8(sealer.open(PLACE, sealed).ok()?).ok()?;
    let mut rest = plain.rsplitn(3, ' ');
    let expires_at = DateTime::from_timestamp(rest.next()?.parse().ok()?, 0)?;
    let session = Session { user: rest.next()?.parse().ok()?, expires_at };
    (text(token, verifier, &session) == plain).then_some(session)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_good_for_its_own_token_and_verifier() {
        let sealer = Sealer::new([7; 32]);
        let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let session = Session { user: Uuid::from_u128(7), expires_at };
        let sealed = sealer.seal(PLACE, text([1; 32], "v1", &session).as_bytes()).unwrap();
        let read =
            |sealer: &Sealer, token, verifier| read_session(sealer, &sealed, token, verifier);
        assert_eq!(read(&sealer, [1; 32], "v1"), Some(session));
        assert_eq!(read(&sealer, [2; 32], "v1"), None);
        assert_eq!(read(&sealer, [1; 32], "v2"), None);
        assert_eq!(read(&Sealer::new([8; 32]), [1; 32], "v1"), None);
    }
}
