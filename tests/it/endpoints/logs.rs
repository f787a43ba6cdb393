//! The log of an endpoint that was busy: every filter is served by an index.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{
    World,
    plans::{pages_read, statement},
};

/// Rows in the log.
const ROWS: i32 = 100_000;

/// A busy endpoint: of a thousand rows one is a skip, one timed out, and one in fifty was answered otherwise, but
/// never one of a failed call. Five more endpoints share the table, and have its newest rows.
const GENERATE: &str = "
    insert into webhooks (id, organization_id, url, events, secret)
    select gen_random_uuid(), $2, 'https://example.com/', '{*}', '' from generate_series(1, 5);
    insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id, payload,
        status_code, response_body, error, attempt_number, latency_ms, kind, created_at)
    select gen_random_uuid(), $1, $2, case when i % 1000 <> 7 then gen_random_uuid() end,
        case when i % 50 = 3 then 'call.failed' else 'call.completed' end, gen_random_uuid(), '{}',
        case when i % 1000 in (7, 1) then null when i % 50 = 2 then 503
             when i % 10000 = 17 then 204 else 200 end, 'ok',
        case when i % 1000 = 7 then 'rate-limited' when i % 1000 = 1 then 'timeout'
             when i % 50 = 2 then 'status' end,
        1, 20, case when i % 1000 = 7 then 'skip' else 'attempt' end,
        now() - i * interval '1 second'
    from generate_series(1, $3) i;
    insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id,
        status_code, attempt_number, created_at)
    select gen_random_uuid(), w.id, $2, gen_random_uuid(), 'call.completed', gen_random_uuid(), 200, 1,
        now() - i * interval '1 millisecond'
    from webhooks w, generate_series(1, 4000) i where w.secret = '';
    analyze webhook_logs; analyze webhooks; analyze webhook_deliveries";

impl World {
    async fn generate_log(&self, endpoint: Uuid) {
        let sql = GENERATE
            .replace("$1", &format!("'{endpoint}'"))
            .replace("$2", &format!("'{}'", self.organization()))
            .replace("$3", &ROWS.to_string());
        self.db.batch_execute(&sql).await.expect("a log");
    }

    /// How Postgres answers one of the statements of the log, as the API's role, from a place on.
    async fn plan_of_log(
        &self,
        endpoint: Uuid,
        marker: &str,
        place: &str,
        filters: [&str; 7],
    ) -> String {
        let (own, nobody, filters) = (self.organization(), Uuid::nil(), filters.join(", "));
        let arguments =
            format!("'{endpoint}', '{own}', '-infinity', {place}, '{nobody}', 51, {filters}");
        self.plan_of(&statement(&["l.response_headers", marker]), &arguments).await
    }

    /// Ids of all rows that a filter finds, page by page.
    async fn found(&self, endpoint: Uuid, query: &str) -> Vec<Value> {
        let (mut rows, mut next) = (Vec::new(), String::new());
        loop {
            let path = format!("/{endpoint}/logs?limit=37&{query}{next}");
            let page = self.webhooks(Method::GET, &path, None).await.with(200);
            rows.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return rows,
            }
        }
    }
}

const ANY: &str = "null";
const SOME_ID: &str = "gen_random_uuid()";

/// Of the table's 2,000, and of the index entries of each row that is looked at.
const MOST_PAGES: u64 = 1000;

fn both<'a, A: Copy, B: Copy>(
    a: &'a [A],
    b: &'a [B],
) -> impl Iterator<Item = (A, B)> + use<'a, A, B> {
    a.iter().flat_map(move |a| b.iter().map(move |b| (*a, *b)))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_filter_of_the_log_and_no_two_of_them_are_looked_for_in_all_rows() {
    let world = World::quiet().await;
    let (endpoint, _) = world.endpoint("busy", &serde_json::json!({})).await;
    world.generate_log(endpoint).await;
    let events = [ANY, "'call.completed'", "'call.failed'", "'call.started'"];
    let statuses = [ANY, "200", "204", "503", "418"];
    let errors = [ANY, "'timeout'", "'status'", "'rate-limited'", "'dns'"];
    let whats = [
        (ANY, ANY),
        ("'skip'", ANY),
        ("'attempt'", ANY),
        (ANY, "'failed'"),
        (ANY, "'delivered'"),
        ("'skip'", "'failed'"),
    ];
    let now = "now() + interval '1 day'";
    let of_event = [ANY, ANY, ANY, ANY, ANY, SOME_ID, ANY];
    let of_delivery = [ANY, ANY, ANY, ANY, ANY, ANY, SOME_ID];
    let mut asked = vec![
        ("webhook_logs l where true", [ANY; 7], "webhook_logs_webhook"),
        ("from webhook_deliveries d join", of_event, "webhook_logs_delivery"),
        ("where l.delivery_id = $13", of_delivery, "webhook_logs_delivery"),
    ];
    for (event, status) in both(&events, &statuses) {
        for (error, (kind, outcome)) in both(&errors, &whats) {
            let (marker, index) = match event {
                ANY => ("(r.error, r.status_code)", "webhook_logs_result on"),
                _ => ("r.event = $7", "webhook_logs_result_of_type on"),
            };
            asked.push((marker, [event, status, error, kind, outcome, ANY, ANY], index));
        }
    }
    for (marker, filters, index) in asked {
        // From the first page on, and from deep in the log.
        for place in [now, "now() - interval '20 hours'"] {
            let plan = world.plan_of_log(endpoint, marker, place, filters).await;
            assert!(plan.contains(index), "{filters:?} by {index}:\n{plan}");
            assert!(!plan.contains("Seq Scan on webhook_logs"), "{filters:?}:\n{plan}");
            assert!(pages_read(&plan) < MOST_PAGES, "{filters:?}:\n{plan}");
            for line in plan.lines().filter(|line| line.contains("Rows Removed by Filter")) {
                let removed: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
                assert!(removed < 1000, "{filters:?}: it walks the log:\n{plan}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_they_name_page_by_page() {
    let world = World::quiet().await;
    let (endpoint, _) = world.endpoint("busy", &serde_json::json!({})).await;
    world.generate_log(endpoint).await;
    let one = "select event_id, delivery_id from webhook_logs
               where webhook_id = $1 and error = 'timeout' limit 1";
    let row = world.db.query_one(one, &[&endpoint]).await.unwrap();
    let (event_id, delivery_id): (Uuid, Uuid) = (row.get(0), row.get(1));
    // As the deliverer leaves them: a delivery for what was attempted, an event for what was skipped.
    let sql =
        "insert into webhook_deliveries (id, organization_id, event_id, webhook_id, event, body)
               values ($1, $2, $3, $4, 'call.completed', '{}')";
    let own = world.organization();
    world.db.execute(sql, &[&delivery_id, &own, &event_id, &endpoint]).await.unwrap();
    let sql = "insert into events (id, organization_id, type, payload, created_at)
               select event_id, organization_id, event, '{}', created_at from webhook_logs
               where webhook_id = $1 and kind = 'skip' order by created_at limit 1 returning id";
    let skipped: Uuid = world.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
    for (query, condition) in [
        ("event=call.failed".to_owned(), "event = 'call.failed'".to_owned()),
        ("status_code=503".to_owned(), "status_code = 503".to_owned()),
        ("status_code=204".to_owned(), "status_code = 204".to_owned()),
        ("error=timeout".to_owned(), "error = 'timeout'".to_owned()),
        ("kind=skip".to_owned(), "kind = 'skip'".to_owned()),
        ("outcome=failed".to_owned(), "kind = 'attempt' and error is not null".to_owned()),
        ("outcome=failed&kind=attempt&error=status".to_owned(), "error = 'status'".to_owned()),
        (
            "outcome=delivered&status_code=204".to_owned(),
            "error is null and status_code = 204".to_owned(),
        ),
        (
            "outcome=delivered&event=call.failed".to_owned(),
            "error is null and event = 'call.failed'".to_owned(),
        ),
        ("kind=skip&event=call.failed".to_owned(), "false".to_owned()),
        (format!("event_id={event_id}"), format!("event_id = '{event_id}'")),
        (format!("event_id={skipped}"), format!("event_id = '{skipped}'")),
        (format!("delivery_id={delivery_id}"), format!("delivery_id = '{delivery_id}'")),
        (format!("event_id={event_id}&outcome=delivered"), "false".to_owned()),
    ] {
        let sql = format!(
            "select id::text from webhook_logs where webhook_id = $1 and {condition}
             order by created_at desc, id desc"
        );
        let expected = world.db.query(&sql, &[&endpoint]).await.unwrap();
        let expected: Vec<String> = expected.iter().map(|row| row.get(0)).collect();
        let found = world.found(endpoint, &query).await;
        let found: Vec<&str> = found.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query}");
        assert!(condition == "false" || !expected.is_empty(), "{query} finds something");
    }
    in_a_range(&world, endpoint).await;
}

/// `from` is in the range and `to` is not; a cursor belongs to its filters.
async fn in_a_range(world: &World, endpoint: Uuid) {
    let sql = "select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
               from webhook_logs where webhook_id = $1 order by created_at desc offset $2 limit 1";
    let at = async |offset: i64| -> String {
        world.db.query_one(sql, &[&endpoint, &offset]).await.unwrap().get(0)
    };
    let (newer, older) = (at(1000).await, at(1150).await);
    for (query, count) in [("", 150), ("&kind=attempt", 149), ("&outcome=delivered", 146)] {
        let query = format!("from={older}&to={newer}{query}");
        let found = world.found(endpoint, &query).await;
        let ids: BTreeSet<&str> = found.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!((found.len(), ids.len()), (count, count), "{query}");
    }
    let first = format!("/{endpoint}/logs?kind=skip&limit=1");
    let page = world.webhooks(Method::GET, &first, None).await.with(200);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let other = format!("/{endpoint}/logs?kind=attempt&cursor={cursor}");
    world.webhooks(Method::GET, &other, None).await.with(400);
}
