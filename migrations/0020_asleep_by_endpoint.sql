-- Why: what ends with its endpoint is found by it. Without this, the whole history of the endpoint was read
-- for what its workflows still hold; what the queue holds has an index of its own.
create index webhook_deliveries_asleep on webhook_deliveries (webhook_id)
    where state = 'pending' and owner = 'workflow';
