//! Calls for a benchmark of dashboards, in an installation that is not needed for anything else.

use contract::ids::OrganizationId;
use secrecy::SecretString;
use sqlx::{Connection, PgConnection, query};
use uuid::Uuid;

use crate::{StoreError, database::connect_options, error::During};

/// Calls that are written by one statement.
const PIECE: i64 = 250_000;

/// Writes so many calls of the last 30 days, oldest first, in turn of each organization, and tells how
/// many there are after each statement. They stay. Needs the owner's connection, which row level
/// security does not bind.
///
/// # Errors
/// Of the database.
pub async fn calls(
    admin_url: &SecretString,
    organizations: &[OrganizationId],
    count: i64,
    mut tell: impl FnMut(i64),
) -> Result<(), StoreError> {
    const OPERATION: &str = "reads.dashboard.generated";
    let options = connect_options(admin_url)?.options([("statement_timeout", "30min")]);
    let mut connection = PgConnection::connect_with(&options).await.during(OPERATION)?;
    let ids: Vec<Uuid> = organizations.iter().map(|organization| organization.0).collect();
    let mut written = 0;
    while written < count {
        let last = count.min(written + PIECE);
        query!(
            "insert into calls (id, organization_id, provider, provider_call_id, direction, status,
                 from_number, to_number, started_at, ended_at, duration_seconds, billed_minutes,
                 ended_reason, cost_usd, origin, created_at, updated_at, occurred_at)
             select gen_random_uuid(), ($1::uuid[])[1 + n % cardinality($1)], 'vapi',
                 'bench-' || gen_random_uuid(), 'inbound',
                 case when n % 5 = 0 then 'no-answer' else 'completed' end,
                 '+1415' || lpad((n % 10000000)::text, 7, '0'), '+14155550100', at,
                 at + interval '90 seconds', 90, 2, 'customer-ended-call', 0.1, 'webhook', at, at, at
             from generate_series($2::bigint + 1, $3::bigint) n,
                 lateral (select now() - interval '30 days' * (1 - n::float8 / $4::float8) as at) t",
            &ids,
            written,
            last,
            count as f64,
        )
        .execute(&mut connection)
        .await
        .during(OPERATION)?;
        written = last;
        tell(written);
    }
    query!("analyze calls").execute(&mut connection).await.map(drop).during(OPERATION)
}

/// How many of the newest calls of these organizations were processed to their end. Needs the owner's
/// connection.
///
/// # Errors
/// Of the database.
pub async fn processed(
    admin_url: &SecretString,
    organizations: &[OrganizationId],
    since: chrono::DateTime<chrono::Utc>,
) -> Result<i64, StoreError> {
    const OPERATION: &str = "reads.dashboard.processed";
    let mut connection =
        PgConnection::connect_with(&connect_options(admin_url)?).await.during(OPERATION)?;
    let ids: Vec<Uuid> = organizations.iter().map(|organization| organization.0).collect();
    let row = query!(
        r#"select count(*) as "count!" from inbox
           where organization_id = any($1) and received_at >= $2 and status = 'processed'"#,
        &ids,
        since,
    )
    .fetch_one(&mut connection)
    .await
    .during(OPERATION)?;
    Ok(row.count)
}
