//! Customers: made, and found by their metadata.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Asked, Reply, Stripe, missing, parameter};

impl Stripe {
    pub(super) fn make_customer(&self, asked: &Asked, now: DateTime<Utc>) -> Reply {
        let made = customer(asked, now);
        self.customers.put_back("id", Some(&made));
        Reply::made(200, made)
    }

    /// Knows `metadata['name']:'value'` and no other query; finds at once, where Stripe takes a
    /// minute.
    pub(super) fn search_customers(&self, asked: &Asked) -> Reply {
        let Some(query) = asked.query("query") else { return missing("query") };
        let Some((name, value)) = clause(query) else {
            return parameter("query", "parameter_invalid", "We were unable to parse your query.");
        };
        let limit = asked.query_number("limit", 10, 100);
        let wanted = |customer: &Value| customer["metadata"][name] == value;
        let made = |customer: &Value| customer["created"].as_i64();
        let (data, has_more) = self.customers.newest(wanted, made, 0, limit);
        let url = "/v1/customers/search";
        let found = json!({ "object": "search_result", "data": data, "has_more": has_more,
            "next_page": null, "url": url });
        Reply::known(found)
    }
}

fn clause(query: &str) -> Option<(&str, &str)> {
    let (name, value) = query.strip_prefix("metadata['")?.split_once("']:'")?;
    Some((name, value.strip_suffix('\'')?))
}

/// The fields `name[key]` of a form, as an object.
pub(super) fn nested(asked: &Asked, name: &str) -> Map<String, Value> {
    let fields = asked.body.as_object().into_iter().flatten();
    fields
        .filter_map(|(field, value)| {
            let key = field.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((key.to_owned(), value.clone()))
        })
        .collect()
}

fn customer(asked: &Asked, now: DateTime<Utc>) -> Value {
    let id: String = Uuid::new_v4().simple().to_string().chars().take(14).collect();
    json!({
        "id": format!("cus_{id}"),
        "object": "customer",
        "created": now.timestamp(),
        "description": asked.field("description"),
        "email": asked.field("email"),
        "livemode": false,
        "metadata": nested(asked, "metadata"),
        "name": asked.field("name"),
        "phone": asked.field("phone"),
    })
}
