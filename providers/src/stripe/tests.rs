mod client;
mod event;
mod signature;

/// A payload as Stripe writes it.
fn fixture(name: &str) -> &'static str {
    macro_rules! fixtures {
        ($($name:literal),* $(,)?) => {
            match name {
                $($name => include_str!(concat!("../../../tests/fixtures/stripe/", $name)),)*
                other => panic!("no fixture {other}"),
            }
        };
    }
    fixtures![
        "customer.subscription.created.json",
        "customer.subscription.deleted.json",
        "customer.subscription.updated.json",
        "error_400_idempotency.json",
        "error_400_param.json",
        "error_401.json",
        "error_429_lock_timeout.json",
        "error_429_rate_limit.json",
        "error_500_api_error.json",
        "invoice.paid.json",
        "invoice.payment_failed.json",
        "meter_event_200.json",
        "meter_event_request.form",
        "v1.billing.meter.error_report_triggered.full_from_v2_core_events.json",
        "v1.billing.meter.error_report_triggered.thin.json",
    ]
}
