//! What operators do on the command line: organizations, users, templates; and what customers do there.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    World,
    calls::{fresh_id, report_of},
    wait::until,
};

/// How long a process believes a key or a secret that it has seen.
const FORGOTTEN: std::time::Duration = std::time::Duration::from_secs(60);

impl World {
    /// Runs a command that must succeed; gives its JSON.
    async fn run(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        let (shown, talk, code) = self.cli(&arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {talk}");
        serde_json::from_str(&shown).unwrap_or_default()
    }

    async fn code(&self, arguments: &[&str]) -> i32 {
        self.cli(arguments).await.2
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_shown_given_other_terms_and_deleted() {
    let world = World::quiet().await;
    let other = world.second_organization().await;
    let id = other.organization_id.as_str();
    let shown = world.run(&["org", "show", id]).await;
    assert_eq!((&shown["id"], &shown["plan"]), (&json!(id), &json!("demo")));
    let taken = world.run(&["org", "show", &world.demo.organization_id]).await;
    let taken = taken["slug"].as_str().unwrap();
    let now = world
        .run(&[
            "org",
            "update",
            id,
            "--plan",
            "growth",
            "--included-minutes",
            "500",
            "--overage-price",
            "0.05",
            "--limit",
            "hard",
            "--slug",
            "renamed",
        ])
        .await;
    assert_eq!((&now["plan"], &now["plan_minutes"]), (&json!("growth"), &json!(500)));
    assert_eq!((&now["usage_limit"], &now["slug"]), (&json!("hard"), &json!("renamed")));
    assert_eq!(now["name"], shown["name"]);
    for (arguments, code) in [
        (&["org", "update", id, "--slug", taken][..], 5),
        (&["org", "update", id, "--slug", "No Slug"][..], 2),
        (&["org", "update", id, "--overage-price", "-1"][..], 2),
        (&["org", "update", id, "--included-minutes", "-1"][..], 2),
        (&["org", "update", id][..], 2),
        (&["org", "delete", id][..], 2),
        (&["org", "show", "019aa141-4449-7775-8d7e-006f2a64e546"][..], 3),
        (&["org", "delete", "019aa141-4449-7775-8d7e-006f2a64e546", "--yes"][..], 3),
    ] {
        assert_eq!(world.code(arguments).await, code, "{arguments:?}");
    }

    let status =
        async || world.api(&other.api_key, Method::GET, "/v1/calls", None, None).await.status;
    let knock = async || {
        let url = format!("{}/vapi/{id}", world.api_url);
        let request = world.http.post(url).header("x-vapi-secret", &other.vapi_secret);
        let answer = request.body(report_of(&fresh_id())).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!((status().await, knock().await), (200, 200));
    assert_eq!(world.code(&["org", "delete", id, "--yes"]).await, 0);
    until("its key works no more", FORGOTTEN, || async { (status().await == 401).then_some(()) })
        .await;
    until("its webhooks work no more", FORGOTTEN, || async {
        (knock().await == 401).then_some(())
    })
    .await;
    assert_eq!(world.code(&["org", "delete", id, "--yes"]).await, 3, "it is gone already");
    assert!(world.run(&["org", "show", id]).await["deleted_at"].is_string());
    let deleted = world.run(&["org", "list", "--deleted"]).await;
    assert_eq!((deleted.as_array().unwrap().len(), &deleted[0]["id"]), (1, &json!(id)));
    assert_eq!(world.run(&["org", "list"]).await.as_array().unwrap().len(), 1);
    // Its slug is free.
    world.run(&["org", "update", &world.demo.organization_id, "--slug", "renamed"]).await;

    let sql = "select action, actor, before->>'plan', after from audit_log
               where organization_id = $1 order by created_at";
    let owner: Uuid = id.parse().unwrap();
    let rows = world.db.query(sql, &[&owner]).await.unwrap();
    let said: Vec<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = ["organization.set_terms", "organization.delete"];
    assert_eq!(said, expected.map(|action| (action, "command-line")));
    assert_eq!(rows[1].get::<_, &str>(2), "growth");
    let ended = json!({ "deleted": true, "disabled_keys": 1, "disabled_endpoints": 1 });
    assert_eq!(rows[1].get::<_, Value>(3), ended);
    let sql = "select enabled, disabled_reason from webhooks where organization_id = $1";
    let row = world.db.query_one(sql, &[&owner]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (false, "organization-deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_made_changed_and_deleted_by_operators_alone() {
    let world = World::quiet().await;
    let file = world.folder.join("configuration.json");
    let path = file.display().to_string();
    std::fs::write(&file, r#"{"first_message": "Hi", "tools": [1]}"#).unwrap();
    let create = [
        "template",
        "create",
        "dental",
        "--name",
        "Dental",
        "--industry",
        "healthcare",
        "--configuration-file",
        &path,
    ];
    let made = world.run(&create).await;
    assert_eq!((&made["configuration"]["tools"], &made["active"]), (&json!([1]), &json!(true)));
    assert_eq!(world.code(&create).await, 5);
    let seen = world.own(Method::GET, "/v1/templates/dental", None).await.with(200);
    assert_eq!((&seen["industry"], &seen["featured"]), (&json!("healthcare"), &json!(false)));
    let now = world.run(&["template", "update", "dental", "--active", "false"]).await;
    assert_eq!((&now["active"], &now["version"]), (&json!(false), &json!(2)));
    assert_eq!((&now["name"], &now["industry"]), (&json!("Dental"), &json!("healthcare")));
    world.own(Method::GET, "/v1/templates/dental", None).await.with(404);
    assert_eq!(world.run(&["template", "show", "dental"]).await, now);
    let listed = world.run(&["template", "list"]).await;
    assert!(listed.as_array().unwrap().len() >= 9, "{listed}");

    world.run(&["template", "update", "dental", "--active", "true"]).await;
    let body = json!({ "provider": "vapi", "template": "dental" });
    world.own(Method::POST, "/v1/assistants", Some(&body)).await.with(201);
    assert_eq!(world.code(&["template", "delete", "dental", "--yes"]).await, 5, "in use");
    assert_eq!(world.code(&["template", "delete", "order-status"]).await, 2);
    assert_eq!(world.code(&["template", "delete", "order-status", "--yes"]).await, 0);
    for arguments in [
        &["template", "delete", "order-status", "--yes"][..],
        &["template", "show", "order-status"][..],
        &["template", "update", "order-status", "--name", "a"][..],
    ] {
        assert_eq!(world.code(arguments).await, 3, "{arguments:?}");
    }
    std::fs::write(&file, "[1]").unwrap();
    let list = ["template", "update", "dental", "--configuration-file", &path];
    assert_eq!(world.code(&list).await, 2);
    // What an operator deleted does not come back.
    assert_eq!(world.code(&["migrate"]).await, 0);
    assert_eq!(world.code(&["template", "show", "order-status"]).await, 3);

    let log = world.run(&["audit", "list", "--installation"]).await;
    let actions: Vec<&str> =
        log.as_array().unwrap().iter().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = ["templates.delete", "templates.update", "templates.update", "templates.create"];
    assert_eq!(actions, expected);
    assert_eq!(
        (&log[0]["target"], &log[0]["after"]),
        (&json!("templates:order-status"), &Value::Null)
    );
    let own = world.own(Method::GET, "/v1/audit-log", None).await.with(200);
    assert_eq!(own["data"].as_array().unwrap().len(), 1, "not a customer's: {own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_assistants_and_numbers_have_their_commands() {
    let world = World::quiet().await;
    let known = Uuid::now_v7().to_string();
    let user = world.run(&["user", "create", "--email", "ada@example.com", "--id", &known]).await;
    assert_eq!(user["id"], json!(known));
    let again = ["user", "create", "--email", "eve@example.com", "--id", &known];
    assert_eq!(world.code(&again).await, 5);
    assert_eq!(world.code(&["user", "create", "--email", "nobody"]).await, 2);
    let add = ["member", "add", &known, "--email", "ada@example.com", "--role", "owner"];
    assert_eq!(world.run(&add).await["role"], "owner");
    let new = Uuid::now_v7().to_string();
    world.run(&["member", "add", &new, "--email", "bob@example.com", "--name", "Bob"]).await;
    assert_eq!(world.run(&["member", "update", &new, "--role", "admin"]).await["role"], "admin");
    assert_eq!(world.code(&["member", "remove", &known]).await, 5, "the last owner");
    assert_eq!(world.run(&["member", "list"]).await.as_array().unwrap().len(), 2);
    let shown = world.run(&["user", "show", &known]).await;
    assert_eq!(shown["organizations"][0]["role"], "owner");
    assert_eq!(shown["written_by"], Value::Null);
    let found = world.run(&["user", "list", "--email", "BOB@example.com"]).await;
    assert_eq!(found[0]["id"], json!(new));
    assert_eq!(world.code(&["member", "remove", &new]).await, 0);
    assert_eq!(world.code(&["member", "remove", &new]).await, 3);
    let change = json!({ "name": "Ada" });
    let path = format!("/v1/users/{known}");
    world.own(Method::PATCH, &path, Some(&change)).await.with(409);

    let make = [
        "assistant",
        "create",
        "--provider",
        "vapi",
        "--template",
        "front-desk",
        "--provider-assistant-id",
        "a-1",
    ];
    let assistant = world.run(&make).await;
    assert_eq!(world.code(&make).await, 5);
    let id = assistant["id"].as_str().unwrap();
    let now = world.run(&["assistant", "update", id, "--name", "Desk", "--deactivate"]).await;
    assert_eq!((&now["name"], &now["is_active"]), (&json!("Desk"), &json!(false)));
    assert_eq!(world.run(&["assistant", "show", id]).await, now);
    let make = ["number", "create", "+14155550123", "--provider", "twilio", "--assistant", id];
    let number = world.run(&make).await;
    assert_eq!(number["assistant_id"], json!(id));
    let number = number["id"].as_str().unwrap();
    let now = world.run(&["number", "update", number, "--no-assistant"]).await;
    assert_eq!(now["assistant_id"], Value::Null);
    assert_eq!(world.run(&["number", "list"]).await.as_array().unwrap().len(), 1);
    assert_eq!(world.code(&["number", "delete", number]).await, 2);
    assert_eq!(world.code(&["number", "delete", number, "--yes"]).await, 0);
    assert_eq!(world.code(&["number", "show", number]).await, 3);
    assert_eq!(world.code(&["assistant", "delete", id, "--yes"]).await, 0);
    assert_eq!(world.run(&["assistant", "list"]).await.as_array().unwrap().len(), 1);
}
