//! `postcall bench deliveries`: events at a fixed rate, and when they arrive.

mod receiver;
mod report;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use chrono::Utc;
use clap::{Args, ValueEnum};
use contract::ids::OrganizationId;
use providers::webhook_out::new_secret;
use secrecy::SecretString;
use serde_json::json;
use store::{
    Database, Role,
    deliveries::generated,
    organizations::Settings,
    seed::{self, NewOrganization},
    signals::{self, Teller},
};
use tokio::{task::JoinSet, time::sleep_until};
use uuid::Uuid;

use self::{
    receiver::{Hook, Receiver},
    report::Report,
};
use super::{latency::Latency, processes::Monitor, report::text};
use crate::{
    cli::{Failed, Format, output, stop_signal, target::TargetArgs},
    dev::{DemoSecrets, DevState},
};

/// Transactions that write events at a time, and as many for what goes on beside: its events must not
/// wait for the same connections.
const WRITERS: u32 = 8;
/// All of them write at once so often before the first event that counts.
const WARM_UPS: u32 = 25;
const WARM_UP_PAUSE: Duration = Duration::from_millis(40);
/// How long to wait for the last ones.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// An endpoint that hangs answers after this, when nobody waits any more.
const HUNG: Duration = Duration::from_secs(30);
const HUNG_RATE: f64 = 20.0;
/// It hangs or floods for so long before anything is measured.
const LEAD: Duration = Duration::from_secs(20);

/// What else goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Beside {
    /// Nothing.
    None,
    /// Another endpoint hangs for 30 s with each of 20 events a second.
    Hung,
    /// Another endpoint gets --flood-rate events a second.
    Flood,
    /// As many events are written of an organization that has no endpoint: what of `flood` is their writing.
    Unheard,
}

/// Writes events at a fixed rate to a running `postcall dev` and tells how fast they arrive at their
/// endpoints: from when an event was due to be written until the receiver had its whole body, so that
/// waiting counts.
///
/// Each endpoint is of an organization of its own, and each event goes to one of them, in turn. The
/// receivers are in this process, answer after --receiver-ms and verify each signature. Organizations,
/// events and logs are removed at the end. JSON is one object whose names carry the units.
#[derive(Debug, Args)]
pub(in crate::cli) struct DeliveriesArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Events a second, 1 to 5000.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// How long to hold the rate, 1 to 600 seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Endpoints, 1 to 1000.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    endpoints: u32,
    /// How long a receiver takes to answer, 0 to 5000 milliseconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=5000))]
    receiver_ms: u64,
    /// Length of an event's filling, 0 to 18000 bytes; the rest of a body is about 150.
    #[arg(long, default_value_t = 1400, value_parser = clap::value_parser!(u32).range(0..=18_000))]
    bytes: u32,
    /// What else goes on.
    #[arg(long, value_enum, default_value = "none")]
    beside: Beside,
    /// Events a second of `flood` and `unheard`, 1 to 5000.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5000))]
    flood_rate: u32,
    /// Events of `flood` and `unheard` that one transaction writes, 1 to 100; calls write theirs one by one,
    /// which takes more of the machine.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    flood_group: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &DeliveriesArgs) -> Result<(), Failed> {
    let dev = args.target.dev()?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say little");
    }
    let bench = Bench::prepare(args, &dev).await?;
    let mut stop = stop_signal();
    // The organizations must go, also after Ctrl-C.
    let report = tokio::select! {
        report = Box::pin(bench.measure(args, &dev)) => report,
        _ = stop.wait_for(|stop| *stop) => Err(anyhow!("interrupted")),
    };
    bench.remove().await?;
    let report = report?;
    output::line(text(&report, args.output)?);
    report.check()?;
    Ok(())
}

/// Writes events, as a process of its own would.
struct Writer {
    db: Database,
    teller: Teller,
}

impl Writer {
    fn new(url: &SecretString) -> anyhow::Result<Self> {
        let db = Database::connect(url, Role::Worker, WRITERS)?;
        Ok(Self { teller: Teller::start(&db, signals::EVENTS), db })
    }
}

/// Events at a rate.
#[derive(Debug, Clone, Copy)]
struct Flow {
    /// A second.
    rate: f64,
    count: u32,
    /// Of one transaction.
    group: u32,
    /// Whether they are measured.
    counts: bool,
}

/// What a flow has written.
#[derive(Debug)]
struct Written {
    /// How late each transaction was committed.
    lag: Latency,
    /// When each event's commit was known, by its `data.id`; of those that count.
    committed: Vec<(Uuid, u64)>,
}

/// An endpoint and its organization.
#[derive(Debug, Clone, Copy)]
struct Endpoint {
    organization: OrganizationId,
}

struct Bench {
    url: SecretString,
    writer: Writer,
    writer_beside: Writer,
    receiver: Arc<Receiver>,
    measured: Vec<Endpoint>,
    beside: Option<Endpoint>,
    filling: String,
}

impl Bench {
    async fn prepare(args: &DeliveriesArgs, dev: &DevState) -> anyhow::Result<Self> {
        let url: SecretString = dev.database_url.clone().into();
        let secrets = DemoSecrets::open(&args.target.data_dir)?;
        let secret = new_secret().map_err(|error| anyhow!("a secret: {error}"))?;
        let receiver = Receiver::start(secret.clone()).await?;
        let mut bench = Self {
            writer: Writer::new(&url)?,
            writer_beside: Writer::new(&url)?,
            url,
            receiver,
            measured: Vec::new(),
            beside: None,
            filling: "x".repeat(usize::try_from(args.bytes)?),
        };
        let answer = Duration::from_millis(args.receiver_ms);
        for _ in 0..args.endpoints {
            let hook = Hook { answer, counts: true };
            let endpoint = bench.endpoint(&secrets, &secret, Some(hook)).await?;
            bench.measured.push(endpoint);
        }
        let hook = |answer| Some(Hook { answer, counts: false });
        let beside = match args.beside {
            Beside::None => return Ok(bench),
            Beside::Hung => hook(HUNG),
            Beside::Flood => hook(answer),
            Beside::Unheard => None,
        };
        bench.beside = Some(bench.endpoint(&secrets, &secret, beside).await?);
        Ok(bench)
    }

    async fn endpoint(
        &self,
        secrets: &DemoSecrets,
        secret: &SecretString,
        hook: Option<Hook>,
    ) -> anyhow::Result<Endpoint> {
        let organization = OrganizationId(Uuid::now_v7());
        let name = organization.to_string();
        let at = hook.map(|hook| self.receiver.open(&name, hook));
        let api_key = store::keys::generate().context("a key")?;
        let new = NewOrganization {
            id: organization,
            name: "Benchmark",
            slug: &format!("bench-{name}"),
            settings: &Settings::default(),
            api_key: &api_key,
            credentials: &[],
            vapi_assistant_id: None,
            endpoint: at.as_deref().map(|at| (at, secret)),
        };
        seed::organization(&self.url, &secrets.sealer()?, &new).await?;
        Ok(Endpoint { organization })
    }

    async fn measure(&self, args: &DeliveriesArgs, dev: &DevState) -> anyhow::Result<Report> {
        self.warm_up().await?;
        self.receiver.begin();
        let beside = async {
            let Some(endpoint) = self.beside else { return std::future::pending().await };
            let (rate, group) = match args.beside {
                Beside::Hung => (HUNG_RATE, 1),
                _ => (f64::from(args.flood_rate), args.flood_group),
            };
            // Bounded: it ends with the measurement, and long after it in any case.
            let flow = Flow { rate, count: 1_000_000, group, counts: false };
            self.emit(&self.writer_beside, &[endpoint], flow).await
        };
        let measured = async {
            if self.beside.is_some() {
                tokio::time::sleep(LEAD).await;
            }
            let started_at = store::events::timestamp(Utc::now());
            let count = args.rate * args.seconds;
            let mut monitor = Monitor::start(&dev.pids);
            let began = Instant::now();
            let flow = Flow { rate: f64::from(args.rate), count, group: 1, counts: true };
            let written = self.emit(&self.writer, &self.measured, flow).await?;
            monitor.sample();
            self.receiver.has(count, DRAIN_LIMIT).await;
            let processes = monitor.finish(self.receiver.arrived());
            Report::new(args, started_at, began, count, &written, &self.receiver, processes)
        };
        tokio::select! {
            report = measured => report,
            ended = beside => Err(anyhow!("what goes on beside ended: {ended:?}")),
        }
    }

    /// Opens all connections of the writer, and has their statements prepared and planned: what a process does
    /// in its first minute is not measured. Who writes beside begins long before.
    async fn warm_up(&self) -> anyhow::Result<()> {
        let mut endpoints = self.measured.iter().copied().cycle();
        for _ in 0..WARM_UPS {
            let to: Vec<Endpoint> = endpoints.by_ref().take(usize::try_from(WRITERS)?).collect();
            let flow = Flow { rate: f64::INFINITY, count: WRITERS, group: 1, counts: false };
            self.emit(&self.writer, &to, flow).await?;
            tokio::time::sleep(WARM_UP_PAUSE).await;
        }
        Ok(())
    }

    /// Writes events on time, whatever becomes of them.
    async fn emit(&self, writer: &Writer, to: &[Endpoint], flow: Flow) -> anyhow::Result<Written> {
        let start = tokio::time::Instant::now();
        let mut written = Written { lag: Latency::new()?, committed: Vec::new() };
        let mut writing = JoinSet::new();
        for (index, first) in (0..flow.count).step_by(usize::try_from(flow.group)?).enumerate() {
            let due = start + Duration::from_secs_f64(f64::from(first) / flow.rate);
            sleep_until(due).await;
            let endpoint = to[index % to.len()];
            let (db, teller) = (writer.db.clone(), writer.teller.clone());
            let due_us = flow.counts.then(|| self.receiver.micros(due.into_std()));
            let ids: Vec<Uuid> = (0..flow.group).map(|_| Uuid::now_v7()).collect();
            let event = |id| json!({ "id": id, "due_us": due_us, "filling": self.filling });
            let events = ids.iter().map(event).collect();
            writing.spawn(async move {
                let emitted = generated::emit(&db, endpoint.organization, events).await;
                let at = Instant::now();
                teller.tell();
                emitted.map(|()| (due.elapsed(), at, ids))
            });
            while let Some(emitted) = writing.try_join_next() {
                self.note(&mut written, flow, emitted??);
            }
        }
        while let Some(emitted) = writing.join_next().await {
            self.note(&mut written, flow, emitted??);
        }
        Ok(written)
    }

    fn note(&self, written: &mut Written, flow: Flow, emitted: (Duration, Instant, Vec<Uuid>)) {
        let (lag, at, ids) = emitted;
        written.lag.record(lag);
        if flow.counts {
            let at = self.receiver.micros(at);
            written.committed.extend(ids.into_iter().map(|id| (id, at)));
        }
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let all = self.measured.iter().chain(&self.beside);
        let organizations: Vec<OrganizationId> =
            all.map(|endpoint| endpoint.organization).collect();
        generated::remove(&self.url, &organizations)
            .await
            .context("the bench's rows are still there")
    }
}
