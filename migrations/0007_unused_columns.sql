-- Why: `stripe_reports` says what Stripe was told of a period; these columns were never written.
alter table billing_periods drop column stripe_identifier, drop column stripe_state;
