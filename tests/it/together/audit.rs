//! What the books have to say of each other and of the generator once all is quiet.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contract::{ids::CallId, usage::AggregateUsage};

use super::{CUSTOMER, made::Counted};
use crate::harness::{
    World,
    books::{unchanged, workflows},
};

/// Minutes, seconds, and millionths of a dollar.
type Sums = [i64; 3];

impl World {
    /// Every book says what the generator does.
    pub(super) async fn books_agree(
        &self,
        calls: &BTreeMap<CallId, Counted>,
        middle: DateTime<Utc>,
    ) {
        self.every_call_is_booked_once(calls).await;
        self.every_call_is_in_its_period(middle).await;
        self.closed_periods_are_what_was_billed().await;
        self.sums_agree(calls).await;
        assert_eq!(self.aggregate_days(AggregateUsage::default()).await, unchanged(4));
        let (rows, code) = self.reconcile().await;
        assert_eq!(code, 0, "{rows:#?}");
        // All is quiet, so that nothing differs but what came after its period was closed.
        let reasons = rows.iter().flat_map(|row| row["explanations"].as_array().unwrap());
        for reason in reasons.map(|explained| explained["reason"].as_str().unwrap()) {
            assert!(matches!(reason, "late" | "adjusted"), "{reason}: {rows:#?}");
        }
        let client = self.temporal_client().await;
        for bad in ["Failed", "TimedOut", "Terminated", "Canceled"] {
            let query = format!("ExecutionStatus = '{bad}'");
            assert_eq!(workflows(&client, &query).await, 0, "{bad} workflows");
        }
    }

    async fn every_call_is_booked_once(&self, calls: &BTreeMap<CallId, Counted>) {
        let sql = "select l.call_id, l.meter, sum(l.quantity)::bigint, count(*), min(l.occurred_at)
            from usage_ledger l group by l.call_id, l.meter";
        let rows = self.db.query(sql, &[]).await.unwrap();
        assert_eq!(rows.len(), 3 * calls.len(), "three meters of each call");
        for row in rows {
            let call = CallId(row.get(0));
            let counted = calls.get(&call).unwrap_or_else(|| panic!("nobody made call {call}"));
            let meter: String = row.get(1);
            let seconds = counted.seconds.cast_signed();
            let expected = match meter.as_str() {
                "call_minutes" => counted.minutes(),
                "call_seconds" => seconds,
                _ => seconds * 100,
            };
            assert_eq!((row.get::<_, i64>(2), row.get::<_, i64>(3)), (expected, 1), "{meter}");
            let apart = row.get::<_, DateTime<Utc>>(4) - counted.started;
            assert!(apart.num_milliseconds() == 0, "{apart}");
        }
    }

    /// A call is in the period that it occurred in, or came after that one's watermark. One that began to
    /// be counted just before the freeze may have waited for it, no longer than locks are waited for,
    /// and its row says when it began.
    async fn every_call_is_in_its_period(&self, middle: DateTime<Utc>) {
        let sql = "select p.status, p.period_end <= $1,
                count(*) filter (where l.reason = 'call'), count(*) filter (where l.reason = 'late'),
                count(*) filter (where l.reason = 'call'
                    and (l.occurred_at < p.period_start or l.occurred_at >= p.period_end)),
                count(*) filter (where l.reason = 'late' and not exists (
                    select from billing_periods o where o.organization_id = p.organization_id
                        and l.occurred_at >= o.period_start and l.occurred_at < o.period_end
                        and o.watermark is not null
                        and o.watermark <= l.recorded_at + interval '10 seconds')),
                count(*) filter (where l.reason not in ('call', 'late'))
            from billing_periods p join usage_ledger l on l.period_id = p.id
            where l.meter = 'call_minutes' group by p.id order by p.period_start";
        let rows = self.db.query(sql, &[&middle]).await.unwrap();
        assert_eq!(rows.len(), 3, "two closed periods, and the open one");
        let mut all_late = 0;
        for (place, row) in rows.iter().enumerate() {
            let [calls, late, misplaced, too_early, other]: [i64; 5] =
                std::array::from_fn(|column| row.get(column + 2));
            eprintln!("period {place}: {calls} calls, {late} late");
            assert_eq!((row.get(1), row.get::<_, &str>(0) == "closed"), (place < 2, place < 2));
            assert_eq!([misplaced, too_early, other], [0; 3], "period {place}");
            assert!(calls > 0, "the traffic of this test missed period {place}");
            assert!(late == 0 || place > 0, "nothing was closed before the first period");
            all_late += late;
        }
        assert!(all_late > 0, "no call came after its period was frozen");
    }

    async fn closed_periods_are_what_was_billed(&self) {
        let sql = "select p.used_minutes::bigint, p.overage_minutes::bigint, p.carried_minutes,
                p.included_minutes::bigint,
                coalesce((select sum(quantity)::bigint from usage_ledger
                    where period_id = p.id and meter = 'call_minutes'), 0),
                coalesce((select total from usage_totals
                    where period_id = p.id and meter = 'call_minutes'), 0),
                coalesce((select sum(quantity)::bigint from stripe_reports
                    where period_id = p.id and state = 'accepted'), 0)
            from billing_periods p where p.status = 'closed'";
        let rows = self.db.query(sql, &[]).await.unwrap();
        assert_eq!(rows.len(), 5, "two, and one of each quiet organization");
        let mut billed = 0;
        for row in &rows {
            let [used, overage, carried, included, ledger, totals, reported]: [i64; 7] =
                std::array::from_fn(|column| row.get(column));
            assert_eq!([ledger, totals], [used; 2]);
            let expected = (used + carried - included).max(0);
            assert_eq!([overage, reported], [expected; 2]);
            billed += overage;
        }
        assert!(billed > 0, "nothing to bill proves nothing");
        assert_eq!(self.fakes.stripe().billed(CUSTOMER).cast_signed(), billed);
        eprintln!("{billed} minutes billed");
    }

    async fn sums_agree(&self, calls: &BTreeMap<CallId, Counted>) {
        let expected = calls.values().fold([0; 3], |[minutes, seconds, cost]: Sums, call| {
            let of_call = call.seconds.cast_signed();
            [minutes + call.minutes(), seconds + of_call, cost + of_call * 100]
        });
        let books = [
            "select sum(billed_minutes)::bigint, sum(duration_seconds)::bigint,
                (sum(cost_usd) * 1000000)::bigint from calls",
            "select sum(total_minutes)::bigint, sum(total_seconds)::bigint,
                (sum(cost_usd) * 1000000)::bigint from daily_usage where assistant_id is null",
            "select (sum(total) filter (where meter = 'call_minutes'))::bigint,
                (sum(total) filter (where meter = 'call_seconds'))::bigint,
                (sum(total) filter (where meter = 'call_cost'))::bigint from usage_totals",
        ];
        for sql in books {
            let row = self.db.query_one(sql, &[]).await.unwrap();
            let found: Sums = std::array::from_fn(|column| row.get(column));
            assert_eq!(found, expected, "{sql}");
        }
        let sql = "select count(*) from (
                select (occurred_at at time zone 'Asia/Kathmandu')::date as date, count(*) as calls,
                    sum(billed_minutes)::bigint as minutes from calls group by 1) c
            full join (select date, total_calls::bigint as calls, total_minutes as minutes
                from daily_usage where assistant_id is null) d using (date)
            where (c.calls, c.minutes) is distinct from (d.calls, d.minutes)";
        let differing: i64 = self.db.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(differing, 0, "local days whose calls are others than daily usage says");
    }
}
