//! No row of another organization is ever visible.

mod routes;

use std::collections::BTreeSet;

use secrecy::ExposeSecret;

use crate::harness::{World, calls::PATIENCE, wait::until};

/// Tables that need no row level security: the migrations' own.
const SHARED_TABLES: &[&str] = &["_sqlx_migrations"];

/// Tables that have no row after one call; what is missing of their policies the walk below finds.
const EMPTY: &[&str] = &[
    "daily_usage",
    "day_totals",
    "idempotency_keys",
    "onboardings",
    "organization_emails",
    "provider_sweeps",
    "stripe_events",
    "stripe_reports",
    "stripe_subscriptions",
    "usage_alerts",
    "usage_days_touched",
    "usage_voids",
    "webhook_recovery_items",
    "workflow_starts",
];

/// What is missing, table by table: row level security, enabled and forced, on every table, partitions
/// too; and for each application role, and each thing that it has the privilege to do, a policy that
/// judges the rows that are there (USING) and those to be (WITH CHECK). A policy for all commands without a
/// check checks what it uses.
const MISSING: &str = "
    with tables as (
        select c.oid, c.relname::text as name, c.relispartition, r.role,
            c.relrowsecurity and c.relforcerowsecurity as is_forced
        from pg_class c cross join (values ('postcall_api'), ('postcall_worker')) r (role)
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
    ), needed as (
        select t.*, n.command, n.privilege, n.uses, n.checks from tables t
        cross join (values ('r', 'select', true, false), ('a', 'insert', false, true),
            ('w', 'update', true, true), ('d', 'delete', true, false))
            n (command, privilege, uses, checks)
        where case when n.command = 'd' then has_table_privilege(t.role, t.oid, 'delete')
            else has_any_column_privilege(t.role, t.oid, n.privilege) end
    )
    select name || ' has no forced row level security' from tables where not is_forced
    union
    select name || ' can be read by ' || role || ' past its parent' from needed where relispartition
    union
    select name || ': ' || role || ' may ' || privilege || ' by no policy' from needed n
    where not relispartition and not exists (
        select from pg_policy p
        where p.polrelid = n.oid and p.polpermissive and p.polcmd::text in (n.command, '*')
          and exists (select from unnest(p.polroles) r (id)
              where r.id = 0 or pg_has_role(n.role, r.id, 'usage'))
          and (not n.uses or p.polqual is not null)
          and (not n.checks or p.polwithcheck is not null or p.polcmd = '*'))
    union
    select name || ' is a tenant''s, and ' || role || ' has no policy for all of it' from tables t
    where not relispartition and exists (select from pg_attribute a
        where a.attrelid = t.oid and a.attname = 'organization_id' and not a.attisdropped)
      and not exists (select from pg_policy p where p.polrelid = t.oid and p.polcmd = '*'
          and p.polqual is not null and p.polwithcheck is not null
          and exists (select from unnest(p.polroles) r (id) where pg_has_role(t.role, r.id, 'usage')))
    order by 1";

/// What the walk complains about.
async fn missing(world: &World) -> Vec<String> {
    let rows = world.db.query(MISSING, &[]).await.unwrap();
    let complaints = rows.iter().map(|row| row.get::<_, String>(0));
    complaints.filter(|text| !SHARED_TABLES.iter().any(|name| text.starts_with(name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_forces_row_level_security_and_no_role_passes_it() {
    let world = World::quiet().await;
    let sql = "select count(*) from pg_class c
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')";
    assert!(
        world.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 40,
        "it sees the schema"
    );
    assert_eq!(missing(&world).await, [""; 0]);
    // The walk finds what it looks for.
    let bad = "create table bare (organization_id uuid); grant select on bare to postcall_api;
        create table halfway (organization_id uuid); grant insert on halfway to postcall_worker;
        alter table halfway enable row level security; alter table halfway force row level security;
        create policy reads on halfway for select to postcall_api, postcall_worker using (true);
        create table calls_open partition of calls for values from ('1999-01-01') to ('1999-02-01');
        grant select on calls_open to postcall_api";
    world.db.batch_execute(bad).await.unwrap();
    let found = missing(&world).await;
    for complaint in [
        "bare has no forced row level security",
        "bare is a tenant's, and postcall_api has no policy for all of it",
        "bare: postcall_api may select by no policy",
        "calls_open can be read by postcall_api past its parent",
        "calls_open has no forced row level security",
        "halfway is a tenant's, and postcall_worker has no policy for all of it",
        "halfway: postcall_worker may insert by no policy",
    ] {
        assert!(found.iter().any(|text| text == complaint), "{complaint}: {found:?}");
    }
    let sql =
        "select bool_or(rolsuper or rolbypassrls) from pg_roles where rolname like 'postcall_%'";
    assert!(!world.db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_role_sees_the_named_organization_and_nothing_else() {
    let world = World::start().await;
    world.things().await;
    // Requests of keys are written once a second.
    until("a key's requests are counted", PATIENCE, || async {
        let sql = "select from api_key_days limit 1";
        world.db.query_opt(sql, &[]).await.unwrap()
    })
    .await;
    let own = world.demo.organization_id.clone();
    let stranger = uuid::Uuid::now_v7().to_string();
    let url = world.database_url();
    let connected = tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls).await;
    let (mut client, connection) = connected.unwrap();
    tokio::spawn(connection);
    let sql = "select c.relname from pg_class c
               join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id'
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                 and has_table_privilege($1, c.oid, 'select')";
    for role in ["postcall_api", "postcall_worker"] {
        let tables = world.db.query(sql, &[&role]).await.unwrap();
        let (mut own_rows, mut without_case) = (0, BTreeSet::<String>::new());
        for (organization, sees_own) in [("", false), (&stranger, false), (&own, true)] {
            let tx = client.transaction().await.unwrap();
            let begin =
                format!("set local role {role}; set local app.organization_id = '{organization}'");
            tx.batch_execute(&begin).await.unwrap();
            for table in &tables {
                let name: &str = table.get(0);
                let count = format!("select count(*) from {name}");
                let seen: i64 = tx.query_one(&count, &[]).await.unwrap().get(0);
                assert!(sees_own || seen == 0, "{role} sees {seen} rows of {name}");
                if sees_own && seen == 0 && !EMPTY.contains(&name) {
                    without_case.insert(name.to_owned());
                }
                own_rows += seen;
            }
            tx.rollback().await.unwrap();
        }
        assert!(without_case.is_empty(), "{role}: new tables without a row: {without_case:?}");
        assert!(own_rows > 10, "{role} sees its own: {own_rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_gets_404_and_a_wrong_key_401() {
    let (world, other) = tokio::join!(World::start(), World::start());
    let id = world.post_call().await;
    world.closed(&id).await;
    let call = world.call_id(&id);
    // The same process, the other organization's key: known to another database only.
    let request = world.http.get(format!("{}/v1/calls/{call}", world.api_url));
    let answer = request.bearer_auth(&other.demo.api_key).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    other.secrets.seed(&world.database_url(), world.fakes.url()).await.unwrap();
    for path in ["", "/transcript", "/recording", "/results"] {
        let url = format!("{}/v1/calls/{call}{path}", world.api_url);
        let answer = until("the key is known", std::time::Duration::from_secs(15), || async {
            let request = world.http.get(&url).bearer_auth(&other.demo.api_key);
            let status = request.send().await.unwrap().status().as_u16();
            (status != 401).then_some(status)
        })
        .await;
        assert_eq!(answer, 404, "{path}");
    }
    let secret = &other.demo.vapi_secret;
    let url = format!("{}/vapi/{}", world.api_url, world.demo.organization_id);
    let forged = world.http.post(url).header("x-vapi-secret", secret).body("{}").send().await;
    assert_eq!(forged.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_cannot_be_changed_even_by_its_owner() {
    let world = World::start().await;
    let id = world.post_call().await;
    world.closed(&id).await;
    for sql in [
        "update usage_ledger set quantity = 0",
        "delete from usage_ledger",
        "truncate usage_ledger",
    ] {
        let refused = world.db.execute(sql, &[]).await.unwrap_err();
        let refused = refused.as_db_error().unwrap().message().to_owned();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(world.counts(&id).await.ledger_rows, 1);
}
