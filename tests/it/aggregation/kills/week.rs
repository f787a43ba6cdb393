//! A run over two weeks, with something to do at each of its statements.

use chrono::{NaiveDate, TimeDelta, Utc};
use contract::{
    period::{day_start, local_date, zone_or_utc},
    usage::AggregateUsage,
};
use serde_json::json;

use crate::harness::{
    World,
    calls::{PATIENCE, fresh_id, report_with},
    wait::until,
};

const ZONE: &str = "Asia/Kathmandu";
/// Days before today with a call each: one that only touched days bring in, and one of each week.
const CALLED: [i64; 3] = [20, 9, 1];
/// The run's days before today: a statement for the first seven, another for the others.
const RUN: [i64; 2] = [10, 1];
/// A day without calls of which `daily_usage` says something.
const EMPTY: i64 = 2;
/// Minutes of a call. Three are 12 minutes, which are 75 % of 16.
const MINUTES: i64 = 4;
const INCLUDED: i32 = 16;

/// From now on nothing that is asked for is started, as when Temporal lost it.
const LOSE: &str = "create function lose() returns trigger language plpgsql
        as $$ begin return null; end $$;
    create trigger lose before insert on workflow_starts for each row execute function lose()";

/// The days, where the organization is.
pub(super) struct Week {
    today: NaiveDate,
}

impl Week {
    /// Two thresholds are passed, and nobody has noticed.
    pub(super) async fn of(world: &World) -> Self {
        world.plan(100 * INCLUDED).await;
        let week = Self::of_calls(world).await;
        let smaller = "update billing_periods set included_minutes = $1";
        world.db.execute(smaller, &[&INCLUDED]).await.unwrap();
        week
    }

    /// Two thresholds were passed two hours ago, and nobody was emailed.
    pub(super) async fn of_lost_alerts(world: &World) -> Self {
        world.plan(INCLUDED).await;
        world.db.batch_execute(LOSE).await.unwrap();
        let week = Self::of_calls(world).await;
        until("both alerts are delivered, twice each", PATIENCE, || async {
            let sql = "select count(*) from webhook_deliveries where state = 'delivered'";
            (world.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 4).then_some(())
        })
        .await;
        let sql = "drop trigger lose on workflow_starts;
            update usage_alerts set reached_at = now() - interval '2 hours'";
        world.db.batch_execute(sql).await.unwrap();
        week
    }

    async fn of_calls(world: &World) -> Self {
        let sql = "update organizations set timezone = $1";
        world.db.execute(sql, &[&ZONE]).await.unwrap();
        let week = Self { today: local_date(Utc::now(), zone_or_utc(ZONE)) };
        for ago in CALLED {
            let noon = day_start(week.before(ago), zone_or_utc(ZONE)) + TimeDelta::hours(12);
            let ended = noon + TimeDelta::minutes(MINUTES);
            let fields = json!({ "startedAt": noon, "endedAt": ended, "cost": 0.0123 });
            let id = fresh_id();
            assert_eq!(world.post(report_with(&id, &fields)).await, 200);
            world.closed(&id).await;
        }
        let sql = "insert into daily_usage (organization_id, date, total_calls, completed_calls,
                failed_calls, total_minutes, total_seconds, cost_usd, computed_at)
            select id, $1, 7, 7, 0, 7, 7, 7, now() from organizations";
        for wrong in [week.before(CALLED[1]), week.before(EMPTY)] {
            world.db.execute(sql, &[&wrong]).await.unwrap();
        }
        week
    }

    fn before(&self, days: i64) -> NaiveDate {
        self.today - TimeDelta::days(days)
    }

    /// The statements with the days in them.
    pub(super) fn dated(&self, statements: &str) -> String {
        let [touched, updated, _] = CALLED.map(|ago| self.before(ago).to_string());
        let removed = self.before(EMPTY).to_string();
        let dated = statements.replace("{updated}", &updated).replace("{touched}", &touched);
        dated.replace("{removed}", &removed)
    }

    /// What is run.
    pub(super) fn days(&self) -> AggregateUsage {
        let [from, to] = RUN.map(|ago| Some(self.before(ago)));
        AggregateUsage { from, to, ..AggregateUsage::default() }
    }
}

impl World {
    /// What a page writes, all of it.
    pub(super) async fn page_wrote(&self) -> String {
        let sql = "select jsonb_build_object(
            'days', (select jsonb_agg(d order by d.date, d.assistant_id) from daily_usage d),
            'touched', (select jsonb_agg(t order by t.date) from usage_days_touched t),
            'alerts', (select jsonb_agg(a order by a.threshold) from usage_alerts a),
            'starts', (select jsonb_agg(s.workflow_id) from workflow_starts s),
            'events', (select count(*) from events),
            'deliveries', (select count(*) from webhook_deliveries))::text";
        self.db.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Days and assistants of which `daily_usage` says anything else than the calls do.
    pub(super) async fn days_that_differ(&self) -> Vec<String> {
        let sql = "with said as (
                select o.id as organization, (c.occurred_at at time zone o.timezone)::date as date,
                    c.assistant_id,
                    count(*) as calls,
                    count(*) filter (where c.status = 'completed') as completed,
                    sum(c.billed_minutes) as minutes, sum(c.duration_seconds) as seconds,
                    avg(c.duration_seconds) as average, sum(c.cost_usd) as cost
                from calls c join organizations o on o.id = c.organization_id
                group by 1, 2, rollup (c.assistant_id)
                having grouping(c.assistant_id) = 1 or c.assistant_id is not null)
            select coalesce(s.date, d.date)::text from said s
            full join daily_usage d on d.organization_id = s.organization and d.date = s.date
                and d.assistant_id is not distinct from s.assistant_id
            where (s.calls, s.completed, s.calls - s.completed, s.minutes, s.seconds,
                    round(s.average, 3), s.cost) is distinct from (d.total_calls, d.completed_calls, d.failed_calls, d.total_minutes,
                    d.total_seconds, d.average_duration_seconds, d.cost_usd)";
        let rows = self.db.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}
