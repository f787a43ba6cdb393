//! The command line: noun, then verb. Data goes to stdout, talk to stderr.

mod assistant;
mod audit;
mod bench;
mod billing;
mod calls;
mod credentials;
mod doctor;
mod export;
mod histories;
mod inbox;
mod installation;
mod keys;
mod listen;
mod member;
mod number;
mod org;
mod output;
mod schedules;
mod target;
mod template;
mod trigger;
mod usage;
mod user;
mod webhooks;

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio::sync::watch;

use crate::{
    config::{self, ClientConfig, Config, LogConfig},
    dev, serve, telemetry, worker,
};

pub use output::Format;

/// How a command ends when not by success; the code is the process' exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Exit code 1.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3.
    #[error("{0}")]
    NotFound(String),
    /// Exit code 4.
    #[error("{0}")]
    NotAllowed(String),
    /// Exit code 5.
    #[error("{0}")]
    Conflict(String),
}

impl Failed {
    fn code(&self) -> u8 {
        match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::NotAllowed(_) => 4,
            Self::Conflict(_) => 5,
        }
    }
}

/// The durable backend of a voice-AI product: provider webhooks in, one Temporal workflow per call.
#[derive(Debug, Parser)]
#[command(name = "postcall", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: servers, fake providers, serve and worker, a demo
    /// organization.
    Dev(DevArgs),
    /// Receive webhooks and answer the API.
    Serve,
    /// Process calls: dispatcher, workflows and activities.
    Worker,
    /// Bring the database schema up to date.
    Migrate,
    /// Temporal Schedules.
    #[command(subcommand)]
    Schedules(schedules::SchedulesCommand),
    /// Check every dependency and setting, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// Calls of the organization whose key is used.
    #[command(subcommand)]
    Calls(calls::CallsCommand),
    /// All of a list, as comma-separated values or lines of JSON.
    Export(export::ExportArgs),
    /// What providers sent, and second thoughts about it.
    #[command(subcommand)]
    Inbox(inbox::InboxCommand),
    /// Secrets that providers prove themselves with.
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// Endpoints that events are sent to, and what became of the events.
    #[command(subcommand)]
    Webhooks(webhooks::WebhooksCommand),
    /// API keys of the organization.
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Minutes used, by day and period, and the books behind them.
    #[command(subcommand)]
    Usage(usage::UsageCommand),
    /// What is billed, was billed and will be.
    #[command(subcommand)]
    Billing(billing::BillingCommand),
    /// Organizations.
    #[command(subcommand)]
    Org(org::OrgCommand),
    /// Who belongs to the organization.
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// People of the installation.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Who answers or makes the organization's calls.
    #[command(subcommand)]
    Assistant(assistant::AssistantCommand),
    /// What assistants can be made from.
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Phone numbers of the organization.
    #[command(subcommand)]
    Number(number::NumberCommand),
    /// Who changed what, from where.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Post an example webhook, signed, to a running installation.
    Trigger(trigger::TriggerArgs),
    /// Post events to a server on this machine, signed, as they happen.
    Listen(listen::ListenArgs),
    /// Measure a running installation.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Histories of workflows.
    #[command(subcommand)]
    Histories(histories::HistoriesCommand),
    /// Named points where a test build can be killed or failed.
    #[command(subcommand)]
    Faults(FaultsCommand),
    /// Print the OpenAPI document.
    Openapi,
    /// Print a completion script.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
struct DevArgs {
    /// Where all data, logs and secrets lie.
    #[arg(long, default_value = ".postcall")]
    data_dir: PathBuf,
    /// Install PostgreSQL, Redis and the Temporal CLI where they are missing.
    #[arg(long)]
    install: bool,
    /// Keep Temporal's data in memory only: faster, and gone at the end.
    #[arg(long)]
    temporal_in_memory: bool,
    /// Where the API listens; a free port if this one is taken.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Latency of the fake providers in milliseconds.
    #[arg(long, default_value_t = 20)]
    fakes_delay_ms: u64,
    /// A further setting of Temporal's dynamic configuration, as KEY=JSON.
    #[arg(long = "temporal-setting")]
    temporal_settings: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum FaultsCommand {
    /// List the points, in the order in which a call passes them.
    List,
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let interactive = std::io::IsTerminal::is_terminal(&std::io::stderr());
    telemetry::start_logging(&LogConfig::from_env(interactive));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(Box::pin(execute(cli.command)));
    // Blocking work that a stop left behind must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::from(failed.code())
        }
    }
}

async fn execute(command: Command) -> Result<(), Failed> {
    match command {
        Command::Dev(args) => Box::pin(run_dev(args)).await?,
        Command::Serve => serve::run(config()?, stop_signal()).await?,
        Command::Worker => worker::run(config()?, stop_signal()).await?,
        Command::Migrate => migrate().await?,
        Command::Schedules(command) => schedules::run(command).await?,
        Command::Doctor(args) => doctor::run(&args).await?,
        Command::Calls(command) => calls::run(command).await?,
        Command::Export(args) => export::run(&args).await?,
        Command::Inbox(command) => inbox::run(command).await?,
        Command::Credentials(command) => credentials::run(command).await?,
        Command::Webhooks(command) => webhooks::run(command).await?,
        Command::Key(command) => keys::run(command).await?,
        Command::Usage(command) => usage::run(command).await?,
        Command::Billing(command) => billing::run(command).await?,
        Command::Org(command) => org::run(command).await?,
        Command::Member(command) => member::run(command).await?,
        Command::User(command) => user::run(command).await?,
        Command::Assistant(command) => assistant::run(command).await?,
        Command::Template(command) => template::run(command).await?,
        Command::Number(command) => number::run(command).await?,
        Command::Audit(command) => audit::run(command).await?,
        Command::Trigger(args) => trigger::run(&args).await?,
        Command::Listen(args) => listen::run(args).await?,
        Command::Bench(command) => bench::run(command).await?,
        Command::Histories(command) => histories::run(command).await?,
        Command::Faults(FaultsCommand::List) => list_faults(),
        Command::Openapi => print_openapi()?,
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "postcall", &mut std::io::stdout());
        }
    }
    Ok(())
}

/// Whatever is longer is no configuration, but a file named by mistake, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// JSON in a file, `-` for stdin.
fn json_file(path: &Path) -> Result<serde_json::Value, Failed> {
    let mut text = String::new();
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(File::open(path).with_context(|| path.display().to_string())?),
    };
    let read = source.take(LONGEST_FILE).read_to_string(&mut text);
    read.with_context(|| path.display().to_string())?;
    // Not serde's words, which may quote what it reads.
    serde_json::from_str(&text)
        .map_err(|_| Failed::Usage(format!("{} holds no JSON", path.display())))
}

fn config() -> anyhow::Result<Config> {
    Config::from_env().context("configuration (see .env.example)")
}

async fn run_dev(args: DevArgs) -> anyhow::Result<()> {
    let client = ClientConfig::from_env()?;
    let options = dev::DevOptions {
        install: args.install || client.install,
        data_dir: args.data_dir,
        temporal_in_memory: args.temporal_in_memory,
        listen: args.listen,
        fakes_delay: Duration::from_millis(args.fakes_delay_ms),
        temporal_settings: args.temporal_settings,
    };
    let progress = |line: &str| eprintln!("postcall dev: {line}");
    dev::run(options, client, stop_signal(), &progress).await
}

async fn migrate() -> anyhow::Result<()> {
    let config = config()?;
    store::database::migrate(&config.database_admin_url, &config.database_url).await?;
    eprintln!("the schema at {} is up to date", config::shown(&config.database_admin_url));
    Ok(())
}

fn list_faults() {
    for point in activities::faults::points() {
        output::line(point);
    }
    if !cfg!(feature = "faults") {
        eprintln!("this binary has no faults in it: build with --features faults");
    }
}

fn print_openapi() -> anyhow::Result<()> {
    output::line(crate::api::openapi().to_pretty_json()?);
    Ok(())
}

/// Turns true at Ctrl-C or SIGTERM.
fn stop_signal() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let terminated = async {
            use tokio::signal::unix::{SignalKind, signal};
            match signal(SignalKind::terminate()) {
                Ok(mut terminate) => drop(terminate.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
        sender.send_replace(true);
        // Held for the life of the process: a dropped sender would look like a stop.
        std::future::pending::<()>().await;
    });
    receiver
}
