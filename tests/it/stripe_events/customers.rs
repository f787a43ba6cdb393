//! Organizations that were made before there was a key of Stripe's: how they get a customer.

use std::time::Duration;

use postcall::dev::fakes::{Filter, Kind, Provider, Script};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    active,
    made::{DAY, SECRET, Subscriber, THEN, fresh, invoice, options},
    november,
};
use crate::harness::{Options, World, wait::until};

const PATIENCE: Duration = Duration::from_secs(120);
const EMAIL: &str = "planted.owner@example.com";

impl World {
    /// Runs `link-customer`; gives what it prints, its talk and its code.
    async fn link(&self, organization: &str, customer: Option<&str>) -> (Value, String, i32) {
        let command = ["billing", "link-customer", "-o", "json", "--organization", organization];
        let arguments: Vec<&str> = command.into_iter().chain(customer).collect();
        let (shown, talk, code) = self.cli(&arguments).await;
        (serde_json::from_str(&shown).unwrap_or_default(), talk, code)
    }

    /// The same without a customer, where somebody has set the key meanwhile.
    async fn link_with_key(&self, organization: &str) -> (Value, String, i32) {
        self.link_asking_stripe(organization, &[]).await
    }

    async fn link_asking_stripe(
        &self,
        organization: &str,
        further: &[&str],
    ) -> (Value, String, i32) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_postcall"))
            .args(["billing", "link-customer", "-o", "json", "--organization", organization])
            .args(further)
            .env_clear()
            .env("DATABASE_URL", self.database_url().expose_secret())
            .env("REDIS_URL", &self.redis_url)
            .env("POSTCALL_ENCRYPTION_KEY", self.secrets.encryption_key().expose_secret())
            .env("POSTCALL_API_URL", &self.api_url)
            .env("STRIPE_BASE_URL", format!("{}/stripe", self.fakes.url()))
            .env("STRIPE_SECRET_KEY", "sk_test_later")
            .current_dir(&self.folder)
            .output()
            .await
            .expect("the command runs");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        let shown = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (shown, talk, output.status.code().unwrap_or(-1))
    }

    async fn customer_of(&self, organization: &str) -> Option<String> {
        let sql = "select stripe_customer_id from organizations where id::text = $1";
        self.db.query_one(sql, &[&organization]).await.expect("an organization").get(0)
    }

    /// What the onboarding says of the customer.
    async fn note_of_customer(&self, organization: &str) -> Value {
        let sql = "select step from onboardings, jsonb_array_elements(steps) step
            where organization_id::text = $1 and step->>'name' = 'customer'";
        let row = self.db.query_opt(sql, &[&organization]).await.expect("a query");
        row.map_or(Value::Null, |row| row.get::<_, Value>(0)["note"].clone())
    }

    fn customers_made(&self) -> usize {
        let filter = Filter { kind: Some(Kind::Customer), ..Filter::default() };
        self.fakes.effects().count(&filter)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_from_before_the_key_becomes_a_customer_once() {
    let environment = vec![("STRIPE_WEBHOOK_SECRET", SECRET.to_owned())];
    let options = Options { environment, no_worker: true, ..Options::default() };
    let mut world = World::with(options).await;
    let made = ["org", "create", "--name", "A", "--slug", "a", "--email", EMAIL, "--wait=false"];
    let (made, talk, code) = world.cli(&[&made[..], &["-o", "json"]].concat()).await;
    assert_eq!(code, 0, "{talk}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let organization = made["organization_id"].as_str().unwrap().to_owned();
    // Its onboarding runs without a key, and is through with the customer.
    world.start_worker(&[]).await;
    until("the onboarding has looked", PATIENCE, || async {
        (world.note_of_customer(&organization).await == "no STRIPE_SECRET_KEY").then_some(())
    })
    .await;
    let (_, talk, code) = world.link(&organization, None).await;
    assert_eq!((code, talk.contains("STRIPE_SECRET_KEY is not set here")), (1, true), "{talk}");

    // Stripe makes it, and its answer is lost.
    let lost =
        json!({ "kind": "customer", "answers": [{ "drop_connection": true, "do_it": true }] });
    world.fakes.script(Provider::Stripe, None, serde_json::from_value::<Script>(lost).unwrap());
    let (_, talk, code) = world.link_with_key(&organization).await;
    assert_eq!(code, 1, "{talk}");
    assert!(!talk.contains("planted") && !talk.contains("sk_test"), "{talk}");
    assert_eq!(world.customer_of(&organization).await, None);
    let (linked, talk, code) = world.link_with_key(&organization).await;
    assert_eq!(code, 0, "{talk}");
    let customer = world.customer_of(&organization).await.expect("a customer");
    let expected = json!({ "organization_id": organization, "customer": customer, "is_new": true,
        "events_applied": 0 });
    assert_eq!(linked, expected);
    assert_eq!(world.note_of_customer(&organization).await, Value::Null, "no more to say");
    let (_, talk, code) = world.link_with_key(&organization).await;
    assert_eq!((code, talk.contains("is a customer already")), (5, true), "{talk}");
    assert_eq!(world.customers_made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_is_there_is_linked_by_name_with_all_that_waited_for_it() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let nameless = Subscriber { organization: uuid::Uuid::new_v4(), ..of.clone() };
    let told = active((THEN, THEN + 30 * DAY));
    assert_eq!(world.post_stripe(&told.body(&nameless)).await, 200);
    let (paid, body) = invoice("paid", &of.customer);
    assert_eq!(world.post_stripe(&body).await, 200);
    let organization = of.organization.to_string();
    let (_, talk, code) = world.link(&organization, None).await;
    assert_eq!(code, 1, "there is no key: {talk}");
    for (is_new, applied) in [(true, 2), (false, 0)] {
        let (linked, talk, code) = world.link(&organization, Some(&of.customer)).await;
        assert_eq!(code, 0, "{talk}");
        assert_eq!(
            (&linked["is_new"], &linked["events_applied"]),
            (&json!(is_new), &json!(applied))
        );
    }
    for id in [&told.id, &paid] {
        assert_eq!(world.stripe_event(id).await, Some(("processed".to_owned(), None, 0)));
    }
    assert_eq!(world.standing(&of).await["subscription"], true);
    let history = world.billing_history(of.organization).await;
    let linked: Vec<_> = history.iter().filter(|(event, _)| event == "customer.linked").collect();
    let by = json!({ "customer": of.customer, "by": "command-line" });
    assert_eq!(linked, [&("customer.linked".to_owned(), by)]);

    let other = world.subscriber(november()).await;
    let (nobody, further) = (uuid::Uuid::new_v4().to_string(), fresh("cus"));
    for (whose, customer, code, words) in [
        (other.organization.to_string(), of.customer.as_str(), 5, "is the organization"),
        (organization.clone(), further.as_str(), 5, "is the customer"),
        (nobody, further.as_str(), 3, "is no organization"),
        (organization, "sub_1", 2, "cus_"),
    ] {
        let (_, talk, found) = world.link(&whose, Some(customer)).await;
        assert_eq!((found, talk.contains(words)), (code, true), "{customer}: {talk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_stripe_does_not_know_is_not_linked_and_a_wrong_one_is_replaced() {
    let world = World::with(options()).await;
    let of = world.subscriber(november()).await;
    let other = world.subscriber(november()).await;
    let (organization, others) = (of.organization.to_string(), other.organization.to_string());
    // Stripe knows two customers: one names the other organization.
    let stripe = providers::stripe::StripeClient::new(
        &format!("{}/stripe", world.fakes.url()),
        "sk_test_later".into(),
    )
    .expect("a client");
    let new = |organization: uuid::Uuid| providers::stripe::NewCustomer {
        organization_id: organization.to_string().parse().expect("an id"),
        name: "A".to_owned(),
        email: None,
    };
    let own = stripe.create_customer(&new(of.organization)).await.expect("a customer");
    let strange = stripe.create_customer(&new(other.organization)).await.expect("a customer");

    for (customer, code, words) in
        [("cus_typo", 3, "Stripe has no customer"), (strange.as_str(), 5, others.as_str())]
    {
        let (_, talk, found) = world.link_asking_stripe(&organization, &[customer]).await;
        assert_eq!((found, talk.contains(words)), (code, true), "{talk}");
        assert_eq!(world.customer_of(&organization).await, None);
    }

    // Where nobody can ask Stripe, a mistake can be made, is told of, and mended.
    let (_, talk, code) = world.link(&organization, Some("cus_typo")).await;
    assert_eq!((code, talk.contains("nobody has asked Stripe")), (0, true), "{talk}");
    for (replaced, code) in [("cus_other", 5), ("cus_typo", 0)] {
        let further = [own.as_str(), "--replacing", replaced];
        let (_, talk, found) = world.link_asking_stripe(&organization, &further).await;
        assert_eq!(found, code, "{talk}");
    }
    assert_eq!(world.customer_of(&organization).await, Some(own.clone()));
    let history = world.billing_history(of.organization).await;
    let linked = json!({ "customer": own, "by": "command-line", "instead_of": "cus_typo" });
    assert_eq!(history.last(), Some(&("customer.linked".to_owned(), linked)));
}
