-- Why: a customer may have subscriptions beside the one that overage is billed by, as a yearly add-on; the
-- periods of usage follow the one that is metered.
alter table stripe_subscriptions add column is_metered boolean not null default false;
