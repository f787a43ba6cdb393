//! One error for the room: which operation, what went wrong, whether trying again can help.

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
#[error("store.{operation}: {problem}")]
pub struct StoreError {
    operation: &'static str,
    #[source]
    problem: Problem,
}

/// What went wrong beneath an operation.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Postgres refused or is not there. The text is Postgres' own, without parameters.
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Redis refused or is not there.
    #[error("redis: {0}")]
    Redis(#[source] redis::RedisError),
    /// The object storage refused or is not there.
    #[error("object storage: {0}")]
    Objects(#[source] object_store::Error),
    /// A sealed value that this key, table, column and organization cannot open.
    #[error("sealed value: {0}")]
    Sealed(&'static str),
    /// A stored or given value that breaks a rule of the schema.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No such row.
    #[error("not found")]
    NotFound,
    /// A request that is done once only, and was done, or is at work.
    #[error("not to be done now")]
    NotNow,
}

impl StoreError {
    /// An error of `operation`.
    pub fn new(operation: &'static str, problem: impl Into<Problem>) -> Self {
        Self { operation, problem: problem.into() }
    }

    /// The cause.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The error without its cause's own text, which may quote a value of the row.
    pub fn operation_failed(&self) -> String {
        let kind = match &self.problem {
            Problem::Database(_) => "database",
            Problem::Migration(_) => "migration",
            Problem::Redis(_) => "redis",
            Problem::Objects(_) => "object storage",
            Problem::Sealed(_) => "sealed value",
            Problem::Invalid(_) => "invalid",
            Problem::NotFound => "not found",
            Problem::NotNow => "not to be done now",
        };
        format!("store.{} failed ({kind})", self.operation)
    }

    /// Whether the same call may succeed later.
    pub fn can_retry(&self) -> bool {
        match &self.problem {
            Problem::Database(error) => {
                error.as_database_error().is_none_or(|e| !is_data_error(e.code().as_deref()))
            }
            Problem::Redis(_) | Problem::Objects(_) => true,
            Problem::Migration(_)
            | Problem::Sealed(_)
            | Problem::Invalid(_)
            | Problem::NotFound
            | Problem::NotNow => false,
        }
    }
}

/// SQLSTATE classes 22 (data exception) and 23 (integrity violation) come from the values.
fn is_data_error(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            other => Self::Database(other),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for Problem {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self::Migration(error)
    }
}

impl From<redis::RedisError> for Problem {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<object_store::Error> for Problem {
    fn from(error: object_store::Error) -> Self {
        Self::Objects(error)
    }
}

/// Names the operation of a failed call.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T, E: Into<Problem>> During<T> for Result<T, E> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::new(operation, error))
    }
}
