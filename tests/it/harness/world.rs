//! A world of its own: database, namespace, fakes, organization, `serve` and `worker`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use postcall::dev::{
    Demo, DemoSecrets,
    fakes::{Fakes, FakesOptions},
    servers::{OwnCommand, OwnProcess, Servers},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    shared::{self, folder, places, shared},
    tcp_proxy::TcpProxy,
};

/// How a world differs from the usual one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Further variables for `serve` and `worker`.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Servers of its own, which the test may stop and wipe.
    pub(crate) own_servers: bool,
    /// Leaves the worker to the test.
    pub(crate) no_worker: bool,
    /// What stands between `serve` and Redis.
    pub(crate) redis_proxy: Option<TcpProxy>,
}

/// Everything a test needs. Dropping it ends its processes.
pub(crate) struct World {
    pub(crate) demo: Demo,
    pub(crate) secrets: DemoSecrets,
    pub(crate) api_url: String,
    pub(crate) fakes: Fakes,
    pub(crate) db: tokio_postgres::Client,
    pub(crate) http: reqwest::Client,
    pub(crate) folder: PathBuf,
    pub(crate) temporal_address: String,
    pub(crate) namespace: String,
    pub(crate) redis_url: String,
    pub(crate) servers: Option<Servers>,
    pub(super) environment: BTreeMap<String, String>,
    /// Nothing while a test has killed it.
    pub(super) serve: Option<OwnProcess>,
    worker: Option<OwnProcess>,
}

impl World {
    /// The usual world.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// A world with differences.
    pub(crate) async fn with(options: Options) -> Self {
        let (number, namespace) = shared().namespace();
        let folder = folder(&format!("world-{number}"));
        let servers = if options.own_servers {
            let own = shared::options(folder.join("servers"), vec![namespace.clone()]);
            Some(Servers::start(&own, &|_| {}).await.expect("own servers"))
        } else {
            None
        };
        let used = servers.as_ref().unwrap_or(&shared().servers);
        let database = format!("world_{number}");
        used.postgres.create_database(&database).await.expect("database");
        let database_url = used.postgres.database_url(&database);
        store::database::migrate(&database_url, &database_url).await.expect("migrations");
        let secrets = DemoSecrets::generate().expect("secrets");
        let fakes = FakesOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            log_file: None,
            delay: Duration::ZERO,
        };
        let fakes = Fakes::start(fakes).await.expect("fakes");
        secrets.seed(&database_url, fakes.url()).await.expect("organization");
        for name in ["logs", "run", "recordings"] {
            std::fs::create_dir_all(folder.join(name)).expect("folder");
        }
        let listen = free_address();
        let temporal_address = used.temporal.address();
        let redis_url = match &options.redis_proxy {
            Some(proxy) => {
                proxy.lead_to(used.redis.address());
                format!("redis://{}", proxy.address())
            }
            None => used.redis.url(),
        };
        let mut environment = environment(&Surroundings {
            listen,
            database_url: &database_url,
            redis_url: &redis_url,
            temporal_address: &temporal_address,
            namespace: &namespace,
            secrets: &secrets,
            fakes_url: fakes.url(),
            folder: &folder,
        });
        let own = options.environment.into_iter();
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let api_url = format!("http://{listen}");
        let http = reqwest::Client::new();
        let serve = spawn_serve(&folder, &environment, &http, &api_url).await;
        let db = connect(&database_url).await;
        let mut world = Self {
            demo: secrets.shown(),
            secrets,
            api_url,
            fakes,
            db,
            http,
            folder,
            temporal_address,
            namespace,
            redis_url,
            servers,
            environment,
            serve: Some(serve),
            worker: None,
        };
        if !options.no_worker {
            world.start_worker(&[]).await;
        }
        world
    }

    /// Starts the worker with further variables.
    pub(crate) async fn start_worker(&mut self, extra: &[(&str, String)]) {
        let worker = spawn("worker", &self.folder, &self.environment, extra).await;
        self.worker = Some(worker);
    }

    /// Variables that arm faults in a worker.
    pub(crate) fn faults(&self, faults: &str) -> [(&'static str, String); 2] {
        let log = self.folder.join("faults.log").display().to_string();
        [("POSTCALL_FAULTS", faults.to_owned()), ("POSTCALL_FAULTS_LOG", log)]
    }

    /// The running worker.
    pub(crate) fn worker(&self) -> &OwnProcess {
        self.worker.as_ref().expect("the worker was started")
    }

    /// `kill -9` of the worker.
    pub(crate) async fn kill_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.kill().await;
        }
    }

    /// SIGTERM to the worker, and its end.
    pub(crate) async fn stop_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
    }

    /// `kill -9` of `serve`.
    pub(crate) async fn kill_serve(&mut self) {
        if let Some(serve) = self.serve.take() {
            serve.kill().await;
        }
    }

    /// Starts `serve` again where it was, and waits until it answers.
    pub(crate) async fn start_serve(&mut self) {
        let serve = spawn_serve(&self.folder, &self.environment, &self.http, &self.api_url).await;
        self.serve = Some(serve);
    }

    /// A new connection to the database; `db` does not survive a restart of Postgres.
    pub(crate) async fn reconnect(&mut self) {
        self.db = connect(&self.database_url()).await;
    }

    /// The organization's id, for queries.
    pub(crate) fn organization(&self) -> uuid::Uuid {
        self.demo.organization_id.parse().expect("an id")
    }

    /// This binary's command line in this world.
    pub(crate) fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postcall"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .env("POSTCALL_API_URL", &self.api_url)
            .env("POSTCALL_API_KEY", &self.demo.api_key)
            .current_dir(&self.folder);
        command
    }

    /// Runs this binary's command line in this world; gives output, errors and exit code.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> (String, String, i32) {
        let output = self.command(arguments).output().await.expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
    }

    /// From now on calls notify nobody and no endpoint is enabled.
    pub(crate) async fn without_options(&self) {
        let sql = "update organizations set settings = '{}'; update webhooks set enabled = false";
        self.db.batch_execute(sql).await.expect("settings");
    }

    /// The log of a role, for messages of failed tests and for looking for planted strings.
    pub(crate) fn log(&self, role: &str) -> String {
        std::fs::read_to_string(self.log_path(role)).unwrap_or_default()
    }

    /// Where it is.
    pub(crate) fn log_path(&self, role: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{role}.log"))
    }

    /// The organization's connection as an application role would see it.
    pub(crate) fn database_url(&self) -> SecretString {
        self.environment["DATABASE_URL"].clone().into()
    }
}

struct Surroundings<'a> {
    listen: SocketAddr,
    database_url: &'a SecretString,
    redis_url: &'a str,
    temporal_address: &'a str,
    namespace: &'a str,
    secrets: &'a DemoSecrets,
    fakes_url: &'a str,
    folder: &'a std::path::Path,
}

fn environment(around: &Surroundings<'_>) -> BTreeMap<String, String> {
    let fakes = around.fakes_url;
    let demo = around.secrets.shown();
    let storage = url::Url::from_directory_path(around.folder.join("recordings"));
    let storage = storage.expect("an absolute path").to_string();
    let pairs = [
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("POSTCALL_LISTEN", around.listen.to_string()),
        ("DATABASE_URL", around.database_url.expose_secret().to_owned()),
        ("REDIS_URL", around.redis_url.to_owned()),
        ("TEMPORAL_ADDRESS", around.temporal_address.to_owned()),
        ("TEMPORAL_NAMESPACE", around.namespace.to_owned()),
        ("POSTCALL_ENCRYPTION_KEY", around.secrets.encryption_key().expose_secret().to_owned()),
        ("POSTCALL_STORAGE_URL", storage),
        ("POSTCALL_SPOOL_DIR", around.folder.join("spool").display().to_string()),
        ("POSTCALL_PUBLIC_URL", format!("http://{}", around.listen)),
        ("POSTCALL_ALLOW_LOOPBACK", "1".to_owned()),
        ("POSTCALL_REPORT_GRACE_SECONDS", "3".to_owned()),
        ("POSTCALL_SMS_LOOK_UP_SECONDS", "1".to_owned()),
        // Tests look as often as they like, all from one address.
        ("POSTCALL_RATE_LIMIT_KEY_PER_HOUR", "10000000".to_owned()),
        ("POSTCALL_RATE_LIMIT_ORGANIZATION_PER_HOUR", "10000000".to_owned()),
        ("POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE", "1000000".to_owned()),
        ("VAPI_BASE_URL", format!("{fakes}/vapi")),
        ("VAPI_API_KEY", "vapi_test_key".to_owned()),
        ("RETELL_BASE_URL", format!("{fakes}/retell")),
        ("TWILIO_BASE_URL", format!("{fakes}/twilio")),
        ("TWILIO_ACCOUNT_SID", demo.twilio_account_sid),
        ("TWILIO_AUTH_TOKEN", demo.twilio_auth_token),
        ("TWILIO_PHONE_NUMBER", "+14155550100".to_owned()),
        ("RESEND_BASE_URL", format!("{fakes}/resend")),
        ("RESEND_API_KEY", "re_test_key".to_owned()),
        ("RESEND_FROM", "Postcall <calls@example.com>".to_owned()),
        ("OPENAI_BASE_URL", format!("{fakes}/openai")),
        ("OPENAI_API_KEY", "sk-test-key".to_owned()),
        ("SUPABASE_URL", format!("{fakes}/supabase")),
        ("SUPABASE_SERVICE_KEY", "sb_secret_test".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A connection to the database.
pub(crate) async fn connect(url: &SecretString) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("database");
    tokio::spawn(connection);
    client
}

pub(super) async fn spawn_serve(
    folder: &std::path::Path,
    environment: &BTreeMap<String, String>,
    http: &reqwest::Client,
    api_url: &str,
) -> OwnProcess {
    let serve = spawn("serve", folder, environment, &[]).await;
    // Alive is enough: some tests start it while Postgres is down.
    let healthy = format!("{api_url}/healthz");
    let answers = || async {
        http.get(&healthy).send().await.is_ok_and(|answer| answer.status().is_success())
    };
    serve.ready(answers).await.expect("serve is alive");
    serve
}

async fn spawn(
    name: &'static str,
    folder: &std::path::Path,
    environment: &BTreeMap<String, String>,
    extra: &[(&str, String)],
) -> OwnProcess {
    let mut environment = environment.clone();
    environment.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let command = OwnCommand {
        name,
        program: PathBuf::from(env!("CARGO_BIN_EXE_postcall")),
        arguments: vec![name.to_owned()],
        environment,
        data_dir: folder.to_owned(),
    };
    OwnProcess::start(&command, &places()).await.expect("the process starts")
}

/// An address that nobody listens at.
pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}
