//! PostgreSQL, Redis and Temporal as real servers on this machine, for `postcall dev` and for the
//! integration tests.
//!
//! [`Servers::start`] finds them, installs what is missing if it may, and starts all three at
//! once on ports of their own. They die with this process, even after `kill -9` where the system
//! has `setpriv`; whatever is left of an earlier process is ended by the next start, which goes on
//! with the same data and, if they are free, the same ports.
//!
//! Deliberately absent: environment variables (see [`SearchPlaces`]), and any knowledge of what
//! the servers are used for.

mod account;
mod error;
mod find;
mod folder;
mod go;
mod install;
mod leftover;
mod log;
mod own;
mod ports;
mod postgres;
mod process;
mod redis;
mod stripe_mock;
mod temporal;
mod tool;

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

pub use self::error::{MissingServer, MissingServers, ServerError};
pub use self::find::SearchPlaces;
pub use self::install::Progress;
pub use self::own::{OwnCommand, OwnProcess};
pub use self::postgres::Postgres;
pub use self::redis::Redis;
pub use self::stripe_mock::stripe_mock;
pub use self::temporal::Temporal;

use self::account::Launcher;
use self::find::Programs;
use self::folder::DataFolder;
use self::ports::Ports;

/// Two processes that start at the same moment may choose the same port; the one that lost
/// chooses again.
const PORT_ATTEMPTS: u32 = 3;

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where data, logs and process ids go. Made when it is not there.
    pub data_dir: PathBuf,
    /// Where programs are looked for.
    pub places: SearchPlaces,
    /// Whether missing servers are installed.
    pub install: bool,
    /// Namespaces that Temporal has to have, beside `default`.
    pub namespaces: Vec<String>,
    /// Search attributes of type Keyword that every namespace has to have.
    pub search_attributes: Vec<String>,
    /// Whether Temporal forgets everything when it stops. Faster than with a file.
    pub temporal_in_memory: bool,
    /// Temporal's dynamic configuration, as `KEY=JSON`; for example
    /// `history.transferProcessorMaxPollRPS=2000`, which takes 600 ms off a call of many steps at
    /// low load, and costs under overload.
    pub temporal_settings: Vec<String>,
    /// SQLite settings of Temporal's file, as `NAME=VALUE`; for example `journal_mode=WAL`, which
    /// survives the end of the process like the default, and costs the server less.
    pub temporal_sqlite_pragmas: Vec<String>,
    /// Whether the usual ports (5432, 6379, 7233, 8233) are tried before other free ones.
    pub preferred_ports: bool,
}

/// The running servers. Dropping it asks them to end, without waiting.
#[derive(Debug)]
pub struct Servers {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// Redis.
    pub redis: Redis,
    /// Temporal.
    pub temporal: Temporal,
    folder: DataFolder,
}

impl Servers {
    /// Finds or installs the servers, starts all of them and waits until they answer.
    ///
    /// # Errors
    /// When something is missing and may not be installed, when the data folder is in use, or
    /// when a server does not start; those that did are stopped again.
    pub async fn start(
        options: &ServerOptions,
        progress: Progress<'_>,
    ) -> Result<Self, ServerError> {
        let folder = DataFolder::open(&options.data_dir).await?;
        let places = folder.postgres_places();
        let version = places.iter().find_map(|place| postgres::data_version(place));
        let log = folder.log("install");
        let programs =
            install::obtain(&options.places, version, options.install, &log, progress).await?;
        // Only now: installing PostgreSQL makes its account, to which root drops.
        let launcher = Arc::new(Launcher::detect(&options.places)?);
        let place = folder.postgres_place(&launcher)?;
        tokio::join!(
            Postgres::end_leftover(&folder, &place),
            Redis::end_leftover(&folder),
            Temporal::end_leftover(&folder)
        );
        Self::start_on_free_ports(options, folder, &programs, &launcher, place, progress).await
    }

    async fn start_on_free_ports(
        options: &ServerOptions,
        mut folder: DataFolder,
        programs: &Programs,
        launcher: &Arc<Launcher>,
        place: PathBuf,
        progress: Progress<'_>,
    ) -> Result<Self, ServerError> {
        let remembered = folder.run_file("ports.json");
        let mut attempt = 1;
        loop {
            // Whoever took one port is about to take its others too: stay away from all of them.
            let ports = if attempt == 1 {
                Ports::choose(Ports::load(&remembered), options.preferred_ports)?
            } else {
                Ports::choose(None, false)?
            };
            ports.save(&remembered)?;
            let own = || Arc::clone(launcher);
            let Programs { postgres, redis, temporal } = programs.clone();
            let mut servers = Self {
                postgres: Postgres::new(postgres, own(), &folder, place.clone(), ports.postgres)?,
                redis: Redis::new(redis, own(), &folder, ports.redis)?,
                temporal: Temporal::new(temporal, own(), &folder, ports, options)?,
                folder,
            };
            match servers.start_all(progress).await {
                Ok(()) => return Ok(servers),
                Err(error) => {
                    servers.stop_all().await;
                    if !error.is_port_conflict() || attempt == PORT_ATTEMPTS {
                        return Err(error);
                    }
                    progress("a port was taken at the same moment, trying others");
                }
            }
            folder = servers.folder;
            attempt += 1;
        }
    }

    /// The process ids of those that run, by name.
    #[must_use]
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        let pids = [
            ("postgres", self.postgres.pid()),
            ("redis", self.redis.pid()),
            ("temporal", self.temporal.pid()),
        ];
        pids.into_iter().filter_map(|(name, pid)| Some((name, pid?))).collect()
    }

    /// Waits until one of them ends by itself. Those that were stopped or killed through their
    /// own methods do not count.
    pub async fn died(&self) -> (&'static str, ExitStatus) {
        tokio::select! {
            status = self.postgres.died() => ("postgres", status),
            status = self.redis.died() => ("redis", status),
            status = self.temporal.died() => ("temporal", status),
        }
    }

    /// Stops them one after the other, Temporal first and PostgreSQL last, each within a bound.
    pub async fn stop(mut self) {
        self.stop_all().await;
    }

    /// Stops them and removes all that they left in the data folder (and outside of it, where
    /// PostgreSQL's account could not enter it).
    ///
    /// # Errors
    /// When files cannot be removed.
    pub async fn stop_and_remove(mut self) -> Result<(), ServerError> {
        self.stop_all().await;
        self.folder.remove()
    }

    async fn start_all(&mut self, progress: Progress<'_>) -> Result<(), ServerError> {
        progress("starting PostgreSQL, Redis and Temporal");
        let began = Instant::now();
        let Self { postgres, redis, temporal, .. } = self;
        let ready = |name: &str, address: String| {
            let milliseconds = began.elapsed().as_millis();
            progress(&format!("{name} is ready on {address} ({milliseconds} ms)"));
        };
        tokio::try_join!(
            async {
                postgres.start().await?;
                postgres.create_own_database().await?;
                ready("PostgreSQL", postgres.address());
                Ok::<_, ServerError>(())
            },
            async {
                redis.start().await?;
                ready("Redis", redis.address());
                Ok(())
            },
            async {
                temporal.start().await?;
                ready("Temporal", temporal.address());
                Ok(())
            },
        )?;
        Ok(())
    }

    async fn stop_all(&mut self) {
        self.temporal.stop().await;
        self.redis.stop().await;
        self.postgres.stop().await;
    }
}
