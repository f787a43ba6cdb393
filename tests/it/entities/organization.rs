//! The organization itself: name, time zone, settings.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::World;

const PATH: &str = "/v1/organization";

#[tokio::test(flavor = "multi_thread")]
async fn the_organization_is_shown_and_changed_and_settings_keep_their_meaning() {
    let world = World::quiet().await;
    let plant = "update organizations set settings = settings || '{\"later\": {\"a\": 1}}',
                     timezone = 'UTC'";
    world.db.execute(plant, &[]).await.unwrap();
    let shown = world.own(Method::GET, PATH, None).await;
    let tag = shown.etag.clone().unwrap();
    let shown = shown.with(200);
    assert_eq!(shown["id"], json!(world.organization()));
    assert_eq!((&shown["plan"], &shown["usage_limit"]), (&json!("demo"), &json!("soft")));
    let days = "insert into daily_usage (organization_id, date, total_calls, completed_calls,
            failed_calls, total_minutes, total_seconds, cost_usd, computed_at)
        select id, '2025-03-05', 1, 1, 0, 1, 60, 0, now() from organizations";
    world.db.execute(days, &[]).await.unwrap();

    let change = json!({ "name": "Tische & Co", "timezone": "Pacific/Apia",
        "settings": { "notifications": { "sms": ["+14155550177", "+14155550177"] },
            "billing": { "email": ["books@example.com"] }, "keep_all_events": true } });
    assert_eq!(world.patch_if(PATH, &change, "\"999\"").await.status, 412);
    let now = world.patch_if(PATH, &change, &tag).await;
    assert_ne!(now.etag.as_deref(), Some(tag.as_str()));
    let now = now.with(200);
    assert_eq!((&now["name"], &now["timezone"]), (&json!("Tische & Co"), &json!("Pacific/Apia")));
    let mut settings = shown["settings"].clone();
    settings["notifications"]["sms"] = json!(["+14155550177"]);
    settings["billing"]["email"] = json!(["books@example.com"]);
    settings["keep_all_events"] = json!(true);
    assert_eq!(now["settings"], settings);
    assert_eq!(world.patch_if(PATH, &change, &tag).await.status, 412, "the tag is used up");
    let sql = "select settings from organizations where id = $1";
    let stored: Value = world.db.query_one(sql, &[&world.organization()]).await.unwrap().get(0);
    assert_eq!(stored["later"], json!({ "a": 1 }), "what others wrote stays");
    assert_eq!(stored["notifications"], settings["notifications"]);
    let sql = "select string_agg(date::text, ' ' order by date) from usage_days_touched";
    let touched: Option<String> = world.db.query_one(sql, &[]).await.unwrap().get(0);
    let around = "2025-03-04 2025-03-05 2025-03-06";
    assert_eq!(touched.as_deref(), Some(around), "other days in another zone");

    let again = world.own(Method::PATCH, PATH, Some(&json!({}))).await.with(200);
    assert_eq!(again["settings"], settings, "what is not given stays");
    let changes = world.audited("organization.update").await;
    let (target, before, after) = &changes[0];
    assert_eq!((target.as_str(), &before["timezone"]), ("organization", &json!("UTC")));
    assert_eq!((&after["timezone"], &after["name"]), (&now["timezone"], &now["name"]));
    assert_eq!(after["settings"]["notifications"]["sms"], 1);
    let lists = json!(["settings.notifications.sms", "settings.billing.email"]);
    assert_eq!(after["changed_recipients"], lists);
    let dump = format!("{changes:?}{}", world.log("serve"));
    assert!(!dump.contains("+14155550177") && !dump.contains("books@"), "{dump}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_refused_field_by_field_and_keys_need_scopes() {
    let world = World::quiet().await;
    let shown = world.own(Method::GET, PATH, None).await.with(200);
    let many: Vec<String> = (0..21).map(|number| format!("a{number}@example.com")).collect();
    let wrong = json!({ "name": "", "timezone": "Mars/Olympus", "settings": {
        "notifications": { "sms": ["+14155550177", "planted"], "email": many },
        "billing": { "email": ["nobody"] } } });
    let answer = world.own(Method::PATCH, PATH, Some(&wrong)).await;
    let fields: Vec<&str> = answer.errors().iter().map(|(pointer, _)| *pointer).collect();
    let expected = [
        "name",
        "timezone",
        "settings/notifications/sms",
        "settings/notifications/email",
        "settings/billing/email",
    ];
    assert_eq!(fields, expected.map(|field| format!("#/body/{field}")), "{}", answer.body);
    assert!(answer.errors()[2].1.starts_with("item 2 "), "{}", answer.body);
    assert!(!answer.body.to_string().contains("planted"));
    for body in [
        json!({ "plan": "free" }),
        json!({ "slug": "other" }),
        json!({ "plan_minutes": 1_000_000 }),
        json!({ "name": null }),
        json!({ "settings": { "later": 1 } }),
        json!({ "settings": { "notifications": { "fax": [] } } }),
        json!({ "settings": { "keep_all_events": "yes" } }),
    ] {
        assert_eq!(world.own(Method::PATCH, PATH, Some(&body)).await.status, 400, "{body}");
    }
    assert_eq!(world.own(Method::GET, PATH, None).await.with(200), shown);
    let routes =
        [(Method::GET, PATH, "organization:read"), (Method::PATCH, PATH, "organization:write")];
    world.are_guarded(&routes, "nothing").await;
}
