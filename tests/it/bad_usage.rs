//! Usage that cannot be, and questions about days that are none: a clear answer or a documented
//! default, and nothing lost.

mod durations;
mod forms;

use chrono::Utc;
use contract::call::Provider;
use serde_json::{Value, json};

use crate::harness::{
    Options, World,
    calls::{PATIENCE, fresh_id, report_with},
    wait::until,
};

impl World {
    /// A world that has an account at Stripe, and its schedules.
    async fn that_bills() -> Self {
        let mut world = Self::with(Options { no_worker: true, ..Options::default() }).await;
        let stripe = [
            ("STRIPE_BASE_URL", format!("{}/stripe", world.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_bad_usage".to_owned()),
        ];
        world.start_worker(&stripe).await;
        world.without_options().await;
        let (_, talk, code) = world.cli(&["schedules", "apply"]).await;
        assert_eq!(code, 0, "{talk}");
        world
    }

    /// Runs a command that gives JSON.
    async fn json_of(&self, line: &[&str]) -> Value {
        let (told, talk, code) = self.cli(line).await;
        assert_eq!(code, 0, "{line:?}: {talk}");
        serde_json::from_str(&told).expect("JSON")
    }

    /// Posts the report of a call of so many seconds that has just ended, and waits for its end.
    async fn talked(&self, seconds: i64) -> String {
        let (id, ended) = (fresh_id(), Utc::now());
        let started = ended - chrono::TimeDelta::seconds(seconds);
        let times = json!({ "startedAt": started, "endedAt": ended });
        assert_eq!(self.post(report_with(&id, &times)).await, 200);
        self.closed_of(Provider::Vapi, &id).await;
        id
    }

    /// The open period ends at once, and what is over is closed and, if there is anything, reported.
    async fn close_period(&self) {
        let sql = "update billing_periods set period_end = now() where status = 'open'";
        assert_eq!(self.db.execute(sql, &[]).await.expect("a period"), 1);
        let swept = self.json_of(&["schedules", "run", "billing-sweep"]).await;
        assert_eq!(swept["started"], 1, "{swept}");
        until("the period is closed and its report settled", PATIENCE, || async {
            let sql = "select count(*) filter (where status = 'closed') = 1
                    and (select count(*) from stripe_reports where state <> 'accepted') = 0
                from billing_periods";
            self.db.query_one(sql, &[]).await.ok()?.get::<_, bool>(0).then_some(())
        })
        .await;
    }

    async fn number(&self, sql: &str) -> i64 {
        self.db.query_one(sql, &[]).await.expect(sql).get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_days_that_are_none_are_refused() {
    let world = World::with(Options { no_worker: true, ..Options::default() }).await;
    for (query, parameter) in [
        ("from=2026-02-30", "from"),
        ("to=2026-13-01", "to"),
        ("from=2025-02-29&to=2025-03-01", "from"),
        ("from=yesterday", "from"),
        ("from=", "from"),
        ("to=2026-11-01T00:00:00Z", "to"),
        ("from=2026-11-02&to=2026-11-01", "from"),
        ("from=2025-10-01&to=2026-11-20", "from"),
        ("from=0001-01-01", "from"),
        ("to=-262143-01-01", "to"),
        ("from=%2B262142-12-31", "from"),
        ("from=1875-01-01&to=1875-01-02", "from"),
        ("from=-9999-01-01&to=-9999-01-02", "from"),
        ("assistant_id=front-desk", "assistant_id"),
        ("by=caller", "by"),
        ("format=xml", "format"),
        ("until=2026-11-01", "until"),
        ("from=2026-11-01&from=2026-11-02", "from"),
    ] {
        let (status, problem) = world.get(&format!("/v1/usage?{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], format!("#/query/{parameter}"), "{query}: {problem}");
        assert!(error["detail"].as_str().is_some_and(|told| told.len() > 8), "{problem}");
    }
    for (path, parameter) in [
        ("periods?limit=0", "limit"),
        ("periods?limit=251", "limit"),
        ("periods?format=xml", "format"),
        ("events?period_id=2026-11", "period_id"),
        ("events?limit=-1", "limit"),
    ] {
        let (status, problem) = world.get(&format!("/v1/billing/{path}")).await;
        assert_eq!(status, 400, "{path}: {problem}");
        let pointer = &problem["errors"][0]["pointer"];
        assert_eq!(*pointer, format!("#/query/{parameter}"), "{path}: {problem}");
    }
    for (line, named) in [
        (&["usage", "days", "--from", "2026-13-01"][..], "--from"),
        (&["usage", "days", "--to", "2026-02-30"], "--to"),
        (&["usage", "days", "--from", "2026-11-02", "--to", "2026-11-01"], "from"),
        (&["usage", "days", "--from", "2025-10-01", "--to", "2026-11-20"], "400 days"),
        (&["usage", "days", "--assistant", "front-desk"], "--assistant"),
        (&["usage", "days", "--csv", "-o", "json"], "--csv"),
        (&["billing", "periods", "--limit", "0"], "limit"),
        (&["billing", "events", "--period", "2026-11"], "--period"),
        (&["schedules", "run", "usage-aggregation", "--date", "2026-02-30"], "--date"),
    ] {
        let (told, talk, code) = world.cli(line).await;
        assert_eq!((told.as_str(), code), ("", 2), "{line:?}: {talk}");
        assert!(talk.contains(named), "{line:?}: {talk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_time_zone_that_is_none_days_are_those_of_utc_and_all_is_billed() {
    let world = World::that_bills().await;
    let sql = "update organizations set timezone = 'Mars/Olympus', plan_minutes = 1,
        overage_price = 0.05, stripe_customer_id = 'cus_mars'";
    world.db.batch_execute(sql).await.expect("an organization of Mars");
    // Over midnight of UTC the two calls would be of two days.
    world.talked(151).await;
    world.talked(60).await;
    let days = "select string_agg(distinct (occurred_at at time zone 'UTC')::date::text, ' ')
        from calls";
    let days: String = world.db.query_one(days, &[]).await.expect("days").get(0);
    for day in days.split(' ') {
        let run = world.json_of(&["schedules", "run", "usage-aggregation", "--date", day]).await;
        assert_eq!((&run["organizations"], &run["unknown_zones"]), (&json!(1), &json!(1)), "{run}");
    }
    let added_up = "select string_agg(date::text, ' ' order by date) from daily_usage
        where assistant_id is null";
    let added_up: String = world.db.query_one(added_up, &[]).await.expect("days").get(0);
    assert_eq!(added_up, days);
    let sql = "select sum(total_minutes)::bigint from daily_usage where assistant_id is null";
    assert_eq!(world.number(sql).await, 4);
    let (_, usage) = world.get("/v1/usage").await;
    assert_eq!(
        (&usage["total"]["minutes"], &usage["total"]["total_calls"]),
        (&json!(4), &json!(2))
    );

    let preview = world.json_of(&["billing", "preview", "-o", "json"]).await;
    assert_eq!((&preview["used_minutes"], &preview["overage_minutes"]), (&json!(4), &json!(3)));
    world.close_period().await;
    assert_eq!(world.fakes.stripe().billed("cus_mars"), 3);
    let (_, current) = world.get("/v1/usage/current").await;
    assert_eq!(current["used_minutes"], 0, "{current}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_plan_minutes_every_minute_is_overage_and_nobody_is_alarmed() {
    let world = World::that_bills().await;
    let sql = "update organizations set plan_minutes = 0, overage_price = 0.05,
        stripe_customer_id = 'cus_zero'";
    world.db.batch_execute(sql).await.expect("a plan");
    let none = world.json_of(&["billing", "preview", "-o", "json"]).await;
    assert_eq!((&none["included_minutes"], &none["overage_minutes"]), (&json!(0), &json!(0)));
    world.talked(151).await;
    world.json_of(&["schedules", "run", "usage-aggregation"]).await;
    let preview = world.json_of(&["billing", "preview", "-o", "json"]).await;
    let told = ["used_minutes", "overage_minutes", "overage_usd"].map(|name| &preview[name]);
    assert_eq!(told, [&json!(3), &json!(3), &json!("0.15")]);
    let current = world.json_of(&["usage", "current", "-o", "json"]).await;
    assert_eq!(
        (&current["overage_minutes"], &current["limit_reached"]),
        (&json!(3), &json!(false))
    );
    let alarms = "select count(*) + (select count(*) from events where type like 'usage.%')
            + (select count(*) from organization_emails) from usage_alerts";
    assert_eq!(world.number(alarms).await, 0);
    world.close_period().await;
    assert_eq!(world.fakes.stripe().billed("cus_zero"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_customer_the_next_period_begins_and_the_report_waits() {
    let world = World::that_bills().await;
    let sql = "update organizations set plan_minutes = 0, stripe_customer_id = null";
    world.db.batch_execute(sql).await.expect("a plan");
    world.talked(151).await;
    world.close_period().await;
    world.talked(60).await;
    let events = world.json_of(&["billing", "events", "-o", "json"]).await;
    let events: Vec<&Value> =
        events.as_array().unwrap().iter().map(|line| &line["event"]).collect();
    assert!(events.contains(&&json!("report.waiting")), "{events:?}");
    assert!(!events.contains(&&json!("period.unreported")), "{events:?}");
    let periods = world.json_of(&["billing", "periods", "-o", "json"]).await;
    let closed = &periods[1];
    let told = [&closed["status"], &closed["overage_minutes"], &closed["report"]];
    assert_eq!(told, [&json!("closed"), &json!(3), &Value::Null]);
    let minutes = "select sum(quantity)::bigint from usage_ledger where meter = 'call_minutes'";
    assert_eq!(world.number(minutes).await, 4);
    let used = |period: &Value| period["used_minutes"].as_i64().unwrap();
    assert_eq!(used(closed) + used(&periods[0]), 4, "{periods}");
    world.redis_has(used(&periods[0])).await;
}

impl World {
    /// The counter of the newest period shows so many minutes, soon.
    async fn redis_has(&self, minutes: i64) {
        let sql =
            "select floor(extract(epoch from max(period_start)))::bigint from billing_periods";
        let start = self.number(sql).await;
        let start = chrono::DateTime::from_timestamp(start, 0).expect("a time");
        let name = contract::names::period_name(start);
        let key = format!("org:{}:usage:{name}", self.organization());
        let client = redis::Client::open(self.redis_url.as_str()).expect("a URL");
        until(&format!("{key} shows {minutes}"), PATIENCE, || async {
            let mut redis = client.get_multiplexed_async_connection().await.ok()?;
            let shown: Option<i64> =
                redis::cmd("HGET").arg(&key).arg("minutes").query_async(&mut redis).await.ok()?;
            (shown.unwrap_or(0) == minutes).then_some(())
        })
        .await;
    }
}
