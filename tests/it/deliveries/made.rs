//! Further endpoints of a world's organization, events for them, and what they got.

use std::time::Duration;

use postcall::dev::fakes::{Effect, Filter, Kind};
use uuid::Uuid;

use crate::harness::{World, wait::until};

pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// An attempt, as the log has it: number, error, status.
pub(super) type Logged = (i32, Option<String>, Option<i32>);

impl World {
    /// An endpoint with the secret of the first one; `settings` as in `update webhooks set …`.
    pub(super) async fn open_endpoint(&self, name: &str, settings: &str) -> Uuid {
        self.open_endpoint_of(self.organization(), name, settings).await
    }

    pub(super) async fn open_endpoint_of(
        &self,
        organization: Uuid,
        name: &str,
        settings: &str,
    ) -> Uuid {
        let sql = "insert into webhooks (id, organization_id, url, events, secret)
            select gen_random_uuid(), organization_id, $1, array['test.*'], secret
            from webhooks where organization_id = $2 order by created_at limit 1 returning id";
        let url = format!("{}/hooks/{name}", self.fakes.url());
        let id: Uuid = self.db.query_one(sql, &[&url, &organization]).await.unwrap().get(0);
        if !settings.is_empty() {
            self.set_endpoint(id, settings).await;
        }
        id
    }

    pub(super) async fn set_endpoint(&self, id: Uuid, settings: &str) {
        let sql = format!("update webhooks set {settings} where id = '{id}'");
        self.db.batch_execute(&sql).await.unwrap();
    }

    /// Deliveries of new events, due now; their events' ids in their order.
    pub(super) async fn enqueue(
        &self,
        endpoint: Uuid,
        call: Option<Uuid>,
        count: usize,
    ) -> Vec<Uuid> {
        let events: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let sql = "insert into webhook_deliveries (id, organization_id, event_id, webhook_id,
                call_id, body, event, next_attempt_at)
            select gen_random_uuid(), w.organization_id, e.id, w.id, $3,
                json_build_object('type', 'test.event', 'id', e.id)::text, 'test.event', now()
            from webhooks w cross join unnest($2::uuid[]) e (id) where w.id = $1";
        self.db.execute(sql, &[&endpoint, &events, &call]).await.unwrap();
        self.db.batch_execute("select pg_notify('postcall_events', '')").await.unwrap();
        events
    }

    /// What reached an endpoint, in its order.
    pub(super) fn reached(&self, name: &str) -> Vec<Effect> {
        let filter = Filter {
            kind: Some(Kind::Webhook),
            key: Some(name.to_owned()),
            limit: Some(10_000),
            ..Filter::default()
        };
        self.fakes.effects().list(&filter)
    }

    /// Ids of the events that reached an endpoint and were taken, in their order.
    pub(super) fn delivered_to(&self, name: &str) -> Vec<Uuid> {
        let arrived = self.reached(name);
        let taken = arrived.iter().filter(|effect| effect.accepted);
        taken.map(|effect| effect.other_keys[0].parse().expect("a webhook-id")).collect()
    }

    pub(super) async fn done_with(&self, endpoint: Uuid) {
        until("nothing waits for the endpoint", PATIENCE, || async {
            let sql = "select count(*) from webhook_deliveries
                where webhook_id = $1 and state = 'pending'";
            let waiting: i64 = self.db.query_one(sql, &[&endpoint]).await.unwrap().get(0);
            (waiting == 0).then_some(())
        })
        .await;
    }

    /// Ends of its deliveries, and how many of each.
    pub(super) async fn states(&self, endpoint: Uuid) -> Vec<(String, i64)> {
        let sql = "select state, count(*) from webhook_deliveries where webhook_id = $1
            group by state order by state";
        let rows = self.db.query(sql, &[&endpoint]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The log of one event's attempts.
    pub(super) async fn logged(&self, endpoint: Uuid, event: Uuid) -> Vec<Logged> {
        let sql = "select attempt_number, error, status_code from webhook_logs
            where webhook_id = $1 and event_id = $2 order by attempt_number, created_at";
        let rows = self.db.query(sql, &[&endpoint, &event]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }
}
