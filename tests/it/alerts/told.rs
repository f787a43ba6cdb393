//! What was told of used up minutes, by every way in which it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use contract::usage::{AggregateUsage, UsageTold};
use futures::StreamExt;
use postcall::dev::fakes::{Filter, Kind};
use serde_json::json;
use temporalio_client::WorkflowGetResultOptions;
use tokio::time::{Instant, sleep, timeout};
use workflows::UsageAlert;

use crate::harness::{
    World,
    calls::{fresh_id, report_with},
    wait::until,
};

/// For every call, delivery and email: a killed worker is missed after half a minute.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
/// Who hears of it.
pub(super) const RECIPIENTS: [&str; 2] = ["owner@example.com", "books@example.com"];

/// What was told in this world.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Thresholds that were written down.
    alerts: Vec<i16>,
    /// Thresholds of events, as endpoints get them.
    events: Vec<i64>,
    /// Deliveries that arrived, by endpoint; each is of another event.
    deliveries: Vec<i64>,
    /// Subjects of the emails that the fake took, by recipient.
    emails: BTreeMap<String, Vec<String>>,
    /// Emails that are settled as sent.
    settled: i64,
    /// Workflows that wait to be started.
    pub(super) starts: i64,
}

impl Told {
    /// Everything once: these thresholds, and emails about some of them.
    pub(crate) fn once(thresholds: &[i16], emailed: &[i16]) -> Self {
        let mut subjects: Vec<String> = emailed.iter().copied().map(subject).collect();
        subjects.sort();
        let recipients = RECIPIENTS.iter().filter(|_| !subjects.is_empty());
        Self {
            alerts: thresholds.to_vec(),
            events: thresholds.iter().map(|threshold| i64::from(*threshold)).collect(),
            deliveries: vec![thresholds.len() as i64; 2],
            settled: (RECIPIENTS.len() * subjects.len()) as i64,
            emails: recipients.map(|to| ((*to).to_owned(), subjects.clone())).collect(),
            starts: 0,
        }
    }
}

/// Subject of the email about a threshold.
fn subject(threshold: i16) -> String {
    match threshold {
        100 => "Demo organization: All included minutes are used".to_owned(),
        _ => format!("Demo organization: {threshold}% of the included minutes are used"),
    }
}

impl World {
    /// A plan of so many minutes, two endpoints that take everything, one that is deaf, and people who hear
    /// of minutes only.
    pub(crate) async fn plan(&self, minutes: i32) {
        let settings = json!({ "billing": { "email": RECIPIENTS } });
        let sql = "update organizations set plan_minutes = $1, settings = $2";
        self.db.execute(sql, &[&minutes, &settings]).await.unwrap();
        let sql = "update webhooks set events = array['usage.*'];
            insert into webhooks (id, organization_id, url, events, secret)
                select gen_random_uuid(), organization_id, url || '-second',
                    array['usage.threshold_reached'], secret from webhooks;
            insert into webhooks (id, organization_id, url, events, secret)
                select gen_random_uuid(), organization_id, url || '-deaf', array['call.failed'], secret
                from webhooks limit 1";
        self.db.batch_execute(sql).await.unwrap();
    }

    /// Posts the report of a call of so many minutes that has just ended.
    async fn post_minutes(&self, minutes: i64) {
        let ended = Utc::now();
        let started = ended - TimeDelta::minutes(minutes);
        let times = json!({ "startedAt": started.to_rfc3339(), "endedAt": ended.to_rfc3339() });
        assert_eq!(self.post(report_with(&fresh_id(), &times)).await, 200);
    }

    /// Posts calls of so many minutes, all at once.
    pub(super) async fn post_calls_of(&self, minutes: &[i64]) {
        futures::future::join_all(minutes.iter().map(|minutes| self.post_minutes(*minutes))).await;
    }

    /// Waits until so many calls are on the ledger.
    pub(super) async fn counted(&self, calls: usize) {
        until("every call is counted", PATIENCE, || async {
            let sql = "select count(*) from usage_ledger where meter = 'call_minutes'";
            let counted: i64 = self.db.query_one(sql, &[]).await.ok()?.get(0);
            (counted == calls as i64).then_some(())
        })
        .await;
    }

    /// Ten minutes later: deliveries that a dead worker had claimed and not begun come up again.
    pub(super) async fn ten_minutes_later(&self) {
        let sql = "update webhook_deliveries set next_attempt_at = next_attempt_at
            - interval '10 minutes' where state = 'pending'";
        self.db.batch_execute(sql).await.unwrap();
    }

    pub(super) async fn alerts_told(&self) -> Told {
        self.events_are_of_the_catalogue().await;
        let column = |sql: &'static str| async move {
            let rows = self.db.query(sql, &[]).await.expect("rows");
            rows.into_iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>()
        };
        let alerts = column("select threshold::bigint from usage_alerts order by threshold").await;
        let events = "select (payload->'data'->>'threshold_percent')::bigint from events
            where type = 'usage.threshold_reached' and call_id is null order by 1";
        let deliveries = "select count(d.id) filter (where d.state = 'delivered')
            from webhooks w left join webhook_deliveries d on d.webhook_id = w.id
            where w.url not like '%-deaf' group by w.id order by 1";
        let settled = "select count(*) from organization_emails where state = 'sent'";
        Told {
            alerts: alerts.into_iter().map(|t| i16::try_from(t).unwrap()).collect(),
            events: column(events).await,
            deliveries: column(deliveries).await,
            emails: self.alert_emails(),
            settled: column(settled).await[0],
            starts: column("select count(*) from workflow_starts").await[0],
        }
    }

    /// What the fake has sent, once for each idempotency key.
    fn alert_emails(&self) -> BTreeMap<String, Vec<String>> {
        let filter = Filter { kind: Some(Kind::Email), accepted: Some(true), ..Filter::default() };
        let mut emails: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for effect in self.fakes.effects().list(&filter) {
            let body = serde_json::to_value(&effect).unwrap()["request"]["body"].clone();
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            emails.entry(text("to")).or_default().push(text("subject"));
        }
        emails.values_mut().for_each(|subjects| subjects.sort());
        emails
    }

    /// Waits until this was told, asks for every email again, and looks whether anything else was.
    pub(crate) async fn told_exactly(&self, what: &str, expected: &Told) {
        let deadline = Instant::now() + PATIENCE;
        let mut told = self.alerts_told().await;
        while told != *expected {
            assert!(Instant::now() < deadline, "{what}: {told:?} in place of {expected:?}");
            sleep(Duration::from_millis(100)).await;
            told = self.alerts_told().await;
        }
        for sent in self.told_again().await {
            assert_eq!(sent, UsageTold { sent: 2, failed: 0 }, "{what}");
        }
        assert_eq!(self.alerts_told().await, *expected, "{what}");
        let events: i64 = expected.deliveries.iter().sum();
        assert_eq!(self.webhooks_seen(), events, "{what}: an event twice has the same id");
    }

    /// Starts the workflow of every email again; gives what each of them says.
    pub(super) async fn told_again(&self) -> Vec<UsageTold> {
        let sql = "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
            select gen_random_uuid(), organization_id, 'usage-alert', 'usage-alert-' || about,
                jsonb_build_object('organization_id', organization_id, 'alert_id', about)
            from (select distinct organization_id, about from organization_emails) told";
        self.db.batch_execute(sql).await.unwrap();
        self.all_started().await;
        let about = self.db.query("select distinct about from organization_emails", &[]).await;
        let alerts = about.unwrap().into_iter().map(|row| row.get::<_, String>(0));
        futures::stream::iter(alerts).then(|alert| self.result_of(alert)).collect().await
    }

    pub(super) async fn all_started(&self) {
        until("every workflow is started", PATIENCE, || async {
            let sql = "select count(*) from workflow_starts where due_at < now() + '30 minutes'";
            (self.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }

    /// What the last run of an alert's workflow says.
    async fn result_of(&self, alert: String) -> UsageTold {
        let client = self.temporal_client().await;
        let handle = client.get_workflow_handle::<UsageAlert>(format!("usage-alert-{alert}"));
        let result = handle.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("a result")
    }

    /// Distinct pairs of endpoint and `webhook-id` that the fake has seen.
    fn webhooks_seen(&self) -> i64 {
        let filter = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
        let seen = self.fakes.effects().list(&filter).into_iter().map(|effect| {
            let request = serde_json::to_value(&effect).unwrap()["request"].clone();
            (effect.key, request["headers"]["webhook-id"].to_string())
        });
        seen.collect::<BTreeSet<_>>().len() as i64
    }

    /// Runs an aggregation of today and yesterday; gives how many thresholds it found.
    pub(super) async fn aggregate(&self) -> u32 {
        let input = AggregateUsage { at: Some(Utc::now()), ..AggregateUsage::default() };
        self.aggregate_days(input).await.alerts
    }
}
