//! What the installation says that it stored, from the metrics of `serve`.

use std::time::Duration;

use anyhow::Context;

/// Counted before each answer, by where the event is then.
const NAME: &str = "postcall_inbox_events_total";
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Events since `serve` began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Committed to the inbox.
    pub(super) new: u64,
    /// In the spool, because the inbox did not take them in time.
    pub(super) spooled: u64,
}

impl Stored {
    /// What came since `earlier`; none where `serve` began anew in between.
    pub(super) fn since(self, earlier: Self) -> Option<Self> {
        let new = self.new.checked_sub(earlier.new)?;
        Some(Self { new, spooled: self.spooled.checked_sub(earlier.spooled)? })
    }
}

/// Reads the metrics, where there are some.
#[derive(Debug)]
pub(super) struct Counter {
    client: reqwest::Client,
    url: Option<String>,
}

impl Counter {
    /// Says so where there is nothing to read: `/metrics` need not be open to us.
    pub(super) async fn open(api_url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
        let mut counter = Self { client, url: Some(format!("{api_url}/metrics")) };
        if counter.read().await.is_none() {
            counter.url = None;
        }
        Ok(counter)
    }

    /// None where the metrics cannot be read.
    pub(super) async fn read(&self) -> Option<Stored> {
        let url = self.url.as_ref()?;
        match self.text(url).await {
            Ok(text) => Some(stored(&text)),
            Err(error) => {
                eprintln!("what is stored is not counted: {error:#}");
                None
            }
        }
    }

    async fn text(&self, url: &str) -> anyhow::Result<String> {
        let response = self.client.get(url).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        response.context("metrics")?.text().await.context("metrics")
    }
}

/// From Prometheus' text format. A counter that never counted is not there.
fn stored(metrics: &str) -> Stored {
    let count = |outcome: &str| {
        let label = format!("outcome=\"{outcome}\"");
        let counters = metrics.lines().filter_map(|line| {
            let (labels, value) = line.strip_prefix(NAME)?.strip_prefix('{')?.split_once("} ")?;
            labels.split(',').any(|other| other == label).then_some(value.parse::<u64>().ok()?)
        });
        counters.sum()
    };
    Stored { new: count("new"), spooled: count("spooled") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_all_providers_are_counted_by_where_they_are() {
        let metrics = "# TYPE postcall_inbox_events_total counter\n\
            postcall_inbox_events_total{provider=\"vapi\",outcome=\"new\"} 7\n\
            postcall_inbox_events_total{provider=\"vapi\",outcome=\"duplicate\"} 100\n\
            postcall_inbox_events_total{provider=\"vapi\",outcome=\"spooled\"} 5\n\
            postcall_inbox_events_total_more{outcome=\"new\"} 1000\n\
            postcall_inbox_events_total{outcome=\"new\",provider=\"retell\"} 20\n";
        assert_eq!(stored(metrics), Stored { new: 27, spooled: 5 });
        assert_eq!(stored(""), Stored::default());
    }

    #[test]
    fn a_counter_that_began_anew_tells_nothing() {
        let earlier = Stored { new: 10, spooled: 1 };
        let since = Stored { new: 15, spooled: 1 }.since(earlier);
        assert_eq!(since, Some(Stored { new: 5, spooled: 0 }));
        assert_eq!(Stored { new: 15, spooled: 0 }.since(earlier), None);
    }
}
