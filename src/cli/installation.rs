//! The stores behind the API that commands talk to, for what only the owner of an installation may do.

use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use store::{
    Database, Role,
    cache::{Cache, Key},
    counters::Counters,
    sealing::Sealer,
};

use super::target::TargetArgs;
use crate::{
    config::{ClientConfig, Config},
    dev::{DemoSecrets, DevState},
};

/// A comparison holds one connection, and another while it fills counters.
const CONNECTIONS: u32 = 2;

/// Where an installation keeps what it knows.
pub(super) struct Installation {
    /// The owner's connection.
    pub(super) admin_url: SecretString,
    database_url: SecretString,
    redis_url: SecretString,
    pub(super) sealer: Sealer,
}

impl Installation {
    /// That of the running `postcall dev`, unless POSTCALL_API_URL names another; else the
    /// environment's.
    pub(super) fn of(target: &TargetArgs) -> anyhow::Result<Self> {
        let elsewhere = ClientConfig::from_env()?.api_url.is_some();
        let Some(dev) = DevState::read(&target.data_dir)?.filter(|_| !elsewhere) else {
            let config = Config::from_env().context(
                "no `postcall dev` is ready, so the configuration is read (see .env.example)",
            )?;
            return Ok(Self {
                admin_url: config.database_admin_url,
                database_url: config.database_url,
                redis_url: config.redis_url,
                sealer: config.sealer,
            });
        };
        let key = DemoSecrets::open(&target.data_dir)?.encryption_key();
        let key = STANDARD.decode(key.expose_secret()).context("run/demo.json: the key")?;
        let key: [u8; 32] = key.try_into().map_err(|_| anyhow!("run/demo.json: the key"))?;
        Ok(Self {
            admin_url: dev.database_url.clone().into(),
            database_url: dev.database_url.into(),
            redis_url: dev.redis_url.into(),
            sealer: Sealer::new(key),
        })
    }

    pub(super) fn database(&self, role: Role) -> anyhow::Result<Database> {
        Ok(Database::connect(&self.database_url, role, CONNECTIONS)?)
    }

    pub(super) fn counters(&self) -> anyhow::Result<Counters> {
        Ok(Counters::new(&self.redis_url)?)
    }

    /// Has these rows read anew, once they are written. Without Redis nothing is kept that could be old; one
    /// that only this machine does not reach may show them as they were for as long as it keeps them.
    pub(super) async fn forget(&self, keys: &[Key]) -> anyhow::Result<()> {
        Cache::new(self.counters()?).forget(keys).await;
        Ok(())
    }
}
