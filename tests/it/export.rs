//! All of a list, streamed: whole, in order, resumable, and only for who may see it.

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{World, wait::until};

/// Calls, more than fit into two pages.
const CALLS: usize = 603;
const SINCE: &str = "from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z";

impl World {
    /// So many calls of the first of November; some name things that a spreadsheet would run.
    async fn have_calls(&self, count: usize) {
        let sql = format!(
            "insert into calls (id, organization_id, provider, provider_call_id, status, outcome,
                 from_number, started_at, duration_seconds, billed_minutes, cost_usd, origin, created_at)
             select gen_random_uuid(), '{}', 'vapi', 'made-' || n, 'completed',
                 case n % 3 when 0 then '=HYPERLINK(\"http://x\", \"n\")' when 1 then 'two, \"lines\"
here' end, '+14155550100', at, n, 1, 0.25, 'webhook', at
             from generate_series(1, {count}) n,
                 lateral (select timestamptz '2026-11-01 00:00Z' + n * interval '1 second' as at) t;
             analyze calls",
            self.organization()
        );
        self.db.batch_execute(&sql).await.unwrap();
    }

    /// An export: status, type, and as much of the body as came.
    async fn exported(&self, key: &str, query: &str) -> (u16, String, String) {
        let url = format!("{}/v1/calls?{query}", self.api_url);
        let answer = self.http.get(url).bearer_auth(key).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kind, answer.text().await.unwrap_or_default())
    }

    async fn lines(&self, query: &str) -> Vec<Value> {
        let (status, kind, text) = self.exported(&self.demo.api_key, query).await;
        assert_eq!((status, kind.as_str()), (200, "application/jsonl"), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_exported_in_the_order_of_the_list() {
    let world = World::quiet().await;
    world.have_calls(CALLS).await;
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = world.get(&format!("/v1/calls?{SINCE}&limit=200{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        listed.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed.len(), CALLS);
    let rows = world.lines(&format!("{SINCE}&format=jsonl")).await;
    assert_eq!(rows, listed, "a line is a row as the list has it");

    let columns = "columns=id,outcome,cost_usd,recording.bytes,steps";
    let (status, kind, csv) =
        world.exported(&world.demo.api_key, &format!("{SINCE}&format=csv&{columns}")).await;
    assert_eq!((status, kind.as_str()), (200, "text/csv; charset=utf-8; header=present"));
    let outcomes =
        ["", "\"two, \"\"lines\"\"\nhere\"", "\"'=HYPERLINK(\"\"http://x\"\", \"\"n\"\")\""];
    let expected: String = listed
        .iter()
        .map(|call| {
            let id = call["id"].as_str().unwrap();
            let outcome = match call["duration_seconds"].as_u64().unwrap() % 3 {
                0 => outcomes[2],
                1 => outcomes[1],
                _ => outcomes[0],
            };
            format!("{id},{outcome},0.25,,[]\r\n")
        })
        .collect();
    assert_eq!(csv, format!("id,outcome,cost_usd,recording.bytes,steps\r\n{expected}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_after_its_cursor_and_counts_once() {
    let world = World::quiet().await;
    world.have_calls(CALLS).await;
    let (id, key) = world.made_key(&json!({"name": "Export", "scopes": ["calls:read"]})).await;
    let query = format!("{SINCE}&format=jsonl&columns=id,cursor");
    let (status, _, text) = world.exported(&key, &query).await;
    assert_eq!(status, 200);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), CALLS);
    let with_cursor: Vec<usize> =
        (0..rows.len()).filter(|place| rows[*place]["cursor"].is_string()).collect();
    assert_eq!(with_cursor, [249, 499]);
    for place in with_cursor {
        let cursor = rows[place]["cursor"].as_str().unwrap();
        let rest = world.lines(&format!("{query}&cursor={cursor}")).await;
        assert_eq!(rest, rows[place + 1..]);
    }
    // The same where no range was named: then it is of all.
    let all = world.lines("format=jsonl&columns=id,cursor").await;
    assert_eq!(all.len(), CALLS);
    let cursor = all[249]["cursor"].as_str().unwrap();
    let rest = world.lines(&format!("format=jsonl&columns=id,cursor&cursor={cursor}")).await;
    assert_eq!(rest, all[250..]);
    until("the request is counted once", Duration::from_secs(10), || async {
        let (_, key) = world.get(&format!("/v1/api-keys/{id}")).await;
        assert!(key["usage_count"].as_u64() <= Some(1), "{key}");
        (key["usage_count"] == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_export_is_told_before_it_begins() {
    let world = World::quiet().await;
    let (_, key) = world.made_key(&json!({"name": "Usage", "scopes": ["usage:read"]})).await;
    for (query, status, named) in [
        ("format=xml", 400, "#/query/format"),
        ("format=csv&format=csv", 400, "#/query/format"),
        ("columns=id", 400, "#/query/columns"),
        ("format=csv&columns=id,password", 400, "#/query/columns"),
        ("format=csv&columns=", 400, "#/query/columns"),
        ("format=csv&status=done", 400, "#/query/status"),
        ("format=csv&cursor=AAAA", 400, "invalid-cursor"),
    ] {
        let (got, _, text) = world.exported(&world.demo.api_key, query).await;
        assert_eq!(got, status, "{query}: {text}");
        assert!(text.contains(named), "{query}: {text}");
    }
    for (key, status) in [(key.as_str(), 403), ("vx_nonsense", 401)] {
        let (got, kind, text) = world.exported(key, "format=csv").await;
        assert_eq!((got, kind.as_str()), (status, "application/problem+json"), "{text}");
    }
    let (status, _, text) = world.exported(&world.demo.api_key, "format=json&limit=1").await;
    assert_eq!(status, 200, "{text}");
    let (status, kind, text) = world.exported(&world.demo.api_key, "format=csv").await;
    assert_eq!((status, kind.starts_with("text/csv"), text.lines().count()), (200, true, 1));
}

/// Whether the document says that rows come in `data`.
fn answers_a_list(document: &Value, item: &Value) -> bool {
    let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    schema["properties"]["data"]["type"] == "array"
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_the_document_can_be_exported() {
    let world = World::start().await;
    let id = world.post_call().await;
    let call = world.closed(&id).await;
    let key = &world.demo.api_key;
    let (_, document) = world.get("/openapi.json").await;
    let (_, webhooks) = world.get("/v1/webhooks").await;
    let webhook = webhooks["data"][0]["id"].as_str().unwrap();
    let mut exported = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let columns = parameters.iter().find(|parameter| parameter["name"] == "columns");
        let is_list = answers_a_list(&document, item);
        assert_eq!(columns.is_some(), is_list, "{path}");
        // Of recoveries there are none: a list of nothing of nobody is not there.
        if !is_list || path.contains("recovery_id") {
            continue;
        }
        let of = if path.starts_with("/v1/calls") { call["id"].as_str().unwrap() } else { webhook };
        let mut query = if path.contains("search") { "&q=table" } else { "" }.to_owned();
        // A page is of the last days, where it is of a range of time; an export is of all.
        let is_ranged = parameters.iter().any(|parameter| {
            parameter["name"] == "from" && parameter["schema"]["format"] == "date-time"
        });
        if is_ranged {
            query.push_str("&from=2026-11-01T00:00:00Z");
        }
        let page = path.replace("{id}", of);
        let page =
            world.api(key, Method::GET, &format!("{page}?format=json{query}"), None, None).await;
        let rows = page.with(200)["data"].as_array().unwrap().len();
        let url = format!("{}{}", world.api_url, path.replace("{id}", of));
        let ask = |format| {
            let url = format!("{url}?format={format}{query}");
            async {
                let answer = world.http.get(url).bearer_auth(key).send().await.unwrap();
                (answer.status().as_u16(), answer.text().await.unwrap())
            }
        };
        let (status, text) = ask("jsonl").await;
        assert_eq!((status, text.lines().count()), (200, rows), "{path}: {text}");
        let (status, text) = ask("csv").await;
        assert!(status == 200 && text.lines().count() > rows, "{path}: {text}");
        exported.insert(path.clone());
    }
    assert!(exported.len() > 20, "{exported:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_broken_off_is_gone_on_with() {
    const MANY: usize = 12_000;
    let world = World::quiet().await;
    world.have_calls(MANY).await;
    let line = |file: &'static str| {
        let filters =
            ["--filter", "from=2026-11-01T00:00:00Z", "--filter", "to=2026-11-02T00:00:00Z"];
        let line = ["export", "calls", "--out", file, "--columns", "id,outcome,duration_seconds"];
        [&line[..], &filters].concat()
    };
    let (_, talk, code) = world.cli(&line("whole.csv")).await;
    assert_eq!(code, 0, "{talk}");
    let whole = std::fs::read_to_string(world.folder.join("whole.csv")).unwrap();
    assert_eq!(whole.matches("\r\n").count(), MANY + 1);
    assert!(!world.folder.join("whole.csv.progress").exists());

    let progress = world.folder.join("broken.csv.progress");
    let rows = || async {
        let text = std::fs::read_to_string(&progress).unwrap_or_default();
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        told["rows"].as_u64().unwrap_or_default()
    };
    let mut breaks = 0;
    loop {
        let before = rows().await;
        let mut child = world.command(&line("broken.csv")).spawn().unwrap();
        until("rows, or the end", Duration::from_secs(60), || async {
            let ended = !progress.exists() && breaks > 0;
            (ended || rows().await > before + 1000).then_some(())
        })
        .await;
        if child.try_wait().unwrap().is_some_and(|status| status.success()) {
            break;
        }
        child.kill().await.unwrap();
        breaks += 1;
        if breaks == 4 {
            let (_, talk, code) = world.cli(&line("broken.csv")).await;
            assert_eq!(code, 0, "{talk}");
            assert!(talk.contains("going on after"), "{talk}");
            break;
        }
    }
    assert!(breaks > 0, "it was too quick to be broken off");
    assert_eq!(std::fs::read_to_string(world.folder.join("broken.csv")).unwrap(), whole);

    let (_, talk, code) = world.cli(&line("broken.csv")).await;
    assert_eq!(code, 5, "a file that is there is not written over: {talk}");
    let (told, _, code) = world.cli(&["export", "assistants", "--format", "jsonl"]).await;
    assert_eq!((code, told.lines().count()), (0, 1), "{told}");
    let (_, talk, code) = world.cli(&["export", "assistants", "--columns", "shoe"]).await;
    assert!(code == 2 && talk.contains("shoe"), "{talk}");
    let (_, _, code) = world.cli(&["export", "nothing"]).await;
    assert_eq!(code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_key_is_revoked_is_cut() {
    let world = World::quiet().await;
    world.have_calls(6_000).await;
    let (id, key) = world.made_key(&json!({"name": "Export", "scopes": ["calls:read"]})).await;
    let url = format!("{}/v1/calls?{SINCE}&format=jsonl", world.api_url);
    let mut answer = world.http.get(url).bearer_auth(&key).send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    let revoked = world
        .api(&world.demo.api_key, Method::DELETE, &format!("/v1/api-keys/{id}"), None, None)
        .await;
    assert_eq!(revoked.status, 204);
    let mut bytes = 0;
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes += chunk.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "{bytes} bytes came, as if that were all");
}
