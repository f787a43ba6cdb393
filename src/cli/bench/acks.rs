//! `postcall bench acks`: an open-loop load of webhooks that nothing follows from.

mod pause;
mod report;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use clap::Args;
use contract::ids::OrganizationId;
use tokio::time::{MissedTickBehavior, interval};

use self::{
    pause::{Paused, Worker},
    report::{RateFigures, Report},
    stored::Counter,
};
use super::{
    installation::Installation,
    load::{ANSWER_LIMIT, MOST_IN_FLIGHT, Poster, Posts, Schedule},
    processes::Monitor,
    tally::{Counts, Tally},
    template::Example,
};
use crate::cli::{Failed, Format, output, stop_signal, target::TargetArgs};

/// Posts a second; above this, pacing them takes a whole core.
const FASTEST: f64 = 20_000.0;
/// `--knee`: from one rate to the next.
const GROWTH: f64 = 1.25;
/// How long a rate is held, unless said otherwise. A sweep has a dozen rates, and each second of
/// the last ones stores some 50 MB.
const SECONDS: u32 = 15;
const SECONDS_OF_SWEEP: u32 = 5;
/// To warm up: as many posts at once as there are connections, then some at leisure. Opens
/// connections here and from `serve` to Postgres, and lets it read the secrets.
const AT_ONCE: f64 = 1e6;
const LEISURE: f64 = 100.0;
const LEISURE_COUNT: u32 = 100;
/// Between two looks whether all is answered. The figures come from when answers arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Posts webhooks at a fixed rate, whatever the answers do, and tells how fast they are
/// acknowledged: from when a post was due until its 2xx was there, so that waiting counts.
///
/// Measured is the receiver alone: signature, parsing, and the commit of the inbox. Each post is a
/// Vapi status update of a queued call with an id of its own, filled with messages to the size of
/// a report: it takes the same way into the inbox as a report, and no workflow or message to
/// people follows. The worker of `postcall dev` is stopped by SIGSTOP meanwhile (see
/// --with-worker), and then opens a call for each post, which needs some time and stays queued:
/// use a folder that may be thrown away. The installation of POSTCALL_API_URL, with
/// POSTCALL_API_KEY, VAPI_WEBHOOK_SECRET and --organization-id, is measured as it is. A rate is
/// held where p99 is at most 50 ms, every post got its 2xx, and at least 95 % of the rate was
/// achieved without the spool, where webhooks go that the inbox does not take in time. JSON is one
/// object whose names carry the units.
#[derive(Debug, Args)]
pub(in crate::cli) struct AcksArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The organization whose calls are posted, with POSTCALL_API_URL.
    #[arg(long)]
    organization_id: Option<OrganizationId>,
    /// Posts a second, 1 to 20000; with --knee the first rate.
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    rate: f64,
    /// How long to hold a rate, 1 to 600; 15 if not given, 5 with --knee.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Length of a body, 4096 to 1000000.
    #[arg(long, default_value_t = 20_480, value_parser = clap::value_parser!(u32).range(4096..=1_000_000))]
    bytes: u32,
    /// Keep-alive connections, which is also how many posts wait for an answer at a time, 1 to 768.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=MOST_IN_FLIGHT as i64))]
    connections: u16,
    /// Raises the rate by a quarter until it is not held; the knee is the last that was.
    #[arg(long)]
    knee: bool,
    /// Lets the worker of `postcall dev` go on: its work counts too.
    #[arg(long)]
    with_worker: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (1.0..=FASTEST).contains(rate));
    rate.ok_or_else(|| format!("it must be a number from 1 to {FASTEST}"))
}

pub(super) async fn run(args: &AcksArgs) -> Result<(), Failed> {
    let installation = Installation::find(&args.target, args.organization_id)?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say little");
    }
    let mut stop = stop_signal();
    // A stopped worker must go on, also after Ctrl-C.
    let report = tokio::select! {
        report = Box::pin(measure(args, Arc::new(installation))) => report?,
        _ = stop.wait_for(|stop| *stop) => return Err(anyhow!("interrupted").into()),
    };
    output::line(report.text(args.output)?);
    report.check()?;
    Ok(())
}

async fn measure(args: &AcksArgs, installation: Arc<Installation>) -> anyhow::Result<Report> {
    let tally = Arc::new(Tally::new()?);
    let bytes = usize::try_from(args.bytes)?;
    let posts =
        Posts { example: Example::Queued { bytes }, in_flight: usize::from(args.connections) };
    let poster = Poster::new(installation.clone(), tally.clone(), posts)?;
    let paused = (!args.with_worker).then(|| Paused::begin(&installation.pids)).transpose()?;
    let worker = match paused.as_ref() {
        Some(paused) => paused.worker(),
        None => Worker::Running,
    };
    let counter = Counter::open(&installation.api_url).await?;
    let before = counter.read().await;
    let started_at = store::events::timestamp(chrono::Utc::now());
    let bench = Bench { args, installation, tally, poster, counter };
    let warm_up_count = Box::pin(bench.warm_up()).await?;
    let rates = Box::pin(bench.rates()).await?;
    drop(paused);
    let acknowledged: u64 = rates.iter().map(|rate| rate.acknowledged_count).sum();
    let after = bench.counter.read().await;
    let stored = after.zip(before).and_then(|(after, before)| after.since(before));
    Ok(Report {
        bench: "acks",
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        started_at,
        api_url: bench.installation.api_url.clone(),
        body_bytes: args.bytes,
        connections: args.connections,
        seconds_per_rate: args.seconds(),
        worker,
        knee_per_second: report::knee(&rates).filter(|_| args.knee),
        rates,
        acknowledged_count: warm_up_count + acknowledged,
        stored_count: stored.map(|stored| stored.new + stored.spooled),
    })
}

impl AcksArgs {
    fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.knee { SECONDS_OF_SWEEP } else { SECONDS })
    }
}

struct Bench<'a> {
    args: &'a AcksArgs,
    installation: Arc<Installation>,
    tally: Arc<Tally>,
    poster: Poster,
    counter: Counter,
}

impl Bench<'_> {
    /// How many posts it took; their answers are in no figure.
    async fn warm_up(&self) -> anyhow::Result<u64> {
        let mut acknowledged = 0;
        for (rate, count) in [(AT_ONCE, u32::from(self.args.connections)), (LEISURE, LEISURE_COUNT)]
        {
            let counts = self.load(Schedule::from_now(rate, count)).await?;
            if counts.acknowledged < u64::from(count) {
                return Err(anyhow!(
                    "of {count} posts to warm up {} were acknowledged, {} refused and {} not \
                     answered; is this the organization's secret, and does Postgres run?",
                    counts.acknowledged,
                    counts.refused,
                    counts.unanswered,
                ));
            }
            acknowledged += counts.acknowledged;
        }
        Ok(acknowledged)
    }

    /// The asked rate; with `--knee` higher and higher ones, until one is not held.
    async fn rates(&self) -> anyhow::Result<Vec<RateFigures>> {
        let mut rates = Vec::new();
        let mut rate = self.args.rate;
        loop {
            let figures = self.rate(rate).await?;
            let goes_on = self.args.knee && figures.held && rate < FASTEST;
            if self.args.knee {
                eprintln!("{}", figures.line());
            }
            rates.push(figures);
            if !goes_on {
                return Ok(rates);
            }
            rate = (rate * GROWTH).round().max(rate + 1.0).min(FASTEST);
        }
    }

    async fn rate(&self, rate: f64) -> anyhow::Result<RateFigures> {
        let seconds = self.args.seconds();
        // A rate and a time in bounds: at most 12 million.
        let count = (rate * f64::from(seconds)).round() as u32;
        let before = self.counter.read().await;
        let monitor = Monitor::start(&self.installation.pids);
        let schedule = Schedule::from_now(rate, count);
        let counts = self.load(schedule).await?;
        let processes = monitor.finish(counts.acknowledged);
        let after = self.counter.read().await;
        let stored = after.zip(before).and_then(|(after, before)| after.since(before));
        let spooled = stored.map(|stored| stored.spooled);
        Ok(RateFigures::new(rate, schedule.first(), &counts, spooled, processes))
    }

    /// Posts, and waits until all is answered or nobody would wait for an answer any more. What
    /// is answered after that is in no figure.
    async fn load(&self, schedule: Schedule) -> anyhow::Result<Counts> {
        let load = self.poster.start(schedule);
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let is_settled = || self.tally.lock().is_settled(u64::from(schedule.count));
        while !is_settled() && late(schedule.last()) < ANSWER_LIMIT {
            looks.tick().await;
        }
        load.stop().await?;
        self.tally.restart()
    }
}

fn late(due: Instant) -> Duration {
    Instant::now().saturating_duration_since(due)
}
