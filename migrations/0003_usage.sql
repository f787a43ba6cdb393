-- Why: minutes are money: an append-only ledger, totals in its transaction, periods that close.
create table billing_periods (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    period_start timestamptz not null,
    period_end timestamptz not null,
    status text not null check (status in ('open', 'closing', 'closed')),
    watermark timestamptz,
    included_minutes integer not null default 0,
    used_minutes integer,
    overage_minutes integer,
    stripe_identifier text,
    stripe_state text,
    check (period_start < period_end)
);
create unique index billing_periods_open on billing_periods (organization_id) where status = 'open';
create unique index billing_periods_start on billing_periods (organization_id, period_start);
call protect_tenant_table('billing_periods');

create table usage_ledger (
    id uuid primary key,
    organization_id uuid not null,
    call_id uuid not null,
    meter text not null check (meter in ('call_minutes')),
    revision integer not null check (revision >= 0),
    -- A change to what earlier revisions say; negative where they said too much.
    quantity bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    period_id uuid not null references billing_periods (id),
    reason text not null,
    unique (organization_id, call_id, meter, revision)
);
create index usage_ledger_period on usage_ledger (period_id);
create index usage_ledger_occurred on usage_ledger (organization_id, occurred_at);
call protect_tenant_table('usage_ledger');

create function refuse_ledger_change() returns trigger
    language plpgsql
    as $$ begin raise exception 'usage_ledger is append-only: write a compensating revision'; end $$;
create trigger usage_ledger_append_only before update or delete or truncate on usage_ledger
    execute function refuse_ledger_change();

create table usage_totals (
    organization_id uuid not null,
    period_id uuid not null references billing_periods (id),
    meter text not null,
    total bigint not null,
    -- Counts the changes of `total`: Redis takes only a value with a greater one.
    sequence bigint not null,
    primary key (organization_id, period_id, meter)
);
create index usage_totals_period on usage_totals (period_id);
call protect_tenant_table('usage_totals');

create table daily_usage (
    organization_id uuid not null references organizations (id),
    date date not null,
    assistant_id uuid,
    total_calls integer not null,
    completed_calls integer not null,
    failed_calls integer not null,
    total_minutes bigint not null,
    total_seconds bigint not null,
    average_duration_seconds numeric(12, 3),
    cost_usd numeric(14, 6) not null,
    computed_at timestamptz not null,
    unique nulls not distinct (organization_id, date, assistant_id)
);
create index daily_usage_date on daily_usage (organization_id, date desc);
call protect_tenant_table('daily_usage');

create table billing_events (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    period_id uuid references billing_periods (id),
    event text not null,
    details jsonb not null default '{}',
    created_at timestamptz not null default now()
);
create index billing_events_organization on billing_events (organization_id, created_at desc);
create index billing_events_period on billing_events (period_id);
call protect_tenant_table('billing_events');

grant select on billing_periods, usage_ledger, usage_totals, daily_usage, billing_events
    to postcall_api, postcall_worker;
grant insert on usage_ledger to postcall_worker;
grant insert, update on billing_periods, usage_totals to postcall_worker;
