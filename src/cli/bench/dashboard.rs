//! `postcall bench dashboard`: dashboards loaded while calls are processed, with many calls in the table.

mod report;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use clap::Args;
use contract::{call::Provider, ids::OrganizationId};
use providers::webhook_out::new_secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use store::{
    organizations::Settings,
    reads::dashboard::generated,
    seed::{self, NewOrganization, ProviderCredentials},
};
use tokio::{task::JoinSet, time::sleep_until};
use uuid::Uuid;

use self::report::Report;
use super::{
    installation::Installation,
    latency::Latency,
    load::{Poster, Posts, Schedule},
    processes::Monitor,
    report::text,
    tally::Tally,
    template::Example,
};
use crate::{
    cli::{Failed, Format, output, target::TargetArgs},
    dev::{DemoSecrets, DevState},
};

/// Calls come for so long before the first load that counts: caches are warm, statements prepared.
const LEAD: Duration = Duration::from_secs(10);
/// How long to wait for the last calls.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// Nobody waits longer for a dashboard.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Posts of one organization that wait for their answer.
const IN_FLIGHT: usize = 16;
/// The counter of `serve`.
const STATEMENTS: &str = "postcall_dashboard_statements_total";

/// Loads dashboards of many organizations at a fixed rate from a running `postcall dev`, while calls of the
/// same organizations are posted and processed, and tells how long a load took, from when it was due, and
/// how many statements it cost.
///
/// Organizations and calls stay: measure a `postcall dev` in a folder of its own, started with
/// POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE above 60 times the rate. JSON is one object whose names carry the
/// units.
#[derive(Debug, Args)]
pub(in crate::cli) struct DashboardArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Dashboards a second, 1 to 2000.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// How long to hold the rate, 1 to 600 seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Organizations, each with a dashboard and calls in turn, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    organizations: u32,
    /// Calls a second that are posted, 0 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=200))]
    call_rate: u32,
    /// Posts calls without recording and transcript: there is nothing to copy and to extract.
    #[arg(long)]
    plain: bool,
    /// Calls of the last 30 days that are written to the table first, 0 to 20000000.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20_000_000))]
    calls: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &DashboardArgs) -> Result<(), Failed> {
    let dev = args.target.dev()?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say little");
    }
    let bench = Bench::prepare(args, dev).await?;
    let report = Box::pin(bench.measure(args)).await?;
    output::line(text(&report, args.output)?);
    report.check()?;
    Ok(())
}

struct Bench {
    dev: DevState,
    database_url: SecretString,
    organizations: Vec<Arc<Installation>>,
    http: reqwest::Client,
    tally: Arc<Tally>,
}

/// Loads that were due.
pub(super) struct Loads {
    latency: Latency,
    /// Answers that were no success, or none.
    failed: u64,
    statements: u64,
}

/// Calls that were posted, and what became of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    posted: u64,
    processed_meanwhile: u64,
    processed: u64,
}

impl Bench {
    async fn prepare(args: &DashboardArgs, dev: DevState) -> anyhow::Result<Self> {
        let database_url: SecretString = dev.database_url.clone().into();
        let secrets = DemoSecrets::open(&args.target.data_dir)?;
        let mut organizations = Vec::new();
        for _ in 0..args.organizations {
            let organization = organization(&dev, &database_url, &secrets).await?;
            organizations.push(Arc::new(organization));
        }
        let http = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
        let tally = Arc::new(Tally::new()?);
        let bench = Self { dev, database_url, organizations, http, tally };
        let ids = bench.ids();
        generated::calls(&bench.database_url, &ids, i64::from(args.calls), |written| {
            eprintln!("{written} calls are written");
        })
        .await?;
        Ok(bench)
    }

    fn ids(&self) -> Vec<OrganizationId> {
        self.organizations.iter().map(|installation| installation.organization).collect()
    }

    async fn measure(&self, args: &DashboardArgs) -> anyhow::Result<Report> {
        let started_at = Utc::now();
        let posting = self.post(args)?;
        tokio::time::sleep(LEAD).await;
        let mut monitor = Monitor::start(&self.dev.pids);
        let before = self.statements().await?;
        let mut loads = self.load(args).await?;
        loads.statements = self.statements().await?.saturating_sub(before);
        monitor.sample();
        let processes = monitor.finish(u64::from(args.rate * args.seconds));
        let processed_meanwhile = self.processed(started_at).await?;
        for load in posting {
            load.stop().await?;
        }
        let posted = self.tally.lock().acknowledged;
        let deadline = Instant::now() + DRAIN_LIMIT;
        let processed = loop {
            let processed = self.processed(started_at).await?;
            if processed >= posted || Instant::now() > deadline {
                break processed;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let calls = Calls { posted, processed_meanwhile, processed };
        Ok(Report::new(args, started_at, &loads, calls, processes))
    }

    /// Calls of the bench's organizations that were processed to their end.
    async fn processed(&self, since: DateTime<Utc>) -> anyhow::Result<u64> {
        let processed = generated::processed(&self.database_url, &self.ids(), since).await?;
        Ok(u64::try_from(processed)?)
    }

    /// Posts calls, those of each organization evenly, from now to the end of the measurement.
    fn post(&self, args: &DashboardArgs) -> anyhow::Result<Vec<super::load::Load>> {
        if args.call_rate == 0 {
            return Ok(Vec::new());
        }
        let rate = f64::from(args.call_rate) / f64::from(args.organizations);
        let seconds = LEAD.as_secs_f64() + f64::from(args.seconds);
        let posts = Posts { example: Example::report(args.plain), in_flight: IN_FLIGHT };
        let poster = |installation: &Arc<Installation>| {
            let poster = Poster::new(installation.clone(), self.tally.clone(), posts)?;
            Ok(poster.start(Schedule::from_now(rate, (rate * seconds) as u32)))
        };
        self.organizations.iter().map(poster).collect()
    }

    /// Loads dashboards on time, whatever the answers do.
    async fn load(&self, args: &DashboardArgs) -> anyhow::Result<Loads> {
        let start = tokio::time::Instant::now();
        let mut loads = Loads { latency: Latency::new()?, failed: 0, statements: 0 };
        let mut loading = JoinSet::new();
        let heard = |loads: &mut Loads, took: Option<Duration>| match took {
            Some(took) => loads.latency.record(took),
            None => loads.failed += 1,
        };
        for index in 0..args.rate * args.seconds {
            let due = start + Duration::from_secs_f64(f64::from(index) / f64::from(args.rate));
            sleep_until(due).await;
            let of = &self.organizations[usize::try_from(index)? % self.organizations.len()];
            let url = format!("{}/v1/dashboard", of.api_url);
            let request = self.http.get(url).bearer_auth(of.api_key.expose_secret());
            loading.spawn(async move {
                let answer = request.send().await.ok()?.error_for_status().ok()?;
                answer.bytes().await.ok()?;
                Some(due.elapsed())
            });
            while let Some(took) = loading.try_join_next() {
                heard(&mut loads, took?);
            }
        }
        while let Some(took) = loading.join_next().await {
            heard(&mut loads, took?);
        }
        Ok(loads)
    }

    /// Statements of dashboards that `serve` has run so far.
    async fn statements(&self) -> anyhow::Result<u64> {
        let url = format!("{}/metrics", self.dev.api_url);
        let text = self.http.get(url).send().await?.error_for_status()?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(STATEMENTS));
        // Before the first one it does not exist.
        line.map_or(Ok(0), |value| value.trim().parse().context(STATEMENTS))
    }
}

/// A new organization that takes calls of Vapi.
async fn organization(
    dev: &DevState,
    database_url: &SecretString,
    secrets: &DemoSecrets,
) -> anyhow::Result<Installation> {
    let organization = OrganizationId(Uuid::now_v7());
    let secret = || new_secret().map_err(|error| anyhow!("a secret: {error}"));
    let (vapi_secret, api_key) = (secret()?, store::keys::generate().context("a key")?);
    let credentials = [ProviderCredentials {
        provider: Provider::Vapi,
        secret: &vapi_secret,
        api_key: None,
        settings: json!({}),
    }];
    let new = NewOrganization {
        id: organization,
        name: "Benchmark",
        slug: &format!("bench-{organization}"),
        settings: &Settings::default(),
        api_key: &api_key,
        credentials: &credentials,
        vapi_assistant_id: None,
        endpoint: None,
    };
    seed::organization(database_url, &secrets.sealer()?, &new).await?;
    Ok(Installation::of_organization(dev, organization, api_key, vapi_secret))
}
