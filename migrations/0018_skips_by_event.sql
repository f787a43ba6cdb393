-- Why: the timeline of a call tells which endpoints were not sent its events, and finds that by the event.
create index webhook_logs_skipped on webhook_logs (event_id) where delivery_id is null;
