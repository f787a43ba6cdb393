//! `postcall bench calls`: an open-loop load of end-of-call reports.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use clap::Args;
use contract::ids::{CallId, OrganizationId};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    histories::{self, HistoryFigures},
    installation::Installation,
    latency::{Latency, Percentiles},
    load::{MOST_IN_FLIGHT, Poster, Posts, Schedule},
    processes::{self, Monitor, ProcessFigures},
    report::{DRAIN_LIMIT_SECONDS, Report},
    stream::EventStream,
    tally::{Counts, Tally},
    template::Example,
};
use crate::cli::{Failed, Format, output, target::TargetArgs};

/// A beginning that every installation holds; a faster one would leave a backlog to wait for.
const WARM_UP_RATE: f64 = 10.0;
/// Between two looks whether all is done. The figures come from when events arrived, not from this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Adding up Postgres' memory takes some milliseconds of processor time.
const SAMPLE_PAUSE: Duration = Duration::from_secs(5);

/// Posts calls at a fixed rate, whatever the answers do, and tells how the installation did.
///
/// Every call is a Vapi end-of-call report with an id of its own. It takes all effects that a call
/// has: with real providers configured, real messages are sent. Latencies begin when a post was
/// due, so that waiting counts. A running `postcall dev` is measured, or the installation of
/// POSTCALL_API_URL and POSTCALL_API_KEY, with VAPI_WEBHOOK_SECRET and --organization-id; then
/// nothing is known of its processes, and of histories only with TEMPORAL_ADDRESS. JSON is one
/// object whose names carry the units.
#[derive(Debug, Args)]
pub(in crate::cli) struct CallsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The organization whose calls are posted, with POSTCALL_API_URL.
    #[arg(long)]
    organization_id: Option<OrganizationId>,
    /// Calls a second, 0.1 to 5000.
    #[arg(long, value_parser = rate)]
    rate: f64,
    /// How many calls, 1 to 1000000.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Posts calls without recording and transcript: there is nothing to copy and to extract.
    #[arg(long)]
    plain: bool,
    /// Calls that are done before and are in no figure, 0 to 10000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    warm_up: u32,
    /// How long to wait for calls after the last post, 1 to 3600.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    drain_seconds: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=5000.0).contains(rate));
    rate.ok_or_else(|| "it must be a number from 0.1 to 5000".to_owned())
}

pub(super) async fn run(args: &CallsArgs) -> Result<(), Failed> {
    let installation = Installation::find(&args.target, args.organization_id)?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say little");
    }
    let report = Box::pin(measure(args, Arc::new(installation))).await?;
    output::line(report.text(args.output)?);
    Ok(())
}

pub(super) async fn measure(
    args: &CallsArgs,
    installation: Arc<Installation>,
) -> anyhow::Result<Report> {
    let tally = Arc::new(Tally::new()?);
    let stream = EventStream::open(installation.clone()).await?;
    let posts = Posts { example: Example::report(args.plain), in_flight: MOST_IN_FLIGHT };
    let poster = Poster::new(installation.clone(), tally.clone(), posts)?;
    let bench = Bench { args, installation, tally: tally.clone(), poster };
    // Ends with the bench: it never ends by itself.
    tokio::select! {
        () = stream.follow(&tally) => Err(anyhow!("the live stream ended")),
        report = Box::pin(bench.run()) => report,
    }
}

struct Bench<'a> {
    args: &'a CallsArgs,
    installation: Arc<Installation>,
    tally: Arc<Tally>,
    poster: Poster,
}

/// A load that is over.
struct Measured {
    schedule: Schedule,
    counts: Counts,
    processes: Vec<ProcessFigures>,
    /// Sampled calls that were completed.
    sampled: Vec<CallId>,
}

impl Bench<'_> {
    async fn run(&self) -> anyhow::Result<Report> {
        if self.args.warm_up > 0 {
            let warm_up = self.load("warm-up", WARM_UP_RATE, self.args.warm_up).await?.counts;
            if warm_up.completed < u64::from(self.args.warm_up) {
                return Err(anyhow!(
                    "of {} calls to warm up {} were acknowledged and {} completed within {} s; \
                     does the worker run?",
                    self.args.warm_up,
                    warm_up.acknowledged,
                    warm_up.completed,
                    self.args.drain_seconds,
                ));
            }
        }
        let measured = self.load("calls", self.args.rate, self.args.count).await?;
        let history = self.histories(&measured.sampled).await;
        Ok(self.report(measured, history))
    }

    /// Posts, and waits until all calls are done or the time for it is over.
    async fn load(&self, name: &str, rate: f64, count: u32) -> anyhow::Result<Measured> {
        let bar = progress_bar(name, count);
        let mut monitor = Monitor::start(&self.installation.pids);
        let mut sampled_at = Instant::now();
        let schedule = Schedule::from_now(rate, count);
        let load = self.poster.start(schedule);
        let drain_limit = Duration::from_secs(u64::from(self.args.drain_seconds));
        let mut looks = interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let (completed, posted, is_over) = {
                let counts = self.tally.lock();
                (counts.completed, counts.posted, counts.is_over(u64::from(count)))
            };
            bar.set_position(completed);
            bar.set_message(format!("{posted} posted"));
            if is_over || schedule.last().elapsed() > drain_limit {
                break;
            }
            if sampled_at.elapsed() > SAMPLE_PAUSE {
                monitor.sample();
                sampled_at = Instant::now();
            }
        }
        let completed = self.tally.lock().completed;
        let processes = monitor.finish(completed);
        bar.finish_and_clear();
        let mut sampled = load.stop().await?;
        sampled.retain(|call| !self.tally.lock().is_waiting(*call));
        let counts = self.tally.restart()?;
        Ok(Measured { schedule, counts, processes, sampled })
    }

    async fn histories(&self, sampled: &[CallId]) -> Option<HistoryFigures> {
        let read = async {
            let client = self.installation.temporal().await?;
            histories::read(&client, sampled).await
        };
        match Box::pin(read).await {
            Ok(figures) => Some(figures),
            Err(error) => {
                eprintln!("no figures of histories: {error:#}");
                None
            }
        }
    }

    fn report(&self, measured: Measured, history: Option<HistoryFigures>) -> Report {
        let Measured { schedule, counts, processes, .. } = measured;
        let completed = counts.completed;
        let not_completed = u64::from(schedule.count) - completed;
        let took = counts.last_done.map(|at| at.saturating_duration_since(schedule.first()));
        let drained = counts.last_done.filter(|_| not_completed == 0);
        let drain = drained.map(|at| at.saturating_duration_since(schedule.last()).as_secs_f64());
        let lag = counts.post_lag.percentiles();
        let ack = counts.ack.percentiles();
        let done = counts.done.percentiles();
        let written = self.written(&counts.written);
        // Nothing is known of processes that run elsewhere, and ourselves alone are no figure.
        let processes = if self.installation.pids.is_empty() { Vec::new() } else { processes };
        Report {
            bench: "calls",
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            started_at: store::events::timestamp(schedule.started_at()),
            api_url: self.installation.api_url.clone(),
            rate_per_second: self.args.rate,
            count: self.args.count,
            warm_up_count: self.args.warm_up,
            posted_count: counts.posted,
            post_lag_p99_ms: lag.map(|lag| lag.p99_ms),
            post_lag_max_ms: lag.map(|lag| lag.max_ms),
            ack_p50_ms: ack.map(|ack| ack.p50_ms),
            ack_p99_ms: ack.map(|ack| ack.p99_ms),
            ack_p99_9_ms: ack.map(|ack| ack.p99_9_ms),
            ack_max_ms: ack.map(|ack| ack.max_ms),
            ack_not_2xx_count: counts.refused,
            ack_none_count: counts.posted - counts.acknowledged - counts.refused,
            completed_count: completed,
            not_completed_count: not_completed,
            completed_per_second: took.map(|took| completed as f64 / took.as_secs_f64()),
            done_p50_ms: done.map(|done| done.p50_ms),
            done_p99_ms: done.map(|done| done.p99_ms),
            done_max_ms: done.map(|done| done.max_ms),
            written_p50_ms: written.map(|written| written.p50_ms),
            written_p99_ms: written.map(|written| written.p99_ms),
            written_max_ms: written.map(|written| written.max_ms),
            drain_seconds: drain,
            holds: drain.is_some_and(|drain| drain <= DRAIN_LIMIT_SECONDS),
            stream_reconnect_count: counts.stream_reconnects,
            cpu_seconds_per_1000_calls: processes::cpu_seconds_per_1000_calls(&processes),
            processes,
            history,
        }
    }

    /// Times of another machine's clock cannot be subtracted from ours.
    fn written(&self, latency: &Latency) -> Option<Percentiles> {
        latency.percentiles().filter(|_| self.installation.is_on_this_machine)
    }
}

/// Shows itself on stderr where that is a terminal, else not at all.
fn progress_bar(name: &str, count: u32) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(count)).with_prefix(name.to_owned());
    let template = "{prefix} {bar:30} {pos}/{len} done, {msg}, {elapsed}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
