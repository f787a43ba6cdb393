//! The load: calls posted on time, whatever the answers do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use contract::{call::Provider, ids::CallId};
use secrecy::ExposeSecret;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    installation::Installation,
    tally::{Answer, Due, Tally},
};
use crate::cli::trigger::vapi_body;

const END_OF_CALL_REPORT: &str =
    include_str!("../../../tests/fixtures/vapi/end_of_call_report.json");
/// Stands for the call id in a body that is made ahead: making one anew for each call would take
/// processor time from what is measured.
const PLACEHOLDER: &str = "00000000-0000-7000-8000-000000000000";
/// Bodies carry the time of their making.
const BODY_AGE: Duration = Duration::from_secs(1);
/// Posts that wait for their answer at a time. Each has a connection, and a process has often no
/// more than 1,024 files. A post that must wait for its turn is late, and its lateness counts.
const MOST_IN_FLIGHT: usize = 768;
/// Vapi waits 20 s for an answer; what comes later is lost anyway.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Lets the pacing thread be there before the first post is due.
const LEAD: Duration = Duration::from_millis(20);
/// Calls whose ids are kept.
const SAMPLE: u32 = 20;

/// When the posts are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    start: Due,
    rate: f64,
    pub(super) count: u32,
}

impl Schedule {
    /// `count` posts, `rate` of them a second, beginning now.
    pub(super) fn from_now(rate: f64, count: u32) -> Self {
        let start = Due { at: Instant::now() + LEAD, time: Utc::now() + LEAD };
        Self { start, rate, count }
    }

    /// When the post with this index, from 0, is due.
    fn due(&self, index: u32) -> Due {
        let after = Duration::from_secs_f64(f64::from(index) / self.rate);
        Due { at: self.start.at + after, time: self.start.time + after }
    }

    pub(super) fn first(&self) -> Instant {
        self.start.at
    }

    pub(super) fn started_at(&self) -> DateTime<Utc> {
        self.start.time
    }

    pub(super) fn last(&self) -> Instant {
        self.due(self.count.saturating_sub(1)).at
    }
}

/// Whether the call with this index is one of the [`SAMPLE`] that lie evenly over all.
fn is_sampled(index: u32, count: u32) -> bool {
    let slice = |index: u32| u64::from(index) * u64::from(SAMPLE.min(count)) / u64::from(count);
    index == 0 || slice(index) != slice(index - 1)
}

/// What posts.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    installation: Arc<Installation>,
    client: reqwest::Client,
    url: Arc<str>,
    tally: Arc<Tally>,
}

/// A load under way.
#[derive(Debug)]
pub(super) struct Load {
    turns: Arc<Semaphore>,
    posting: JoinHandle<anyhow::Result<Vec<CallId>>>,
}

impl Poster {
    pub(super) fn new(installation: Arc<Installation>, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_LIMIT)
            .pool_max_idle_per_host(MOST_IN_FLIGHT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!("{}/vapi/{}", installation.api_url, installation.organization);
        Ok(Self { installation, client, url: url.into(), tally })
    }

    /// Begins to post.
    pub(super) fn start(&self, schedule: Schedule) -> Load {
        let turns = Arc::new(Semaphore::new(MOST_IN_FLIGHT));
        let (poster, limit, runtime) = (self.clone(), turns.clone(), Handle::current());
        // A thread of its own: the runtime's timer rounds up to milliseconds, which would count as
        // latency.
        let posting =
            tokio::task::spawn_blocking(move || poster.post_all(schedule, &limit, &runtime));
        Load { turns, posting }
    }

    fn post_all(
        &self,
        schedule: Schedule,
        turns: &Arc<Semaphore>,
        runtime: &Handle,
    ) -> anyhow::Result<Vec<CallId>> {
        let mut sampled = Vec::new();
        let mut template = template()?;
        for index in 0..schedule.count {
            let due = schedule.due(index);
            if template.1.elapsed() > BODY_AGE {
                template = self::template()?;
            }
            std::thread::sleep(due.at.saturating_duration_since(Instant::now()));
            let Ok(turn) = runtime.block_on(turns.clone().acquire_owned()) else { break };
            let provider_call_id = Uuid::now_v7().to_string();
            let call =
                CallId::derive(self.installation.organization, Provider::Vapi, &provider_call_id);
            if is_sampled(index, schedule.count) {
                sampled.push(call);
            }
            let body = template.0.replace(PLACEHOLDER, &provider_call_id);
            let poster = self.clone();
            runtime.spawn(async move { poster.post(call, due, body.into(), turn).await });
        }
        Ok(sampled)
    }

    async fn post(self, call: CallId, due: Due, body: Bytes, turn: OwnedSemaphorePermit) {
        self.tally.lock().post(call, due, Instant::now());
        let answer = self.send(body).await;
        self.tally.lock().answer(call, due, answer, Instant::now());
        drop(turn);
    }

    async fn send(&self, body: Bytes) -> Answer {
        let request = self
            .client
            .post(&*self.url)
            .header("x-vapi-secret", self.installation.vapi_secret.expose_secret())
            .header("content-type", "application/json")
            .body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Answer::NotSent,
            Err(_) => return Answer::Lost,
        };
        let is_success = response.status().is_success();
        // Read to its end, so that the connection serves the next post.
        match response.bytes().await {
            Ok(_) if is_success => Answer::Acknowledged,
            Ok(_) => Answer::Refused,
            Err(_) => Answer::Lost,
        }
    }
}

impl Load {
    /// Posts no more; the ids of the sampled calls.
    pub(super) async fn stop(self) -> anyhow::Result<Vec<CallId>> {
        self.turns.close();
        self.posting.await.context("posting")?
    }
}

/// A body and when it was made.
fn template() -> anyhow::Result<(String, Instant)> {
    let body = String::from_utf8(vapi_body(END_OF_CALL_REPORT, PLACEHOLDER)?);
    Ok((body.context("example")?, Instant::now()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn posts_are_due_at_even_distances() {
        let schedule = Schedule::from_now(40.0, 5);
        let after = |index| schedule.due(index).at - schedule.first();
        assert_eq!(after(1), Duration::from_millis(25));
        assert_eq!(schedule.last() - schedule.first(), Duration::from_millis(100));
    }

    #[test]
    fn the_sample_lies_evenly_over_all_calls() {
        let sampled =
            |count: u32| (0..count).filter(|index| is_sampled(*index, count)).collect::<Vec<_>>();
        assert_eq!(sampled(3), [0, 1, 2]);
        assert_eq!(sampled(20).len(), 20);
        assert_eq!(sampled(21).len(), 20);
        let many = sampled(1_000_000);
        assert_eq!(many.len(), 20);
        assert!(many.windows(2).all(|pair| pair[1] - pair[0] == 50_000));
    }

    #[test]
    fn a_body_is_one_call_of_its_own() {
        let id = Uuid::now_v7().to_string();
        let body = template().unwrap().0.replace(PLACEHOLDER, &id);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["message"]["type"], "end-of-call-report");
        assert_eq!(body["message"]["call"]["id"], id.as_str());
    }
}
