//! Who may use the API, and how much.

use secrecy::{ExposeSecret, SecretString};

use super::{ConfigError, LimitSettings, Vars, wrong};

impl Vars {
    /// One that can be guessed would let anybody in.
    pub(super) fn jwt_secret(&self) -> Result<Option<SecretString>, ConfigError> {
        const NAME: &str = "SUPABASE_JWT_SECRET";
        match self.secret(NAME) {
            Some(secret) if secret.expose_secret().len() < 32 => {
                Err(wrong(NAME, "it must have at least 32 characters".to_owned()))
            }
            secret => Ok(secret),
        }
    }

    pub(super) fn rate_limits(&self) -> Result<LimitSettings, ConfigError> {
        const WHAT: &str = "a number of requests";
        Ok(LimitSettings {
            key_per_hour: self.parse("POSTCALL_RATE_LIMIT_KEY_PER_HOUR", "10000", WHAT)?,
            organization_per_hour: self.parse(
                "POSTCALL_RATE_LIMIT_ORGANIZATION_PER_HOUR",
                "50000",
                WHAT,
            )?,
            address_per_minute: self.parse(
                "POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE",
                "3000",
                WHAT,
            )?,
            trusted_proxies: self.parse("POSTCALL_TRUSTED_PROXIES", "0", "a number of proxies")?,
        })
    }
}
