//! Shares of the included minutes that are used up: each is told once, to everybody, whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use contract::{
    names::BILLING_QUEUE,
    usage::{AggregateUsage, UsageTold},
};
use futures::StreamExt;
use postcall::{
    dev::fakes::{Filter, Kind, Provider, Script},
    temporal,
};
use serde_json::json;
use temporalio_client::{Client, WorkflowGetResultOptions, WorkflowStartOptions};
use tokio::time::{Instant, sleep, timeout};
use workflows::{UsageAggregation, UsageAlert};

use crate::harness::{
    Options, World,
    calls::{fresh_id, report_with},
    wait::until,
};

/// For every call, delivery and email: a delivery that nobody attempts is found after half a minute,
/// a killed worker is missed after as long.
const PATIENCE: Duration = Duration::from_secs(180);
/// Who hears of it.
const RECIPIENTS: [&str; 2] = ["owner@example.com", "books@example.com"];

/// What was told in this world.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
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
    starts: i64,
}

impl Told {
    /// Everything once: these thresholds, and emails about some of them.
    fn once(thresholds: &[i16], emailed: &[i16]) -> Self {
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
    /// A plan of so many minutes, two endpoints that take everything, and people who hear of minutes
    /// only.
    async fn plan(&self, minutes: i32) {
        let settings = json!({ "billing": { "email": RECIPIENTS } });
        let sql = "update organizations set plan_minutes = $1, settings = $2";
        self.db.execute(sql, &[&minutes, &settings]).await.unwrap();
        let sql = "update webhooks set events = array['usage.*'];
            insert into webhooks (id, organization_id, url, events, secret)
                select gen_random_uuid(), organization_id, url || '-second',
                    array['usage.threshold_reached'], secret from webhooks";
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
    async fn post_calls_of(&self, minutes: &[i64]) {
        futures::future::join_all(minutes.iter().map(|minutes| self.post_minutes(*minutes))).await;
    }

    /// Waits until so many calls are on the ledger.
    async fn counted(&self, calls: usize) {
        until("every call is counted", PATIENCE, || async {
            let sql = "select count(*) from usage_ledger where meter = 'call_minutes'";
            let counted: i64 = self.db.query_one(sql, &[]).await.ok()?.get(0);
            (counted == calls as i64).then_some(())
        })
        .await;
    }

    async fn alerts_told(&self) -> Told {
        let column = |sql: &'static str| async move {
            let rows = self.db.query(sql, &[]).await.expect("rows");
            rows.into_iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>()
        };
        let alerts = column("select threshold::bigint from usage_alerts order by threshold").await;
        let events = "select (payload->'data'->>'threshold_percent')::bigint from events
            where type = 'usage.threshold_reached' and call_id is null order by 1";
        let deliveries = "select count(d.id) filter (where d.state = 'delivered')
            from webhooks w left join webhook_deliveries d on d.webhook_id = w.id
            group by w.id order by 1";
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
    async fn told_exactly(&self, what: &str, expected: &Told) {
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
    async fn told_again(&self) -> Vec<UsageTold> {
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

    async fn all_started(&self) {
        until("every workflow is started", PATIENCE, || async {
            let sql = "select count(*) from workflow_starts where due_at < now() + '30 minutes'";
            (self.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }

    /// What the last run of an alert's workflow says.
    async fn result_of(&self, alert: String) -> UsageTold {
        let client = self.temporal().await;
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

    async fn temporal(&self) -> Client {
        let client = temporal::connect_to(&self.temporal_address, &self.namespace, "it").await;
        client.expect("Temporal")
    }

    /// Runs an aggregation of today and yesterday; gives how many thresholds it found.
    async fn aggregate(&self) -> u32 {
        let input = AggregateUsage { at: Some(Utc::now()), ..AggregateUsage::default() };
        let options = WorkflowStartOptions::new(BILLING_QUEUE, fresh_id()).build();
        let client = self.temporal().await;
        let started = client.start_workflow(UsageAggregation::run, input, options).await;
        let result = started.expect("it starts");
        let result = result.get_result(WorkflowGetResultOptions::default());
        timeout(PATIENCE, result).await.expect("it ends").expect("a result").alerts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_threshold_is_told_once_while_fifty_calls_are_counted_at_once() {
    let world = World::start().await;
    world.plan(50).await;
    world.post_calls_of(&[1; 50]).await;
    world.counted(50).await;
    let expected = Told::once(&[50, 75, 90, 100], &[50, 75, 90, 100]);
    world.told_exactly("fifty at once", &expected).await;
    world.post_calls_of(&[1; 3]).await;
    world.counted(53).await;
    world.told_exactly("beyond the plan", &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_jumps_over_thresholds_is_one_email_and_an_event_for_each() {
    let world = World::start().await;
    world.plan(100).await;
    world.post_calls_of(&[10]).await;
    world.counted(1).await;
    assert_eq!(world.alerts_told().await, Told::once(&[], &[]));
    world.post_calls_of(&[85]).await;
    world.counted(2).await;
    world.told_exactly("a jump", &Told::once(&[50, 75, 90], &[90])).await;
    let sql = "select used_minutes, included_minutes from usage_alerts";
    for row in world.db.query(sql, &[]).await.unwrap() {
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (95, 100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_minutes_has_no_thresholds() {
    let world = World::start().await;
    world.plan(0).await;
    world.post_calls_of(&[1; 3]).await;
    world.counted(3).await;
    assert_eq!(world.aggregate().await, 0);
    assert_eq!(world.alerts_told().await, Told::once(&[], &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregation_tells_what_was_not_told_and_another_tells_nothing() {
    let world = World::start().await;
    world.plan(100).await;
    world.post_calls_of(&[6]).await;
    world.counted(1).await;
    assert_eq!(world.aggregate().await, 0);
    let smaller = "update billing_periods set included_minutes = 8";
    world.db.batch_execute(smaller).await.unwrap();
    assert_eq!(world.aggregate().await, 2);
    assert_eq!(world.aggregate().await, 0);
    world.told_exactly("the aggregation", &Told::once(&[50, 75], &[75])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_of_an_alert_tells_it_once() {
    let points = ["alert.before", "alert.claimed", "alert.posted", "alert.after"];
    futures::future::join_all(points.map(killed_at)).await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    world.plan(2).await;
    world.start_worker(&world.faults(&format!("{point}=kill"))).await;
    world.post_calls_of(&[1]).await;
    let ended = timeout(PATIENCE, world.worker().ended()).await;
    ended.unwrap_or_else(|_| panic!("{point} did not strike"));
    world.start_worker(&[]).await;
    world.told_exactly(point, &Told::once(&[50], &[50])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_losing_everything_each_second_tells_nothing_twice() {
    let world = World::with(Options { own_servers: true, ..Options::default() }).await;
    world.plan(40).await;
    let client = redis::Client::open(world.redis_url.as_str()).unwrap();
    let forgetting = tokio::spawn(async move {
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        loop {
            redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    });
    for _ in 0..8 {
        let ((), found) = tokio::join!(world.post_calls_of(&[1; 5]), world.aggregate());
        assert_eq!(found, 0, "the ledger tells with what it counts");
    }
    world.counted(40).await;
    assert_eq!(world.aggregate().await, 0);
    let expected = Told::once(&[50, 75, 90, 100], &[50, 75, 90, 100]);
    world.told_exactly("Redis forgets", &expected).await;
    forgetting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_in_doubt_is_repeated_under_its_key_and_not_after_a_day() {
    let world = World::start().await;
    world.plan(2).await;
    let lost = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Resend, None, serde_json::from_value(lost).unwrap());
    world.post_calls_of(&[1]).await;
    let tries = || {
        let filter = Filter { kind: Some(Kind::Email), ..Filter::default() };
        world.fakes.effects().list(&filter)
    };
    until("each email is tried again", PATIENCE, || async {
        (tries().len() >= 2 * RECIPIENTS.len()).then_some(())
    })
    .await;
    let keys: BTreeSet<_> = tries().into_iter().map(|effect| effect.other_keys).collect();
    assert_eq!(keys.len(), RECIPIENTS.len(), "the same key at each try: {keys:?}");
    // Nobody knows whether the first recipient's was sent, and the key of it is forgotten.
    let sql = "update organization_emails set claimed_at = now() - interval '1 day' where id =
        (select id from organization_emails order by id limit 1)";
    world.db.batch_execute(sql).await.unwrap();
    until("one is given up", PATIENCE, || async {
        let sql = "select count(*) from organization_emails where state = 'unknown'";
        (world.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    world.fakes.script(Provider::Resend, None, Script::default());
    until("the other is sent", PATIENCE, || async {
        (world.accepted(Kind::Email) == 1).then_some(())
    })
    .await;
    assert_eq!(world.told_again().await, [UsageTold { sent: 1, failed: 1 }]);
    assert_eq!(world.accepted(Kind::Email), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_temporal_lost_is_sent_after_an_aggregation() {
    let world = World::start().await;
    world.plan(2).await;
    let sql = "create function lose() returns trigger language plpgsql
            as $$ begin return null; end $$;
        create trigger lose before insert on workflow_starts for each row execute function lose()";
    world.db.batch_execute(sql).await.unwrap();
    world.post_calls_of(&[1]).await;
    world.counted(1).await;
    world.db.batch_execute("drop trigger lose on workflow_starts").await.unwrap();
    assert_eq!(world.aggregate().await, 0);
    let starts = world.alerts_told().await.starts;
    assert_eq!((starts, world.accepted(Kind::Email)), (0, 0), "it may still be under way");
    let sql = "update usage_alerts set reached_at = now() - interval '2 hours'";
    world.db.batch_execute(sql).await.unwrap();
    assert_eq!(world.aggregate().await, 0, "it was found before");
    world.told_exactly("lost", &Told::once(&[50], &[50])).await;
    world.aggregate().await;
    assert_eq!(world.alerts_told().await.starts, 0, "what was sent is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_read_waits_and_holds_up_no_other() {
    let world = World::start().await;
    world.plan(2).await;
    let sql = "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
        select gen_random_uuid(), id, kind, kind || '-of-nobody', input from organizations,
            (values ('usage-alert', '{\"alert\": 1}'::jsonb), ('first-call', 'null'))
            as asked (kind, input)";
    world.db.batch_execute(sql).await.unwrap();
    world.post_calls_of(&[1]).await;
    until("the email is sent", PATIENCE, || async {
        (world.accepted(Kind::Email) == 2).then_some(())
    })
    .await;
    world.all_started().await;
    let sql = "select kind, due_at > now() + interval '50 minutes' from workflow_starts";
    let rows = world.db.query(sql, &[]).await.unwrap();
    let waiting: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(waiting, [("usage-alert".to_owned(), true)], "where nobody is onboarded it is done");
}
