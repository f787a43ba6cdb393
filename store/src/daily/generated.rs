//! A scratch database with a month of generated calls: for the benchmark and the tests of aggregation.

mod rows;

use std::time::Duration;

use chrono::{Datelike, Months, NaiveDate};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use url::Url;

use self::rows::Rows;
use crate::{
    Database, StoreError,
    database::connect_options,
    error::{During, Problem},
};

/// Rows are sent in pieces of about this many bytes.
const PIECE: usize = 1 << 20;
/// Nothing that a generator does takes longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is generated.
#[derive(Debug, Clone, Copy)]
pub struct Generated {
    /// Any day of the month.
    pub month: NaiveDate,
    /// Calls, spread over the month and, unevenly, over the organizations.
    pub calls: u64,
    /// Organizations, in a dozen time zones, with three assistants each.
    pub organizations: u64,
}

impl Generated {
    /// First day of the month, and of the next.
    fn bounds(&self) -> (NaiveDate, NaiveDate) {
        let first = self.month.with_day(1).unwrap_or(self.month);
        (first, first.checked_add_months(Months::new(1)).unwrap_or(first))
    }
}

/// A database that nobody else uses.
#[derive(Debug)]
pub struct Scratch {
    server: SecretString,
    name: String,
    url: SecretString,
}

impl Scratch {
    /// Makes an empty database on the server of `server`, whose login must be a superuser.
    ///
    /// # Errors
    /// When the server refuses, or has a database of that name.
    pub async fn create(server: &SecretString, name: &str) -> Result<Self, StoreError> {
        const OPERATION: &str = "daily.scratch";
        let invalid = |_| StoreError::new(OPERATION, Problem::Invalid("no URL".to_owned()));
        let mut url: Url = server.expose_secret().parse().map_err(invalid)?;
        url.set_path(name);
        let mut connection = connect(server).await?;
        let sql = format!("create database {}", quoted(name));
        connection.execute_sql(OPERATION, sql).await?;
        Ok(Self { server: server.clone(), name: name.to_owned(), url: String::from(url).into() })
    }

    /// The database, as the superuser.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes it, with the connections that it still has.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop(self) -> Result<(), StoreError> {
        let mut connection = connect(&self.server).await?;
        let sql = format!("drop database if exists {} with (force)", quoted(&self.name));
        connection.execute_sql("daily.drop_scratch", sql).await
    }
}

/// Writes organizations and a month of calls into a migrated database without any of that month. Needs a
/// superuser's connection. The same every time but for the month.
///
/// # Errors
/// When the database refuses.
pub async fn fill(url: &SecretString, generated: Generated) -> Result<(), StoreError> {
    const OPERATION: &str = "daily.fill";
    let mut connection = connect(url).await?;
    let (first, next) = generated.bounds();
    let partition = format!("calls_{}", first.format("%Y_%m"));
    // Indexes are made at the end, as the parent has them: ten times as fast as row by row.
    let prepare = format!(
        "set maintenance_work_mem = '512MB';
         alter table if exists calls detach partition {partition};
         drop table {partition};
         create table {partition} (like calls including defaults including constraints)"
    );
    connection.execute_sql(OPERATION, prepare).await?;
    let mut rows = Rows::new(generated.organizations, first, next);
    connection
        .copy(rows::ORGANIZATIONS, generated.organizations, |n, to| {
            rows::organization(n, to);
        })
        .await?;
    let into = rows::calls_into(&partition);
    connection.copy(&into, generated.calls, |n, to| rows.call(n, generated.calls, to)).await?;
    let attach = format!(
        "alter table calls attach partition {partition} for values from ('{first} 00:00Z') to
             ('{next} 00:00Z');
         alter table {partition} enable row level security;
         alter table {partition} force row level security"
    );
    connection.execute_sql(OPERATION, attach).await?;
    connection.execute_sql(OPERATION, "vacuum (analyze)".to_owned()).await
}

/// The comparison: how many calls each organization has, in one bare statement.
///
/// # Errors
/// When the database refuses.
pub async fn bare_count(url: &SecretString) -> Result<(), StoreError> {
    let sql = "select organization_id, count(*) from calls group by 1";
    connect(url).await?.execute_sql("daily.bare_count", sql.to_owned()).await
}

/// Number and hash of all rows of `daily_usage`, also of when they were computed.
///
/// # Errors
/// When the database refuses.
pub async fn fingerprint(url: &SecretString) -> Result<(i64, String), StoreError> {
    let sql = "select count(*), coalesce(sum(hashtextextended(d::text, 0)), 0)::text
        from daily_usage d";
    let mut connection = connect(url).await?;
    sqlx::query_as(sql).fetch_one(&mut connection.0).await.during("daily.fingerprint")
}

/// The server's process behind a pool of one connection, which keeps it for half an hour.
///
/// # Errors
/// When the database does not answer.
pub async fn backend(db: &Database) -> Result<u32, StoreError> {
    const OPERATION: &str = "daily.backend";
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(db.pool())
        .await
        .during(OPERATION)?;
    u32::try_from(pid).map_err(|_| StoreError::new(OPERATION, Problem::NotFound))
}

struct Owner(PgConnection);

async fn connect(url: &SecretString) -> Result<Owner, StoreError> {
    let limit = LONGEST.as_millis().to_string();
    // What takes long here is meant to.
    let options =
        connect_options(url)?.options([("statement_timeout", limit)]).disable_statement_logging();
    PgConnection::connect_with(&options).await.during("daily.connect").map(Owner)
}

impl Owner {
    /// Statements of our own making.
    async fn execute_sql(
        &mut self,
        operation: &'static str,
        sql: String,
    ) -> Result<(), StoreError> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await.map(drop).during(operation)
    }

    /// Sends `count` rows, each written by `row` in Postgres' text format.
    async fn copy(
        &mut self,
        statement: &str,
        count: u64,
        mut row: impl FnMut(u64, &mut String),
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "daily.copy";
        let mut copy = self.0.copy_in_raw(statement).await.during(OPERATION)?;
        let mut piece = String::with_capacity(PIECE + 1024);
        for number in 0..count {
            row(number, &mut piece);
            if piece.len() >= PIECE {
                copy.send(piece.as_bytes()).await.during(OPERATION)?;
                piece.clear();
            }
        }
        copy.send(piece.as_bytes()).await.during(OPERATION)?;
        copy.finish().await.map(drop).during(OPERATION)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
