-- For the age of the oldest delivery, and nothing else: it was taken for whatever is pending, because
-- statistics are made while little is, and then read all of a backlog.
drop index webhook_deliveries_oldest;
create index webhook_deliveries_oldest on webhook_deliveries (created_at)
    where state = 'pending' and attempts >= 0;
