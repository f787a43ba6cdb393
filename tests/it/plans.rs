//! How Postgres answers what the API reads of calls, where there are many: by indexes, and of the months that
//! are asked for only.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::harness::{World, plans::statement};

/// Calls of two months, of ten organizations, the demo among them; a transcript and an event of each tenth.
/// Of the demo's last call there is one of everything else.
const GENERATE: &str = "
    create temp table owners as select row_number() over () - 1 as place, id from (
        select '$own'::uuid as id union all select gen_random_uuid() from generate_series(1, 9)) o;
    insert into organizations (id, name, slug) select id, '', id::text from owners
    on conflict do nothing;
    insert into calls (id, organization_id, provider, provider_call_id, assistant_id, status,
        from_number, duration_seconds, billed_minutes, origin, created_at)
    select gen_random_uuid(), o.id, 'vapi', 'made-' || n, '$assistant',
        case when n % 1000 < 10 then 'in-progress' when n % 7 = 0 then 'busy' else 'completed' end,
        '+1415555' || lpad((n % 10000)::text, 4, '0'), 90, 2, 'webhook',
        date_trunc('month', now()) - interval '30 days' + n * interval '20 seconds'
    from generate_series(1, 200000) n join owners o on o.place = n % 10;
    insert into call_keys (organization_id, provider, provider_call_id, call_id, created_at)
    select organization_id, provider, provider_call_id, id, created_at from calls
    on conflict do nothing;
    insert into call_transcripts (call_id, call_created_at, organization_id, transcript_text,
        search_vector)
    select id, created_at, organization_id, 'about the invoice of ' || provider_call_id,
        transcript_vector('about the invoice of ' || provider_call_id)
    from calls where provider_call_id like 'made-%0';
    insert into events (id, organization_id, type, call_id, payload, created_at)
    select gen_random_uuid(), organization_id, 'call.completed', id, '{}', created_at
    from calls where provider_call_id like 'made-%5';
    insert into inbox (id, organization_id, provider, event_key, event_kind, call_id, body_sha256,
        origin, received_at, status)
    select gen_random_uuid(), organization_id, provider, provider_call_id, 'report', id,
        decode(repeat('00', 32), 'hex'), 'webhook', created_at, 'processed'
    from calls where provider_call_id like 'made-%3';
    insert into billing_periods (id, organization_id, period_start, period_end, status)
    select gen_random_uuid(), '$own', now() - interval '90 days', now() - interval '60 days', 'closed';
    insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity, occurred_at,
        period_id, reason)
    select gen_random_uuid(), c.organization_id, c.id, 'call_minutes', 0, 2, c.created_at, p.id, 'call'
    from calls c, billing_periods p where c.provider_call_id like 'made-%1' and p.status = 'closed';
    insert into call_recordings (call_id, call_created_at, organization_id, source_url, status)
    select id, created_at, organization_id, '', 'pending' from calls where provider_call_id like 'made-%0';
    insert into call_actions (id, call_id, call_created_at, organization_id, position, description)
    select gen_random_uuid(), id, created_at, organization_id, 0, '' from calls
    where provider_call_id like 'made-%0';
    insert into call_results (id, call_id, call_created_at, organization_id, extractor,
        extractor_version, transcript_sha256, status)
    select gen_random_uuid(), id, created_at, organization_id, 'rules', 1,
        decode(repeat('00', 32), 'hex'), 'ok' from calls where provider_call_id like 'made-%0';
    insert into notifications (id, organization_id, call_id, call_created_at, kind, channel, recipient,
        recipient_hash, content, state)
    select gen_random_uuid(), organization_id, id, created_at, 'summary', 'sms', '',
        decode(repeat('00', 32), 'hex'), '', 'sent' from calls where provider_call_id like 'made-%0';
    insert into webhook_deliveries (id, organization_id, event_id, webhook_id, call_id, body, state)
    select gen_random_uuid(), e.organization_id, e.id, w.id, e.call_id, '', 'delivered'
    from events e, webhooks w;
    insert into webhook_logs (id, webhook_id, organization_id, delivery_id, event, event_id,
        attempt_number, kind)
    select gen_random_uuid(), webhook_id, organization_id, case when random() < 0.5 then id end, '',
        event_id, 1, 'attempt' from webhook_deliveries;
    insert into usage_voids (organization_id, call_id, reason)
    select organization_id, id, '' from calls where provider_call_id like 'made-%77';
    insert into audit_log (id, organization_id, actor, action, target)
    select gen_random_uuid(), organization_id, '', '', 'call:' || id from calls
    where provider_call_id like 'made-%77';
    insert into stripe_reports (id, organization_id, period_id, kind, revision, identifier, customer,
        event_name, quantity, reported_for, state)
    select gen_random_uuid(), p.organization_id, p.id, 'overage', n, 'r-' || n, '', '', 1, now(),
        'accepted' from billing_periods p, generate_series(1, 5000) n;
    analyze";

/// Small, or read whole by whoever reads of it: nothing to look for.
const SMALL: [&str; 3] = ["webhooks", "organizations", "billing_periods"];

/// No table is read from its first row to its last, and no month that was not asked for.
fn goes_by_indexes(what: &str, plan: &str, months: usize) {
    let executed = || plan.lines().filter(|line| !line.contains("never executed"));
    for line in executed().filter(|line| line.contains("Seq Scan on ")) {
        let (_, rest) = line.split_once("Seq Scan on ").unwrap();
        let table = rest.split_whitespace().next().unwrap();
        assert!(SMALL.contains(&table), "{what} reads all of {table}:\n{plan}");
    }
    let parts: BTreeSet<&str> = executed()
        .filter(|line| line.contains("Scan") && line.contains(" on calls_"))
        .filter_map(|line| line.split(" on ").nth(1)?.split_whitespace().next())
        .collect();
    assert!(parts.len() <= months, "{what} looks into {parts:?}:\n{plan}");
    for line in plan.lines().filter(|line| line.contains("Rows Removed by Filter")) {
        let removed: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(removed < 2000, "{what} walks over {removed} rows:\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_calls_goes_by_indexes_and_by_months() {
    let world = World::quiet().await;
    let own = world.organization();
    let assistant = Uuid::now_v7();
    let sql =
        GENERATE.replace("$own", &own.to_string()).replace("$assistant", &assistant.to_string());
    world.db.batch_execute(&sql).await.unwrap();
    let last = "select id::text, created_at::text from calls where organization_id = $1
        order by created_at desc limit 1";
    let row = world.db.query_one(last, &[&own]).await.unwrap();
    let (call, at): (String, String) = (row.get(0), row.get(1));
    let nobody = Uuid::nil();

    let calls = statement(&["from (select * from calls"]);
    let (from, to) =
        (format!("'{at}'::timestamptz - interval '3 days'"), format!("'{at}'::timestamptz"));
    for (what, filter) in [
        ("all", "null, null, null"),
        ("of a status", "null, 'completed', null"),
        ("in progress", "null, 'in-progress', null"),
        ("of an assistant", &*format!("null, null, '{assistant}'")),
    ] {
        let plan = world
            .plan_of(&calls, &format!("'{own}', {from}, {to}, '{nobody}', {filter}, 51"))
            .await;
        goes_by_indexes(what, &plan, 2);
    }
    let last = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    let one = format!("'{own}', '{at}', '{at}', '{last}', array['{call}'::uuid], null, null, 1");
    goes_by_indexes("one call", &world.plan_of(&calls, &one).await, 1);

    let key = statement(&["select created_at from call_keys where call_id"]);
    goes_by_indexes("a key", &world.plan_of(&key, &format!("'{call}', '{own}'")).await, 0);
    let keys = statement(&["select call_id, created_at from call_keys", "provider_call_id = $2"]);
    goes_by_indexes(
        "a provider's id",
        &world.plan_of(&keys, &format!("'{own}', 'made-777'")).await,
        0,
    );

    let timeline = statement(&["entries (at, source, id, what, details)"]);
    let plan = world
        .plan_of(
            &timeline,
            &format!("'{own}', '{call}', null, null, null, null, 101, array[]::text[]"),
        )
        .await;
    goes_by_indexes("the timeline", &plan, 1);

    let recent = statement(&["from calls where organization_id = $1 and created_at >= $2"]);
    let plan = world.plan_of(&recent, &format!("'{own}', {from}, 20")).await;
    goes_by_indexes("the dashboard", &plan, 14);

    let search = statement(&["ts_headline('english'"]);
    let arguments = format!(
        "'{own}', 'invoice', {from}, {to}, 'Infinity', 'epoch', '{nobody}', 21, 5000, 100000, '', ''"
    );
    let plan = world.plan_of(&search, &arguments).await;
    goes_by_indexes("the search", &plan, 0);
}
