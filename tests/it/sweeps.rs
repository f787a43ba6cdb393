//! Completeness by pull: what webhooks do not tell is found at the providers.

mod made;
mod second;
mod shift;
mod state;
mod stuck;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use contract::call::Provider;
use futures::StreamExt;
use postcall::temporal;
use serde_json::Value;
use temporalio_client::schedules::PauseScheduleOptions;
use uuid::Uuid;

use self::made::{Life, Made, minutes_ago};
use crate::harness::{
    World,
    nemesis::{Fate, Nemesis, drawn, seed},
    wait::until,
};

/// Calls of each provider.
const CALLS: usize = 30;
/// Webhooks that are posted side by side.
const AT_ONCE: usize = 16;
/// For everything to be processed.
const LONG_PATIENCE: Duration = Duration::from_secs(300);
impl World {
    /// Makes the schedules, and pauses them: the test alone runs them.
    async fn apply_schedules(&self) {
        let (_, talk, code) = self.cli(&["schedules", "apply"]).await;
        assert_eq!(code, 0, "{talk}");
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        let client = client.expect("Temporal");
        for &provider in Provider::ALL {
            let schedule = client.get_schedule_handle(format!("provider-sweep-{provider}"));
            let paused = schedule.pause(Some("a test runs it"), PauseScheduleOptions::default());
            paused.await.expect("the schedule is there");
        }
    }

    /// Sweeps a provider; gives the result.
    async fn sweep(&self, provider: Provider) -> Value {
        let schedule = format!("provider-sweep-{provider}");
        let (result, talk, code) = self.cli(&["schedules", "run", &schedule]).await;
        assert_eq!(code, 0, "{talk}");
        serde_json::from_str(&result).expect("JSON")
    }

    /// Sweeps all providers side by side; gives the sums of what they listed, found and closed.
    async fn sweep_all(&self) -> [u64; 3] {
        let results = Provider::ALL.iter().map(|provider| self.sweep(*provider));
        let results = futures::future::join_all(results).await;
        ["listed", "found", "closed"]
            .map(|name| results.iter().map(|result| result[name].as_u64().expect("a count")).sum())
    }

    /// Waits until so many webhooks are stored, and everything that follows from them and from what
    /// sweeps found is done.
    async fn at_peace(&self, webhooks: usize) {
        let webhooks = i64::try_from(webhooks).unwrap();
        until("all is done", LONG_PATIENCE, || async {
            let sql = "select (select count(*) from inbox where origin in ('webhook', 'spool')),
                (select count(*) from inbox where status <> 'processed' or conflicts > 0),
                (select count(*) from webhook_deliveries where state <> 'delivered')";
            let row = self.db.query_one(sql, &[]).await.ok()?;
            let counts: [i64; 3] = std::array::from_fn(|column| row.get(column));
            (counts == [webhooks, 0, 0]).then_some(())
        })
        .await;
    }
}

/// A call with its name for the nemesis.
struct Named {
    name: String,
    call: Made,
}

impl Named {
    fn webhook(&self, place: usize) -> String {
        format!("{}/{place}", self.name)
    }

    /// Whether this webhook of the call was lost.
    fn lost(&self, fates: &BTreeMap<String, Fate>, place: usize) -> bool {
        fates[&self.webhook(place)] == Fate::Lost
    }

    /// Whether every webhook of the call was lost.
    fn is_unheard(&self, fates: &BTreeMap<String, Fate>) -> bool {
        (0..self.call.webhooks.len()).all(|place| self.lost(fates, place))
    }

    /// Whether the end was lost, however often it was told.
    fn is_open(&self, fates: &BTreeMap<String, Fate>) -> bool {
        self.call.life != Life::Running
            && self.call.ends().iter().all(|place| self.lost(fates, *place))
    }

    /// Whether there is something that only the provider's API tells.
    fn is_gap(&self, fates: &BTreeMap<String, Fate>) -> bool {
        // Of a call that goes on, the last one tells that it was answered.
        let last = self.call.webhooks.len() - 1;
        self.lost(fates, self.call.ends().last().copied().unwrap_or(last))
    }
}

/// Calls of every kind, between nine minutes and an hour ago.
fn many(world: &World, seed: u64) -> Vec<Named> {
    let mut calls = Vec::new();
    for &provider in Provider::ALL {
        for number in 0..CALLS {
            let name = format!("{provider}-{number}");
            let (high, low) = (drawn(seed, &name), drawn(seed, &format!("{name} low")));
            let id = Uuid::from_u64_pair(high, low);
            let id = match provider {
                Provider::Vapi => id.to_string(),
                Provider::Retell => format!("call_{}", id.simple()),
                Provider::Twilio => format!("CA{}", id.simple()),
            };
            let longer = i64::try_from(low % 280).unwrap() - 90;
            let life = match number % 10 {
                7 => Life::Unanswered,
                8 => Life::Failed,
                9 => Life::Running,
                _ => Life::Talked { longer },
            };
            let at = minutes_ago(9 + 2 * i64::try_from(number).unwrap());
            calls.push(Named { name, call: world.made(provider, &id, life, at) });
        }
    }
    calls
}

/// Posts every webhook through the nemesis, in an order that the seed decides.
async fn post_all(world: &World, nemesis: &Nemesis, calls: &[Named], seed: u64) {
    let mut webhooks: Vec<_> = calls
        .iter()
        .flat_map(|named| {
            let places = named.call.webhooks.iter().enumerate();
            places.map(|(place, webhook)| (named.webhook(place), webhook))
        })
        .collect();
    webhooks.sort_by_key(|(name, _)| drawn(seed, &format!("order of {name}")));
    let posting = futures::stream::iter(webhooks);
    posting
        .for_each_concurrent(AT_ONCE, |(name, webhook)| async move {
            let status = world.post_through(nemesis, &name, webhook).await;
            assert!((200..300).contains(&status), "{name}: {status}");
        })
        .await;
}

/// Every call is there as it was, and nothing else is.
async fn all_is_right(world: &World, calls: &[Named], fates: &BTreeMap<String, Fate>) {
    let (outcomes, ledger) = (world.outcomes().await, world.ledger().await);
    assert_eq!(outcomes.len(), calls.len());
    for named in calls {
        let Made { provider, id, life, .. } = &named.call;
        let call = world.call_of(*provider, id);
        let expected = named.call.outcome();
        let (outcome, origin) = &outcomes[&call];
        assert_eq!(*outcome, expected, "{} {life:?}", named.name);
        assert_eq!(origin == "sweep", named.is_unheard(fates), "{}: {origin}", named.name);
        let billed = expected.minutes.map(|minutes| (1, i64::from(minutes)));
        assert_eq!(ledger.get(&call).copied(), billed, "{} {life:?}", named.name);
    }
    let talked = || calls.iter().filter(|named| named.call.is_talked());
    let sql = "select count(*) filter (where status = 'stored'), count(*) from call_recordings";
    let recordings = world.db.query_one(sql, &[]).await.unwrap();
    let expected = i64::try_from(talked().count()).unwrap();
    assert_eq!([recordings.get::<_, i64>(0), recordings.get(1)], [expected; 2]);
    let transcripts = world.transcripts().await;
    for named in talked().filter(|named| named.call.provider != Provider::Twilio) {
        let call = world.call_of(named.call.provider, &named.call.id);
        assert!(transcripts[&call.0].contains("User: "), "{}", named.name);
    }
    let over = calls.iter().filter(|named| named.call.life != Life::Running).count() as u64;
    assert_eq!(world.effects(), [over, over, over, talked().count() as u64]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_webhooks_are_lost_every_call_is_there_after_a_sweep() {
    let world = World::start().await;
    let seed = seed();
    let calls = many(&world, seed);
    world.plant(calls.iter().map(|named| &named.call));
    let silent: BTreeSet<String> = Provider::ALL
        .iter()
        .flat_map(|provider| (3..CALLS).step_by(8).map(move |n| format!("{provider}-{n}")))
        .collect();
    let nemesis = Nemesis::start(&world.api_url, seed, silent).await;
    post_all(&world, &nemesis, &calls, seed).await;
    nemesis.assert_fired();
    let fates = nemesis.fates();
    let passed = fates.values().filter(|fate| **fate != Fate::Lost).count();
    world.at_peace(passed).await;

    let before = world.outcomes().await;
    let is_processed = |named: &&Named| {
        let row = before.get(&world.call_of(named.call.provider, &named.call.id));
        row.is_some_and(|(outcome, _)| outcome.minutes.is_some())
    };
    let over = || calls.iter().filter(|named| named.call.life != Life::Running);
    let not_over = over().filter(|named| !is_processed(named)).count();
    assert_eq!(not_over, over().filter(|named| named.is_open(&fates)).count());
    assert!(not_over > 0 && before.len() < calls.len(), "{not_over} are open or missing");
    assert!(world.gaps().await.is_empty());

    world.apply_schedules().await;
    let [listed, found, closed] = world.sweep_all().await;
    let gaps: BTreeMap<(String, String), bool> = calls
        .iter()
        .filter(|named| named.is_gap(&fates))
        .map(|named| {
            let call = (named.call.provider.to_string(), named.call.id.clone());
            (call, named.is_unheard(&fates))
        })
        .collect();
    assert_eq!([listed, found, closed], [calls.len() as u64, gaps.len() as u64, 0]);
    world.at_peace(passed).await;
    all_is_right(&world, &calls, &fates).await;
    let shown = world.gaps().await;
    assert_eq!(shown.keys().collect::<Vec<_>>(), gaps.keys().collect::<Vec<_>>());
    for (call, gap) in &shown {
        assert_eq!(gap["gap"] == "missing", gaps[call], "{gap}");
        assert_eq!(gap["webhook_came_later"], false, "{gap}");
    }
    eprintln!(
        "{} of {} webhooks lost: {not_over} calls open or missing, {found} found",
        fates.len() - passed,
        fates.len()
    );

    sweeping_again_changes_nothing(&world, listed).await;
    late_webhooks_change_nothing(&world, &calls, &fates).await;
    let late = world.gaps().await;
    assert_eq!(late.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
    assert!(late.values().all(|gap| gap["webhook_came_later"] == true), "{late:?}");
}

/// Everything that the providers list is known.
async fn sweeping_again_changes_nothing(world: &World, listed: u64) {
    let hashes = world.hashes().await;
    // Over the whole day again, not only over what came since.
    world.db.batch_execute("update provider_sweeps set swept_until = null").await.unwrap();
    assert_eq!(world.sweep_all().await, [listed, 0, 0]);
    assert_eq!(world.hashes().await, hashes);
}

/// The lost webhooks come after all.
async fn late_webhooks_change_nothing(
    world: &World,
    calls: &[Named],
    fates: &BTreeMap<String, Fate>,
) {
    let transcripts = world.transcripts().await;
    for named in calls {
        for (place, webhook) in named.call.webhooks.iter().enumerate() {
            if named.lost(fates, place) {
                assert!(world.post_webhook(webhook.clone()).await < 300, "{}", named.name);
            }
        }
    }
    world.at_peace(fates.len()).await;
    all_is_right(world, calls, fates).await;
    assert_eq!(world.transcripts().await, transcripts);
}
