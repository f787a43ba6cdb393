//! Sweeps while a provider asks for a pause, refuses, fails, or the worker dies.

use std::time::Duration;

use chrono::TimeDelta;
use contract::call::Provider;
use postcall::{
    dev::fakes::{Effect, Filter, Kind, Script},
    temporal,
};
use serde_json::{Value, json};

use super::made::{Life, Made, faked, minutes_ago};
use crate::harness::{World, calls::PATIENCE, signed::fresh_call, wait::until};

/// What the provider asks for, in seconds; longer than the worker's own pause would be.
const RETRY_AFTER: i64 = 8;

fn script(value: Value) -> Script {
    serde_json::from_value(value).expect("a script")
}

impl World {
    /// Calls that ended a while ago and that no webhook told of.
    fn untold(&self, provider: Provider, count: i64) -> Vec<Made> {
        let talked = Life::Talked { longer: 0 };
        let call = |n| self.made(provider, &fresh_call(provider), talked, minutes_ago(10 + n));
        let calls: Vec<Made> = (0..count).map(call).collect();
        self.plant(&calls);
        calls
    }

    /// Waits until these calls are processed; there is no other, and each is billed once.
    async fn all_found<'a>(&self, calls: impl IntoIterator<Item = &'a Made>) {
        self.at_peace(0).await;
        let (outcomes, ledger) = (self.outcomes().await, self.ledger().await);
        let calls: Vec<&Made> = calls.into_iter().collect();
        assert_eq!((outcomes.len(), ledger.len()), (calls.len(), calls.len()));
        for call in calls {
            let id = self.call_of(call.provider, &call.id);
            assert_eq!(outcomes[&id], (call.outcome(), "sweep".to_owned()), "{}", call.provider);
            assert_eq!(ledger[&id], (1, 3), "{}", call.provider);
        }
    }

    /// Requests by which a provider was asked for calls, in order.
    fn asked(&self, provider: Provider) -> Vec<Effect> {
        let provider = Some(faked(provider));
        let filter = Filter { provider, kind: Some(Kind::Lookup), ..Filter::default() };
        self.fakes.effects().list(&filter)
    }

    /// Whether all calls up to a time are known of the demo organization, and why not.
    async fn diary(&self, organization: uuid::Uuid, provider: Provider) -> (bool, Option<String>) {
        let sql = "select swept_until is not null, error from provider_sweeps
                   where organization_id = $1 and provider = $2";
        let row = self.db.query_one(sql, &[&organization, &provider.as_str()]).await.unwrap();
        (row.get(0), row.get(1))
    }
}

fn is_list(effect: &Effect) -> bool {
    effect.request.path.ends_with("/call")
        || effect.request.path.ends_with("/list-calls")
        || effect.request.path.ends_with("/Calls.json")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_for_a_pause_gets_it() {
    let world = World::start().await;
    let calls: Vec<Vec<Made>> =
        Provider::ALL.iter().map(|provider| world.untold(*provider, 6)).collect();
    let pause = || {
        script(json!({ "kind": "lookup", "answers": [{ "status": 429,
            "headers": { "retry-after": RETRY_AFTER.to_string() } }] }))
    };
    for calls in &calls {
        let provider = calls[0].provider;
        // Two while they list, one while a call is fetched.
        let key = match provider {
            Provider::Vapi => "call",
            Provider::Retell => "list-calls",
            Provider::Twilio => &calls[1].id,
        };
        world.fakes.script(faked(provider), Some(key), pause());
    }
    world.apply_schedules().await;
    world.sweep_all().await;
    for &provider in Provider::ALL {
        let asked = world.asked(provider);
        let limit = asked.iter().position(|effect| effect.status == 429).expect("it struck");
        let later = &asked[limit + 1..];
        let resumed = later.iter().position(is_list).expect("it was asked again");
        let waited = later[resumed].at - asked[limit].at;
        assert!(waited >= TimeDelta::seconds(RETRY_AFTER), "{provider}: {waited}");
        // Those that were under way: at most four calls, of two requests each.
        assert!(resumed <= 8, "{provider}: {resumed} requests in the pause");
    }
    world.all_found(calls.iter().flatten()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_and_a_call_that_cannot_be_fetched_keep_no_other_from_being_found() {
    let world = World::start().await;
    let second = world.second().await;
    let refused = json!({ "kind": "lookup", "answers": [{ "status": 401 }],
        "then": "repeat_last" });
    let twilio = faked(Provider::Twilio);
    world.fakes.script(twilio, Some(&second.twilio_account), script(refused));
    let ours = world.untold(Provider::Twilio, 3);
    let mut theirs = world.made(
        Provider::Twilio,
        &fresh_call(Provider::Twilio),
        Life::Unanswered,
        minutes_ago(30),
    );
    theirs.shown["account_sid"] = json!(second.twilio_account);
    world.plant([&theirs]);
    let retells = world.untold(Provider::Retell, 6);
    let once = json!({ "kind": "lookup", "answers": [{ "status": 500 }] });
    world.fakes.script(faked(Provider::Retell), Some(&retells[2].id), script(once));
    world.apply_schedules().await;

    let swept = world.sweep(Provider::Twilio).await;
    assert_eq!(
        swept,
        json!({ "organizations": 2, "failed": 1, "listed": 3, "found": 3, "closed": 0 })
    );
    assert_eq!(world.diary(world.organization(), Provider::Twilio).await, (true, None));
    let diary = world.diary(second.id.0, Provider::Twilio).await;
    assert_eq!(diary, (false, Some("Rejected".to_owned())));
    let swept = world.sweep(Provider::Retell).await;
    assert_eq!(
        swept,
        json!({ "organizations": 1, "failed": 0, "listed": 6, "found": 5, "closed": 0 })
    );
    // The range stays open for the one that is missing.
    assert_eq!(world.diary(world.organization(), Provider::Retell).await, (false, None));

    world.fakes.script(twilio, Some(&second.twilio_account), missing_script());
    let swept = world.sweep(Provider::Twilio).await;
    assert_eq!(
        swept,
        json!({ "organizations": 2, "failed": 0, "listed": 4, "found": 1, "closed": 0 })
    );
    assert_eq!(world.diary(second.id.0, Provider::Twilio).await, (true, None));
    let swept = world.sweep(Provider::Retell).await;
    assert_eq!(
        swept,
        json!({ "organizations": 1, "failed": 0, "listed": 6, "found": 1, "closed": 0 })
    );
    assert_eq!(world.diary(world.organization(), Provider::Retell).await, (true, None));

    world.at_peace(0).await;
    let sql = "select provider_call_id, status from calls where organization_id = $1";
    let row = world.db.query_one(sql, &[&second.id.0]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (theirs.id.as_str(), "no-answer"));
    assert_eq!(world.outcomes().await.len(), ours.len() + retells.len() + 1);
    for call in ours.iter().chain(&retells) {
        let id = world.call_of(call.provider, &call.id);
        assert_eq!(world.ledger().await[&id], (1, 3));
    }
}

/// Takes a script away.
fn missing_script() -> Script {
    Script { kind: Some(Kind::Lookup), ..Script::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_of_a_sweep_finds_the_rest_after_it() {
    const CALLS: i64 = 24;
    let mut world = World::start().await;
    let calls = world.untold(Provider::Vapi, CALLS);
    let delay = format!("{}/delay/vapi", world.fakes.url());
    let slow = |ms: u64| world.http.put(&delay).json(&json!({ "ms": ms }));
    assert!(slow(300).send().await.unwrap().status().is_success());
    world.apply_schedules().await;
    let client = temporal::connect_to(&world.temporal_address, &world.namespace, "it").await;
    let client = client.expect("Temporal");
    schedules::trigger(&client, "provider-sweep-vapi").await.expect("it runs");
    let found = async || {
        let sql = "select count(*) from inbox where origin = 'sweep'";
        world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    until("some calls are found", PATIENCE, || async { (found().await >= 4).then_some(()) }).await;
    world.worker().kill().await;
    let at_death = found().await;
    assert!((4..CALLS).contains(&at_death), "{at_death}");
    assert!(slow(0).send().await.unwrap().status().is_success());
    world.start_worker(&[]).await;

    // A run that is asked for now begins when the one under way is done.
    let swept = tokio::time::timeout(Duration::from_secs(120), world.sweep(Provider::Vapi)).await;
    let swept = swept.expect("the run before it ends");
    assert_eq!((&swept["found"], &swept["failed"]), (&json!(0), &json!(0)), "{swept}");
    world.all_found(&calls).await;
    // Texts and emails of the calls that were being processed are settled, too.
    let calls = calls.len() as u64;
    assert_eq!(world.effects()[..3], [calls, calls, calls]);
}
