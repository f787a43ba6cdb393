//! Stripe and the carrier of emails are away, or were never configured.

use contract::onboarding::Onboarded;
use postcall::dev::fakes::{Filter, Kind, Provider as Fake, Script};
use serde_json::{Value, json};

use super::made::{Furniture, SLOW};
use crate::harness::World;

fn script(value: Value) -> Script {
    serde_json::from_value(value).expect("a script")
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
