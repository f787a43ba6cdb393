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
use url::Url;
use uuid::Uuid;

use super::{
    installation::Installation,
    tally::{Answer, Due, Tally},
    template::{Example, Template},
};

/// Posts that wait for their answer at a time. Each has a connection, and a process has often no
/// more than 1,024 files.
pub(super) const MOST_IN_FLIGHT: usize = 768;
/// Vapi waits 20 s for an answer; what comes later is lost anyway.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(20);
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

/// What is posted, and how much of it at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posts {
    pub(super) example: Example,
    /// Posts that wait for their answer at a time, 1 to [`MOST_IN_FLIGHT`]. One that must wait for
    /// its turn is late, and its lateness counts.
    pub(super) in_flight: usize,
}

/// What posts.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    installation: Arc<Installation>,
    client: reqwest::Client,
    url: Arc<Url>,
    tally: Arc<Tally>,
    posts: Posts,
}

/// A load under way.
#[derive(Debug)]
pub(super) struct Load {
    turns: Arc<Semaphore>,
    posting: JoinHandle<anyhow::Result<Vec<CallId>>>,
}

impl Poster {
    pub(super) fn new(
        installation: Arc<Installation>,
        tally: Arc<Tally>,
        posts: Posts,
    ) -> anyhow::Result<Self> {
        // Idle connections are not closed, so that there are never many more than posts in flight.
        let client = reqwest::Client::builder()
            .timeout(ANSWER_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!("{}/vapi/{}", installation.api_url, installation.organization);
        let url = Arc::new(Url::parse(&url).context("URL of the installation")?);
        Ok(Self { installation, client, url, tally, posts })
    }

    /// Begins to post.
    pub(super) fn start(&self, schedule: Schedule) -> Load {
        let turns = Arc::new(Semaphore::new(self.posts.in_flight));
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
        let mut template = Template::new(self.posts.example)?;
        for index in 0..schedule.count {
            let due = schedule.due(index);
            if template.is_old() {
                template = Template::new(self.posts.example)?;
            }
            std::thread::sleep(due.at.saturating_duration_since(Instant::now()));
            let Ok(turn) = runtime.block_on(turns.clone().acquire_owned()) else { break };
            let id = Uuid::now_v7();
            let organization = self.installation.organization;
            let call = CallId::derive(organization, Provider::Vapi, &id.to_string());
            if is_sampled(index, schedule.count) {
                sampled.push(call);
            }
            let body = template.body(id);
            let poster = self.clone();
            runtime.spawn(async move { poster.post(call, due, body, turn).await });
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
            .post((*self.url).clone())
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

#[cfg(test)]
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
}
