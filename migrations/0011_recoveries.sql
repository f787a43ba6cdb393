-- Why: deliveries that failed, or were never made, are made again in bulk: counted first, at a rate, by a
-- workflow that can be paused and ended, with what became of each.
create table webhook_recoveries (
    id uuid primary key,
    organization_id uuid not null references organizations (id),
    webhook_id uuid not null references webhooks (id),
    -- `failed`: deliveries that were given up or ended with their endpoint. `missing`: events that the
    -- endpoint subscribes to and has no delivery of.
    kind text not null check (kind in ('failed', 'missing')),
    events_from timestamptz not null,
    events_to timestamptz not null check (events_to > events_from),
    -- Types of events; null for all that it subscribes to.
    events text[],
    -- Deliveries a second.
    rate integer not null check (rate between 1 and 1000),
    state text not null default 'running'
        check (state in ('running', 'paused', 'aborted', 'completed')),
    -- Counted before it began.
    total bigint not null,
    begun bigint not null default 0,
    -- The last event that was looked at.
    after_event uuid,
    created_by text not null,
    created_at timestamptz not null default now(),
    -- When its last page was done, or it was asked for or resumed.
    moved_at timestamptz not null default now(),
    ended_at timestamptz,
    check ((ended_at is not null) = (state in ('aborted', 'completed')))
);
create index webhook_recoveries_organization on webhook_recoveries (organization_id);
create index webhook_recoveries_webhook on webhook_recoveries (webhook_id, created_at desc, id desc);
create index webhook_recoveries_running on webhook_recoveries (moved_at) where state = 'running';
call protect_tenant_table('webhook_recoveries');
call open_to_scope('webhook_recoveries', 'dispatch', 'postcall_worker');

create table webhook_recovery_items (
    recovery_id uuid not null references webhook_recoveries (id),
    event_id uuid not null,
    organization_id uuid not null,
    delivery_id uuid not null,
    primary key (recovery_id, event_id)
);
create index webhook_recovery_items_organization on webhook_recovery_items (organization_id);
call protect_tenant_table('webhook_recovery_items');

-- Ids of events are in the order of their time.
create index events_organization on events (organization_id, id);
alter table workflow_starts drop constraint workflow_starts_kind_check;
alter table workflow_starts add constraint workflow_starts_kind_check
    check (kind in ('billing-cycle', 'usage-alert', 'onboarding', 'first-call',
        'meter-error-report', 'webhook-recovery', 'endpoint-notice'));

grant select, insert, update on webhook_recoveries to postcall_api, postcall_worker;
grant select, insert on webhook_recovery_items to postcall_worker;
grant select on webhook_recovery_items to postcall_api;
