//! Users who signed in with Supabase: their tokens, verified once and remembered for a while, in this
//! process and, as `session:{token}`, for all of them.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use providers::supabase::tokens::{Refused, Tokens};
use sha2::{Digest, Sha256};
use store::{
    breaker::Breaker,
    counters::Counters,
    sealing::Sealer,
    sessions::{self, Session},
};

use super::{Hash, believed::Believed};
use crate::api::rate_limits::BREAKER_PAUSE;

/// A token is what it was; what may end meanwhile is our trust in the key that signed it.
const BELIEVED: Duration = Duration::from_secs(60);

/// A token that somebody presents.
#[derive(Clone, Copy)]
pub(in crate::api) struct Token<'a>(pub(in crate::api) &'a str);

impl Token<'_> {
    fn hash(self) -> Hash {
        Sha256::digest(self.0).into()
    }
}

pub(in crate::api) struct Sessions {
    redis: Counters,
    sealer: Sealer,
    tokens: Option<Tokens>,
    known: Believed<Hash, Session>,
    breaker: Breaker,
}

impl Sessions {
    pub(super) fn new(redis: Counters, sealer: Sealer, tokens: Option<Tokens>) -> Self {
        let (known, breaker) = (Believed::new(BELIEVED), Breaker::pausing(BREAKER_PAUSE));
        Self { redis, sealer, tokens, known, breaker }
    }

    /// Who presents the token.
    pub(in crate::api) async fn session(&self, token: Token<'_>) -> Result<Arc<Session>, Refused> {
        let Some(tokens) = &self.tokens else { return Err(Refused::Invalid) };
        let hash = token.hash();
        let find = || async {
            if let Some(session) = self.remembered(hash, tokens).await {
                return Ok(Some(session));
            }
            let verified = tokens.verify(token.0).await?;
            let user = verified.user.parse().map_err(|_| Refused::Invalid)?;
            let session = Session { user, expires_at: verified.expires_at };
            self.remember(hash, tokens, &session).await;
            Ok(Some(session))
        };
        let session = self.known.get_or(hash, find).await?.ok_or(Refused::Invalid)?;
        if session.expires_at <= Utc::now() {
            return Err(Refused::Expired);
        }
        Ok(session)
    }

    /// Without Redis nothing is remembered but in this process.
    async fn remembered(&self, token: Hash, tokens: &Tokens) -> Option<Session> {
        if !self.breaker.may_ask() {
            return None;
        }
        let found = sessions::find(&self.redis, &self.sealer, token, tokens.fingerprint()).await;
        self.breaker.heard(found.is_ok());
        found.ok().flatten()
    }

    async fn remember(&self, token: Hash, tokens: &Tokens, session: &Session) {
        if !self.breaker.may_ask() {
            return;
        }
        let (redis, sealer, verifier) = (&self.redis, &self.sealer, tokens.fingerprint());
        let kept = sessions::keep(redis, sealer, token, verifier, session, Utc::now()).await;
        self.breaker.heard(kept.is_ok());
    }
}
