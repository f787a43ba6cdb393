//! What the stores hold, for comparing it with what must be there, or with what was before.

use std::collections::BTreeMap;

use contract::ids::CallId;
use postcall::dev::fakes::Kind;
use serde_json::Value;
use uuid::Uuid;

use super::made::Outcome;
use crate::harness::World;

/// What a sweep may write when it finds something.
const TABLES: [&str; 12] = [
    "inbox",
    "call_keys",
    "calls",
    "call_transcripts",
    "call_recordings",
    "call_results",
    "call_actions",
    "usage_ledger",
    "usage_totals",
    "events",
    "notifications",
    "webhook_deliveries",
];

impl World {
    /// What the rows of all calls say, and how each was first heard of.
    pub(super) async fn outcomes(&self) -> BTreeMap<CallId, (Outcome, String)> {
        let sql = "select id, status, duration_seconds, billed_minutes, origin from calls";
        let rows = self.db.query(sql, &[]).await.unwrap();
        let outcome = |row: &tokio_postgres::Row| {
            let outcome = Outcome {
                status: row.get(1),
                // Only a call that was processed has them for good.
                seconds: row.get::<_, Option<i32>>(3).and(row.get(2)),
                minutes: row.get(3),
            };
            (CallId(row.get(0)), (outcome, row.get(4)))
        };
        let outcomes: BTreeMap<_, _> = rows.iter().map(outcome).collect();
        assert_eq!(outcomes.len(), rows.len(), "a call has one row");
        outcomes
    }

    /// Rows and sum of each call's minutes in the ledger.
    pub(super) async fn ledger(&self) -> BTreeMap<CallId, (i64, i64)> {
        let sql = "select call_id, count(*), sum(quantity)::bigint from usage_ledger
                   where meter = 'call_minutes' group by 1";
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (CallId(row.get(0)), (row.get(1), row.get(2)))).collect()
    }

    /// A hash of each table's rows.
    pub(super) async fn hashes(&self) -> BTreeMap<&'static str, String> {
        let mut hashes = BTreeMap::new();
        for table in TABLES {
            let sql = format!(
                "select count(*) || ' ' || coalesce(md5(string_agg(t::text, '' order by t::text)), '')
                 from {table} t"
            );
            let hash = self.db.query_one(&sql, &[]).await.unwrap().get(0);
            hashes.insert(table, hash);
        }
        hashes
    }

    /// Each call's transcript.
    pub(super) async fn transcripts(&self) -> BTreeMap<Uuid, String> {
        let sql = "select call_id, transcript_text from call_transcripts";
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// How many texts, emails, webhooks and downloads of recordings took place.
    pub(super) fn effects(&self) -> [u64; 4] {
        [Kind::Sms, Kind::Email, Kind::Webhook, Kind::Recording].map(|kind| self.accepted(kind))
    }

    /// `inbox gaps`: by call what it says of it.
    pub(super) async fn gaps(&self) -> BTreeMap<(String, String), Value> {
        let arguments = ["inbox", "gaps", "-o", "json", "--limit", "250"];
        let (gaps, talk, code) = self.cli(&arguments).await;
        assert_eq!(code, 0, "{talk}");
        let gaps: Vec<Value> = serde_json::from_str(&gaps).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = gaps.len();
        let gaps: BTreeMap<_, _> = gaps
            .into_iter()
            .map(|gap| ((text(&gap["provider"]), text(&gap["provider_call_id"])), gap))
            .collect();
        assert_eq!(gaps.len(), listed, "a call is a gap once: {gaps:?}");
        gaps
    }
}
