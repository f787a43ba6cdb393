//! An organization that is set up, and what there is of it.

use contract::{ids::OrganizationId, names::onboarding_workflow_id, onboarding::Onboarded};
use postcall::dev::fakes::{Filter, Kind};
use serde_json::{Value, json};
use temporalio_client::WorkflowGetResultOptions;
use workflows::Onboarding;

use crate::harness::{Options, World, calls::PATIENCE, wait::until};

/// Nothing but the welcome comes within a test.
pub(super) const SLOW: &str = "3600,7200,10800,14400";
/// Planted: in no history, log or error.
pub(super) const EMAIL: &str = "planted.owner@example.com";

/// What exists of an organization that is set up; each should be there once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Furniture {
    pub(super) customers: i64,
    pub(super) linked: i64,
    pub(super) keys: i64,
    pub(super) assistants: i64,
    /// What was emailed, in order.
    pub(super) emails: Vec<String>,
}

impl Furniture {
    pub(super) fn once(emails: &[&str]) -> Self {
        let emails = emails.iter().map(|about| (*about).to_owned()).collect();
        Self { customers: 1, linked: 1, keys: 1, assistants: 1, emails }
    }
}

impl World {
    pub(super) async fn without_worker() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }

    /// Starts the worker with Stripe, and with what else the test asks for.
    pub(super) async fn start_onboarder(&mut self, extra: &[(&str, String)]) {
        let mut variables = vec![
            ("STRIPE_BASE_URL", format!("{}/stripe", self.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_onboarding".to_owned()),
        ];
        variables.extend_from_slice(extra);
        self.start_worker(&variables).await;
    }

    /// Makes an organization without waiting for its key.
    pub(super) async fn new_organization(&self, slug: &str, timing: &str) -> OrganizationId {
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
    pub(super) async fn first_key(&self, organization: OrganizationId) -> String {
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
    pub(super) async fn status_with(&self, key: &str, path: &str) -> u16 {
        let request = self.http.get(format!("{}{path}", self.api_url)).bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    }

    pub(super) async fn furniture(&self, organization: OrganizationId) -> Furniture {
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
    pub(super) async fn is_welcomed(&self, organization: OrganizationId) {
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
    pub(super) async fn onboarding(&self, organization: OrganizationId) -> (String, Value) {
        let sql = "select state, steps from onboardings where organization_id = $1";
        let row = self.db.query_one(sql, &[&organization.0]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The result of the onboarding's workflow.
    pub(super) async fn onboarded(&self, organization: OrganizationId) -> Onboarded {
        let started = "select count(*) from workflow_starts where organization_id = $1";
        until("the onboarding starts", PATIENCE, || async {
            let waiting: i64 = self.db.query_one(started, &[&organization.0]).await.ok()?.get(0);
            (waiting == 0).then_some(())
        })
        .await;
        let client = self.temporal_client().await;
        let id = onboarding_workflow_id(organization);
        let handle = client.get_workflow_handle::<Onboarding>(id);
        let result = handle.get_result(WorkflowGetResultOptions::default());
        tokio::time::timeout(PATIENCE, result).await.expect("it ends").expect("it succeeds")
    }
}
