//! What is not sent, and why: the log has a line for it.

use postcall::dev::fakes::{Filter, Kind, Provider};
use serde_json::json;

use super::{made::PATIENCE, script};
use crate::harness::{World, wait::until};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_an_endpoint_does_not_get_is_in_its_log() {
    let world = World::start().await;
    // The one that talks on the calls of the fixtures, and one that does not.
    let assistants = "insert into assistants (id, organization_id, name, provider, provider_assistant_id)
        select gen_random_uuid(), o.id, a.name, 'vapi', provider_id from organizations o, (values
            ('talks', '15867747-f6fd-42b3-a353-63687fecc2b4'), ('silent', 'nobody')) a (name, provider_id)
        on conflict (organization_id, provider, provider_assistant_id) where deleted_at is null
            do update set name = excluded.name";
    world.db.batch_execute(assistants).await.unwrap();
    let endpoints = [
        ("other", "events = '{call.failed}'", Some("filtered")),
        (
            "talks",
            "events = '{*}', assistant_id = (select id from assistants where name = 'talks')",
            None,
        ),
        (
            "silent",
            "events = '{*}', assistant_id = (select id from assistants where name = 'silent')",
            Some("filtered"),
        ),
        ("off", "events = '{call.*}', enabled = false", Some("disabled")),
        ("gone", "events = '{*}', deleted_at = now()", None),
        ("on", "events = '{call.*}'", None),
    ];
    let mut ids = Vec::new();
    for (name, settings, _) in endpoints {
        ids.push(world.open_endpoint(name, settings).await);
    }
    let call = world.post_call().await;
    world.closed(&call).await;
    for (id, (name, _, expected)) in ids.into_iter().zip(endpoints) {
        let sql = "select error from webhook_logs
            where webhook_id = $1 and kind = 'skip' and event = 'call.completed'
              and delivery_id is null and attempt_number = 0";
        let skips = world.db.query(sql, &[&id]).await.unwrap();
        let skips: Vec<String> = skips.iter().map(|row| row.get(0)).collect();
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(skips, expected, "{name}");
    }
    for (name, arrived) in [("on", 1), ("talks", 1), ("silent", 0), ("off", 0), ("gone", 0)] {
        let completed = world.delivered_to(name).len();
        assert!(completed >= arrived && (arrived > 0 || completed == 0), "{name}: {completed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_only_fails_is_warned_of_and_disabled_and_what_waits_ends() {
    let world = World::start().await;
    let failing = world.open_endpoint("failing", "").await;
    let watching = world.open_endpoint("watching", "events = '{webhook.*}'").await;
    let broken = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("failing"), script(broken));
    // 60 % of the five days.
    let since = |hours: u32| {
        format!(
            "failing_since = now() - interval '{} hours',
             failing_clock_at = now() - interval '{hours} hours'",
            hours + 12
        )
    };
    world.set_endpoint(failing, &since(72)).await;
    world.enqueue(failing, None, 1).await;
    let told = async |kind: &str| {
        until(&format!("{kind} is told"), PATIENCE, || async {
            let arrived = world.reached("watching");
            let bodies = arrived.iter().map(|effect| serde_json::to_value(effect).unwrap());
            let mut bodies = bodies.map(|effect| effect["request"]["body"].clone());
            bodies.find(|body| body["type"] == kind)
        })
        .await
    };
    let warned = told("webhook.endpoint_failing").await;
    assert_eq!((&warned["data"]["percent"], &warned["data"]["id"]), (&json!(50), &json!(failing)));
    world.set_endpoint(failing, &since(120)).await;
    world.enqueue(failing, None, 1).await;
    let disabled = told("webhook.endpoint_disabled").await;
    assert_eq!(disabled["data"]["reason"], "failing");
    world.done_with(failing).await;
    let letters = until("its owners have two letters", PATIENCE, || async {
        let filter = Filter { kind: Some(Kind::Email), accepted: Some(true), ..Filter::default() };
        let letters = world.fakes.effects().list(&filter);
        let subjects = letters.iter().map(|letter| serde_json::to_value(letter).unwrap());
        let mut subjects: Vec<String> =
            subjects.map(|letter| letter["request"]["body"]["subject"].to_string()).collect();
        subjects.sort_unstable();
        (subjects.len() == 2).then_some(subjects)
    })
    .await;
    assert!(letters[0].contains("endpoint fails"), "{letters:?}");
    assert!(letters[1].contains("endpoint is disabled"), "{letters:?}");
    assert_eq!(world.states(failing).await, [("disabled".to_owned(), 2)]);
    let sql = "select enabled, disabled_reason from webhooks where id = $1";
    let row = world.db.query_one(sql, &[&failing]).await.unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, &str>(1)), (false, "failing"));

    // Failures for long, and then one that arrives.
    world.set_endpoint(watching, &since(10)).await;
    world.enqueue(watching, None, 1).await;
    let recovered = told("webhook.endpoint_recovered").await;
    assert_eq!(recovered["data"]["id"], json!(watching));
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_hear_of_an_endpoint_where_no_address_was_chosen() {
    let world = World::start().await;
    let own = world.organization();
    let people = format!(
        "update organizations set settings = settings - 'billing' - 'notifications';
         with people as (
             insert into users (id, email) values
                 (gen_random_uuid(), 'owner@example.com'), (gen_random_uuid(), 'member@example.com')
             returning id, email)
         insert into organization_members (organization_id, user_id, role)
         select '{own}', id, split_part(email, '@', 1) from people"
    );
    world.db.batch_execute(&people).await.unwrap();
    let gone = world.open_endpoint("gone", "").await;
    let answers = json!({ "answers": [{ "status": 410 }], "then": "repeat_last" });
    world.fakes.script(Provider::Hooks, Some("gone"), script(answers));
    world.enqueue(gone, None, 1).await;
    let letter = until("its owner has a letter", PATIENCE, || async {
        let filter = Filter { kind: Some(Kind::Email), accepted: Some(true), ..Filter::default() };
        let letters = world.fakes.effects().list(&filter);
        letters.first().map(|letter| serde_json::to_value(letter).unwrap())
    })
    .await;
    assert_eq!(letter["request"]["body"]["to"], "owner@example.com", "{letter}");
}
