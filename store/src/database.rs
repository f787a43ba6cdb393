//! Connections, roles and the transactions that tenants' statements run in.

mod tx;

use std::{io, time::Duration};

use contract::ids::OrganizationId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, SqlSafeStr, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    error::{During, Problem, StoreError},
    idempotency::Once,
};

pub use tx::Tx;

/// How long a request waits for a free connection before it is shed.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// Role and scope of every connection of [`Role::Intake`].
const INTAKE_SESSION: &str = "set role postcall_api; set app.scope = 'intake'";
/// A connection used this lately is taken to be alive.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// No statement of a request or a step needs longer; a runaway one must not hold its locks.
const STATEMENT_TIMEOUT: &str = "15s";
/// Longer waits mean a migration or a stuck transaction: fail and try again later.
const LOCK_TIMEOUT: &str = "5s";
/// A process that died in mid-transaction gives its locks back after this.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "30s";

/// For statements that go by key: one plan fits all values, and planning anew over every partition would
/// cost more than running. A plan that is made while a table is small would read all of it from then
/// on, until Postgres counts it again; and `jit` would compile what has no other way.
pub const BY_KEY: [(&str, &str); 3] =
    [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")];

/// What takes from a queue walks its index in its order and stops early. A queue is empty whenever
/// Postgres counts it, and plans that are as good for an empty one read all that waits in it, or was
/// ever taken. Beside [`BY_KEY`].
pub const IN_ORDER: [(&str, &str); 2] = [("enable_sort", "off"), ("enable_bitmapscan", "off")];
/// What is not waited for on disk: a claim that a crash of Postgres takes back is made again.
const AT_EASE: (&str, &str) = ("synchronous_commit", "off");
/// A claim in a transaction takes a few milliseconds. One that hangs fails, so that others have their turn.
const CLAIM_TIMEOUT: (&str, &str) = ("statement_timeout", "'1s'");
/// Role and scope of a connection of [`connect_claimer`].
const CLAIMER_SESSION: &str = "set role postcall_worker; set app.scope = 'dispatch'";
/// A look connects, walks and claims, and must have ended by itself before anybody gives it up.
const CLAIMER_TIMEOUT: Duration = Duration::from_secs(3);
const CLAIMER_STATEMENT_TIMEOUT: &str = "5s";

/// The role that a process's statements run as. Neither owns tables nor passes row level security.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives webhooks and answers the API.
    Api,
    /// Dispatches and processes.
    Worker,
    /// Stores verified events of any organization. Its connections are of this role and scope from
    /// their start, so that a commit is one round trip: it is what every acknowledgement waits for.
    Intake,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Api | Self::Intake => "postcall_api",
            Self::Worker => "postcall_worker",
        }
    }
}

/// A pool of connections whose transactions run as one role.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    role: Role,
    /// Where the request at hand is to be done once only.
    once: Option<Once>,
}

impl Database {
    /// A pool of at most `size` connections. Connects when first used.
    pub fn connect(url: &SecretString, role: Role, size: u32) -> Result<Self, StoreError> {
        let options = connect_options(url)?;
        let options = match role {
            Role::Api => options,
            Role::Worker | Role::Intake => options.options(BY_KEY),
        };
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_secs(300))
            .max_lifetime(Duration::from_secs(1800))
            // A ping before each transaction would be a fourth round trip; one before the first
            // after a pause finds the connections that a restart of Postgres left dead.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if role == Role::Intake {
                        sqlx::raw_sql(INTAKE_SESSION).execute(connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, role, once: None })
    }

    /// Begins a transaction that sees the rows of one organization.
    ///
    /// One round trip. The role and the organization end with the transaction, so this also holds
    /// behind a pooler that gives connections out by transaction.
    ///
    /// Of a database that [`Once`] made, it is the transaction that the request is done in.
    pub async fn tenant(&self, organization: OrganizationId) -> Result<Tx, StoreError> {
        let (setting, id) = ("app.organization_id", organization.to_string());
        match &self.once {
            None => self.begin(setting, &id).await,
            // Apart, so that those who need none of it do not make room for it.
            Some(once) => Box::pin(once.enter(organization, self.begin(setting, &id))).await,
        }
    }

    /// Whether what commits here is held back until the request is answered.
    pub fn is_once(&self) -> bool {
        self.once.is_some()
    }

    /// The same database for a request that is done once only.
    pub(crate) fn with_once(&self, once: Once) -> Self {
        Self { once: Some(once), ..self.clone() }
    }

    /// The same for filters over long lists: statements are planned for their values, because a plan
    /// for all values takes an index that the rarest of them make it walk from end to end.
    pub(crate) async fn tenant_search(
        &self,
        organization: OrganizationId,
    ) -> Result<Tx, StoreError> {
        let setting = "plan_cache_mode = force_custom_plan; set local app.organization_id";
        self.begin(setting, &organization.to_string()).await
    }

    /// Begins a transaction of the dispatcher, which reads references across organizations.
    pub async fn dispatch(&self) -> Result<Tx, StoreError> {
        self.begin("app.scope", "dispatch").await
    }

    /// Begins a transaction that takes from a queue, across organizations.
    pub(crate) async fn queue(&self) -> Result<Tx, StoreError> {
        self.dispatch_with(&IN_ORDER).await
    }

    /// The same for claims that are not waited for on disk.
    pub(crate) async fn claims(&self) -> Result<Tx, StoreError> {
        let [sort, bitmap] = IN_ORDER;
        self.dispatch_with(&[AT_EASE, CLAIM_TIMEOUT, sort, bitmap]).await
    }

    async fn dispatch_with(&self, settings: &[(&str, &str)]) -> Result<Tx, StoreError> {
        let settings = settings.iter().map(|(name, value)| format!("{name} = {value}; set local "));
        let setting = settings.collect::<String>() + "app.scope";
        self.begin(&setting, "dispatch").await
    }

    /// Begins a transaction of the sweep, which asks across organizations whom and what to look at.
    pub(crate) async fn sweep(&self) -> Result<Tx, StoreError> {
        self.begin("app.scope", "sweep").await
    }

    /// Begins a transaction of aggregation and billing, which work on many organizations at once. Its
    /// statements may take minutes, and are planned for their values.
    pub(crate) async fn billing(&self) -> Result<Tx, StoreError> {
        self.begin(
            "statement_timeout = '10min'; set local plan_cache_mode = force_custom_plan; \
             set local enable_seqscan = on; set local app.scope",
            "billing",
        )
        .await
    }

    /// Begins a transaction of Stripe's events, whose organization is found out inside it.
    pub(crate) async fn stripe(&self) -> Result<Tx, StoreError> {
        self.begin("app.scope", "stripe").await
    }

    /// Begins a transaction that sees the API key with this SHA-256, whosever it is.
    pub(crate) async fn presented_key(&self, hash: [u8; 32]) -> Result<Tx, StoreError> {
        self.begin("app.api_key_hash", &hex::encode(hash)).await
    }

    /// Begins a transaction that sees the memberships of this user, in whatever organizations.
    pub(crate) async fn presented_user(&self, user: Uuid) -> Result<Tx, StoreError> {
        self.begin("app.user_id", &user.to_string()).await
    }

    /// Begins a transaction that counts requests by key, and forgets what aged out of such things, in all
    /// organizations.
    pub(crate) async fn access(&self) -> Result<Tx, StoreError> {
        self.begin("app.scope", "access").await
    }

    /// `setting` and `value` are text of our own making (ids, hex, literals), so they need no quoting.
    async fn begin(&self, setting: &str, value: &str) -> Result<Tx, StoreError> {
        let role = self.role.name();
        let sql = format!("begin; set local role {role}; set local {setting} = '{value}'");
        let connection = self.pool.acquire().await.during("database.begin")?;
        // A task of its own, for whoever asks may go away at any moment: sqlx 0.9.0 would put a
        // connection whose `begin` was sent, and not yet answered, back into the pool as if nothing had
        // begun, with our role and organization. This way it is a transaction that is dropped.
        let begun = Transaction::begin(connection, Some(AssertSqlSafe(sql).into_sql_str()));
        let begun = tokio::spawn(begun).await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
        begun.map(Tx::new).during("database.begin")
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await.map(drop).during("database.ping")
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The owner of the schema: what only whoever runs the installation may do.
#[derive(Debug)]
pub(crate) struct Owner {
    pool: PgPool,
}

impl Owner {
    /// One connection, made when first used.
    pub(crate) fn connect(admin_url: &SecretString) -> Result<Self, StoreError> {
        let options = connect_options(admin_url)?;
        Ok(Self { pool: PgPoolOptions::new().max_connections(1).connect_lazy_with(options) })
    }

    /// Begins a transaction that sees what belongs to no organization.
    pub(crate) async fn begin(&self, operation: &'static str) -> Result<Tx, StoreError> {
        self.pool.begin().await.map(Tx::new).during(operation)
    }

    /// Begins a transaction inside an organization: an owner may be bound by row level security, too.
    pub(crate) async fn inside(
        &self,
        organization: OrganizationId,
        operation: &'static str,
    ) -> Result<Tx, StoreError> {
        let mut tx = self.begin(operation).await?;
        sqlx::query!(
            "select set_config('app.organization_id', $1, true)",
            organization.to_string()
        )
        .fetch_one(&mut *tx)
        .await
        .during(operation)?;
        Ok(tx)
    }
}

/// Ends a transaction, naming the operation in the error.
pub(crate) async fn commit(tx: Tx, operation: &'static str) -> Result<(), StoreError> {
    tx.commit().await.during(operation)
}

/// A connection for single statements that claim as in [`Database::claims`]: role, scope and settings are
/// its own from the start, so that each is one round trip.
pub(crate) async fn connect_claimer(url: &SecretString) -> Result<PgConnection, StoreError> {
    const OPERATION: &str = "database.connect_claimer";
    let options = connect_options(url)?
        .options(BY_KEY)
        .options(IN_ORDER)
        .options([AT_EASE, ("statement_timeout", CLAIMER_STATEMENT_TIMEOUT)]);
    let connecting = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(CLAIMER_SESSION).execute(&mut connection).await?;
        Ok(connection)
    };
    let connected: Result<_, sqlx::Error> = timeout(CLAIMER_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
    connected.during(OPERATION)
}

pub(crate) fn connect_options(url: &SecretString) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.expose_secret().parse().map_err(|_: sqlx::Error| {
        // The parser's text may hold the password.
        let rule = "DATABASE_URL is not a postgres:// URL".to_owned();
        StoreError::new("database.connect", Problem::Invalid(rule))
    })?;
    Ok(options.application_name("postcall").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
    ]))
}

/// Brings the schema up to date. Needs the owner's connection.
///
/// The login of `url`, which the processes use, is let into the two roles.
pub async fn migrate(admin_url: &SecretString, url: &SecretString) -> Result<(), StoreError> {
    let login = connect_options(url)?.get_username().to_owned();
    // A migration may take longer than a request, so it gets none of their limits.
    let options: PgConnectOptions =
        admin_url.expose_secret().parse().map_err(|_: sqlx::Error| {
            let rule = "DATABASE_ADMIN_URL is not a postgres:// URL".to_owned();
            StoreError::new("database.migrate", Problem::Invalid(rule))
        })?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .during("database.migrate")?;
    let done = MIGRATOR.run(&pool).await.during("database.migrate");
    let let_in = let_in(&pool, &login).await;
    pool.close().await;
    done.and(let_in)
}

async fn let_in(pool: &PgPool, login: &str) -> Result<(), StoreError> {
    let sql = "select format('grant postcall_api, postcall_worker to %1$I;
        grant select on _sqlx_migrations to %1$I', $1::text)";
    let grants: String =
        sqlx::query_scalar(sql).bind(login).fetch_one(pool).await.during("database.let_in")?;
    match sqlx::raw_sql(AssertSqlSafe(grants)).execute(pool).await {
        Ok(_) => Ok(()),
        // Two migrations at once grant the same, which Postgres takes badly; one of them did it.
        Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("XX000" | "23505")) => {
            Ok(())
        }
        Err(error) => Err(error).during("database.let_in"),
    }
}

/// Whether every migration of this binary has run.
pub async fn is_migrated(database: &Database) -> Result<bool, StoreError> {
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    let sql = "select coalesce(max(version), 0) from _sqlx_migrations where success";
    match sqlx::query_scalar::<_, i64>(sql).fetch_one(database.pool()).await {
        Ok(version) => Ok(version >= newest),
        // 42P01: the table is missing, so nothing ever ran.
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") => Ok(false),
        Err(error) => Err(error).during("database.is_migrated"),
    }
}

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
