//! No row of another organization is ever visible.

use secrecy::ExposeSecret;

use crate::harness::World;

/// Tables that need no row level security: the migrations' own.
const SHARED_TABLES: &[&str] = &["_sqlx_migrations"];

#[tokio::test(flavor = "multi_thread")]
async fn every_table_forces_row_level_security_and_no_role_passes_it() {
    let world = World::start().await;
    let sql = "select c.relname, c.relrowsecurity and c.relforcerowsecurity from pg_class c
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')";
    let tables = world.db.query(sql, &[]).await.unwrap();
    assert!(tables.len() > 25, "the walk sees the schema");
    for row in tables {
        let (name, forced): (&str, bool) = (row.get(0), row.get(1));
        assert!(forced || SHARED_TABLES.contains(&name), "{name} has no forced row level security");
    }
    let sql =
        "select bool_or(rolsuper or rolbypassrls) from pg_roles where rolname like 'postcall_%'";
    assert!(!world.db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_role_sees_the_named_organization_and_nothing_else() {
    let world = World::start().await;
    let id = world.post_call().await;
    world.closed(&id).await;
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
        let mut own_rows = 0;
        for (organization, sees_own) in [("", false), (&stranger, false), (&own, true)] {
            let tx = client.transaction().await.unwrap();
            let begin =
                format!("set local role {role}; set local app.organization_id = '{organization}'");
            tx.batch_execute(&begin).await.unwrap();
            for table in &tables {
                let count = format!("select count(*) from {}", table.get::<_, &str>(0));
                let seen: i64 = tx.query_one(&count, &[]).await.unwrap().get(0);
                assert!(
                    sees_own || seen == 0,
                    "{role} sees {seen} rows of {}",
                    table.get::<_, &str>(0)
                );
                own_rows += seen;
            }
            tx.rollback().await.unwrap();
        }
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
        let until = crate::harness::wait::until;
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
