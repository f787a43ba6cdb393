//! The timeline: every row in every table about a call, on one clock.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{World, calls::PATIENCE, wait::until};

/// Tables that refer to calls and are not shown, each with the reason.
const NOT_SHOWN: [&str; 0] = [];

impl World {
    async fn timeline(&self, call: &str, query: &str) -> Value {
        let (status, page) = self.get(&format!("/v1/calls/{call}/timeline?{query}")).await;
        assert_eq!(status, 200, "{page}");
        page
    }

    /// Tables with a column for calls, but for partitions.
    async fn tables_about_calls(&self) -> BTreeSet<String> {
        let sql = "select c.relname from pg_class c
            join pg_attribute a on a.attrelid = c.oid and a.attname = 'call_id'
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
              and not c.relispartition";
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_about_a_call_is_on_its_timeline() {
    let world = World::start().await;
    let disabled = "insert into webhooks (id, organization_id, url, events, secret, enabled)
        select gen_random_uuid(), organization_id, 'https://example.com/', '{*}', secret, false
        from webhooks limit 1";
    world.db.batch_execute(disabled).await.unwrap();
    let id = world.post_call().await;
    let call = world.call_id(&id).to_string();
    world.closed(&id).await;
    let (_, talk, code) = world.cli(&["usage", "void", &call, "--reason", "a test"]).await;
    assert_eq!(code, 0, "{talk}");
    let sql = "select i.id::text, d.webhook_id::text, d.id::text from inbox i, webhook_deliveries d
        where d.state = 'delivered' limit 1";
    let row =
        until("a delivery", PATIENCE, || async { world.db.query_opt(sql, &[]).await.unwrap() });
    let row = row.await;
    let (event, endpoint, delivery): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
    let (_, talk, code) = world.cli(&["inbox", "replay", event]).await;
    assert_eq!(code, 0, "{talk}");
    let (_, talk, code) = world.cli(&["webhooks", "resend", endpoint, delivery]).await;
    assert_eq!(code, 0, "{talk}");
    let report = "insert into stripe_reports (id, organization_id, period_id, kind, revision,
            identifier, customer, event_name, quantity, reported_for, state, first_sent_at, settled_at)
        select gen_random_uuid(), organization_id, id, 'overage', 0, 'a-report', 'cus_1', 'minutes', 3,
            now(), 'accepted', now(), now() from billing_periods";
    world.db.batch_execute(report).await.unwrap();

    let path = format!("/v1/calls/{call}/timeline?limit=250");
    let sources = |page: &Value| -> BTreeMap<String, usize> {
        let mut sources = BTreeMap::new();
        for entry in page["data"].as_array().unwrap() {
            *sources.entry(entry["source"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        sources
    };
    let page = until("all that there is to tell", PATIENCE, || async {
        let (_, page) = world.get(&path).await;
        let told = sources(&page);
        // The last of the call's own is the event of its second close, that of the replay.
        let is_all = told.get("webhook_logs") == Some(&3) && told.get("events") == Some(&3);
        is_all.then_some(page)
    })
    .await;
    let shown = sources(&page);
    for table in world.tables_about_calls().await {
        let is_shown = shown.contains_key(&table) || NOT_SHOWN.contains(&table.as_str());
        assert!(is_shown, "{table} is about calls, and not on the timeline: {shown:?}");
    }
    for table in ["calls", "webhook_logs", "stripe_reports", "audit_log"] {
        assert!(shown.contains_key(table), "{table}: {shown:?}");
    }
    let entries = page["data"].as_array().unwrap();
    let times: Vec<&str> = entries.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(shown["audit_log"], 3, "voided, replayed, resent: {page}");
    assert_eq!(shown["usage_ledger"], 6, "three meters, and each taken back: {page}");
    let text = page.to_string();
    for personal in ["+1415", "table for", "@"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }

    let mut by_pages = Vec::new();
    let mut next = String::new();
    loop {
        let page = world.timeline(&call, &format!("limit=7{next}")).await;
        by_pages.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(json!(by_pages), page["data"]);
    let (told, talk, code) = world.cli(&["calls", "timeline", &call, "-o", "json"]).await;
    assert_eq!(
        (code, serde_json::from_str::<Value>(&told).unwrap()),
        (0, json!(by_pages)),
        "{talk}"
    );
    // Who may read calls only is told of no other things.
    let (_, key) = world.made_key(&json!({"name": "Calls", "scopes": ["calls:read"]})).await;
    let less = world.ask_as(&key, Method::GET, &path, None).await.with(200);
    for source in ["inbox", "webhook_logs", "usage_ledger", "stripe_reports", "audit_log"] {
        assert!(!sources(&less).contains_key(source), "{source}: {less}");
    }
    assert_eq!(sources(&less)["calls"], shown["calls"]);
    let (status, _) = world.get(&format!("/v1/calls/{}/timeline", uuid::Uuid::nil())).await;
    assert_eq!(status, 404);
}
