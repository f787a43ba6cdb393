-- Why: webhooks out that customers can build on: whose turn a delivery is, what an endpoint asks for and
-- how it does, a log that shows every attempt and every skip and can be searched.

alter table webhooks
    -- The customer's own headers: a JSON object, sealed.
    add column headers bytea,
    -- Ids and links only, instead of the whole payload.
    add column thin boolean not null default false,
    -- Waits between attempts in seconds; null for the usual ones.
    add column schedule integer[],
    -- Grows with each change by people, not with what attempts find out.
    add column version bigint not null default 1,
    add column disabled_at timestamptz,
    -- Its attempts stay in the log until they are 90 days old.
    add column deleted_at timestamptz,
    -- Open: nothing is sent but one delivery at a time, the probe, from `circuit_probe_at` on.
    add column circuit text not null default 'closed'
        check (circuit in ('closed', 'open', 'half-open')),
    add column circuit_probe_at timestamptz,
    -- Times that it opened since it was last closed.
    add column circuit_trips integer not null default 0,
    -- When the next delivery of an endpoint with a rate limit may leave.
    add column paced_until timestamptz,
    -- First failure since the last success; the clock starts when failures are 12 hours apart, and after
    -- 5 days of it the endpoint is disabled. Per cent of them that were warned of.
    add column failing_since timestamptz,
    add column failing_clock_at timestamptz,
    add column failing_warned smallint not null default 0,
    add constraint webhooks_probe_check
        check ((circuit_probe_at is not null) = (circuit <> 'closed'));

alter table webhook_deliveries
    -- Type of the event.
    add column event text,
    -- Who makes the next attempt at a pending delivery: the queue, when `next_attempt_at` has come; or the
    -- delivery's workflow, which is started anew where it has not by then.
    add column owner text not null default 'queue' check (owner in ('queue', 'workflow')),
    -- Begin of an attempt that nobody has told the end of; also the proof of who may tell it.
    add column attempting_since timestamptz,
    -- Attempts of earlier rounds: before it was resent or recovered.
    add column earlier_attempts integer not null default 0;
alter table webhook_deliveries no force row level security;
alter table events no force row level security;
update webhook_deliveries d set event = e.type,
        owner = case when d.attempts > 0 then 'workflow' else 'queue' end
    from events e where e.id = d.event_id;
alter table events force row level security;
alter table webhook_deliveries force row level security;

drop index webhook_deliveries_overdue;
create index webhook_deliveries_overdue on webhook_deliveries (next_attempt_at)
    where state = 'pending' and owner = 'workflow';
create index webhook_deliveries_queue on webhook_deliveries (webhook_id, next_attempt_at, id)
    where state = 'pending' and owner = 'queue';
create index webhook_deliveries_oldest on webhook_deliveries (created_at) where state = 'pending';
drop index webhook_deliveries_webhook;
create index webhook_deliveries_webhook on webhook_deliveries (webhook_id, created_at desc, id desc);
create index webhook_deliveries_undelivered on webhook_deliveries (webhook_id, created_at desc, id desc)
    where state in ('failed', 'disabled');
-- A queue: rows change three times within seconds and are never read again.
alter table webhook_deliveries set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

alter table webhook_logs
    -- A skip: the event was not sent, `error` says why, and there is no attempt.
    add column kind text not null default 'attempt' check (kind in ('attempt', 'skip')),
    add column request_headers jsonb,
    add column response_headers jsonb,
    -- A skipped event has none.
    alter column delivery_id drop not null;
drop index webhook_logs_event;
create index webhook_logs_event on webhook_logs (event, webhook_id, created_at desc, id desc);
create index webhook_logs_error on webhook_logs (webhook_id, error, created_at desc, id desc)
    where error is not null;
create index webhook_logs_status on webhook_logs (webhook_id, status_code, created_at desc, id desc)
    where status_code is not null;

-- The deliverer serves all organizations.
call open_to_scope('webhooks', 'dispatch', 'postcall_worker');
call open_to_scope('webhook_logs', 'dispatch', 'postcall_worker');
call open_to_scope('events', 'dispatch', 'postcall_worker');
-- What the aggregation tells is skipped for some endpoints, too.
call open_to_scope('webhook_logs', 'billing', 'postcall_worker');
-- What is asked for by API: endpoints, events that test them, deliveries made or made again.
grant insert, update on webhooks, webhook_deliveries to postcall_api;
grant insert on events to postcall_api;
grant insert on webhook_logs to postcall_api;
-- The log is kept for 90 days.
grant delete on webhook_logs to postcall_worker;
