use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::*, fixture};

const ORGANIZATION: &str = "6f6b2d0e-2c2f-4a2b-9d0f-3a0c5a6b7c8d";
const THIN: &str = "v1.billing.meter.error_report_triggered.thin.json";
const FIXTURES: [&str; 7] = [
    "customer.subscription.created.json",
    "customer.subscription.deleted.json",
    "customer.subscription.updated.json",
    "invoice.paid.json",
    "invoice.payment_failed.json",
    THIN,
    "v1.billing.meter.error_report_triggered.full_from_v2_core_events.json",
];

fn parsed(name: &str) -> Value {
    serde_json::from_str(fixture(name)).expect("a fixture")
}

fn read_value(body: &Value) -> Result<StripeEvent, UnreadableEvent> {
    read(body.to_string().as_bytes())
}

/// A fixture with changes to its object.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> StripeEvent {
    let mut body = parsed(name);
    change(&mut body["data"]["object"]);
    read_value(&body).expect("readable")
}

fn subscription(event: StripeEvent) -> Subscription {
    match event.meaning {
        Meaning::Subscription(subscription) => subscription,
        other => panic!("{other:?}"),
    }
}

fn invoice(event: StripeEvent) -> Invoice {
    match event.meaning {
        Meaning::Invoice(invoice) => invoice,
        other => panic!("{other:?}"),
    }
}

fn at(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

fn organization() -> Option<OrganizationId> {
    ORGANIZATION.parse().ok()
}

#[test]
fn subscriptions_are_read_in_both_shapes() {
    for (name, id, status) in [
        ("created", "evt_1Qsubcreated0001", "active"),
        ("updated", "evt_1Qsubupdated0001", "past_due"),
        ("deleted", "evt_1Qsubdeleted0001", "canceled"),
    ] {
        let name = format!("customer.subscription.{name}");
        let event = changed(&format!("{name}.json"), |_| ());
        assert_eq!((event.id.as_str(), event.event_type.as_str()), (id, name.as_str()));
        assert_eq!(Some(event.created), at(1_795_186_805));
        let expected = Subscription {
            id: "sub_1QabcdEfghIjklMn".into(),
            customer: "cus_NciAYcXfLnqBoz".into(),
            organization_id: None,
            status: status.into(),
            current_period_start: at(1_795_186_800),
            current_period_end: at(1_797_778_800),
            billing_cycle_anchor: at(1_795_186_800),
            cancel_at_period_end: false,
            is_metered: true,
        };
        assert_eq!(subscription(event), expected);

        let old = changed(&format!("{name}.json"), |object| {
            let item = &mut object["items"]["data"][0];
            let (start, end) =
                (item["current_period_start"].take(), item["current_period_end"].take());
            object["current_period_start"] = start;
            object["current_period_end"] = end;
            object["metadata"]["organization_id"] = ORGANIZATION.into();
            object["cancel_at_period_end"] = true.into();
            object["customer"] = json!({ "id": "cus_NciAYcXfLnqBoz", "object": "customer" });
        });
        let expected = Subscription {
            organization_id: organization(),
            cancel_at_period_end: true,
            ..expected
        };
        assert_eq!(subscription(old), expected);
    }
}

#[test]
fn the_item_that_bills_usage_says_the_period() {
    let beside = |object: &mut Value| {
        let mut yearly = object["items"]["data"][0].clone();
        yearly["price"]["recurring"] = json!({ "interval": "year", "usage_type": "licensed" });
        yearly["current_period_end"] = json!(1_826_722_800);
        yearly
    };
    let metered = changed("customer.subscription.updated.json", |object| {
        let yearly = beside(object);
        object["items"]["data"].as_array_mut().expect("items").insert(0, yearly);
    });
    let metered = subscription(metered);
    assert_eq!((metered.is_metered, metered.current_period_end), (true, at(1_797_778_800)));
    let licensed = changed("customer.subscription.updated.json", |object| {
        object["items"]["data"][0] = beside(object);
    });
    let licensed = subscription(licensed);
    assert_eq!((licensed.is_metered, licensed.current_period_end), (false, at(1_826_722_800)));
}

#[test]
fn invoices_are_read_in_both_shapes() {
    let expected = Invoice {
        id: "in_1QabcdEfghIjklMn".into(),
        customer: "cus_NciAYcXfLnqBoz".into(),
        subscription: Some("sub_1QabcdEfghIjklMn".into()),
        status: Some("paid".into()),
        amount_due: Some(2544),
        amount_paid: Some(2544),
        currency: Some("usd".into()),
    };
    assert_eq!(invoice(changed("invoice.paid.json", |_| ())), expected);
    let old = changed("invoice.paid.json", |object| {
        object["parent"] = Value::Null;
        object["subscription"] = "sub_1QabcdEfghIjklMn".into();
    });
    assert_eq!(invoice(old), expected);
    let failed = invoice(changed("invoice.payment_failed.json", |_| ()));
    assert_eq!((failed.status.as_deref(), failed.amount_paid), (Some("open"), Some(0)));

    for (field, without) in [("id", "an upcoming invoice"), ("customer", "nobody's")] {
        let event = changed("invoice.paid.json", |object| object[field] = Value::Null);
        let customer = (field == "id").then(|| "cus_NciAYcXfLnqBoz".to_owned());
        assert_eq!(event.meaning, Meaning::Other { customer }, "{without}");
    }
}

#[test]
fn thin_events_say_that_usage_could_not_be_billed() {
    let event = read(fixture(THIN).as_bytes()).expect("readable");
    assert_eq!(event.id, "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0");
    assert_eq!(Some(event.created), at(1_795_186_800));
    assert_eq!(event.meaning, Meaning::MeterError);
    let mut body = parsed(THIN);
    body["type"] = "v1.billing.meter.no_meter_found".into();
    assert_eq!(read_value(&body).expect("readable").meaning, Meaning::MeterError);
    body["type"] = "v2.core.account.updated".into();
    assert_eq!(read_value(&body).expect("readable").meaning, Meaning::Other { customer: None });
}

#[test]
fn a_check_out_says_whose_a_customer_is() {
    let event = |object: Value| {
        read_value(&json!({
            "id": "evt_1", "type": "checkout.session.completed", "created": 1_795_186_805,
            "data": { "object": object },
        }))
        .expect("readable")
        .meaning
    };
    let customer =
        |organization_id| Meaning::Customer { customer: "cus_1".into(), organization_id };
    let reference = json!({ "customer": "cus_1", "client_reference_id": ORGANIZATION });
    assert_eq!(event(reference), customer(None), "whoever pays may write it");
    let both = json!({
        "customer": "cus_1", "client_reference_id": "another",
        "metadata": { "organization_id": ORGANIZATION },
    });
    assert_eq!(event(both), customer(organization()));
    assert_eq!(event(json!({ "customer": "cus_1" })), customer(None));
    assert_eq!(event(json!({ "customer": null })), Meaning::Other { customer: None });
}

#[test]
fn other_types_name_their_customer_where_they_have_one() {
    let event = |kind: &str, object: Value| {
        read_value(&json!({
            "id": "evt_1", "type": kind, "created": 1_795_186_805, "data": { "object": object },
        }))
        .expect("readable")
        .meaning
    };
    let other = |customer: Option<&str>| Meaning::Other { customer: customer.map(str::to_owned) };
    assert_eq!(event("charge.failed", json!({ "customer": "cus_1" })), other(Some("cus_1")));
    let customer = json!({ "object": "customer", "id": "cus_2" });
    assert_eq!(event("customer.updated", customer), other(Some("cus_2")));
    assert_eq!(event("account.updated", json!({ "id": "acct_1" })), other(None));
    assert_eq!(event("invoiceitem.created", json!({ "customer": 7 })), other(None));
    assert_eq!(event("balance.available", Value::Null), other(None));
}

#[test]
fn an_event_says_its_mode_and_whether_it_is_of_a_connected_account() {
    for name in FIXTURES {
        let event = read(fixture(name).as_bytes()).expect("readable");
        assert_eq!(
            (event.mode, event.is_of_connected_account),
            (Some(Mode::Test), false),
            "{name}"
        );
    }
    let body = parsed("customer.subscription.updated.json");
    let with = |field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        read_value(&body).expect("readable")
    };
    assert_eq!(with("livemode", true.into()).mode, Some(Mode::Live));
    for wrong in [Value::Null, json!("true"), json!(1)] {
        assert_eq!(with("livemode", wrong).mode, None, "it says neither");
    }
    let own = with("account", Value::Null);
    assert_eq!(subscription(own).status, "past_due");
    for account in [json!("acct_1"), json!(7), json!({})] {
        let event = with("account", account.clone());
        assert!(event.is_of_connected_account, "{account}");
        assert_eq!(event.meaning, Meaning::Other { customer: None }, "{account}");
    }
    let mut strange = body;
    strange["account"] = "acct_1".into();
    strange["data"]["object"] = Value::Null;
    assert!(read_value(&strange).is_ok(), "what it tells is not read");
}

#[test]
fn a_key_opens_one_mode() {
    let mode = |key: &str| Mode::of_key(&key.into());
    for key in ["sk_live_51Abc", "rk_live_51Abc"] {
        assert_eq!(mode(key), Some(Mode::Live), "{key}");
    }
    for key in ["sk_test_51Abc", "rk_test_51Abc"] {
        assert_eq!(mode(key), Some(Mode::Test), "{key}");
    }
    for key in ["", "sk_", "sk_org_live_1", "pk_live_1", "live_1", "xsk_live_1", "sk_livery"] {
        assert_eq!(mode(key), None, "{key}");
    }
}

#[test]
fn absurd_times_are_none() {
    for (written, expected) in [
        (json!(1_795_186_800), at(1_795_186_800)),
        (json!("1795186800"), at(1_795_186_800)),
        (json!(1_795_186_800.7), at(1_795_186_800)),
        (json!(0), None),
        (json!(-1_795_186_800_i64), None),
        (json!(1_795_186_800_000_i64), None),
        (json!(1e300), None),
        (json!(true), None),
        (json!("+262142-12-31T23:59:59Z"), None),
        (json!("1999-12-31T23:59:59Z"), None),
        (Value::Null, None),
    ] {
        let event = changed("customer.subscription.updated.json", |object| {
            object["billing_cycle_anchor"] = written.clone();
        });
        assert_eq!(subscription(event).billing_cycle_anchor, expected, "{written}");
        let mut body = parsed("invoice.paid.json");
        body["created"] = written.clone();
        let created = read_value(&body).ok().map(|event| event.created);
        assert_eq!(created, expected, "{written}");
    }
    for (start, end) in [(json!(1_797_778_800), json!(1_797_778_800)), (Value::Null, json!(9))] {
        let event = changed("customer.subscription.updated.json", |object| {
            object["items"]["data"][0]["current_period_start"] = start;
            object["items"]["data"][0]["current_period_end"] = end;
        });
        let read = subscription(event);
        assert_eq!((read.current_period_start, read.current_period_end), (None, None));
    }
}

#[test]
fn what_has_no_identity_is_unreadable() {
    let full = parsed("customer.subscription.updated.json");
    for pointer in [
        "/id",
        "/type",
        "/created",
        "/data",
        "/data/object",
        "/data/object/id",
        "/data/object/customer",
        "/data/object/status",
    ] {
        for wrong in [Value::Null, json!(""), json!(true), json!("x".repeat(256)), json!([])] {
            let mut body = full.clone();
            *body.pointer_mut(pointer).expect("there") = wrong.clone();
            assert!(read_value(&body).is_err(), "{pointer} {wrong}");
        }
    }
    for body in ["", "[]", "7", "null", "{", "<html>", r#"{"id":"e","type":"t"}"#] {
        assert!(read(body.as_bytes()).is_err(), "{body}");
    }
    let mut planted = full;
    planted["data"]["object"]["customer"] = json!({ "email": "owner@example.com" });
    let error = read_value(&planted).expect_err("no id");
    assert_eq!(
        error.to_string(),
        "data.object.customer is missing, or not what Stripe writes there"
    );
    assert!(read("[".repeat(1_000_000).as_bytes()).is_err());
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!([])),
        Just(json!([null, 1, "x", {}])),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("x".repeat(10_000))),
    ]
}

/// One value of a fixture, found by chance, replaced.
fn replace(value: &mut Value, place: usize, by: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let count = fields.len() + 1;
            match fields.values_mut().nth(place % count) {
                Some(inner) => replace(inner, place / count, by),
                None => *value = by.clone(),
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            let (count, index) = (entries.len(), place % entries.len());
            replace(&mut entries[index], place / count, by);
        }
        _ => *value = by.clone(),
    }
}

fn is_bounded(event: &StripeEvent) -> bool {
    let words = match &event.meaning {
        Meaning::Subscription(of) => {
            let whole = of.current_period_start.zip(of.current_period_end);
            let ordered = whole.is_none_or(|(start, end)| start < end);
            let neither = of.current_period_start.is_none() && of.current_period_end.is_none();
            if !ordered || (whole.is_none() && !neither) {
                return false;
            }
            vec![Some(&of.id), Some(&of.customer), Some(&of.status)]
        }
        Meaning::Invoice(of) => {
            let optional = [of.subscription.as_ref(), of.status.as_ref(), of.currency.as_ref()];
            [Some(&of.id), Some(&of.customer)].into_iter().chain(optional).collect()
        }
        Meaning::Customer { customer, .. } => vec![Some(customer)],
        Meaning::MeterError => Vec::new(),
        Meaning::Other { customer } => vec![customer.as_ref()],
    };
    let all = words.into_iter().flatten().chain([&event.id, &event.event_type]);
    all.into_iter().all(|word| (1..=255).contains(&word.len()))
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&body).is_ok_and(|event| is_bounded(&event)) || read(&body).is_err());
    }

    #[test]
    fn fixtures_with_other_values_are_read_within_bounds_or_refused(
        name in prop::sample::select(&FIXTURES[..]),
        changes in prop::collection::vec((any::<usize>(), any_value()), 1..6),
    ) {
        let mut body = parsed(name);
        for (place, by) in changes {
            replace(&mut body, place, &by);
        }
        if let Ok(event) = read_value(&body) {
            prop_assert!(is_bounded(&event), "{:?}", event);
        }
    }

    #[test]
    fn fields_that_nobody_needs_may_be_anything(
        extra in any_value(), name in "[a-z_]{8,20}x",
    ) {
        let before = read(fixture("invoice.paid.json").as_bytes());
        let mut body = parsed("invoice.paid.json");
        body["data"]["object"][&name] = extra.clone();
        body["data"]["previous_attributes"] = extra.clone();
        body["request"] = extra;
        prop_assert_eq!(read_value(&body), before);
    }
}
