//! New organizations: everything they need before their first call, once, whatever happens.

use std::time::Duration;

use contract::{
    call::Provider, ids::OrganizationId, names::onboarding_workflow_id, onboarding::Onboarded,
};
use postcall::{
    dev::fakes::{Filter, Kind, Provider as Fake, Script},
    temporal,
};
use serde_json::{Value, json};
use temporalio_client::WorkflowGetResultOptions;
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use uuid::Uuid;
use workflows::Onboarding;

use crate::harness::{
    Options, World,
    calls::{PATIENCE, fresh_id, report_of},
    history::bytes_of,
    wait::until,
};

/// Nothing but the welcome comes within a test.
const SLOW: &str = "3600,7200,10800,14400";
/// Planted: in no history, log or error.
const EMAIL: &str = "planted.owner@example.com";

/// What exists of an organization that is set up; each should be there once.
#[derive(Debug, PartialEq, Eq)]
struct Furniture {
    customers: i64,
    linked: i64,
    keys: i64,
    assistants: i64,
    /// What was emailed, in order.
    emails: Vec<String>,
}

impl Furniture {
    fn once(emails: &[&str]) -> Self {
        let emails = emails.iter().map(|about| (*about).to_owned()).collect();
        Self { customers: 1, linked: 1, keys: 1, assistants: 1, emails }
    }
}

impl World {
    async fn without_worker() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }

    /// Starts the worker with Stripe, and with what else the test asks for.
    async fn start_onboarder(&mut self, extra: &[(&str, String)]) {
        let mut variables = vec![
            ("STRIPE_BASE_URL", format!("{}/stripe", self.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_onboarding".to_owned()),
        ];
        variables.extend_from_slice(extra);
        self.start_worker(&variables).await;
    }

    /// Makes an organization without waiting for its key.
    async fn new_organization(&self, slug: &str, timing: &str) -> OrganizationId {
        let (made, talk, code) = self
            .cli(&[
                "org",
                "create",
                "--name",
                "Tables & Co",
                "--slug",
                slug,
                "--email",
                EMAIL,
                "--timezone",
                "Asia/Kathmandu",
                "--template",
                "appointments",
                "--plan",
                "growth",
                "--included-minutes",
                "500",
                "--overage-price",
                "0.05",
                "--limit",
                "hard",
                "--anchor-day",
                "31",
                "--timing",
                timing,
                "--wait=false",
                "-o",
                "json",
            ])
            .await;
        assert_eq!(code, 0, "{talk}");
        let made: Value = serde_json::from_str(&made).unwrap();
        assert_eq!((&made["slug"], &made["api_key"]), (&json!(slug), &Value::Null));
        made["organization_id"].as_str().unwrap().parse().unwrap()
    }

    /// The first key, as soon as it is there.
    async fn first_key(&self, organization: OrganizationId) -> String {
        let id = organization.to_string();
        let shown = until("the first key is made", PATIENCE, || async {
            let (shown, talk, code) = self.cli(&["org", "first-key", &id, "-o", "json"]).await;
            assert!(code == 0 || talk.contains("not made yet"), "{code}: {talk}");
            (code == 0).then_some(shown)
        })
        .await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown["api_key"].as_str().unwrap().to_owned()
    }

    /// Status of a request with a key.
    async fn status_with(&self, key: &str, path: &str) -> u16 {
        let request = self.http.get(format!("{}{path}", self.api_url)).bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    }

    async fn furniture(&self, organization: OrganizationId) -> Furniture {
        let count = |sql: &'static str| async move {
            self.db.query_one(sql, &[&organization.0]).await.unwrap().get::<_, i64>(0)
        };
        let sql = "select about from organization_emails
            where organization_id = $1 and kind = 'onboarding' and state = 'sent'
            order by settled_at";
        let emails = self.db.query(sql, &[&organization.0]).await.unwrap();
        let emails: Vec<String> = emails.into_iter().map(|row| row.get(0)).collect();
        let id = organization.to_string();
        assert_eq!(self.emails_about(&id), emails.len(), "each email reached the carrier once");
        Furniture {
            customers: self.accepted(Kind::Customer) as i64,
            linked: count(
                "select count(*) from billing_events
                where organization_id = $1 and event = 'customer.linked'",
            )
            .await,
            keys: count("select count(*) from api_keys where organization_id = $1").await,
            assistants: count("select count(*) from assistants where organization_id = $1").await,
            emails,
        }
    }

    /// Emails of the onboarding that the carrier took, by their idempotency keys.
    fn emails_about(&self, organization: &str) -> usize {
        let filter = Filter { kind: Some(Kind::Email), accepted: Some(true), ..Filter::default() };
        let prefix = format!("{organization}-onboarding-");
        let taken = self.fakes.effects().list(&filter);
        let ours = |keys: &[String]| keys.iter().any(|key| key.starts_with(&prefix));
        taken.iter().filter(|effect| ours(&effect.other_keys)).count()
    }

    /// Waits until the organization is a customer and was welcomed.
    async fn is_welcomed(&self, organization: OrganizationId) {
        until("customer and welcome", PATIENCE, || async {
            let sql = "select stripe_customer_id is not null and exists (
                    select from organization_emails e
                    where e.organization_id = o.id and e.about = '0' and e.state = 'sent')
                from organizations o where id = $1";
            let row = self.db.query_one(sql, &[&organization.0]).await.ok()?;
            row.get::<_, bool>(0).then_some(())
        })
        .await;
    }

    /// State of the onboarding in Postgres, and its steps with their notes.
    async fn onboarding(&self, organization: OrganizationId) -> (String, Value) {
        let sql = "select state, steps from onboardings where organization_id = $1";
        let row = self.db.query_one(sql, &[&organization.0]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The result of the onboarding's workflow.
    async fn onboarded(&self, organization: OrganizationId) -> Onboarded {
        let started = "select count(*) from workflow_starts where organization_id = $1";
        until("the onboarding starts", PATIENCE, || async {
            let waiting: i64 = self.db.query_one(started, &[&organization.0]).await.ok()?.get(0);
            (waiting == 0).then_some(())
        })
        .await;
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        let id = onboarding_workflow_id(organization);
        let handle = client.unwrap().get_workflow_handle::<Onboarding>(id);
        let result = handle.get_result(WorkflowGetResultOptions::default());
        tokio::time::timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }
}

fn script(value: Value) -> Script {
    serde_json::from_value(value).expect("a script")
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_around_an_effect_repeats_nothing() {
    futures::future::join_all(["onboarding.before", "onboarding.after"].map(killed_at)).await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::without_worker().await;
    let organization = world.new_organization("killed", SLOW).await;
    let faults = world.faults(&format!("{point}=kill"));
    world.start_onboarder(&faults).await;
    let limit = Duration::from_secs(60);
    let ended = tokio::time::timeout(limit, world.worker().ended()).await;
    ended.unwrap_or_else(|_| panic!("{point} did not strike"));
    let made = u64::from(point == "onboarding.after");
    assert_eq!(world.accepted(Kind::Customer), made, "{point}: around the request to Stripe");
    world.start_onboarder(&[]).await;
    world.is_welcomed(organization).await;
    assert_eq!(world.furniture(organization).await, Furniture::once(&["0"]), "{point}");
    assert_eq!(world.onboarding(organization).await.0, "running", "{point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_may_lose_its_answer_or_be_down_and_nobody_waits_for_it() {
    let mut world = World::without_worker().await;
    let organization = world.new_organization("lost", SLOW).await;
    // It makes the customer and says nothing; then it is away for a while.
    let lost = json!({ "kind": "customer",
        "answers": [{ "drop_connection": true, "do_it": true }] });
    let away = json!({ "kind": "lookup", "answers": [{ "status": 503, "times": 3 }] });
    world.fakes.script(Fake::Stripe, None, script(lost));
    world.fakes.script(Fake::Stripe, None, script(away));
    world.start_onboarder(&[]).await;
    world.first_key(organization).await;
    world.is_welcomed(organization).await;
    assert_eq!(world.furniture(organization).await, Furniture::once(&["0"]));
    let asked = Filter { kind: Some(Kind::Customer), ..Filter::default() };
    assert_eq!(world.fakes.effects().count(&asked), 1, "found, not made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_of_stripe_and_resend_all_else_is_done_and_says_so() {
    let mut world = World::without_worker().await;
    let organization = world.new_organization("bare", "1,2,3,4").await;
    let keys = ["STRIPE_SECRET_KEY", "RESEND_API_KEY", "RESEND_FROM"];
    let none = keys.map(|name| (name, String::new()));
    world.start_worker(&none).await;
    world.first_key(organization).await;
    let ended = world.onboarded(organization).await;
    assert_eq!(ended, Onboarded { has_called: false, reminders: 0 });
    let (_, steps) = world.onboarding(organization).await;
    let notes: Vec<(&str, &str)> = steps
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| Some((step["name"].as_str()?, step["note"].as_str()?)))
        .filter(|(name, _)| ["customer", "welcome", "reminder-3"].contains(name))
        .collect();
    assert!(notes.contains(&("customer", "no STRIPE_SECRET_KEY")), "{notes:?}");
    assert!(notes.contains(&("welcome", "no RESEND_API_KEY")), "{notes:?}");
    assert_eq!(notes.len(), 3, "{notes:?}");
    let expected = Furniture { customers: 0, linked: 0, ..Furniture::once(&[]) };
    assert_eq!(world.furniture(organization).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_waits_for_the_key_and_prints_it_once() {
    let world = World::start().await;
    let (made, talk, code) = world
        .cli(&["org", "create", "--name", "A", "--slug", "a", "--email", EMAIL, "-o", "json"])
        .await;
    assert_eq!(code, 0, "{talk}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["api_key"].as_str().unwrap_or_else(|| panic!("no key: {talk}"));
    assert_eq!(world.status_with(key, "/v1/calls").await, 200);
    let id = made["organization_id"].as_str().unwrap();
    assert_eq!(world.cli(&["org", "first-key", id]).await.2, 5);
    let unknown = Uuid::now_v7().to_string();
    assert_eq!(world.cli(&["org", "first-key", &unknown]).await.2, 3);
    assert_eq!(world.cli(&["org", "first-key", "nobody"]).await.2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_makes_nothing_and_says_what_is_wrong() {
    let world = World::without_worker().await;
    world.new_organization("taken", SLOW).await;
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--timezone", "Mars/Olympus"], 2, "timezone: "),
        (&["--slug", "taken"], 5, "taken by another organization"),
        (&["--slug", "Not A Slug"], 2, "slug: "),
        (&["--anchor-day", "32"], 2, "anchor day: "),
        (&["--anchor-day", "0"], 2, "anchor day: "),
        (&["--overage-price", "-0.01"], 2, "overage price: "),
        (&["--overage-price", "a"], 2, "--overage-price"),
        (&["--included-minutes", "-1"], 2, "included minutes: "),
        (&["--limit", "none"], 2, "--limit"),
        (&["--template", "unknown"], 2, "appointments"),
        (&["--email", "planted nobody"], 2, "email: "),
        (&["--name", ""], 2, "name: "),
        (&["--timing", "4,3,2,1"], 2, "in order"),
    ];
    for (wrong, code, words) in cases {
        let mut arguments = vec!["org", "create", "--wait=false"];
        let fine = [("--name", "A"), ("--slug", "fine"), ("--email", EMAIL)];
        for (name, value) in fine.iter().filter(|(name, _)| !wrong.contains(name)) {
            arguments.extend([name, value]);
        }
        arguments.extend_from_slice(wrong);
        let (shown, talk, found) = world.cli(&arguments).await;
        assert_eq!((found, shown.as_str()), (*code, ""), "{wrong:?}: {talk}");
        assert!(talk.contains(words), "{wrong:?}: {talk}");
        assert!(!talk.contains("planted"), "{talk}");
    }
    let sql = "select (select count(*) from organizations), (select count(*) from onboardings),
        (select count(*) from workflow_starts)";
    let row = world.db.query_one(sql, &[]).await.unwrap();
    let counts: [i64; 3] = std::array::from_fn(|column| row.get(column));
    assert_eq!(counts, [2, 1, 1], "the demo organization, and the one with the slug");
}
