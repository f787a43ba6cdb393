-- Why: what an organization's calls of a day come to, so far: dashboards show it before the night's
-- aggregation, and nothing counts rows of `calls`.
create table day_totals (
    organization_id uuid not null references organizations (id),
    -- Where the organization is.
    date date not null,
    calls bigint not null,
    completed bigint not null,
    minutes bigint not null,
    seconds bigint not null,
    -- Millionths of a US dollar.
    cost_micros bigint not null,
    -- Counts the changes: Redis takes only values with a greater one.
    sequence bigint not null,
    primary key (organization_id, date)
);
create index day_totals_date on day_totals (date);
call protect_tenant_table('day_totals');
call open_to_scope('day_totals', 'billing', 'postcall_worker');
grant select on day_totals to postcall_api;
grant select, insert, update, delete on day_totals to postcall_worker;
