//! `postcall dev`: everything on one machine, from an empty folder.
//!
//! Also what the integration tests stand on: [`servers`] and [`fakes`] are the same code there.

pub mod fakes;
mod secrets;
pub mod servers;
mod state;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use contract::names::SEARCH_ATTRIBUTES;
use secrecy::ExposeSecret;
use tokio::sync::watch;

use self::{
    fakes::{Fakes, FakesOptions, StripeSettings},
    servers::{OwnCommand, OwnProcess, SearchPlaces, ServerOptions, Servers},
};
use crate::{config::ClientConfig, temporal};

pub use secrets::DemoSecrets;
pub use state::{Demo, DevState};

/// A role that ends more often than this within a minute is broken, not unlucky.
const RESTARTS_A_MINUTE: usize = 5;

/// What `postcall dev` was asked for.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// Where everything lies.
    pub data_dir: PathBuf,
    /// Whether missing servers are installed.
    pub install: bool,
    /// Whether Temporal keeps its data in memory only.
    pub temporal_in_memory: bool,
    /// Where the API listens, if it is free.
    pub listen: SocketAddr,
    /// Latency of the fake providers.
    pub fakes_delay: Duration,
    /// Further settings of Temporal's dynamic configuration.
    pub temporal_settings: Vec<String>,
}

/// Everything that runs.
struct World {
    servers: Servers,
    fakes: Fakes,
    roles: Vec<Role>,
    places: SearchPlaces,
}

/// One of our own processes and how to start it again.
struct Role {
    command: OwnCommand,
    process: OwnProcess,
}

/// Runs until `stop` turns true, then stops all that it started.
pub async fn run(
    options: DevOptions,
    client: ClientConfig,
    mut stop: watch::Receiver<bool>,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let state_file = state::file(&options.data_dir);
    let starting = start(&options, &client, progress);
    let (mut world, state) = tokio::select! {
        started = starting => started?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    state.write(&state_file)?;
    progress(&format!("ready after {:.1} s", began.elapsed().as_secs_f64()));
    print!("{}", state.for_people(&options.data_dir));
    let watched = tokio::select! {
        watched = watch_over(&mut world, progress) => watched,
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    };
    progress("stopping");
    drop(std::fs::remove_file(&state_file));
    for role in world.roles.iter().rev() {
        role.process.stop().await;
    }
    world.fakes.stop().await;
    world.servers.stop().await;
    watched
}

async fn start(
    options: &DevOptions,
    client: &ClientConfig,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<(World, DevState)> {
    let places = search_places(client);
    let servers = Servers::start(&server_options(options, &places), progress).await?;
    // The folder is ours now: what an earlier run left there is no longer true.
    drop(std::fs::remove_file(state::file(&options.data_dir)));
    let data_dir = options.data_dir.canonicalize().context("--data-dir")?;
    let secrets = DemoSecrets::open(&data_dir)?;
    let admin_url = servers.postgres.url();
    store::database::migrate(&admin_url, &admin_url).await.context("migrations")?;
    let address = servers.temporal.address();
    let temporal = temporal::connect_to(&address, "default", "postcall-dev").await?;
    temporal::register_search_attributes(&temporal).await?;
    schedules::apply(&temporal).await.context("schedules")?;
    progress("schema, search attributes and schedules are in place");
    let fakes = start_fakes(&data_dir, options.fakes_delay).await?;
    let recordings = data_dir.join("recordings");
    let storage_url = url::Url::from_directory_path(&recordings)
        .map_err(|()| anyhow::anyhow!("--data-dir is no absolute path"))?
        .to_string();
    let state = DevState {
        api_url: format!("http://{}", free(options.listen)?),
        temporal_address: servers.temporal.address(),
        temporal_namespace: "default".to_owned(),
        temporal_ui_url: servers.temporal.ui_url(),
        database_url: servers.postgres.url().expose_secret().to_owned(),
        redis_url: servers.redis.url(),
        storage_url,
        fakes_url: fakes.url().to_owned(),
        demo: secrets.shown(),
        pids: BTreeMap::new(),
    };
    fakes.stripe().configure(StripeSettings {
        webhook_url: Some(format!("{}/stripe", state.api_url)),
        webhook_secret: Some(state.demo.stripe_webhook_secret.clone().into()),
        ..StripeSettings::default()
    });
    secrets.seed(&admin_url, fakes.url()).await.context("demo organization")?;
    let roles = start_roles(&state, &secrets, &data_dir, client, &places).await?;
    progress("serve and worker are running");
    let mut world = World { servers, fakes, roles, places };
    let state = DevState { pids: world.pids(), ..state };
    world.roles.shrink_to_fit();
    Ok((world, state))
}

impl World {
    fn pids(&self) -> BTreeMap<String, u32> {
        let own = self.roles.iter().map(|role| (role.command.name, role.process.pid()));
        let all = self.servers.pids().into_iter().chain(own);
        let dev = std::iter::once(("dev", std::process::id()));
        all.chain(dev).map(|(name, pid)| (name.to_owned(), pid)).collect()
    }
}

fn server_options(options: &DevOptions, places: &SearchPlaces) -> ServerOptions {
    ServerOptions {
        data_dir: options.data_dir.clone(),
        places: places.clone(),
        install: options.install,
        namespaces: Vec::new(),
        search_attributes: SEARCH_ATTRIBUTES.iter().map(|name| (*name).to_owned()).collect(),
        temporal_in_memory: options.temporal_in_memory,
        temporal_settings: options.temporal_settings.clone(),
        // Survives the end of the process like the default, and costs the server a third less.
        temporal_sqlite_pragmas: vec!["journal_mode=WAL".to_owned()],
        preferred_ports: true,
    }
}

/// Where servers are looked for on this machine.
pub fn search_places(client: &ClientConfig) -> SearchPlaces {
    let home = client.home.clone();
    let cache = home.clone().unwrap_or_else(|| PathBuf::from("/var/tmp"));
    SearchPlaces {
        path: client.path.clone(),
        gopath: client.inherited.0.get("GOPATH").map(std::ffi::OsString::from),
        home,
        cache_dir: cache.join(".cache/postcall/bin"),
        root: PathBuf::from("/"),
    }
}

async fn start_fakes(data_dir: &std::path::Path, delay: Duration) -> anyhow::Result<Fakes> {
    let log_file = Some(data_dir.join("effects.jsonl"));
    let remembered = data_dir.join("run/fakes.port");
    let port = std::fs::read_to_string(&remembered).ok().and_then(|text| text.parse().ok());
    let options = |port: u16| FakesOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        log_file: log_file.clone(),
        delay,
    };
    let fakes = match Fakes::start(options(port.unwrap_or(8090))).await {
        Ok(fakes) => fakes,
        // The port is taken: any other does as well.
        Err(_) => Fakes::start(options(0)).await?,
    };
    if let Some(port) = fakes.url().rsplit(':').next() {
        std::fs::write(&remembered, port).context("data folder")?;
    }
    Ok(fakes)
}

/// The asked address if it is free, else the same with a free port.
fn free(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    let bound = std::net::TcpListener::bind(listen)
        .or_else(|_| std::net::TcpListener::bind(SocketAddr::new(listen.ip(), 0)))?;
    Ok(bound.local_addr()?)
}

async fn start_roles(
    state: &DevState,
    secrets: &DemoSecrets,
    data_dir: &std::path::Path,
    client: &ClientConfig,
    places: &SearchPlaces,
) -> anyhow::Result<Vec<Role>> {
    let environment = environment(state, secrets, data_dir, client);
    let program = std::env::current_exe().context("own binary")?;
    let mut roles = Vec::new();
    for name in ["serve", "worker"] {
        let command = OwnCommand {
            name,
            program: program.clone(),
            arguments: vec![name.to_owned()],
            environment: environment.clone(),
            data_dir: data_dir.to_owned(),
        };
        let process = OwnProcess::start(&command, places).await?;
        roles.push(Role { command, process });
    }
    let ready = format!("{}/readyz", state.api_url);
    let worker = format!("http://{}/metrics", environment["POSTCALL_WORKER_LISTEN"]);
    for (role, url) in roles.iter().zip([ready, worker]) {
        role.process.ready(|| answers(&url)).await?;
    }
    Ok(roles)
}

async fn answers(url: &str) -> bool {
    reqwest::get(url).await.is_ok_and(|response| response.status().is_success())
}

/// What our own processes are told. What the user set wins, so that `dev` can be pointed at real
/// providers one by one.
fn environment(
    state: &DevState,
    secrets: &DemoSecrets,
    data_dir: &std::path::Path,
    client: &ClientConfig,
) -> BTreeMap<String, String> {
    let fakes = &state.fakes_url;
    let listen = state.api_url.trim_start_matches("http://").to_owned();
    let worker = free(SocketAddr::from(([127, 0, 0, 1], 0)));
    let worker = worker.map_or_else(|_| "127.0.0.1:9464".to_owned(), |address| address.to_string());
    let own = [
        ("POSTCALL_LISTEN", listen),
        ("POSTCALL_WORKER_LISTEN", worker),
        ("DATABASE_URL", state.database_url.clone()),
        ("REDIS_URL", state.redis_url.clone()),
        ("TEMPORAL_ADDRESS", state.temporal_address.clone()),
        ("TEMPORAL_NAMESPACE", state.temporal_namespace.clone()),
        ("POSTCALL_ENCRYPTION_KEY", secrets.encryption_key().expose_secret().to_owned()),
        ("POSTCALL_STORAGE_URL", state.storage_url.clone()),
        ("POSTCALL_SPOOL_DIR", data_dir.join("spool").display().to_string()),
        ("POSTCALL_ALLOW_LOOPBACK", "1".to_owned()),
    ];
    let defaults = [
        ("POSTCALL_PUBLIC_URL", state.api_url.clone()),
        ("POSTCALL_SMS_LOOK_UP_SECONDS", "2".to_owned()),
        ("POSTCALL_REPORT_GRACE_SECONDS", "10".to_owned()),
        // Benchmarks ask from one address, for one organization.
        ("POSTCALL_RATE_LIMIT_KEY_PER_HOUR", "10000000".to_owned()),
        ("POSTCALL_RATE_LIMIT_ORGANIZATION_PER_HOUR", "10000000".to_owned()),
        ("POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE", "1000000".to_owned()),
        ("VAPI_BASE_URL", format!("{fakes}/vapi")),
        ("VAPI_API_KEY", "vapi_demo_key".to_owned()),
        ("RETELL_BASE_URL", format!("{fakes}/retell")),
        ("TWILIO_BASE_URL", format!("{fakes}/twilio")),
        ("TWILIO_ACCOUNT_SID", state.demo.twilio_account_sid.clone()),
        ("TWILIO_AUTH_TOKEN", state.demo.twilio_auth_token.clone()),
        ("TWILIO_PHONE_NUMBER", "+14155550100".to_owned()),
        ("STRIPE_BASE_URL", format!("{fakes}/stripe")),
        ("STRIPE_SECRET_KEY", "sk_test_demo_key".to_owned()),
        ("STRIPE_WEBHOOK_SECRET", state.demo.stripe_webhook_secret.clone()),
        ("RESEND_BASE_URL", format!("{fakes}/resend")),
        ("RESEND_API_KEY", "re_demo_key".to_owned()),
        ("RESEND_FROM", "Postcall demo <calls@example.com>".to_owned()),
        ("OPENAI_BASE_URL", format!("{fakes}/openai")),
        ("OPENAI_API_KEY", "sk-demo-key".to_owned()),
        ("SUPABASE_URL", format!("{fakes}/supabase")),
        ("SUPABASE_SERVICE_KEY", "sb_secret_demo".to_owned()),
    ];
    let text = |(name, value): (&str, String)| (name.to_owned(), value);
    let mut environment: BTreeMap<String, String> = defaults.into_iter().map(text).collect();
    // Another Temporal's settings would steer ours; everything else that the user set wins.
    let inherited = client.inherited.0.iter().filter(|(name, _)| !name.starts_with("TEMPORAL_"));
    environment.extend(inherited.map(|(name, value)| (name.clone(), value.clone())));
    environment.extend(own.into_iter().map(text));
    environment
}

/// Starts a role again when it ends; ends when a server does, or a role cannot live.
async fn watch_over(
    world: &mut World,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<()> {
    let mut restarts: Vec<std::time::Instant> = Vec::new();
    loop {
        let ended = futures::future::select_all(
            world.roles.iter().map(|role| Box::pin(role.process.ended())),
        );
        let (status, index) = tokio::select! {
            (name, status) = world.servers.died() => {
                anyhow::bail!("{name} ended by itself ({status}); see logs/{name}.log");
            }
            (status, index, _) = ended => (status, index),
        };
        let role = &mut world.roles[index];
        let name = role.command.name;
        restarts.retain(|at| at.elapsed() < Duration::from_secs(60));
        if restarts.len() >= RESTARTS_A_MINUTE {
            anyhow::bail!("{name} keeps ending ({status}); see logs/{name}.log");
        }
        restarts.push(std::time::Instant::now());
        progress(&format!("{name} ended ({status}) and starts again"));
        role.process = OwnProcess::start(&role.command, &world.places).await?;
    }
}
