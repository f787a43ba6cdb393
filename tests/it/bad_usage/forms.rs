//! The same numbers in every form: SQL, JSON, CSV.

use serde_json::{Value, json};

use crate::harness::World;

/// Rows of comma-separated values, by the names in the head line. None of these needs quotes.
fn rows_of(csv: &str) -> Vec<Vec<(String, String)>> {
    assert!(!csv.contains('"'), "{csv}");
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().expect("a head line").split(',').collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), head.len(), "{line}");
        head.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.map(row).collect()
}

fn is_same(cell: &str, value: &Value) -> bool {
    match value {
        Value::Null => cell.is_empty(),
        Value::String(text) => cell == text,
        Value::Number(number) => cell.parse().is_ok_and(|cell: f64| Some(cell) == number.as_f64()),
        _ => false,
    }
}

/// Every cell is what JSON says under the column's name; `a.b` lies in `a`.
fn is_equal(csv: &str, json: &Value) {
    let (rows, objects) = (rows_of(csv), json.as_array().expect("rows"));
    assert_eq!(rows.len(), objects.len(), "{csv}");
    for (row, object) in rows.iter().zip(objects) {
        for (name, cell) in row {
            let nested = name.split_once('.').map(|(outer, inner)| &object[outer][inner]);
            let value = object.get(name).or(nested).expect("a field of that name");
            assert!(is_same(cell, value), "{name}: {cell} and {value}");
        }
    }
}

impl World {
    /// Rows of a query, each as JSON.
    async fn told_by_sql(&self, sql: &str) -> Value {
        let sql = format!("select coalesce(jsonb_agg(to_jsonb(r)), '[]') from ({sql}) r");
        self.db.query_one(&sql, &[]).await.expect("rows").get(0)
    }
}

/// Some fields of each row.
fn fields(rows: &Value, names: &[&str]) -> Value {
    let rows = rows.as_array().expect("rows").iter();
    let object = rows.map(|row| {
        let fields = names.iter().map(|name| ((*name).to_owned(), row[*name].clone()));
        Value::Object(fields.collect())
    });
    object.collect()
}

/// The world of the numbers: two assistants, one period that was billed, one that is open.
async fn busy() -> World {
    let world = World::that_bills().await;
    let sql = "update organizations set plan_minutes = 2, overage_price = 0.125,
            stripe_customer_id = 'cus_forms';
        insert into assistants (id, organization_id, name, provider)
            select gen_random_uuid(), id, 'Another', 'vapi' from organizations";
    world.db.batch_execute(sql).await.expect("an organization");
    world.talked(151).await;
    let second = world.talked(61).await;
    world.close_period().await;
    let third = world.talked(30).await;
    // Which of the provider's assistants it was is the fixture's: the same one every time.
    for id in [second, third] {
        let sql =
            "update calls set assistant_id = (select id from assistants where name = 'Another')
            where id = $1";
        assert_eq!(world.db.execute(sql, &[&world.call_id(&id).0]).await.expect("a call"), 1);
    }
    world.json_of(&["schedules", "run", "usage-aggregation"]).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_the_same_in_every_form() {
    let world = busy().await;
    let columns = "date::text, assistant_id, total_calls, completed_calls, failed_calls,
        total_minutes as minutes, total_seconds as seconds";
    let names = [
        "date",
        "assistant_id",
        "total_calls",
        "completed_calls",
        "failed_calls",
        "minutes",
        "seconds",
    ];
    for (by, filter) in [(None, "null"), (Some("--by-assistant"), "not null")] {
        let line: Vec<&str> = ["usage", "days"].into_iter().chain(by).collect();
        let told = world.json_of(&[&line[..], &["-o", "json"]].concat()).await;
        let (csv, talk, code) = world.cli(&[&line[..], &["--csv"]].concat()).await;
        assert_eq!(code, 0, "{talk}");
        is_equal(&csv, &told);
        assert!(talk.is_empty() || by.is_none(), "{talk}");
        let sql = format!(
            "select {columns} from daily_usage where assistant_id is {filter}
             order by date, assistant_id"
        );
        let with_calls: Vec<&Value> =
            told.as_array().unwrap().iter().filter(|day| day["total_calls"] != 0).collect();
        assert_eq!(fields(&json!(with_calls), &names), world.told_by_sql(&sql).await, "{by:?}");
        let sum =
            |name: &str| with_calls.iter().map(|day| day[name].as_i64().unwrap()).sum::<i64>();
        assert_eq!((sum("total_calls"), sum("minutes"), sum("seconds")), (3, 6, 242), "{by:?}");
        let costs = with_calls.iter().map(|day| day["cost_usd"].as_f64().unwrap()).sum::<f64>();
        assert_eq!((costs * 1e6).round(), 3.0 * 211_800.0, "{by:?}");
    }
    let days = world.json_of(&["usage", "days", "-o", "json"]).await;
    assert_eq!(days.as_array().unwrap().len(), 30, "also those without calls");
    let (csv, ..) =
        world.cli(&["usage", "days", "--from", "2026-01-01", "--to", "2026-01-02", "--csv"]).await;
    assert_eq!(rows_of(&csv).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn billing_is_the_same_in_every_form() {
    let world = busy().await;
    let periods = world.json_of(&["billing", "periods", "-o", "json"]).await;
    let (csv, talk, code) = world.cli(&["billing", "periods", "--csv"]).await;
    assert_eq!(code, 0, "{talk}");
    is_equal(&csv, &periods);
    let names = ["id", "status", "included_minutes", "carried_minutes", "overage_minutes"];
    let sql = "select id, status, included_minutes, carried_minutes, overage_minutes
        from billing_periods order by period_start desc";
    assert_eq!(fields(&periods, &names), world.told_by_sql(sql).await);
    let used = |period: &Value| period["used_minutes"].as_i64().unwrap();
    assert_eq!(
        (used(&periods[0]) + used(&periods[1]), periods[1]["overage_minutes"].clone()),
        (6, json!(3))
    );
    let report = &periods[1]["report"];
    assert_eq!((&report["state"], &report["quantity"]), (&json!("accepted"), &json!(3)));
    assert_eq!(world.fakes.stripe().billed("cus_forms"), 3);

    let preview = world.json_of(&["billing", "preview", "-o", "json"]).await;
    let current = world.json_of(&["usage", "current", "-o", "json"]).await;
    for name in
        ["period_start", "period_end", "included_minutes", "used_minutes", "overage_minutes"]
    {
        assert_eq!(preview[name], current[name], "{name}");
    }
    assert_eq!(preview["period_id"], periods[0]["id"]);
    assert_eq!(used(&preview), used(&periods[0]));
    let sql = "select sum(quantity) filter (where meter = 'call_seconds') as seconds,
            sum(quantity) filter (where meter = 'call_cost') as cost
        from usage_ledger l join billing_periods p on p.id = l.period_id and p.status = 'open'";
    let ledger = &world.told_by_sql(sql).await[0];
    assert_eq!(current["used_seconds"], ledger["seconds"]);
    let micros = (current["cost_usd"].as_f64().unwrap() * 1e6).round() as i64;
    assert_eq!(Some(micros), ledger["cost"].as_i64());

    let events = world.json_of(&["billing", "events", "-o", "json"]).await;
    let sql = "select id, event, period_id, details from billing_events
        order by created_at desc, id desc";
    assert_eq!(
        fields(&events, &["id", "event", "period_id", "details"]),
        world.told_by_sql(sql).await
    );
    let closed = periods[1]["id"].as_str().unwrap();
    let of_closed = world.json_of(&["billing", "events", "--period", closed, "-o", "json"]).await;
    let told = of_closed.as_array().unwrap();
    assert!(told.len() >= 3 && told.iter().all(|line| line["period_id"] == closed), "{told:?}");
    for line in [&["billing", "preview"][..], &["billing", "periods"], &["usage", "current"]] {
        let (table, talk, code) = world.cli(line).await;
        assert_eq!((code, table.is_empty()), (0, false), "{line:?}: {talk}");
    }
}
