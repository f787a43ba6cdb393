//! Events as Stripe makes them, organizations that they are about, and how both stand afterwards.

use chrono::{DateTime, Utc};
use providers::stripe;
use reqwest::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Options, World};

pub(super) const SECRET: &str = "whsec_of_the_snapshot_destination";
pub(super) const OTHER_SECRET: &str = "whsec_of_the_thin_destination";
/// 20 November 2026, 15:00 UTC.
pub(super) const THEN: i64 = 1_795_186_800;
pub(super) const DAY: i64 = 86_400;

/// A world whose `serve` knows two secrets of Stripe.
pub(super) fn options() -> Options {
    let secrets = format!("{SECRET},{OTHER_SECRET}");
    let environment = vec![("STRIPE_WEBHOOK_SECRET", secrets)];
    Options { environment, no_worker: true, ..Options::default() }
}

pub(super) fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/stripe/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("JSON")
}

/// A fresh id of Stripe's, as `evt_…`.
pub(super) fn fresh(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}

/// An organization, and its customer at Stripe.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    pub(super) organization: Uuid,
    pub(super) customer: String,
    pub(super) subscription: String,
}

/// An event about a subscription.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) name: &'static str,
    /// Of the event, in seconds since 1970.
    pub(super) created: i64,
    pub(super) status: &'static str,
    /// First and last second of the period, and the anchor, likewise.
    pub(super) period: (i64, i64),
    pub(super) anchor: i64,
    /// Whether the period stands where it stood before API version 2025-03-31.
    pub(super) is_old_shape: bool,
}

impl Told {
    /// Stripe's event: about this subscription, of this customer.
    pub(super) fn body(&self, of: &Subscriber) -> Vec<u8> {
        let mut event = fixture("customer.subscription.updated");
        event["id"] = json!(self.id);
        event["type"] = json!(format!("customer.subscription.{}", self.name));
        event["created"] = json!(self.created);
        let object = &mut event["data"]["object"];
        object["id"] = json!(of.subscription);
        object["customer"] = json!(of.customer);
        object["status"] = json!(self.status);
        object["billing_cycle_anchor"] = json!(self.anchor);
        object["metadata"] = json!({ "organization_id": of.organization });
        let (start, end) = self.period;
        let item = object["items"]["data"][0].as_object_mut().expect("an item");
        item.insert("current_period_start".to_owned(), json!(start));
        item.insert("current_period_end".to_owned(), json!(end));
        if self.is_old_shape {
            item.remove("current_period_start");
            item.remove("current_period_end");
            object["current_period_start"] = json!(start);
            object["current_period_end"] = json!(end);
        }
        event.to_string().into_bytes()
    }
}

/// The event of an invoice of this customer.
pub(super) fn invoice(name: &str, customer: &str) -> (String, Vec<u8>) {
    let mut event = fixture(&format!("invoice.{name}"));
    let id = fresh("evt");
    event["id"] = json!(id);
    event["data"]["object"]["customer"] = json!(customer);
    (id, event.to_string().into_bytes())
}

impl World {
    /// Posts a body that was signed with `secret` at `at`.
    pub(super) async fn post_stripe_at(
        &self,
        body: &[u8],
        secret: &str,
        at: DateTime<Utc>,
    ) -> Response {
        let signature = stripe::sign(body, &secret.into(), at);
        let request = self.http.post(format!("{}/stripe", self.api_url));
        let request = request.header("stripe-signature", signature).body(body.to_vec());
        request.send().await.expect("serve answers")
    }

    /// Posts a body as Stripe would now; gives the status.
    pub(super) async fn post_stripe(&self, body: &[u8]) -> u16 {
        self.post_stripe_at(body, SECRET, Utc::now()).await.status().as_u16()
    }

    /// A new organization without a customer, whose open period is `open`, in seconds since 1970.
    pub(super) async fn subscriber(&self, open: (i64, i64)) -> Subscriber {
        let organization = Uuid::new_v4();
        let name = format!("subscriber-{organization}");
        let sql = "insert into organizations (id, name, slug, timezone) \
                   values ($1, $2, $2, 'America/New_York')";
        self.db.execute(sql, &[&organization, &name]).await.expect("an organization");
        let sql = "insert into billing_periods (id, organization_id, period_start, period_end, status) \
                   values ($1, $2, to_timestamp($3::float8), to_timestamp($4::float8), 'open')";
        let (start, end) = (open.0 as f64, open.1 as f64);
        let period = Uuid::new_v4();
        self.db.execute(sql, &[&period, &organization, &start, &end]).await.expect("a period");
        Subscriber { organization, customer: fresh("cus"), subscription: fresh("sub") }
    }

    /// What Stripe's events made of an organization and its subscription, without ids.
    pub(super) async fn standing(&self, of: &Subscriber) -> Value {
        let sql = "select jsonb_build_object(
                'status', s.status,
                'period', jsonb_build_array(extract(epoch from s.current_period_start)::bigint,
                    extract(epoch from s.current_period_end)::bigint),
                'event', s.event_id,
                'customer', o.stripe_customer_id = $2,
                'subscription', o.stripe_subscription_id = s.id,
                'current', jsonb_build_array(extract(epoch from o.current_period_start)::bigint,
                    extract(epoch from o.current_period_end)::bigint),
                'anchor_day', o.billing_anchor_day,
                'open', (select jsonb_agg(jsonb_build_array(
                        extract(epoch from p.period_start)::bigint,
                        extract(epoch from p.period_end)::bigint))
                    from billing_periods p where p.organization_id = o.id),
                'starts', (select count(*) from workflow_starts w where w.organization_id = o.id))
            from organizations o
            left join stripe_subscriptions s on s.organization_id = o.id and s.id = $3
            where o.id = $1";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&of.organization, &of.customer, &of.subscription];
        self.db.query_one(sql, &parameters).await.expect("an organization").get(0)
    }

    /// Status, reason and conflicts of a stored event; none where it is not stored.
    pub(super) async fn stripe_event(&self, id: &str) -> Option<(String, Option<String>, i32)> {
        let sql = "select status, reason, conflicts from stripe_events where id = $1";
        let row = self.db.query_opt(sql, &[&id]).await.expect("a query")?;
        Some((row.get(0), row.get(1), row.get(2)))
    }

    /// An organization's billing history: what happened, oldest first, with its details.
    pub(super) async fn billing_history(&self, organization: Uuid) -> Vec<(String, Value)> {
        let sql = "select event, details from billing_events where organization_id = $1 \
                   order by created_at, id";
        let rows = self.db.query(sql, &[&organization]).await.expect("a query");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    pub(super) async fn how_many(&self, sql: &str) -> i64 {
        self.db.query_one(sql, &[]).await.expect("a count").get(0)
    }
}
