//! What Postgres does to aggregate days: for the benchmark, and for the test that holds it to that.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use contract::usage::Days;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::{PREPARE, Page, slices::Slices};
use crate::{Database, StoreError, database::Tx, error::During};

/// What aggregating some days read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Rows of calls that were looked at, whether they belonged to the days or not.
    pub rows_read: u64,
    /// Blocks of 8 KiB that were asked for, in memory or not, of calls alone.
    pub blocks_read: u64,
    /// Partitions that calls have.
    pub partitions: u64,
    /// Those among them that the planner left out, each time.
    pub pruned: u64,
    /// Those that were read from the first row to the last and had any.
    pub read_in_full: BTreeSet<String>,
}

/// Aggregates the first page of these days, takes it back, and tells how it was done.
///
/// # Errors
/// Of the database.
pub async fn explain(
    db: &Database,
    days: Days,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Plan, StoreError> {
    const OPERATION: &str = "daily.explain";
    let mut tx = db.billing().await?;
    sqlx::raw_sql(PREPARE).execute(&mut *tx).await.during(OPERATION)?;
    let page = Page::read(&mut tx, None, limit).await?;
    let partitions: i64 =
        sqlx::query_scalar("select count(*) from pg_inherits where inhparent = 'calls'::regclass")
            .fetch_one(&mut *tx)
            .await
            .during(OPERATION)?;
    let partitions = u64::try_from(partitions).unwrap_or(0);
    let mut found = Found::default();
    for slices in page.slices(days) {
        found.look_into(&explain_one(&mut tx, &slices, now).await?);
    }
    tx.rollback().await.during(OPERATION)?;
    Ok(Plan::of(found, partitions))
}

async fn explain_one(
    tx: &mut Tx,
    slices: &Slices,
    now: DateTime<Utc>,
) -> Result<Value, StoreError> {
    // Times of each row would take longer than the rows.
    let sql = concat!(
        "explain (analyze, buffers, timing off, format json) ",
        include_str!("recompute.sql")
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(&slices.organizations)
        .bind(&slices.zones)
        .bind(&slices.first_days)
        .bind(&slices.firsts)
        .bind(&slices.lasts)
        .bind(&slices.bounds)
        .bind(slices.created.start)
        .bind(slices.created.end)
        .bind(slices.occurred.start)
        .bind(slices.occurred.end)
        .bind(slices.days.0)
        .bind(slices.days.1)
        .bind(now)
        .fetch_one(&mut **tx)
        .await
        .during("daily.explain")
}

impl Plan {
    fn of(found: Found, partitions: u64) -> Self {
        let named = u64::try_from(found.named.len()).unwrap_or(u64::MAX);
        Self {
            rows_read: found.rows,
            blocks_read: found.blocks,
            partitions,
            pruned: partitions.saturating_sub(named),
            read_in_full: found.read_in_full,
        }
    }
}

/// What a plan's nodes tell of the partitions of `calls`.
#[derive(Debug, Default)]
struct Found {
    named: BTreeSet<String>,
    read_in_full: BTreeSet<String>,
    rows: u64,
    blocks: u64,
}

impl Found {
    fn look_into(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.look_into(value)),
            Value::Object(fields) => {
                self.look_at(value);
                fields.values().for_each(|value| self.look_into(value));
            }
            _ => {}
        }
    }

    fn look_at(&mut self, node: &Value) {
        let Some(relation) = node["Relation Name"].as_str() else { return };
        if !relation.starts_with("calls_") {
            return;
        }
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        // Postgres tells averages of the times that a node was run.
        let each = number("Actual Rows")
            + number("Rows Removed by Filter")
            + number("Rows Removed by Index Recheck");
        let rows = (each * number("Actual Loops")).round() as u64;
        self.named.insert(relation.to_owned());
        self.rows += rows;
        self.blocks += (number("Shared Hit Blocks") + number("Shared Read Blocks")) as u64;
        if node["Node Type"] == "Seq Scan" && rows > 0 {
            self.read_in_full.insert(relation.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn partitions_are_found_wherever_they_stand_in_a_plan() {
        let scan = |node: &str, relation: &str, rows: u64, loops: u64| {
            json!({ "Node Type": node, "Relation Name": relation, "Actual Rows": rows,
                "Actual Loops": loops, "Rows Removed by Filter": 1, "Shared Hit Blocks": 3 })
        };
        let plan = json!([{ "Plan": { "Node Type": "Result", "Plans": [
            { "Node Type": "Append", "Plans": [
                scan("Seq Scan", "calls_2026_10", 99, 1),
                scan("Seq Scan", "calls_2026_11", 0, 0),
                scan("Bitmap Heap Scan", "calls_2026_12", 9, 2) ] },
            scan("Seq Scan", "daily_usage", 1000, 1),
        ] } }]);
        let expected = Plan {
            rows_read: 100 + 20,
            blocks_read: 9,
            partitions: 8,
            pruned: 5,
            read_in_full: BTreeSet::from(["calls_2026_10".to_owned()]),
        };
        let mut found = Found::default();
        found.look_into(&plan);
        assert_eq!(Plan::of(found, 8), expected);
    }
}
