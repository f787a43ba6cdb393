//! How Postgres answers a statement, as it is checked at compile time.

use serde_json::Value;
use store::database::{BY_KEY, IN_ORDER};
use tokio_postgres::{Client, SimpleQueryMessage::Row};

use super::World;

/// The one statement with these words.
pub(crate) fn statement(words: &[&str]) -> String {
    let folder = format!("{}/.sqlx", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let found: Vec<String> = files
        .filter_map(|file| {
            let data: Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
            Some(data["query"].as_str()?.to_owned())
        })
        .filter(|query| words.iter().all(|words| query.contains(words)))
        .collect();
    assert_eq!(found.len(), 1, "statements with {words:?}: {found:?}");
    found.into_iter().next().unwrap()
}

impl World {
    /// The plan of a statement with these arguments, as the API's role, run once.
    pub(crate) async fn plan_of(&self, statement: &str, arguments: &str) -> String {
        let own = self.organization();
        let session = format!(
            "set local role postcall_api; set local plan_cache_mode = force_custom_plan;
             set local app.organization_id = '{own}'"
        );
        plan(&self.db, &session, statement, arguments).await
    }

    /// The same as the worker's role, of what takes from a queue.
    pub(crate) async fn plan_of_worker(&self, statement: &str, arguments: &str) -> String {
        self.plan_with(&[&BY_KEY[..], &IN_ORDER].concat(), statement, arguments).await
    }

    /// The same as the worker's role, of what goes by key.
    pub(crate) async fn plan_by_key(&self, statement: &str, arguments: &str) -> String {
        self.plan_with(&BY_KEY, statement, arguments).await
    }

    async fn plan_with(
        &self,
        settings: &[(&str, &str)],
        statement: &str,
        arguments: &str,
    ) -> String {
        let settings: String =
            settings.iter().map(|(name, value)| format!("; set local {name} = {value}")).collect();
        let session =
            format!("set local role postcall_worker; set local app.scope = 'dispatch'{settings}");
        plan(&self.db, &session, statement, arguments).await
    }
}

async fn plan(db: &Client, session: &str, statement: &str, arguments: &str) -> String {
    let begin = format!("begin; {session}; prepare asked as {statement}");
    db.batch_execute(&begin).await.expect("a statement");
    let explain =
        format!("explain (analyze, buffers, costs off, timing off) execute asked ({arguments})");
    let rows = db.simple_query(&explain).await.expect("a plan");
    db.batch_execute("rollback; deallocate asked").await.expect("rolled back");
    let lines = rows.iter().filter_map(|row| match row {
        Row(row) => row.get(0),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Pages that the largest part of a plan has read; what only writes stands beside its root.
pub(crate) fn pages_read(plan: &str) -> u64 {
    let parts = plan.lines().take_while(|line| !line.starts_with("Planning"));
    let pages = parts.filter(|line| line.contains("Buffers:")).map(|line| {
        let numbers = line.split(' ').filter_map(|word| {
            let (name, number) = word.split_once('=')?;
            ["hit", "read"].contains(&name).then(|| number.parse::<u64>().ok())?
        });
        numbers.sum::<u64>()
    });
    pages.max().unwrap_or_default()
}
