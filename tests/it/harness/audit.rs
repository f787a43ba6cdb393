//! Invariants that hold once all is quiet: everything once, whatever happened on the way.

use std::time::Duration;

use contract::ids::CallId;
use postcall::dev::fakes::{Filter, Kind};
use redis::AsyncCommands;

use super::{World, wait::until};

/// What exists of one call in every store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: i64,
    pub(crate) transcripts: i64,
    /// Revisions of its minutes.
    pub(crate) ledger_rows: i64,
    pub(crate) ledger_minutes: i64,
    pub(crate) events: i64,
    pub(crate) sms: u64,
    pub(crate) emails: u64,
    pub(crate) webhook_ids: u64,
    pub(crate) objects: u64,
}

impl Counts {
    /// Everything once.
    pub(crate) fn once(minutes: i64) -> Self {
        Self {
            calls: 1,
            transcripts: 1,
            ledger_rows: 1,
            ledger_minutes: minutes,
            events: 1,
            sms: 1,
            emails: 1,
            webhook_ids: 1,
            objects: 1,
        }
    }
}

impl World {
    async fn count(&self, sql: &'static str, call: CallId) -> i64 {
        self.db.query_one(sql, &[&call.0]).await.expect("a count").get(0)
    }

    /// How many effects of a kind were accepted in this world.
    pub(crate) fn accepted(&self, kind: Kind) -> u64 {
        let filter = Filter { kind: Some(kind), accepted: Some(true), ..Filter::default() };
        self.fakes.effects().count(&filter) as u64
    }

    /// What exists of a call; texts, emails and webhooks are those that tell of it.
    pub(crate) async fn counts(&self, provider_call_id: &str) -> Counts {
        let id = self.call_id(provider_call_id);
        let idem = id.to_string();
        Counts {
            calls: self.count("select count(*) from calls where id = $1", id).await,
            transcripts: self
                .count("select count(*) from call_transcripts where call_id = $1", id)
                .await,
            ledger_rows: self
                .count(
                    "select count(*) from usage_ledger
                     where call_id = $1 and meter = 'call_minutes'",
                    id,
                )
                .await,
            ledger_minutes: self
                .count(
                    "select coalesce(sum(quantity), 0)::bigint from usage_ledger
                     where call_id = $1 and meter = 'call_minutes'",
                    id,
                )
                .await,
            events: self
                .count(
                    "select count(*) from events where call_id = $1 and type = 'call.completed'",
                    id,
                )
                .await,
            sms: self.settled(id, "sms").await,
            emails: self.emails_of(&idem),
            webhook_ids: self.webhook_ids_of(&idem),
            objects: self.objects_of(&idem),
        }
    }

    /// Messages whose claim is settled as sent; compare with what the fakes accepted.
    async fn settled(&self, call: CallId, channel: &str) -> u64 {
        let sql = "select count(*) from notifications
                   where call_id = $1 and channel = $2 and state = 'sent'";
        let row = self.db.query_one(sql, &[&call.0, &channel]).await.expect("a count");
        row.get::<_, i64>(0) as u64
    }

    /// Emails are keyed by their idempotency key, which begins with the call's id.
    fn emails_of(&self, call: &str) -> u64 {
        let filter = Filter { kind: Some(Kind::Email), accepted: Some(true), ..Filter::default() };
        let emails = self.fakes.effects().list(&filter);
        let of_call = emails
            .iter()
            .filter(|effect| serde_json::to_string(effect).is_ok_and(|text| text.contains(call)));
        of_call.count() as u64
    }

    /// Distinct `webhook-id`s of deliveries that tell of the call.
    fn webhook_ids_of(&self, call: &str) -> u64 {
        let filter = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
        let deliveries = self.fakes.effects().list(&filter);
        let ids: std::collections::BTreeSet<String> = deliveries
            .iter()
            .filter_map(|effect| {
                let effect = serde_json::to_value(effect).ok()?;
                let request = &effect["request"];
                let body = request["body"].to_string();
                let id = request["headers"]["webhook-id"].as_str()?.to_owned();
                body.contains(call).then_some(id)
            })
            .collect();
        ids.len() as u64
    }

    fn objects_of(&self, call: &str) -> u64 {
        let mut folders = vec![self.folder.join("recordings")];
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("recordings").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name().to_string_lossy().contains(call) {
                    found += 1;
                }
            }
        }
        found
    }

    /// Redis says what the ledger says, soon.
    pub(crate) async fn redis_equals_ledger(&self) {
        let organization = self.organization();
        let client = redis::Client::open(self.redis_url.as_str()).expect("a URL");
        until("Redis shows what the ledger says", Duration::from_secs(20), || async {
            let sql =
                "select coalesce(sum(quantity) filter (where meter = 'call_minutes'), 0)::bigint,
                         coalesce(sum(quantity) filter (where meter = 'call_seconds'), 0)::bigint,
                         coalesce(sum(quantity) filter (where meter = 'call_cost'), 0)::bigint
                       from usage_ledger where organization_id = $1";
            let row = self.db.query_one(sql, &[&organization]).await.ok()?;
            let ledger: [i64; 3] = std::array::from_fn(|meter| row.get(meter));
            let mut redis = client.get_multiplexed_async_connection().await.ok()?;
            let keys: Vec<String> = redis.keys(format!("org:{organization}:usage:*")).await.ok()?;
            let fields = ["minutes", "seconds", "cost_micros"];
            let shown: [i64; 3] = redis.hmget(keys.first()?, &fields).await.ok()?;
            (shown == ledger).then_some(())
        })
        .await;
    }
}
