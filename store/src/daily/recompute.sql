-- Adds days of organizations up from their calls, and replaces what `daily_usage` says of them.
-- $1 organizations. For each of their zones, $2: the first day, $3, and where the instants that bound
-- its days lie in $6: from $4 to $5, the end of the last day included.
with zones as materialized (
    select z.name, z.first_day, z.last - z.first as days, ($6::timestamptz[])[z.first] as starts_at,
        ($6::timestamptz[])[z.last] as ends_at, ($6::timestamptz[])[z.first : z.last] as bounds
    from unnest($2::text[], $3::date[], $4::integer[], $5::integer[])
        as z (name, first_day, first, last)
),
-- Once over the calls: by $7 and $8 partitions are left out, by $9 and $10 blocks of them.
parts as materialized (
    select c.organization_id, c.assistant_id,
        z.first_day + width_bucket(c.occurred_at, z.bounds) - 1 as date,
        count(*) as calls,
        count(*) filter (where c.status = 'completed') as completed,
        coalesce(sum(c.billed_minutes) filter (where v.call_id is null), 0) as minutes,
        coalesce(sum(c.duration_seconds) filter (where v.call_id is null), 0) as seconds,
        coalesce(sum(c.cost_usd) filter (where v.call_id is null), 0) as cost_usd
    from calls c
    join organizations o on o.id = c.organization_id
    join zones z on z.name = o.timezone
        and c.occurred_at >= z.starts_at and c.occurred_at < z.ends_at
    left join usage_voids v on v.organization_id = c.organization_id and v.call_id = c.id
    where o.id = any($1)
        and c.created_at >= $7 and c.created_at < $8
        and c.occurred_at >= $9 and c.occurred_at < $10
        and c.billed_minutes is not null
    group by 1, 2, 3
),
computed as materialized (
    select organization_id, assistant_id, date, calls, completed, minutes, seconds, cost_usd
    from parts where assistant_id is not null
    union all
    select organization_id, null, date, sum(calls), sum(completed), sum(minutes), sum(seconds),
        sum(cost_usd)
    from parts group by organization_id, date
),
stored as materialized (
    select d.ctid as place, d.organization_id, d.assistant_id, d.date, d.total_calls,
        d.completed_calls, d.total_minutes, d.total_seconds, d.cost_usd
    from daily_usage d
    join organizations o on o.id = d.organization_id
    join zones z on z.name = o.timezone
        and d.date >= z.first_day and d.date < z.first_day + z.days
    where o.id = any($1) and d.date >= $11 and d.date <= $12
),
-- A full join cannot be done row by row, however few rows the planner expects.
changes as materialized (
    select n.organization_id, n.assistant_id, n.date, n.calls, n.completed, n.minutes, n.seconds,
        n.cost_usd, o.place
    from computed n
    full join stored o on o.organization_id = n.organization_id and o.date = n.date
        and coalesce(o.assistant_id, o.organization_id)
            = coalesce(n.assistant_id, n.organization_id)
    where (n.calls, n.completed, n.minutes, n.seconds, n.cost_usd) is distinct from
        (o.total_calls, o.completed_calls, o.total_minutes, o.total_seconds, o.cost_usd)
),
removed as (
    delete from daily_usage
    where ctid = any(array(select place from changes where organization_id is null))
    returning 1
),
-- In the order of the index, which is several times as fast.
written as (
    insert into daily_usage (organization_id, date, assistant_id, total_calls, completed_calls,
        failed_calls, total_minutes, total_seconds, average_duration_seconds, cost_usd, computed_at)
    select organization_id, date, assistant_id, calls, completed, calls - completed, minutes,
        seconds, round(seconds / calls, 3), cost_usd, $13
    from changes where organization_id is not null
    order by organization_id, date, assistant_id
    on conflict (organization_id, date, assistant_id) do update set
        total_calls = excluded.total_calls, completed_calls = excluded.completed_calls,
        failed_calls = excluded.failed_calls, total_minutes = excluded.total_minutes,
        total_seconds = excluded.total_seconds,
        average_duration_seconds = excluded.average_duration_seconds,
        cost_usd = excluded.cost_usd, computed_at = excluded.computed_at
    returning 1
)
select (select count(*) from written) as "written!", (select count(*) from removed) as "removed!"
