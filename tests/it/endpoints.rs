//! Endpoints as customers manage them: made, changed, tested and deleted; their secrets told once.

mod arrived;
mod history;
mod logs;
mod manage;
mod thin;
mod wire;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, answers::Answer};

impl World {
    /// Asks the API as somebody, below `/v1/webhooks`.
    async fn webhooks_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> Answer {
        self.api(key, method, &format!("/v1/webhooks{path}"), body, if_match).await
    }

    /// Asks the API as the demo organization.
    async fn webhooks(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.webhooks_as(&self.demo.api_key, method, path, body, None).await
    }

    /// Makes an endpoint that the fakes listen at; gives its id and its secret.
    async fn endpoint(&self, name: &str, more: &Value) -> (Uuid, String) {
        let mut body = json!({ "url": self.hook(name), "events": ["webhook.test"] });
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        let made = self.webhooks(Method::POST, "", Some(&body)).await.with(201);
        let id = made["id"].as_str().unwrap().parse().unwrap();
        (id, made["secret"].as_str().unwrap().to_owned())
    }

    /// Where a fake receiver listens.
    fn hook(&self, name: &str) -> String {
        format!("{}/hooks/{name}", self.fakes.url())
    }

    /// A pending delivery of an event of its own, due in a day.
    async fn plant_delivery(&self, endpoint: Uuid) -> Uuid {
        let (event, delivery) = (Uuid::now_v7(), Uuid::now_v7());
        let sql = "insert into events (id, organization_id, type, payload)
                   values ($1, $2, 'call.completed', '{}')";
        self.db.execute(sql, &[&event, &self.organization()]).await.unwrap();
        let sql =
            "insert into webhook_deliveries (id, organization_id, event_id, webhook_id, event,
                       body, next_attempt_at)
                   values ($1, $2, $3, $4, 'call.completed', '{}', now() + interval '1 day')";
        let own = self.organization();
        self.db.execute(sql, &[&delivery, &own, &event, &endpoint]).await.unwrap();
        delivery
    }

    /// State of a delivery, and whether it is settled.
    async fn delivery_state(&self, delivery: Uuid) -> (String, bool) {
        let sql = "select state, settled_at is not null from webhook_deliveries where id = $1";
        let row = self.db.query_one(sql, &[&delivery]).await.unwrap();
        (row.get(0), row.get(1))
    }
}
