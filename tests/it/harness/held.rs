//! The death of a process at an await that the test chooses: at a fault point, or in a statement that
//! waits for the test, which kills the process there and lets go.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;

use super::{World, wait::until, world::connect};

/// Until the worker has come so far, or its connection is gone. It may come so far only when what an
/// earlier worker had claimed is free again.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where a process is held.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hold<'a> {
    /// At whatever needs what these statements lock.
    Lock(&'a str),
    /// Before it writes such a row: `insert on events`, and which of them, by `new` and `old`.
    Row(&'a str, &'a str),
    /// At the commit of the transaction that wrote such a row.
    Commit(&'a str, &'a str),
}

/// What the test holds.
pub(crate) struct Held {
    client: Client,
    pid: i32,
}

impl World {
    /// Another connection to the database than the test's own.
    pub(crate) async fn another_connection(&self) -> Client {
        connect(&self.database_url()).await
    }

    /// Waits until the worker has died at a fault point that kills it, and of nothing else.
    pub(crate) async fn dies_at(&self, point: &str) {
        let ended = timeout(PATIENCE, self.worker().ended()).await;
        let log = || self.log("worker");
        ended.unwrap_or_else(|_| panic!("{point} did not strike: {}", log()));
        let struck = std::fs::read_to_string(self.folder.join("faults.log")).unwrap_or_default();
        assert_eq!(struck.lines().collect::<Vec<_>>(), [point], "{}", log());
    }

    /// Holds whoever comes there from now on, until it is killed.
    pub(crate) async fn hold(&self, hold: Hold<'_>) -> Held {
        let (lock, trigger) = match hold {
            Hold::Lock(statements) => (statements, None),
            Hold::Row(event, when) => {
                let trigger = format!("create trigger held before {event} for each row");
                (ADVISORY, Some((trigger, when)))
            }
            Hold::Commit(event, when) => {
                let deferred = "deferrable initially deferred for each row";
                let trigger = format!("create constraint trigger held after {event} {deferred}");
                (ADVISORY, Some((trigger, when)))
            }
        };
        if let Some((trigger, when)) = trigger {
            let sql = format!("{WAITING}; {trigger} when ({when}) execute function held()");
            self.db.batch_execute(&sql).await.expect("a trigger");
        }
        let client = self.another_connection().await;
        client.batch_execute(&format!("begin; {lock}")).await.expect("a lock");
        let pid = pid_of(&client).await;
        Held { client, pid }
    }

    /// Waits until a statement with these words waits for what is held, kills the worker with -9, and
    /// lets go. What the statement does then is done when this returns.
    pub(crate) async fn killed_at(&mut self, held: Held, words: &str) {
        let waiting = waits_for(&self.db, held.pid, words).await;
        self.kill_worker().await;
        self.let_go(held, waiting).await;
    }

    /// The same, but that the worker is told to stop and has time to do so once it is let go.
    pub(crate) async fn stopped_at(&mut self, held: Held, words: &str) {
        waits_for(&self.db, held.pid, words).await;
        let log = self.log_path("worker");
        let let_go = async {
            until("the worker stops", PATIENCE, || async {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                said.contains("worker stops").then_some(())
            })
            .await;
            held.client.batch_execute("rollback").await.expect("the lock is let go");
        };
        tokio::join!(self.stop_worker(), let_go);
    }

    /// The same as `killed_at` with `serve`.
    pub(crate) async fn serve_killed_at(&mut self, held: Held, words: &str) {
        let waiting = waits_for(&self.db, held.pid, words).await;
        self.kill_serve().await;
        self.let_go(held, waiting).await;
    }

    async fn let_go(&self, held: Held, waiting: i32) {
        held.client.batch_execute("rollback").await.expect("the lock is let go");
        until("the dead process's connection is gone", PATIENCE, || async {
            let sql = "select from pg_stat_activity where pid = $1";
            self.db.query(sql, &[&waiting]).await.expect("activity").is_empty().then_some(())
        })
        .await;
    }
}

/// Waits until a statement with these words waits for what that connection of this database holds;
/// whose it is. Asked through a connection that is in no transaction, which would see the same for ever.
pub(crate) async fn waits_for(db: &Client, holder: i32, words: &str) -> i32 {
    let sql = "select pid from pg_stat_activity where datname = current_database()
        and $1 = any(pg_blocking_pids(pid)) and strpos(lower(query), lower($2)) > 0";
    until(&format!("{words:?} waits"), PATIENCE, || async {
        let waiting = db.query(sql, &[&holder, &words]).await.expect("activity");
        waiting.first().map(|row| row.get(0))
    })
    .await
}

/// The connection's process, as others see it.
pub(crate) async fn pid_of(client: &Client) -> i32 {
    client.query_one("select pg_backend_pid()", &[]).await.expect("its pid").get(0)
}

/// What a trigger waits for. Advisory locks are a database's own, so each world has its own.
const ADVISORY: &str = "select pg_advisory_xact_lock(4711)";
const WAITING: &str = "create function held() returns trigger language plpgsql
    as $$ begin perform pg_advisory_xact_lock(4711); return coalesce(new, old); end $$";
