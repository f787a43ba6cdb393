//! An aggregation over as many organizations as there may be is a short history.

use contract::usage::AggregateUsage;

use super::made::fresh;
use crate::harness::World;

/// Organizations beside the world's own.
const ORGANIZATIONS: i32 = 10_000;
/// Calls of today, each of another organization.
const CALLS: i32 = 300;
/// Most events of a run's history.
const MOST_EVENTS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregation_over_ten_thousand_organizations_stays_below_500_events() {
    let world = World::start().await;
    let sql = "insert into organizations (id, name, slug, timezone)
        select gen_random_uuid(), 'House', 'house-' || n,
            (array['UTC', 'Asia/Kathmandu', 'Pacific/Apia', 'America/New_York'])[1 + n % 4]
        from generate_series(1, $1::integer) n";
    world.db.execute(sql, &[&ORGANIZATIONS]).await.unwrap();
    let sql = "insert into calls (id, organization_id, provider, provider_call_id, status,
            duration_seconds, billed_minutes, cost_usd, origin, created_at, occurred_at)
        select gen_random_uuid(), id, 'vapi', slug, 'completed', 90, 2, 0.15, 'webhook', now(), now()
        from organizations where slug like 'house-%' order by slug limit $1::bigint";
    world.db.execute(sql, &[&i64::from(CALLS)]).await.unwrap();
    let id = fresh("usage-aggregation");
    world.begin_aggregation(&id, AggregateUsage::default()).await;
    let aggregated = world.end_of_aggregation(&id).await;
    assert_eq!(aggregated.organizations, ORGANIZATIONS.cast_unsigned() + 1);
    assert_eq!(aggregated.rows_written, u64::from(CALLS.cast_unsigned()));
    let history = world.history_of(&id).await;
    eprintln!("{} organizations: {} events", aggregated.organizations, history.len());
    assert!(history.len() < MOST_EVENTS, "{} events", history.len());
}
