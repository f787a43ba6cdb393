//! New organizations: everything they need before their first call, once, whatever happens.

mod kills;
mod made;
mod orders;
mod trouble;

use contract::{
    call::Provider, ids::OrganizationId, names::onboarding_workflow_id, onboarding::Onboarded,
};
use postcall::dev::fakes::{Filter, Kind};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::enums::v1::EventType;

use self::made::{EMAIL, Furniture, SLOW};
use crate::harness::{
    World,
    calls::{fresh_id, report_of},
    history::bytes_of,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_organization_gets_everything_once_and_hears_of_it_until_the_end() {
    let mut world = World::without_worker().await;
    let organization = world.new_organization("tables", "3,5,7,9").await;
    let id = organization.to_string();
    let (_, talk, code) = world.cli(&["org", "first-key", &id]).await;
    assert_eq!((code, talk.contains("not made yet")), (5, true), "{talk}");
    world.start_onboarder(&[]).await;

    let key = world.first_key(organization).await;
    assert_eq!(world.status_with(&key, "/v1/calls").await, 200);
    let (shown, talk, code) = world.cli(&["org", "first-key", &id]).await;
    assert_eq!((code, shown.as_str()), (5, ""), "{talk}");
    assert!(talk.contains("was shown before"), "{talk}");
    let sealed = "select first_key is null from onboardings where organization_id = $1";
    assert!(world.db.query_one(sealed, &[&organization.0]).await.unwrap().get::<_, bool>(0));

    let ended = world.onboarded(organization).await;
    assert_eq!(ended, Onboarded { has_called: false, reminders: 3 });
    assert_eq!(world.furniture(organization).await, Furniture::once(&["0", "1", "2", "3"]));
    let (state, steps) = world.onboarding(organization).await;
    assert_eq!(state, "expired");
    let steps = steps.as_array().unwrap();
    assert_eq!(steps.len(), 6, "{steps:?}");
    assert!(steps.iter().all(|step| step["done_at"].is_string() && step["note"].is_null()));
    is_as_ordered(&world, organization).await;

    // Started again, as after a start whose answer was lost, it finds everything done.
    let again = "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
        values (gen_random_uuid(), $1, 'onboarding', $2, $3)";
    let input = json!({ "organization_id": organization,
        "timing": { "reminder_seconds": [0, 0, 0], "end_seconds": 1 } });
    let workflow = onboarding_workflow_id(organization);
    world.db.execute(again, &[&organization.0, &workflow, &input]).await.unwrap();
    assert!(!world.onboarded(organization).await.has_called);
    assert_eq!(world.furniture(organization).await, Furniture::once(&["0", "1", "2", "3"]));

    let history = world.history_of(&workflow).await;
    assert!(history.len() < 60, "{} events", history.len());
    let planted = [EMAIL, "Tables & Co", key.as_str()];
    let told = String::from_utf8_lossy(&bytes_of(&history)).into_owned() + &world.log("worker");
    assert!(planted.iter().all(|text| !told.contains(text)));
}

/// What was asked for is what is there.
async fn is_as_ordered(world: &World, organization: OrganizationId) {
    let sql = "select jsonb_build_object('plan', o.plan, 'minutes', o.plan_minutes, 'price',
            o.overage_price::text, 'limit', o.usage_limit, 'zone', o.timezone, 'anchor',
            o.billing_anchor_day, 'settings', o.settings, 'customer', o.stripe_customer_id,
            'assistant', a.name, 'is_template', a.configuration = t.configuration)
        from organizations o join assistants a on a.organization_id = o.id
        join templates t on t.id = a.template_id where o.id = $1";
    let row: Value = world.db.query_one(sql, &[&organization.0]).await.unwrap().get(0);
    let customers =
        Filter { kind: Some(Kind::Customer), accepted: Some(true), ..Filter::default() };
    let made = world.fakes.effects().list(&customers)[0].result.clone().unwrap();
    assert_eq!(made["metadata"]["organization_id"], json!(organization));
    assert_eq!((&made["name"], &made["email"]), (&json!("Tables & Co"), &json!(EMAIL)));
    let settings = json!({ "billing": { "email": [EMAIL] }, "keep_all_events": false,
        "notifications": { "sms": [], "email": [EMAIL] } });
    let expected = json!({ "plan": "growth", "minutes": 500, "price": "0.050000",
        "limit": "hard", "zone": "Asia/Kathmandu", "anchor": 31, "settings": settings,
        "customer": made["id"], "assistant": "Appointments", "is_template": true });
    assert_eq!(row, expected);
    let (listed, talk, code) = world.cli(&["org", "list", "-o", "json"]).await;
    assert_eq!(code, 0, "{talk}");
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let ours = json!({ "id": organization, "slug": "tables", "name": "Tables & Co",
        "timezone": "Asia/Kathmandu", "plan": "growth" });
    assert_eq!(listed.len(), 2, "the demo organization is the other one");
    assert!(listed.contains(&ours), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_ends_it_without_a_reminder() {
    let mut world = World::without_worker().await;
    let organization = world.new_organization("callers", SLOW).await;
    world.start_onboarder(&[]).await;
    world.is_welcomed(organization).await;
    let key = world.first_key(organization).await;
    let url = format!("{}/v1/provider-credentials/vapi", world.api_url);
    let put = world.http.put(url).bearer_auth(&key).json(&json!({ "secret": "vapi_first_call" }));
    assert_eq!(put.send().await.unwrap().status().as_u16(), 200);
    let id = organization.to_string();
    let report = report_of(&fresh_id());
    let posted = world.signed(&id, Provider::Vapi, "vapi_first_call", report).send().await;
    assert_eq!(posted.unwrap().status().as_u16(), 200);

    let ended = world.onboarded(organization).await;
    assert_eq!(ended, Onboarded { has_called: true, reminders: 0 });
    assert_eq!(world.onboarding(organization).await.0, "first-call");
    assert_eq!(world.furniture(organization).await, Furniture::once(&["0"]));
    // Nothing is left behind that would fire in three hours.
    let history = world.history_of(&onboarding_workflow_id(organization)).await;
    let count = |kind| history.iter().filter(|event| event.event_type() == kind).count();
    assert_eq!(count(EventType::TimerStarted), 1);
    assert_eq!(count(EventType::TimerStarted), count(EventType::TimerCanceled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_counted_before_anybody_looked_ends_it_too() {
    let mut world = World::without_worker().await;
    let organization = world.new_organization("early", SLOW).await;
    let called = "update organizations set first_call_at = now() where id = $1";
    world.db.execute(called, &[&organization.0]).await.unwrap();
    world.start_onboarder(&[]).await;
    let ended = world.onboarded(organization).await;
    assert_eq!(ended, Onboarded { has_called: true, reminders: 0 });
    assert_eq!(world.furniture(organization).await, Furniture::once(&["0"]));
}
