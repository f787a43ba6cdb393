//! Calls whose end no webhook tells: asked for one by one, and closed where nobody knows it.

use contract::{
    call::Provider,
    ids::{CallId, OrganizationId},
};
use serde_json::json;

use super::made::{Life, Made, minutes_ago};
use crate::harness::{
    World,
    signed::{Webhook, fresh_call},
};

/// More than any call may last.
const DAY_AND_MORE: i64 = 26 * 60;
const DAY: i64 = 24 * 60;

/// Status, reason and billed minutes of a call.
type State = (String, Option<String>, Option<i32>);

fn state(status: &str, reason: Option<&str>, minutes: Option<i32>) -> State {
    (status.to_owned(), reason.map(str::to_owned), minutes)
}

impl World {
    async fn state_of(&self, call: CallId) -> State {
        let sql = "select status, ended_reason, billed_minutes from calls where id = $1";
        let row = self.db.query_one(sql, &[&call.0]).await.expect("a call");
        (row.get(0), row.get(1), row.get(2))
    }

    async fn state(&self, call: &Made) -> State {
        self.state_of(self.call_of(call.provider, &call.id)).await
    }

    /// A call that began so many minutes ago; its webhooks stop coming while it goes on. Gives it
    /// with the number of those that came.
    async fn unfinished(&self, provider: Provider, life: Life, minutes: i64) -> (Made, usize) {
        let call = self.made(provider, &fresh_call(provider), life, minutes_ago(minutes));
        for webhook in call.progress() {
            assert!(self.post_webhook(webhook.clone()).await < 300);
        }
        let posted = call.progress().len();
        (call, posted)
    }

    /// What of a call is on the ledger, oldest first; which events tell of its end, and how many
    /// messages did.
    async fn told_of(&self, call: &Made) -> (Vec<i64>, Vec<String>, i64) {
        let id = self.call_of(call.provider, &call.id).0;
        let ledger = "select quantity from usage_ledger
                      where call_id = $1 and meter = 'call_minutes' order by revision";
        let ledger = self.db.query(ledger, &[&id]).await.unwrap();
        let events = "select type from events where call_id = $1 and type like 'call.%'
                      and type <> 'call.started' order by created_at";
        let events = self.db.query(events, &[&id]).await.unwrap();
        let messages = "select count(*) from notifications where call_id = $1 and state = 'sent'";
        let messages = self.db.query_one(messages, &[&id]).await.unwrap();
        (
            ledger.iter().map(|row| row.get(0)).collect(),
            events.iter().map(|row| row.get(0)).collect(),
            messages.get(0),
        )
    }
}

/// A call of each kind at one provider.
struct Stuck {
    /// Ended long before the range of the sweep, as its provider knows.
    ended: Made,
    /// Unknown to its provider for two hours.
    lost: Made,
    /// Unknown to its provider, which may still show it.
    young: Made,
    /// Going on, as its provider says.
    running: Made,
    /// Going on for longer than any call can, as its provider says.
    endless: Made,
}

impl Stuck {
    /// Posts and plants them; gives them with the number of webhooks.
    async fn make(world: &World, provider: Provider) -> (Self, usize) {
        let talked = Life::Talked { longer: 10 };
        let (ended, a) = world.unfinished(provider, talked, DAY_AND_MORE).await;
        let (lost, b) = world.unfinished(provider, talked, 120).await;
        let (young, c) = world.unfinished(provider, talked, 30).await;
        let (running, d) = world.unfinished(provider, Life::Running, 20).await;
        let (endless, e) = world.unfinished(provider, Life::Running, DAY_AND_MORE).await;
        world.plant([&ended, &running, &endless]);
        (Self { ended, lost, young, running, endless }, a + b + c + d + e)
    }

    async fn assert_closed(&self, world: &World) {
        let provider = self.ended.provider;
        let (status, reason, minutes) = world.state(&self.ended).await;
        assert_eq!((status.as_str(), minutes), ("completed", Some(3)), "{provider}");
        assert!(reason.is_some_and(|reason| reason != "lost-by-provider"), "{provider}");
        let lost = state("failed", Some("lost-by-provider"), Some(0));
        assert_eq!(world.state(&self.lost).await, lost, "{provider}");
        assert_eq!(world.state(&self.endless).await, lost, "{provider}");
        let open = state("in-progress", None, None);
        assert_eq!(world.state(&self.young).await, open, "{provider}");
        assert_eq!(world.state(&self.running).await, open, "{provider}");
        let failed = vec!["call.failed".to_owned()];
        assert_eq!(world.told_of(&self.lost).await, (vec![0], failed, 2), "{provider}");
    }

    /// The lost call's report comes after all.
    async fn assert_mended(&self, world: &World) {
        let provider = self.lost.provider;
        let (status, reason, minutes) = world.state(&self.lost).await;
        assert_eq!((status.as_str(), minutes), ("completed", Some(3)), "{provider}");
        assert!(reason.is_some_and(|reason| reason != "lost-by-provider"), "{provider}");
        let events = ["call.failed", "call.completed"].map(str::to_owned).to_vec();
        assert_eq!(world.told_of(&self.lost).await, (vec![0, 3], events, 2), "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_end_is_not_told_is_asked_for_and_closed_where_nobody_knows_it() {
    let world = World::start().await;
    let mut of_providers = Vec::new();
    let mut posted = 0;
    for &provider in Provider::ALL {
        let (stuck, webhooks) = Stuck::make(&world, provider).await;
        of_providers.push(stuck);
        posted += webhooks;
    }
    // Nobody can be asked for the calls of an organization that gives no access.
    let second = world.second().await;
    let mut unasked = Vec::new();
    for minutes in [DAY_AND_MORE, DAY] {
        let id = fresh_call(Provider::Vapi);
        let call = world.made(Provider::Vapi, &id, Life::Running, minutes_ago(minutes));
        for webhook in &call.webhooks {
            let Webhook::Vapi(body) = webhook else { panic!("Vapi's") };
            assert_eq!(world.post_to_second(&second, body.clone()).await, 200);
        }
        posted += call.webhooks.len();
        unasked.push(CallId::derive(OrganizationId(second.id.0), Provider::Vapi, &id));
    }
    world.at_peace(posted).await;
    world.apply_schedules().await;

    for (provider, listed, closed) in [
        (Provider::Vapi, 1, 3),
        (Provider::Retell, 1, 2),
        // A call that goes on is listed however long it does.
        (Provider::Twilio, 2, 2),
    ] {
        let swept = world.sweep(provider).await;
        let counts = json!({ "listed": swept["listed"], "found": swept["found"],
            "closed": swept["closed"], "failed": swept["failed"] });
        let expected = json!({ "listed": listed, "found": 1, "closed": closed, "failed": 0 });
        assert_eq!(counts, expected, "{provider}");
    }
    world.at_peace(posted).await;
    for stuck in &of_providers {
        stuck.assert_closed(&world).await;
    }
    let lost = state("failed", Some("lost-by-provider"), Some(0));
    assert_eq!(world.state_of(unasked[0]).await, lost);
    assert_eq!(
        world.state_of(unasked[1]).await,
        state("in-progress", None, None),
        "a day is not enough"
    );

    let hashes = world.hashes().await;
    let [_, found, closed] = world.sweep_all().await;
    assert_eq!((found, closed), (0, 0));
    assert_eq!(world.hashes().await, hashes);

    for stuck in &of_providers {
        assert!(world.post_webhook(stuck.lost.report()).await < 300);
    }
    world.at_peace(posted + of_providers.len()).await;
    for stuck in &of_providers {
        stuck.assert_mended(&world).await;
    }
}
