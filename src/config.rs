//! Configuration: read once from the environment into one typed value.
//!
//! The only room that reads the environment. What is missing or wrong fails start-up with the
//! variable's name and the fix. `.env.example` explains every variable.

mod access;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use contract::names::TASK_QUEUES;
use providers::egress::Egress;
use secrecy::{ExposeSecret, SecretString};
use store::sealing::Sealer;
use url::Url;

use crate::api::rate_limits::LimitSettings;

/// Own settings; any other variable that starts with `POSTCALL_` is an error, so that a typing
/// mistake is not a silent default.
const OWN: &[&str] = &[
    "POSTCALL_ALLOW_LOOPBACK",
    "POSTCALL_API_KEY",
    "POSTCALL_API_URL",
    "POSTCALL_CHATTER_PER_SECOND",
    "POSTCALL_EGRESS_PROXY",
    "POSTCALL_ENCRYPTION_KEY",
    "POSTCALL_FAULTS",
    "POSTCALL_FAULTS_LOG",
    "POSTCALL_INBOX_GROUP",
    "POSTCALL_INSTALL",
    "POSTCALL_LISTEN",
    "POSTCALL_LOG",
    "POSTCALL_LOG_FORMAT",
    "POSTCALL_PUBLIC_URL",
    "POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE",
    "POSTCALL_RATE_LIMIT_KEY_PER_HOUR",
    "POSTCALL_RATE_LIMIT_ORGANIZATION_PER_HOUR",
    "POSTCALL_RECORDING_MAX_BYTES",
    "POSTCALL_REPORT_GRACE_SECONDS",
    "POSTCALL_SMS_LOOK_UP_SECONDS",
    "POSTCALL_SPOOL_DIR",
    "POSTCALL_SPOOL_MAX_BYTES",
    "POSTCALL_STORAGE_URL",
    "POSTCALL_TASK_QUEUES",
    "POSTCALL_TRUSTED_PROXIES",
    "POSTCALL_WORKER_LISTEN",
];

/// A variable that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not set, and there is no default.
    #[error("{name} is not set: {fix}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What to set it to.
        fix: &'static str,
    },
    /// Set to something that cannot be used. The value is not shown: it may be a secret.
    #[error("{name} is wrong: {fix}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// What it must be.
        fix: String,
    },
    /// A `POSTCALL_` variable that does not exist.
    #[error("{name} is no setting of postcall; did you mean {nearest}?")]
    Unknown {
        /// The variable.
        name: String,
        /// The closest that exists.
        nearest: &'static str,
    },
}

/// Everything that a process is told by its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// `POSTCALL_LISTEN`: where `serve` listens.
    pub listen: SocketAddr,
    /// `POSTCALL_WORKER_LISTEN`: where `worker` answers health checks and metrics, if anywhere.
    pub worker_listen: Option<SocketAddr>,
    /// `DATABASE_URL`.
    pub database_url: SecretString,
    /// `DATABASE_ADMIN_URL`: the owner's connection, for migrations.
    pub database_admin_url: SecretString,
    /// `REDIS_URL`, or `UPSTASH_REDIS_URL` with `UPSTASH_REDIS_TOKEN`.
    pub redis_url: SecretString,
    /// `TEMPORAL_*`.
    pub temporal: TemporalConfig,
    /// Made from `POSTCALL_ENCRYPTION_KEY`.
    pub sealer: Sealer,
    /// `POSTCALL_STORAGE_URL`.
    pub storage_url: Url,
    /// `AWS_*`, in the spelling of the S3 client.
    pub storage_options: Hidden<std::collections::HashMap<String, String>>,
    /// `POSTCALL_ALLOW_LOOPBACK`: webhooks and recordings may be on this machine.
    pub allow_loopback: bool,
    /// `POSTCALL_EGRESS_PROXY`: what webhooks and downloads of recordings go out through.
    pub egress_proxy: Option<SecretString>,
    /// `POSTCALL_PUBLIC_URL`: what providers call; Twilio signs it. Without a slash at the end.
    pub public_url: Option<String>,
    /// `POSTCALL_SPOOL_DIR`: where webhooks lie while Postgres is down.
    pub spool_dir: std::path::PathBuf,
    /// `POSTCALL_SPOOL_MAX_BYTES`: how many bytes of them at most.
    pub spool_max_bytes: u64,
    /// `POSTCALL_INBOX_GROUP`: most webhooks in one commit.
    pub inbox_group: usize,
    /// `POSTCALL_CHATTER_PER_SECOND`: messages of an organization that drive no call and are stored.
    pub chatter_per_second: std::num::NonZeroU32,
    /// `POSTCALL_RATE_LIMIT_*` and `POSTCALL_TRUSTED_PROXIES`: how much of the API is too much.
    pub rate_limits: LimitSettings,
    /// `POSTCALL_TASK_QUEUES`: which queues this worker serves.
    pub task_queues: Vec<String>,
    /// `POSTCALL_REPORT_GRACE_SECONDS`: how long an ended call waits for its report.
    pub report_grace: Duration,
    /// `POSTCALL_SMS_LOOK_UP_SECONDS`: when a text message in doubt is looked up.
    pub sms_look_up: Duration,
    /// `POSTCALL_RECORDING_MAX_BYTES`.
    pub recording_max_bytes: u64,
    /// The providers.
    pub providers: ProviderConfig,
    /// Where a test strikes (feature `faults`).
    pub faults: activities::faults::Faults,
}

impl Config {
    /// Where webhooks and downloads may go, and through what.
    ///
    /// # Errors
    /// When the proxy's URL is none; its text may hold a password, so it is not shown.
    pub fn egress(&self) -> Result<Egress, ConfigError> {
        let egress = Egress::new(self.allow_loopback);
        let Some(proxy) = &self.egress_proxy else { return Ok(egress) };
        egress.with_proxy(proxy.expose_secret()).map_err(|_| {
            let form = "it must be http://[user:password@]host[:port]".to_owned();
            wrong("POSTCALL_EGRESS_PROXY", form)
        })
    }
}

/// How to reach Temporal, beyond what the SDK reads by itself.
#[derive(Debug, Clone)]
pub struct TemporalConfig {
    /// `TEMPORAL_CLIENT_CERT`: PEM.
    pub client_cert: Option<SecretString>,
    /// `TEMPORAL_CLIENT_KEY`: PEM.
    pub client_key: Option<SecretString>,
}

/// Keys and base URLs of third parties.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// `VAPI_BASE_URL`.
    pub vapi_base_url: String,
    /// `VAPI_API_KEY`.
    pub vapi_api_key: Option<SecretString>,
    /// `VAPI_WEBHOOK_SECRET`: for organizations without a secret of their own.
    pub vapi_webhook_secret: Option<SecretString>,
    /// `RETELL_BASE_URL`.
    pub retell_base_url: String,
    /// `RETELL_API_KEY`: for organizations without a key of their own.
    pub retell_api_key: Option<SecretString>,
    /// `TWILIO_BASE_URL`.
    pub twilio_base_url: String,
    /// `TWILIO_ACCOUNT_SID`, `TWILIO_AUTH_TOKEN`, `TWILIO_PHONE_NUMBER`.
    pub twilio: Option<(String, SecretString, String)>,
    /// `RESEND_BASE_URL`.
    pub resend_base_url: String,
    /// `RESEND_API_KEY`, `RESEND_FROM`.
    pub resend: Option<(SecretString, String)>,
    /// `OPENAI_BASE_URL`.
    pub openai_base_url: String,
    /// `OPENAI_API_KEY`, `OPENAI_MODEL`.
    pub openai: Option<(SecretString, String)>,
    /// `STRIPE_BASE_URL`.
    pub stripe_base_url: String,
    /// `STRIPE_SECRET_KEY`: without it periods close and wait to be reported.
    pub stripe_secret_key: Option<SecretString>,
    /// `STRIPE_WEBHOOK_SECRET`: of each event destination, with commas between them.
    pub stripe_webhook_secrets: Vec<SecretString>,
    /// `STRIPE_METER_EVENT_NAME`: of the meter of overage minutes.
    pub stripe_event_name: String,
    /// `SUPABASE_URL`, `SUPABASE_SERVICE_KEY`.
    pub supabase: Option<(String, SecretString)>,
    /// `SUPABASE_URL`: whose tokens are believed, by the keys that it publishes.
    pub supabase_url: Option<String>,
    /// `SUPABASE_JWT_SECRET`: what tokens are believed by that are signed with a shared secret.
    pub supabase_jwt_secret: Option<SecretString>,
}

/// Settings of the command line itself.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// `POSTCALL_API_URL`.
    pub api_url: Option<String>,
    /// `POSTCALL_API_KEY`.
    pub api_key: Option<SecretString>,
    /// `POSTCALL_INSTALL`.
    pub install: bool,
    /// `PATH`, for finding servers.
    pub path: Option<std::ffi::OsString>,
    /// `HOME`, for finding servers and the cache.
    pub home: Option<std::path::PathBuf>,
    /// Every variable as it is, for the processes that `dev` starts.
    pub inherited: Hidden<BTreeMap<String, String>>,
}

/// How to log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `POSTCALL_LOG`: filter directives as in `info,store=debug`.
    pub filter: String,
    /// `POSTCALL_LOG_FORMAT`: `json` or `text`.
    pub json: bool,
}

/// A value that `Debug` does not show: among many variables some are secrets.
#[derive(Clone, Default)]
pub struct Hidden<T>(pub T);

impl<T> std::fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

struct Vars(BTreeMap<String, String>);

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(text_variables())
    }

    fn from_vars(vars: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let vars = Vars(vars);
        vars.refuse_unknown()?;
        let database_url = vars.secret("DATABASE_URL").ok_or(ConfigError::Missing {
            name: "DATABASE_URL",
            fix: "the database, as postgres://user:password@host:5432/postcall",
        })?;
        let database_admin_url =
            vars.secret("DATABASE_ADMIN_URL").unwrap_or_else(|| database_url.clone());
        Ok(Self {
            listen: vars.parse("POSTCALL_LISTEN", "127.0.0.1:8080", "an address and port")?,
            worker_listen: vars.optional("POSTCALL_WORKER_LISTEN", "an address and port")?,
            database_url,
            database_admin_url,
            redis_url: vars.redis_url()?,
            temporal: TemporalConfig::from_vars(&vars)?,
            sealer: vars.sealer()?,
            storage_url: vars.storage_url()?,
            storage_options: Hidden(vars.storage_options()),
            allow_loopback: vars.flag("POSTCALL_ALLOW_LOOPBACK")?,
            egress_proxy: vars.secret("POSTCALL_EGRESS_PROXY"),
            public_url: vars.public_url()?,
            spool_dir: vars.parse("POSTCALL_SPOOL_DIR", "spool", "a folder")?,
            spool_max_bytes: vars.parse(
                "POSTCALL_SPOOL_MAX_BYTES",
                "1073741824",
                "a number of bytes",
            )?,
            inbox_group: vars.parse("POSTCALL_INBOX_GROUP", "64", "a number of webhooks")?,
            chatter_per_second: vars.parse(
                "POSTCALL_CHATTER_PER_SECOND",
                "500",
                "a number of messages",
            )?,
            rate_limits: vars.rate_limits()?,
            task_queues: vars.task_queues()?,
            report_grace: vars.seconds("POSTCALL_REPORT_GRACE_SECONDS", "60")?,
            sms_look_up: vars.seconds("POSTCALL_SMS_LOOK_UP_SECONDS", "20")?,
            recording_max_bytes: vars.parse(
                "POSTCALL_RECORDING_MAX_BYTES",
                "536870912",
                "a number of bytes",
            )?,
            providers: vars.providers()?,
            faults: vars.faults()?,
        })
    }
}

impl TemporalConfig {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(&Vars(text_variables()))
    }

    fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            client_cert: vars.base64("TEMPORAL_CLIENT_CERT")?,
            client_key: vars.base64("TEMPORAL_CLIENT_KEY")?,
        })
    }
}

impl ClientConfig {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, ConfigError> {
        let vars = Vars(text_variables());
        vars.refuse_unknown()?;
        Ok(Self {
            api_url: vars.get("POSTCALL_API_URL").map(str::to_owned),
            api_key: vars.secret("POSTCALL_API_KEY"),
            install: vars.flag("POSTCALL_INSTALL")?,
            path: std::env::var_os("PATH"),
            home: std::env::home_dir(),
            inherited: Hidden(vars.0),
        })
    }
}

impl LogConfig {
    /// Reads the environment. JSON unless a person reads along.
    pub fn from_env(interactive: bool) -> Self {
        let vars = Vars(text_variables());
        let default = "info,temporalio_sdk_core=warn,temporalio_client=warn,temporalio_sdk=warn,\
            sqlx::postgres::notice=warn";
        Self {
            filter: vars.get("POSTCALL_LOG").unwrap_or(default).to_owned(),
            json: match vars.get("POSTCALL_LOG_FORMAT") {
                Some(format) => format == "json",
                None => !interactive,
            },
        }
    }
}

impl Vars {
    /// A variable set to nothing is not set: `.env` files leave such lines.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn secret(&self, name: &str) -> Option<SecretString> {
        self.get(name).map(SecretString::from)
    }

    fn parse<T: std::str::FromStr>(
        &self,
        name: &'static str,
        default: &str,
        what: &str,
    ) -> Result<T, ConfigError> {
        let text = self.get(name).unwrap_or(default);
        text.parse().map_err(|_| wrong(name, format!("it must be {what}, as in {default:?}")))
    }

    fn optional<T: std::str::FromStr>(
        &self,
        name: &'static str,
        what: &str,
    ) -> Result<Option<T>, ConfigError> {
        let parse =
            |text: &str| text.parse().map_err(|_| wrong(name, format!("it must be {what}")));
        self.get(name).map(parse).transpose()
    }

    fn seconds(&self, name: &'static str, default: &str) -> Result<Duration, ConfigError> {
        self.parse(name, default, "a number of seconds").map(Duration::from_secs)
    }

    fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        match self.get(name) {
            None | Some("0" | "false" | "no") => Ok(false),
            Some("1" | "true" | "yes") => Ok(true),
            Some(_) => Err(wrong(name, "it must be 1 or 0".to_owned())),
        }
    }

    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let own = self.0.keys().filter(|name| name.starts_with("POSTCALL_"));
        for name in own {
            if !OWN.contains(&name.as_str()) {
                let common = |known: &&&str| {
                    known.chars().zip(name.chars()).take_while(|(a, b)| a == b).count()
                };
                let nearest = OWN.iter().max_by_key(common).copied().unwrap_or_default();
                return Err(ConfigError::Unknown { name: name.clone(), nearest });
            }
        }
        Ok(())
    }

    fn base64(&self, name: &'static str) -> Result<Option<SecretString>, ConfigError> {
        let decode = |text: &str| {
            let bytes = STANDARD.decode(text).ok()?;
            String::from_utf8(bytes).ok().map(SecretString::from)
        };
        match self.get(name) {
            None => Ok(None),
            Some(text) => decode(text)
                .map(Some)
                .ok_or_else(|| wrong(name, "it must be a PEM file in base64".to_owned())),
        }
    }

    /// Twilio signs the very URL that it calls, so this is never taken from a request.
    fn public_url(&self) -> Result<Option<String>, ConfigError> {
        const NAME: &str = "POSTCALL_PUBLIC_URL";
        let Some(text) = self.get(NAME) else { return Ok(None) };
        let is_base = Url::parse(text)
            .is_ok_and(|url| ["https", "http"].contains(&url.scheme()) && url.query().is_none());
        if !is_base {
            return Err(wrong(NAME, "it must be https://host, without a query".to_owned()));
        }
        Ok(Some(text.trim_end_matches('/').to_owned()))
    }

    fn sealer(&self) -> Result<Sealer, ConfigError> {
        const NAME: &str = "POSTCALL_ENCRYPTION_KEY";
        let text = self.get(NAME).ok_or(ConfigError::Missing {
            name: NAME,
            fix: "32 random bytes in base64, as `openssl rand -base64 32` prints; keep it safe, \
                what it sealed cannot be opened without it",
        })?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Sealer::new)
            .ok_or_else(|| wrong(NAME, "it must be 32 bytes in base64".to_owned()))
    }

    fn redis_url(&self) -> Result<SecretString, ConfigError> {
        if let Some(url) = self.secret("REDIS_URL") {
            return Ok(url);
        }
        let (Some(url), Some(token)) =
            (self.get("UPSTASH_REDIS_URL"), self.get("UPSTASH_REDIS_TOKEN"))
        else {
            return Err(ConfigError::Missing {
                name: "REDIS_URL",
                fix: "redis://host:6379, or UPSTASH_REDIS_URL with UPSTASH_REDIS_TOKEN",
            });
        };
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host =
            host.ok_or_else(|| wrong("UPSTASH_REDIS_URL", "it must be a https:// URL".to_owned()))?;
        Ok(format!("rediss://default:{token}@{host}:6379").into())
    }

    fn storage_url(&self) -> Result<Url, ConfigError> {
        const NAME: &str = "POSTCALL_STORAGE_URL";
        let fix = || "it must be file:///folder or s3://bucket/prefix".to_owned();
        let Some(text) = self.get(NAME) else {
            let folder = std::env::current_dir().unwrap_or_default().join("recordings");
            return Url::from_directory_path(folder).map_err(|()| wrong(NAME, fix()));
        };
        let url = Url::parse(text).map_err(|_| wrong(NAME, fix()))?;
        if ["file", "s3"].contains(&url.scheme()) { Ok(url) } else { Err(wrong(NAME, fix())) }
    }

    fn storage_options(&self) -> std::collections::HashMap<String, String> {
        let aws = self.0.iter().filter(|(name, _)| name.starts_with("AWS_"));
        aws.map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
    }

    fn task_queues(&self) -> Result<Vec<String>, ConfigError> {
        const NAME: &str = "POSTCALL_TASK_QUEUES";
        let Some(text) = self.get(NAME) else {
            return Ok(TASK_QUEUES.iter().map(|queue| (*queue).to_owned()).collect());
        };
        let queues: Vec<String> = text.split(',').map(|queue| queue.trim().to_owned()).collect();
        match queues.iter().find(|queue| !TASK_QUEUES.contains(&queue.as_str())) {
            Some(_) => Err(wrong(NAME, format!("it must be some of {}", TASK_QUEUES.join(",")))),
            None => Ok(queues),
        }
    }

    /// Settings that mean nothing without each other: all of them or none.
    fn go_together(&self, names: &[&'static str]) -> Result<(), ConfigError> {
        let missing = names.iter().find(|name| self.get(name).is_none());
        match missing {
            Some(name) if names.iter().any(|name| self.get(name).is_some()) => {
                Err(wrong(name, format!("{} go together: set all or none", names.join(", "))))
            }
            _ => Ok(()),
        }
    }

    fn providers(&self) -> Result<ProviderConfig, ConfigError> {
        self.go_together(&["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER"])?;
        self.go_together(&["RESEND_API_KEY", "RESEND_FROM"])?;
        let text = |name: &str, default: &str| self.get(name).unwrap_or(default).to_owned();
        let twilio = || {
            let sid = self.get("TWILIO_ACCOUNT_SID")?.to_owned();
            let from = self.get("TWILIO_PHONE_NUMBER")?.to_owned();
            Some((sid, self.secret("TWILIO_AUTH_TOKEN")?, from))
        };
        Ok(ProviderConfig {
            vapi_base_url: text("VAPI_BASE_URL", "https://api.vapi.ai"),
            vapi_api_key: self.secret("VAPI_API_KEY"),
            vapi_webhook_secret: self.secret("VAPI_WEBHOOK_SECRET"),
            retell_base_url: text("RETELL_BASE_URL", "https://api.retellai.com"),
            retell_api_key: self.secret("RETELL_API_KEY"),
            twilio_base_url: text("TWILIO_BASE_URL", "https://api.twilio.com"),
            twilio: twilio(),
            resend_base_url: text("RESEND_BASE_URL", "https://api.resend.com"),
            resend: self.secret("RESEND_API_KEY").zip(self.get("RESEND_FROM").map(str::to_owned)),
            openai_base_url: text("OPENAI_BASE_URL", "https://api.openai.com"),
            openai: self
                .secret("OPENAI_API_KEY")
                .map(|key| (key, text("OPENAI_MODEL", "gpt-4o-mini"))),
            stripe_base_url: text("STRIPE_BASE_URL", "https://api.stripe.com"),
            stripe_secret_key: self.secret("STRIPE_SECRET_KEY"),
            stripe_webhook_secrets: self
                .get("STRIPE_WEBHOOK_SECRET")
                .map(|secrets| {
                    secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty())
                })
                .map(|secrets| secrets.map(SecretString::from).collect())
                .unwrap_or_default(),
            stripe_event_name: text("STRIPE_METER_EVENT_NAME", "voice_minutes"),
            supabase: self
                .get("SUPABASE_URL")
                .map(str::to_owned)
                .zip(self.secret("SUPABASE_SERVICE_KEY")),
            supabase_url: self.get("SUPABASE_URL").map(str::to_owned),
            supabase_jwt_secret: self.jwt_secret()?,
        })
    }

    #[cfg(feature = "faults")]
    fn faults(&self) -> Result<activities::faults::Faults, ConfigError> {
        let Some(text) = self.get("POSTCALL_FAULTS") else { return Ok(Default::default()) };
        let log = self.get("POSTCALL_FAULTS_LOG").ok_or(ConfigError::Missing {
            name: "POSTCALL_FAULTS_LOG",
            fix: "a file that notes which faults struck",
        })?;
        activities::faults::Faults::parse(text, log.into())
            .map_err(|fix| wrong("POSTCALL_FAULTS", fix))
    }

    #[cfg(not(feature = "faults"))]
    fn faults(&self) -> Result<activities::faults::Faults, ConfigError> {
        match self.get("POSTCALL_FAULTS") {
            None => Ok(activities::faults::Faults),
            Some(_) => Err(wrong("POSTCALL_FAULTS", "this binary has no faults in it".to_owned())),
        }
    }
}

/// What is not text is no setting of ours.
fn text_variables() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn wrong(name: &'static str, fix: String) -> ConfigError {
    ConfigError::Wrong { name, fix }
}

/// The identity of this process towards Temporal.
pub fn identity(role: &str) -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned());
    format!("postcall-{role}-{}@{host}", std::process::id())
}

/// The database URL without what must not be shown.
pub fn shown(url: &SecretString) -> String {
    match Url::parse(url.expose_secret()) {
        Ok(url) => format!("{}://{}", url.scheme(), url.host_str().unwrap_or("?")),
        Err(_) => "not a URL".to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests;
