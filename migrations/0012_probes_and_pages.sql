-- Why: a circuit knows its probe, so that a late failure is not taken for it; a recovery reads bounded
-- pages by indexes alone, and misses nothing that was written before it and committed after.
alter table webhooks add column circuit_probe uuid;

-- Of one endpoint only: nothing that another has missed.
alter table events add column is_test boolean not null default false;
drop index events_organization;
create index events_organization on events (organization_id, id) include (type, is_test);

create index webhook_deliveries_given_up on webhook_deliveries (webhook_id, event_id) include (event)
    where state in ('failed', 'disabled');

-- The transaction that asked: events of those that began before it show once they have all ended.
alter table webhook_recoveries add column txid xid8;
alter table webhook_recoveries alter column txid set default pg_current_xact_id();

-- What retention goes by, and nothing else, for only retention says this of a number: by an index of all
-- times the log of a busy endpoint would be read, and walk over everybody's newest rows.
drop index webhook_logs_created;
create index webhook_logs_aged on webhook_logs (created_at) where attempt_number >= 0;
