//! Policies for Supabase's own roles, in a database that has them before the schema comes.

use secrecy::ExposeSecret;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::{World, connect};

/// Supabase's roles and its own definition of `auth.uid()`; and its default privileges, which give these
/// roles everything.
const SUPABASE: &str = "
    do $$ begin create role anon nologin; exception when duplicate_object then null; end $$;
    do $$ begin create role authenticated nologin; exception when duplicate_object then null; end $$;
    create schema auth;
    grant usage on schema auth, public to anon, authenticated;
    create function auth.uid() returns uuid language sql stable as $$
        select coalesce(
            nullif(current_setting('request.jwt.claim.sub', true), ''),
            (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
        )::uuid
    $$;
    alter default privileges in schema public grant all on tables to anon, authenticated;
    alter default privileges in schema public grant all on functions to anon, authenticated";

/// Two organizations with a member each, and one with both that was deleted; a row of each kind.
const ROWS: &str = "
    insert into organizations (id, name, slug, deleted_at)
    select md5('organization' || i)::uuid, 'O', 'o' || i, case when i = 3 then now() end
    from generate_series(1, 3) i;
    insert into users (id, email) select md5('user' || i)::uuid, i || '@example.com'
    from generate_series(1, 2) i;
    insert into organization_members (organization_id, user_id, role)
    select o.id, u.id, 'member' from organizations o join users u
        on o.id = md5('organization' || left(u.email, 1))::uuid or o.deleted_at is not null;
    insert into assistants (id, organization_id, name, provider)
    select gen_random_uuid(), id, 'A', 'vapi' from organizations;
    insert into phone_numbers (id, organization_id, number, provider)
    select gen_random_uuid(), id, '+1415555010' || right(slug, 1), 'vapi' from organizations;
    insert into calls (id, organization_id, provider, provider_call_id, status, origin, created_at)
    select gen_random_uuid(), id, 'vapi', slug, 'completed', 'webhook', now() from organizations;
    insert into call_transcripts (call_id, call_created_at, organization_id, transcript_text,
        search_vector)
    select id, created_at, organization_id, 'T', '' from calls;
    insert into call_recordings (call_id, call_created_at, organization_id, source_url, status)
    select id, created_at, organization_id, 'https://secret', 'stored' from calls;
    insert into webhooks (id, organization_id, url, events, secret)
    select gen_random_uuid(), id, 'https://example.com', '{*}', 'sealed' from organizations;
    insert into daily_usage (organization_id, date, total_calls, completed_calls, failed_calls,
        total_minutes, total_seconds, cost_usd, computed_at)
    select id, now(), 1, 1, 0, 1, 60, 0, now() from organizations;
    insert into api_keys (id, organization_id, name, key_prefix, key_hash)
    select gen_random_uuid(), id, 'k', 'vx_1234567', sha256(id::text::bytea) from organizations";

/// What a member reads: table, a column, and how many rows of three.
const OPEN: &[(&str, i64)] = &[
    ("organizations", 1),
    ("organization_members", 1),
    ("users", 1),
    ("assistants", 1),
    ("phone_numbers", 1),
    ("calls", 1),
    ("call_transcripts", 1),
    ("daily_usage", 1),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_the_rows_of_live_organizations_and_anon_reads_nothing() {
    let world = World::quiet().await;
    let name = format!("supabase_{}", Uuid::now_v7().simple());
    let url = world.database_url();
    world.db.batch_execute(&format!("create database {name}")).await.unwrap();
    let (server, _) = url.expose_secret().rsplit_once('/').unwrap();
    let url = secrecy::SecretString::from(format!("{server}/{name}"));
    let db = connect(&url).await;
    db.batch_execute(SUPABASE).await.unwrap();
    store::database::migrate(&url, &url).await.unwrap();
    db.batch_execute(ROWS).await.unwrap();

    let first = "md5('user1')::uuid";
    for (table, expected) in OPEN {
        let count = |role: &'static str, user: &'static str| {
            let sql = format!("select count(*) from {table}");
            let db = &db;
            async move { as_role(db, role, user, &sql).await }
        };
        assert_eq!(count("authenticated", first).await, Ok(*expected), "{table}");
        assert_eq!(count("authenticated", "gen_random_uuid()").await, Ok(0), "{table}");
        assert!(count("anon", first).await.is_err(), "{table}");
    }
    let own = "select count(*) from organizations where id = md5('organization1')::uuid";
    assert_eq!(as_role(&db, "authenticated", first, own).await, Ok(1));
    let templates = "select count(*) from templates";
    assert!(as_role(&db, "authenticated", first, templates).await.unwrap() >= 6);
    for (sql, expected) in
        [("select count(url) from webhooks", 1), ("select count(status) from call_recordings", 1)]
    {
        assert_eq!(as_role(&db, "authenticated", first, sql).await, Ok(expected), "{sql}");
    }
    for refused in [
        "select count(secret) from webhooks",
        "select count(previous_secret) from webhooks",
        "select count(headers) from webhooks",
        "select count(source_url) from call_recordings",
        "select count(*) from api_keys",
        "select count(*) from provider_credentials",
        "select count(*) from inbox",
        "select count(*) from audit_log",
        "select count(*) from _sqlx_migrations",
        "with gone as (delete from assistants returning 1) select count(*) from gone",
        "with new as (update organizations set name = 'x' returning 1) select count(*) from new",
        "with new as (insert into users (id, email) values (gen_random_uuid(), '') returning 1)
         select count(*) from new",
    ] {
        let said = as_role(&db, "authenticated", first, refused).await.unwrap_err();
        assert!(said.contains("permission denied"), "{refused}: {said}");
    }
    // A member sees who else is in the organization.
    let join = "insert into organization_members (organization_id, user_id, role)
        values (md5('organization1')::uuid, md5('user2')::uuid, 'admin')";
    db.batch_execute(join).await.unwrap();
    let users = "select count(*) from users";
    assert_eq!(as_role(&db, "authenticated", first, users).await, Ok(2));
    let both = "select count(*) from assistants";
    assert_eq!(as_role(&db, "authenticated", "md5('user2')::uuid", both).await, Ok(2));
    assert!(
        as_role(&db, "anon", first, "select count(*) from member_organizations()").await.is_err()
    );
}

/// A count, as a role for a user; the database's words where it refuses.
async fn as_role(db: &Client, role: &str, user: &str, sql: &str) -> Result<i64, String> {
    let begin = format!(
        "begin; select set_config('request.jwt.claims', json_build_object('sub', {user})::text, true);
         set local role {role}"
    );
    db.batch_execute(&begin).await.unwrap();
    let counted = db.query_one(sql, &[]).await;
    db.batch_execute("rollback").await.unwrap();
    let words = |error: &tokio_postgres::Error| {
        error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default()
    };
    counted.map(|row| row.get(0)).map_err(|error| words(&error))
}
