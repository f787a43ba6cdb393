//! Records histories of billing and housekeeping anew. Run it when workflow code was changed on
//! purpose and nothing of the old code is running any more:
//! `cargo test --test it histories::record -- --ignored`.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use contract::{
    call::Provider,
    names::{
        alert_workflow_id, delivery_workflow_id, error_report_workflow_id, recovery_workflow_id,
    },
};
use postcall::dev::fakes::{Provider as FakeProvider, StripeSettings};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::harness::{
    Options, World,
    calls::{fresh_id, report_with},
    wait::until,
};

const PATIENCE: Duration = Duration::from_secs(120);
const SECRET: &str = "whsec_of_the_thin_destination";

impl World {
    /// A world that has an account at Stripe; Stripe knows some customers, and tells later which it
    /// does not know.
    async fn of_records() -> Self {
        let environment = vec![("STRIPE_WEBHOOK_SECRET", SECRET.to_owned())];
        let mut world =
            Self::with(Options { environment, no_worker: true, ..Options::default() }).await;
        world.fakes.stripe().configure(StripeSettings {
            any_customer: false,
            known_customers: vec!["cus_known".to_owned(), "cus_found".to_owned()],
            webhook_url: Some(format!("{}/stripe", world.api_url)),
            webhook_secret: Some(SECRET.into()),
            report_after_ms: 300,
            ..StripeSettings::default()
        });
        let stripe = [
            ("STRIPE_BASE_URL", format!("{}/stripe", world.fakes.url())),
            ("STRIPE_SECRET_KEY", "sk_test_records".to_owned()),
        ];
        world.start_worker(&stripe).await;
        let (_, talk, code) = world.cli(&["schedules", "apply"]).await;
        assert_eq!(code, 0, "{talk}");
        world
    }

    async fn newest_delivery(&self) -> String {
        let sql = "select id from webhook_deliveries order by event_id desc limit 1";
        let id: Uuid = self.db.query_one(sql, &[]).await.expect("a delivery").get(0);
        delivery_workflow_id(id.into())
    }

    async fn write(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) {
        self.db.execute(sql, parameters).await.expect(sql);
    }

    /// Saves the history of a workflow, as soon as it has come to its end.
    async fn record(&self, workflow_id: &str, file: &str) {
        until(&format!("{workflow_id} ends"), PATIENCE, || async {
            let sql = "select count(*) from workflow_starts where workflow_id = $1";
            let waiting: i64 = self.db.query_one(sql, &[&workflow_id]).await.ok()?.get(0);
            if waiting > 0 {
                return None;
            }
            let history = self.history_of(workflow_id).await;
            let last = history.last()?.event_type();
            (last == EventType::WorkflowExecutionCompleted).then_some(())
        })
        .await;
        let path = super::root().join(file).display().to_string();
        let (_, talk, code) = self.cli(&["histories", "save", workflow_id, &path]).await;
        assert_eq!(code, 0, "{talk}");
    }

    /// Runs a schedule; gives the id of the workflow.
    async fn run_schedule(&self, arguments: &[&str]) -> String {
        let (_, talk, code) = self.cli(&[&["schedules", "run"], arguments].concat()).await;
        assert_eq!(code, 0, "{talk}");
        let (_, rest) = talk.split_once("workflow ").expect("it tells the workflow");
        rest.split_once(' ').expect("and more").0.to_owned()
    }

    /// An organization whose last period is over, with so many minutes beyond the 10 included ones;
    /// gives it and its period.
    async fn debtor(&self, customer: &str, overage: i64) -> (Uuid, Uuid) {
        let (id, period) = (Uuid::now_v7(), Uuid::now_v7());
        let sql = "insert into organizations (id, name, slug, plan_minutes, overage_price,
                stripe_customer_id)
            values ($1, 'Debtor', $1::uuid::text, 10, 0.05, nullif($2, ''))";
        self.write(sql, &[&id, &customer]).await;
        let sql = "insert into billing_periods (id, organization_id, period_start, period_end,
                status, included_minutes, overage_price)
            select $1, $2, date_trunc('month', now(), 'UTC') - interval '1 month',
                date_trunc('month', now(), 'UTC'), 'open', 10, 0.05";
        self.write(sql, &[&period, &id]).await;
        let sql = "with booked as (
                insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
                    occurred_at, period_id, reason)
                select gen_random_uuid(), $1, $2, m.meter, 0, m.quantity, now(), $3, 'call'
                from (values ('call_minutes', $4::bigint), ('call_seconds', $4 * 60),
                    ('call_cost', $4 * 1000)) m (meter, quantity)
                returning meter, quantity)
            insert into usage_totals (organization_id, period_id, meter, total, sequence)
            select $1, $3, meter, quantity, 1 from booked";
        self.write(sql, &[&id, &Uuid::now_v7(), &period, &(10 + overage)]).await;
        (id, period)
    }

    /// Asks for the period's close; gives the workflow's id.
    async fn close(&self, organization: Uuid, period: Uuid) -> String {
        let workflow_id = format!("billing-{organization}-recorded");
        let input = json!({ "organization_id": organization, "period_id": period,
            "timing": { "retry_seconds": 1, "give_up_seconds": 600 } });
        let sql = "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
            values (gen_random_uuid(), $1, 'billing-cycle', $2, $3)";
        self.write(sql, &[&organization, &workflow_id, &input]).await;
        workflow_id
    }

    /// Makes an organization that is accompanied for so long; gives its id.
    async fn newcomer(&self, slug: &str, timing: &str) -> String {
        let command = ["org", "create", "--name", "Newcomer", "--email", "owner@example.com"];
        let more = ["--slug", slug, "--timing", timing, "--wait=false", "-o", "json"];
        let (made, talk, code) = self.cli(&[&command[..], &more].concat()).await;
        assert_eq!(code, 0, "{talk}");
        let made: Value = serde_json::from_str(&made).expect("JSON");
        made["organization_id"].as_str().expect("an id").to_owned()
    }

    /// Puts the secret of Vapi's webhooks in place and posts a call with it.
    async fn first_call_of(&self, organization: &str) {
        let key = until("the first key is made", PATIENCE, || async {
            let shown = self.cli(&["org", "first-key", organization, "-o", "json"]).await;
            let shown: Value = serde_json::from_str(&shown.0).ok()?;
            shown["api_key"].as_str().map(str::to_owned)
        })
        .await;
        let url = format!("{}/v1/provider-credentials/vapi", self.api_url);
        let secret = json!({ "secret": "vapi_first_call" });
        let put = self.http.put(url).bearer_auth(&key).json(&secret).send().await;
        assert_eq!(put.expect("an answer").status().as_u16(), 200);
        let report = report_with(&fresh_id(), &json!({}));
        let request = self.signed(organization, Provider::Vapi, "vapi_first_call", report);
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/histories"]
async fn billing() {
    let world = World::of_records().await;
    let (id, period) = world.debtor("cus_known", 0).await;
    world.record(&world.close(id, period).await, "BillingCycle/nothing.bin").await;
    let (id, period) = world.debtor("", 7).await;
    let waits = world.close(id, period).await;
    until("it waits for a customer", PATIENCE, || async {
        let sql =
            "select from billing_events where organization_id = $1 and event = 'period.closed'";
        world.db.query_opt(sql, &[&id]).await.ok()?.map(|_| ())
    })
    .await;
    let sql = "update organizations set stripe_customer_id = 'cus_found' where id = $1";
    world.write(sql, &[&id]).await;
    world.record(&waits, "BillingCycle/waited.bin").await;
    let (id, period) = world.debtor("cus_wrong", 5).await;
    world.record(&world.close(id, period).await, "BillingCycle/billed.bin").await;
    let sql = "select id from stripe_events where type like '%error_report_triggered'";
    let event = until("Stripe tells of an error", PATIENCE, || async {
        world.db.query_opt(sql, &[]).await.ok()?.map(|row| row.get::<_, String>(0))
    })
    .await;
    world.record(&error_report_workflow_id(&event), "MeterErrorReport/unknown-customer.bin").await;
    world.debtor("cus_swept", 0).await;
    let sweep = world.run_schedule(&["billing-sweep"]).await;
    world.record(&sweep, "BillingSweep/one-due.bin").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/histories"]
async fn usage_and_housekeeping() {
    let world = World::of_records().await;
    let settings = json!({ "billing": { "email": ["owner@example.com"] } });
    let sql = "update organizations set plan_minutes = 6, settings = $1";
    world.write(sql, &[&settings]).await;
    let ended = Utc::now();
    let times = json!({ "startedAt": ended - TimeDelta::seconds(151), "endedAt": ended });
    let call = fresh_id();
    assert_eq!(world.post(report_with(&call, &times)).await, 200);
    world.closed(&call).await;
    let alert = world.db.query_one("select id from usage_alerts", &[]).await.expect("an alert");
    let alert = alert_workflow_id(alert.get::<_, Uuid>(0).into());
    world.record(&alert, "UsageAlert/half.bin").await;

    let nightly = world.run_schedule(&["usage-aggregation"]).await;
    world.record(&nightly, "UsageAggregation/nightly.bin").await;
    let today = Utc::now().date_naive().to_string();
    let by_hand = world.run_schedule(&["usage-aggregation", "--date", &today]).await;
    world.record(&by_hand, "UsageAggregation/by-hand.bin").await;
    let partitions = world.run_schedule(&["partition-maintenance"]).await;
    world.record(&partitions, "PartitionMaintenance/daily.bin").await;
    let trimmed = world.run_schedule(&["webhook-log-retention"]).await;
    world.record(&trimmed, "LogRetention/nothing-old.bin").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/histories"]
async fn recoveries() {
    let world = World::start().await;
    let began = Utc::now() - TimeDelta::seconds(5);
    let disable = "update webhooks set enabled = false";
    world.write(disable, &[]).await;
    for _ in 0..2 {
        let call = world.post_call().await;
        world.closed(&call).await;
    }
    world.write("update webhooks set enabled = true", &[]).await;
    let endpoint = world.organization();
    // Its own schedule, and then a circuit that is open when the workflow's turn comes.
    world.write("update webhooks set schedule = '{1,1,1}'", &[]).await;
    let failing = json!({ "answers": [{ "status": 500, "times": 2 }] });
    world.fakes.script(FakeProvider::Hooks, None, serde_json::from_value(failing).expect("it"));
    let call = world.post_call().await;
    world.closed(&call).await;
    let delivery = world.newest_delivery().await;
    world.record(&delivery, "WebhookDelivery/own-schedule.bin").await;
    world.write("update webhooks set schedule = '{5}'", &[]).await;
    let failing = json!({ "answers": [{ "status": 500 }] });
    world.fakes.script(FakeProvider::Hooks, None, serde_json::from_value(failing).expect("it"));
    let call = world.post_call().await;
    world.closed(&call).await;
    let open = "update webhooks set circuit = 'open', circuit_probe_at = now() + interval '1 hour'";
    world.write(open, &[]).await;
    let delivery = world.newest_delivery().await;
    world.record(&delivery, "WebhookDelivery/released.bin").await;
    let url = format!("{}/v1/webhooks/{endpoint}/recover", world.api_url);
    let asked = json!({ "kind": "missing", "since": began, "rate": 1 });
    let sent = world.http.post(url).bearer_auth(&world.demo.api_key).json(&asked);
    let begun: serde_json::Value = sent.send().await.expect("an answer").json().await.expect("it");
    let id: Uuid = begun["id"].as_str().expect("an id").parse().expect("a UUID");
    world.record(&recovery_workflow_id(id.into()), "WebhookRecovery/missing.bin").await;
    // An endpoint that says it is gone: its owners hear of it.
    let gone = json!({ "answers": [{ "status": 410 }] });
    world.fakes.script(FakeProvider::Hooks, None, serde_json::from_value(gone).expect("it"));
    let call = world.post_call().await;
    world.write("update webhooks set circuit = 'closed', circuit_probe_at = null", &[]).await;
    world.closed(&call).await;
    let notice = until("the notice is started", PATIENCE, || async {
        let sql = "select effect_key from events where type = 'webhook.endpoint_disabled'";
        let key: String = world.db.query_opt(sql, &[]).await.ok()??.get(0);
        let micros = key.rsplit('/').next()?.to_owned();
        Some(format!("endpoint-notice-{endpoint}-{micros}"))
    })
    .await;
    world.record(&notice, "EndpointNotice/gone.bin").await;
}

/// `UsageReconciliation/nightly.bin` is of the code that did not ask Stripe first.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/histories"]
async fn reconciliation() {
    let world = World::of_records().await;
    let (id, period) = world.debtor("cus_known", 5).await;
    world.close(id, period).await;
    // Long enough ago to be counted.
    let sql = "update stripe_reports set settled_at = now() - interval '2 hours'
        where state = 'accepted'";
    until("Stripe takes the report", PATIENCE, || async {
        (world.db.execute(sql, &[]).await.ok()? == 1).then_some(())
    })
    .await;
    let nightly = world.run_schedule(&["usage-reconciliation"]).await;
    world.record(&nightly, "UsageReconciliation/verified.bin").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes tests/histories"]
async fn onboarding() {
    let world = World::of_records().await;
    let caller = world.newcomer("caller", "3600,7200,10800,14400").await;
    world.first_call_of(&caller).await;
    world.record(&format!("onboarding-{caller}"), "Onboarding/first-call.bin").await;
    let silent = world.newcomer("silent", "1,2,3,4").await;
    world.record(&format!("onboarding-{silent}"), "Onboarding/without-call.bin").await;
}
