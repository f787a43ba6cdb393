-- Why: what Stripe has accepted is not yet billed; what it has counted of it is asked for, and kept.

alter table stripe_reports
    -- Minutes of the report that Stripe was seen to have counted, and when that was seen first. Nobody
    -- has asked before.
    add column counted_minutes bigint check (counted_minutes >= 0),
    add column counted_at timestamptz,
    add constraint stripe_reports_counted_check
        check ((counted_minutes is null) = (counted_at is null));

-- The few that are to be asked for: a report leaves it once it was seen counted as it was told.
create index stripe_reports_uncounted on stripe_reports (id)
    where state = 'accepted' and counted_minutes is distinct from quantity;
