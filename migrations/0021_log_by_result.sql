-- Why: an endpoint's log is asked for by error code, status, kind, outcome and type of event, in any combination.
-- By an index of one of them, two that never meet were looked for in all rows of one.
create index webhook_logs_result on webhook_logs
    (webhook_id, error desc, status_code desc, created_at desc, id desc);
create index webhook_logs_result_of_type on webhook_logs
    (webhook_id, event desc, error desc, status_code desc, created_at desc, id desc);
drop index webhook_logs_event;
drop index webhook_logs_error;
drop index webhook_logs_status;
