-- Why: what postcall does for a call outside its own rows is claimed first and settled after.
create table events (
    id uuid primary key,
    organization_id uuid not null,
    type text not null,
    call_id uuid,
    -- What the event is for; a second event for the same is not written.
    effect_key text,
    payload jsonb not null,
    created_at timestamptz not null default now(),
    -- Readers take only what no running transaction can still precede.
    txid xid8 not null default pg_current_xact_id()
);
create unique index events_effect on events (organization_id, effect_key)
    where effect_key is not null;
create index events_stream on events (organization_id, txid, id);
create index events_call on events (call_id) where call_id is not null;
call protect_tenant_table('events');

create table webhooks (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    assistant_id uuid references assistants (id),
    url text not null,
    events text[] not null,
    secret bytea not null,
    previous_secret bytea,
    previous_secret_ends_at timestamptz,
    enabled boolean not null default true,
    disabled_reason text,
    description text not null default '',
    rate_limit integer check (rate_limit > 0),
    ordering text not null default 'none' check (ordering in ('none', 'call')),
    retry_count integer not null default 0,
    last_triggered_at timestamptz,
    last_status integer,
    last_error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index webhooks_organization on webhooks (organization_id);
create index webhooks_assistant on webhooks (assistant_id);
create index webhooks_enabled on webhooks (enabled);
call protect_tenant_table('webhooks');

create table webhook_deliveries (
    id uuid primary key,
    organization_id uuid not null,
    event_id uuid not null,
    webhook_id uuid not null references webhooks (id),
    call_id uuid,
    -- The bytes that every attempt sends and signs.
    body text not null,
    state text not null default 'pending'
        check (state in ('pending', 'delivered', 'failed', 'disabled')),
    attempts integer not null default 0,
    -- When the dispatcher looks after it. The longest wait of a schedule is ten hours.
    next_attempt_at timestamptz not null default now() + interval '5 minutes',
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    unique (event_id, webhook_id)
);
create index webhook_deliveries_overdue on webhook_deliveries (next_attempt_at)
    where state = 'pending';
create index webhook_deliveries_call on webhook_deliveries (call_id) where call_id is not null;
create index webhook_deliveries_webhook on webhook_deliveries (webhook_id);
call protect_tenant_table('webhook_deliveries');
create policy dispatch on webhook_deliveries to postcall_worker
    using (current_setting('app.scope', true) = 'dispatch')
    with check (current_setting('app.scope', true) = 'dispatch');

create table webhook_logs (
    id uuid primary key,
    webhook_id uuid not null references webhooks (id),
    organization_id uuid not null,
    delivery_id uuid not null,
    event text not null,
    event_id uuid not null,
    payload jsonb,
    status_code integer,
    response_body text,
    error text,
    attempt_number integer not null,
    latency_ms integer,
    delivered_at timestamptz,
    created_at timestamptz not null default now()
);
create index webhook_logs_webhook on webhook_logs (webhook_id, created_at desc, id desc);
create index webhook_logs_event on webhook_logs (event);
create index webhook_logs_created on webhook_logs (created_at);
create index webhook_logs_delivery on webhook_logs (delivery_id);
call protect_tenant_table('webhook_logs');

create table notifications (
    id uuid primary key,
    organization_id uuid not null,
    call_id uuid not null,
    call_created_at timestamptz not null,
    kind text not null,
    channel text not null check (channel in ('sms', 'email')),
    recipient bytea not null,
    recipient_hash bytea not null check (length(recipient_hash) = 32),
    -- The message as claimed: every attempt sends the same.
    content bytea not null,
    state text not null check (state in ('pending', 'sending', 'sent', 'failed', 'unknown')),
    provider_id text,
    error text,
    claimed_at timestamptz,
    settled_at timestamptz,
    created_at timestamptz not null default now(),
    unique (call_id, kind, channel, recipient_hash)
);
create index notifications_organization on notifications (organization_id);
create index notifications_unsettled on notifications (claimed_at)
    where state in ('sending', 'unknown');
call protect_tenant_table('notifications');

grant select on events, webhooks, webhook_deliveries, webhook_logs, notifications to postcall_api;
grant select, insert on events to postcall_worker;
grant select, update on webhooks to postcall_worker;
grant select, insert, update on webhook_deliveries, notifications to postcall_worker;
grant select, insert on webhook_logs to postcall_worker;
