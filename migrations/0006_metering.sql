-- Why: usage that can be proved: three meters, days in the organization's own time zone, periods
-- that close once, reports to Stripe that are claimed first, workflows that start with their cause.

-- Lets a role see rows of every organization while its transaction names this scope. The setting is
-- read and compared once for a statement, so that the planner does not take the comparison for a rare
-- row's; and the name comes after `tenant`, because the policy of the last name is tried first.
create procedure open_to_scope(
    target regclass, scope_name text, role_name text, command text default 'all')
    language plpgsql
    as $$
declare
    inside text := format('(select current_setting(''app.scope'', true) = %L)', scope_name);
    checked text := case command when 'all' then format(' with check (%s)', inside) else '' end;
begin
    execute format('create policy %I on %s for %s to %I using (%s)%s',
        'within_' || scope_name, target, command, role_name, inside, checked);
end $$;

-- Meters, each in whole units: minutes, seconds, millionths of a US dollar.
alter table usage_ledger drop constraint usage_ledger_meter_check;
alter table usage_ledger add constraint usage_ledger_meter_check
    check (meter in ('call_minutes', 'call_seconds', 'call_cost'));
create index usage_ledger_recorded on usage_ledger (organization_id, recorded_at);
-- The few rows that change what others said: what is late or moved is found without reading all.
create index usage_ledger_changed on usage_ledger (organization_id, occurred_at)
    where reason <> 'call';

-- When the call counts as used: decides its day. Set with the ledger's rows, which carry the same.
alter table calls
    add column occurred_at timestamptz,
    -- What was wrong with the duration that a provider told: it was cut to a day, or lay before 0.
    add column duration_flag text check (duration_flag in ('capped', 'negative'));
create index calls_occurred on calls using brin (occurred_at)
    with (pages_per_range = 32, autosummarize = on);

-- Calls that were counted before the other two meters were. The owner has to be let in for it.
alter table calls no force row level security;
alter table usage_ledger no force row level security;
alter table usage_totals no force row level security;
update calls c set occurred_at = l.occurred_at from usage_ledger l
    where l.call_id = c.id and l.organization_id = c.organization_id
      and l.meter = 'call_minutes' and l.revision = 0;
insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity, occurred_at,
        period_id, reason)
    select gen_random_uuid(), l.organization_id, l.call_id, m.meter, 0,
        case m.meter when 'call_seconds' then coalesce(c.duration_seconds, 0)
            else coalesce(c.cost_usd, 0) * 1000000 end::bigint,
        l.occurred_at, l.period_id, 'call'
    from usage_ledger l
    join calls c on c.id = l.call_id and c.organization_id = l.organization_id
    cross join (values ('call_seconds'), ('call_cost')) m (meter)
    where l.meter = 'call_minutes' and l.revision = 0;
insert into usage_totals (organization_id, period_id, meter, total, sequence)
    select organization_id, period_id, meter, sum(quantity), count(*) from usage_ledger
    where meter <> 'call_minutes' group by organization_id, period_id, meter;
alter table calls force row level security;
alter table usage_ledger force row level security;
alter table usage_totals force row level security;

-- `hard`: minutes beyond the included ones are not sold, so none are billed.
alter table organizations
    add column usage_limit text not null default 'soft' check (usage_limit in ('soft', 'hard')),
    add column first_call_at timestamptz;
create unique index organizations_stripe_customer on organizations (stripe_customer_id)
    where stripe_customer_id is not null;

-- What the plan was when the period began. `closing`: it is over, and still takes what occurred in it
-- until its watermark is set; from then on that is an adjustment in the open period.
alter table billing_periods
    add column overage_price numeric(12, 6) not null default 0 check (overage_price >= 0),
    add column usage_limit text not null default 'soft' check (usage_limit in ('soft', 'hard')),
    -- Minutes that the period before was owed: corrections took back more than was used.
    add column carried_minutes bigint not null default 0 check (carried_minutes <= 0),
    add column used_seconds bigint,
    add column cost_micros bigint,
    add column closed_at timestamptz;
create index billing_periods_unclosed on billing_periods (period_end) where status <> 'closed';

-- As with `calls`: a month of many organizations is written at once, and most of that time went into
-- looking each row's organization up.
alter table daily_usage drop constraint daily_usage_organization_id_fkey;

alter table organizations no force row level security;
alter table billing_periods no force row level security;
alter table usage_ledger no force row level security;
update billing_periods p set overage_price = o.overage_price from organizations o
    where o.id = p.organization_id and p.status <> 'closed';
update organizations o set first_call_at =
    (select min(l.occurred_at) from usage_ledger l where l.organization_id = o.id);
alter table organizations force row level security;
alter table billing_periods force row level security;
alter table usage_ledger force row level security;

-- Days that changed after they were over: aggregated again by the next run.
create table usage_days_touched (
    organization_id uuid not null,
    date date not null,
    touched_at timestamptz not null default now(),
    primary key (organization_id, date)
);
call protect_tenant_table('usage_days_touched');

-- How far a period's included minutes were used up: each threshold, in percent, is told once.
create table usage_alerts (
    id uuid primary key,
    organization_id uuid not null,
    period_id uuid not null references billing_periods (id),
    threshold smallint not null check (threshold in (50, 75, 90, 100)),
    included_minutes bigint not null,
    used_minutes bigint not null,
    reached_at timestamptz not null default now(),
    unique (organization_id, period_id, threshold)
);
create index usage_alerts_period on usage_alerts (period_id);
call protect_tenant_table('usage_alerts');

-- Calls that are not to be paid for, whatever is told of them later.
create table usage_voids (
    organization_id uuid not null,
    call_id uuid not null,
    reason text not null,
    created_at timestamptz not null default now(),
    primary key (organization_id, call_id)
);
call protect_tenant_table('usage_voids');

-- What Stripe is told of a period. `unknown`: sent, and it is not known what became of it.
-- `rejected` may also come days after `accepted`: Stripe checks a meter event later.
create table stripe_reports (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    period_id uuid not null references billing_periods (id),
    kind text not null check (kind in ('overage')),
    revision integer not null check (revision >= 0),
    identifier text not null unique check (length(identifier) <= 100),
    customer text not null,
    event_name text not null,
    quantity bigint not null check (quantity >= 0),
    -- The time that Stripe is told.
    reported_for timestamptz not null,
    state text not null check (state in ('pending', 'sending', 'unknown', 'accepted', 'rejected')),
    first_sent_at timestamptz,
    last_sent_at timestamptz,
    settled_at timestamptz,
    error text,
    created_at timestamptz not null default now(),
    unique (organization_id, period_id, kind, revision)
);
create index stripe_reports_period on stripe_reports (period_id);
call protect_tenant_table('stripe_reports');

-- Stripe's events, by Stripe's id. The organization is known once its customer is.
create table stripe_events (
    id text primary key check (length(id) <= 255),
    organization_id uuid,
    customer text,
    type text not null,
    created_at timestamptz not null,
    received_at timestamptz not null default now(),
    body_sha256 bytea not null check (length(body_sha256) = 32),
    status text not null check (status in ('received', 'processed', 'ignored', 'parked')),
    reason text check (reason is not null or status <> 'parked'),
    -- What a parked event tells, to be applied once its customer is known. No personal data.
    content jsonb,
    processed_at timestamptz,
    conflicts integer not null default 0
);
create index stripe_events_organization on stripe_events (organization_id, received_at desc);
create index stripe_events_parked on stripe_events (received_at) where status = 'parked';
create index stripe_events_waiting on stripe_events (customer) where status = 'parked';
call protect_tenant_table('stripe_events');

-- The newest that Stripe told of a subscription, by the time of its event.
create table stripe_subscriptions (
    id text primary key,
    organization_id uuid not null references organizations (id),
    customer text not null,
    status text not null,
    current_period_start timestamptz,
    current_period_end timestamptz,
    billing_cycle_anchor timestamptz,
    cancel_at_period_end boolean not null default false,
    event_created timestamptz not null,
    event_id text not null,
    updated_at timestamptz not null default now()
);
create index stripe_subscriptions_organization on stripe_subscriptions (organization_id);
call protect_tenant_table('stripe_subscriptions');

-- Workflows to start, and signals to send, written with what causes them; gone once Temporal has them.
create table workflow_starts (
    id uuid primary key,
    organization_id uuid not null,
    kind text not null check (kind in
        ('billing-cycle', 'usage-alert', 'onboarding', 'first-call', 'meter-error-report')),
    workflow_id text not null,
    input jsonb not null,
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    created_at timestamptz not null default now(),
    unique (kind, workflow_id)
);
create index workflow_starts_due on workflow_starts (due_at);
call protect_tenant_table('workflow_starts');
call open_to_scope('workflow_starts', 'dispatch', 'postcall_worker');

-- Emails about an organization rather than a call. Claimed before they are sent, like `notifications`.
create table organization_emails (
    id uuid primary key,
    organization_id uuid not null,
    kind text not null,
    -- What it tells of: an alert, a day of the onboarding.
    about text not null,
    recipient bytea not null,
    recipient_hash bytea not null check (length(recipient_hash) = 32),
    content bytea not null,
    state text not null check (state in ('pending', 'sending', 'sent', 'failed', 'unknown')),
    provider_id text,
    error text,
    claimed_at timestamptz,
    settled_at timestamptz,
    created_at timestamptz not null default now(),
    unique (organization_id, kind, about, recipient_hash)
);
call protect_tenant_table('organization_emails');

create table onboardings (
    organization_id uuid primary key references organizations (id),
    template_slug text,
    state text not null default 'running' check (state in ('running', 'first-call', 'expired')),
    -- The first API key in clear, sealed, until somebody has seen it.
    first_key bytea,
    steps jsonb not null default '[]',
    started_at timestamptz not null default now(),
    ended_at timestamptz
);
call protect_tenant_table('onboardings');

-- The aggregation, billing and the comparison of books work on many organizations at once.
call open_to_scope('organizations', 'billing', 'postcall_worker');
call open_to_scope('calls', 'billing', 'postcall_worker', 'select');
call open_to_scope('usage_ledger', 'billing', 'postcall_worker', 'select');
call open_to_scope('usage_totals', 'billing', 'postcall_worker', 'select');
call open_to_scope('usage_days_touched', 'billing', 'postcall_worker');
call open_to_scope('usage_alerts', 'billing', 'postcall_worker');
call open_to_scope('organization_emails', 'billing', 'postcall_worker');
call open_to_scope('usage_voids', 'billing', 'postcall_worker', 'select');
call open_to_scope('daily_usage', 'billing', 'postcall_worker');
call open_to_scope('billing_periods', 'billing', 'postcall_worker');
call open_to_scope('billing_events', 'billing', 'postcall_worker');
call open_to_scope('stripe_reports', 'billing', 'postcall_worker');
call open_to_scope('workflow_starts', 'billing', 'postcall_worker');
call open_to_scope('stripe_events', 'billing', 'postcall_worker');
call open_to_scope('stripe_subscriptions', 'billing', 'postcall_worker');
call open_to_scope('events', 'billing', 'postcall_worker');
call open_to_scope('webhooks', 'billing', 'postcall_worker', 'select');
call open_to_scope('webhook_deliveries', 'billing', 'postcall_worker');

-- Stripe's events name a customer; whose it is, is found out inside this scope.
call open_to_scope('organizations', 'stripe', 'postcall_api');
call open_to_scope('stripe_events', 'stripe', 'postcall_api');
call open_to_scope('stripe_subscriptions', 'stripe', 'postcall_api');
call open_to_scope('billing_periods', 'stripe', 'postcall_api');
call open_to_scope('billing_events', 'stripe', 'postcall_api');
call open_to_scope('workflow_starts', 'stripe', 'postcall_api');

grant select on usage_days_touched, usage_alerts, usage_voids, stripe_reports, stripe_events,
    stripe_subscriptions to postcall_api, postcall_worker;
grant insert, update, delete on daily_usage, usage_days_touched to postcall_worker;
grant insert on usage_alerts, usage_voids, billing_events to postcall_worker;
grant insert, update on stripe_reports, organization_emails to postcall_worker;
grant select on organization_emails to postcall_worker;
grant select, update on onboardings to postcall_worker;
grant select, insert, update, delete on workflow_starts to postcall_worker;
grant update on stripe_events to postcall_worker;
-- A worker that links a customer applies what Stripe told of it before.
grant insert, update on stripe_subscriptions to postcall_worker;
grant insert on api_keys, assistants to postcall_worker;
grant update (stripe_customer_id, stripe_subscription_id, billing_anchor_day, current_period_start,
    current_period_end, first_call_at, settings) on organizations to postcall_worker;

grant select, insert, update on stripe_events, stripe_subscriptions to postcall_api;
grant select, insert on workflow_starts to postcall_api;
grant insert on billing_events to postcall_api;
grant update (period_end) on billing_periods to postcall_api;
grant update (stripe_customer_id, stripe_subscription_id, billing_anchor_day, current_period_start,
    current_period_end) on organizations to postcall_api;

alter table templates no force row level security;
insert into templates (id, slug, name, industry_id, is_featured, configuration) values
    ('0199a000-0000-7000-8000-000000000001', 'front-desk', 'Front desk', 'general', true,
     '{"first_message": "Hello, how may I help you?", "extractor": "general"}'),
    ('0199a000-0000-7000-8000-000000000002', 'appointments', 'Appointments', 'healthcare', true,
     '{"first_message": "Hello, would you like to make an appointment?", "extractor": "appointment"}'),
    ('0199a000-0000-7000-8000-000000000003', 'after-hours', 'After hours', 'general', false,
     '{"first_message": "We are closed now. May I take a message?", "extractor": "message"}')
on conflict do nothing;
alter table templates force row level security;
