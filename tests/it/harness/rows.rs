//! What Postgres has of a call, as texts that can be compared with those of another call.

use std::collections::BTreeMap;

use contract::call::Provider;
use serde_json::Value;

use super::World;

/// Characters that the message of a failed test shows before and after a difference.
const CONTEXT: usize = 60;

/// Tables, and in words of SQL what two equal calls have equal: all but ids and times of our own,
/// the place in storage, which is made of them, and whether Postgres was slow when it came.
const TABLES: [(&str, &str); 5] = [
    (
        "calls",
        "select jsonb_agg(to_jsonb(c) - array['created_at', 'updated_at', 'origin'])::text
         from calls c where id = $1",
    ),
    (
        "call_transcripts",
        "select jsonb_agg(to_jsonb(t) - 'call_created_at')::text
         from call_transcripts t where call_id = $1",
    ),
    (
        "call_recordings",
        "select jsonb_agg(to_jsonb(r) - array['call_created_at', 'stored_at', 'storage_path',
             'sha256'])::text
         from call_recordings r where call_id = $1",
    ),
    // What it says of each meter in the end, minutes first: how many revisions that took depends on
    // when events came.
    (
        "usage_ledger",
        "select jsonb_agg(to_jsonb(l) order by meter <> 'call_minutes', meter)::text
         from (select call_id, meter, sum(quantity)::bigint as quantity,
                 (array_agg(occurred_at order by revision desc))[1] as occurred_at
             from usage_ledger where call_id = $1 group by call_id, meter) l",
    ),
    // The last word to customers. What was told before, live, depends on what was known then.
    (
        "events",
        "select ((payload->'data') - 'created_at')::text from events
         where call_id = $1 and type in ('call.completed', 'call.failed', 'call.analyzed')
         order by txid desc, id desc limit 1",
    ),
];

/// Rows as JSON texts by table, without what tells two calls apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows(BTreeMap<&'static str, String>);

impl Rows {
    /// The text of a table's rows; empty where there are none.
    pub(crate) fn text(&self, table: &str) -> &str {
        &self.0[table]
    }

    /// The first row of a table; null where there is none.
    pub(crate) fn first(&self, table: &str) -> Value {
        let rows: Value = serde_json::from_str(self.text(table)).unwrap_or_default();
        rows[0].clone()
    }

    /// Where these rows differ from others first; empty if nowhere.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let Some((table, text)) = self.0.iter().find(|(table, text)| other.0[*table] != **text)
        else {
            return String::new();
        };
        let expected = &other.0[table];
        let at = text.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
        let near = |text: &str| {
            let bytes = text.as_bytes();
            let until = bytes.len().min(at + CONTEXT);
            String::from_utf8_lossy(&bytes[at.saturating_sub(CONTEXT).min(until)..until])
                .into_owned()
        };
        format!("{table}: …{}… in place of …{}…", near(text), near(expected))
    }
}

impl World {
    /// A call's rows.
    pub(crate) async fn rows(&self, provider: Provider, provider_call_id: &str) -> Rows {
        let call = self.call_of(provider, provider_call_id);
        let mut rows = BTreeMap::new();
        for (table, sql) in TABLES {
            let row = self.db.query_opt(sql, &[&call.0]).await.expect("rows");
            let text: Option<String> = row.and_then(|row| row.get(0));
            let text = text.unwrap_or_default().replace(&call.to_string(), "our-id");
            rows.insert(table, text.replace(provider_call_id, "providers-id"));
        }
        Rows(rows)
    }
}
