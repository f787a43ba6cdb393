//! The audit log: what somebody changed, written in the transaction of the change.

mod read;

use std::net::IpAddr;

use contract::ids::OrganizationId;
use serde_json::{Map, Value};
use sqlx::query;
use uuid::Uuid;

use crate::{StoreError, database::Tx, error::During};

pub use read::{Filter, Recorded, of_installation, page};

/// Who changes something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    ip: Option<IpAddr>,
}

impl Actor {
    /// Somebody by name (`api_key:{id}`), at an address as far as it is known.
    pub fn new(name: impl Into<String>, ip: Option<IpAddr>) -> Self {
        // One host, one spelling: an IPv4 address that came through an IPv6 socket is itself.
        Self { name: name.into(), ip: ip.map(|ip| ip.to_canonical()) }
    }

    /// Whoever runs the installation, on its command line.
    pub fn command_line() -> Self {
        Self::new("command-line", None)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Whose rows are changed, and by whom.
#[derive(Debug, Clone)]
pub struct Changer {
    /// Owner of the rows.
    pub organization: OrganizationId,
    /// Who changes them.
    pub actor: Actor,
}

impl Changer {
    /// Writes the audit log.
    pub(crate) async fn record(
        &self,
        tx: &mut Tx,
        action: &str,
        target: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), StoreError> {
        let (organization_id, actor) = (self.organization, &self.actor);
        record(tx, Entry { organization_id, actor, action, target, before, after }).await
    }
}

/// One change, free of secrets and personal data.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    /// Whose rows were changed.
    pub organization_id: OrganizationId,
    /// Who changed them, and from where.
    pub actor: &'a Actor,
    /// What was done, such as `inbox.replay`.
    pub action: &'a str,
    /// What it was done to, such as `inbox:{id}`.
    pub target: &'a str,
    /// What it was before, as far as it matters.
    pub before: Option<Value>,
    /// What it became.
    pub after: Option<Value>,
}

/// Writes one entry; it stands if and only if the transaction commits.
pub(crate) async fn record(tx: &mut Tx, entry: Entry<'_>) -> Result<(), StoreError> {
    query!(
        "insert into audit_log (id, organization_id, actor, action, target, before, after, ip)
         values ($1, $2, $3, $4, $5, $6, $7, $8::text::inet)",
        Uuid::now_v7(),
        entry.organization_id.0,
        entry.actor.name,
        entry.action,
        entry.target,
        entry.before,
        entry.after,
        entry.actor.ip.map(|ip| ip.to_string()),
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("audit.record")
}

/// Writes a change on the command line to what belongs to no organization. Needs the owner's connection.
pub(crate) async fn record_of_installation(
    tx: &mut Tx,
    action: &str,
    target: &str,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<(), StoreError> {
    query!(
        "insert into audit_log (id, actor, action, target, before, after)
         values ($1, $2, $3, $4, $5, $6)",
        Uuid::now_v7(),
        Actor::command_line().name,
        action,
        target,
        before,
        after,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("audit.record_of_installation")
}

/// Parts of names of members that hold secrets in what customers configure.
const SECRET_NAMES: &[&str] =
    &["secret", "password", "passphrase", "token", "apikey", "authorization", "credential"];

/// A customer's own JSON for the log: what looks like a secret, by its name, is left out.
pub(crate) fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.iter().map(masked).collect::<Map<_, _>>()),
        Value::Array(items) => Value::Array(items.iter().map(without_secrets).collect()),
        other => other.clone(),
    }
}

fn masked((name, value): (&String, &Value)) -> (String, Value) {
    let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let is_secret = SECRET_NAMES.iter().any(|part| plain.contains(part));
    // A limit such as `max_tokens` is none.
    let is_secret = is_secret && !value.is_number() && !value.is_boolean() && !value.is_null();
    (name.clone(), if is_secret { Value::from("(left out)") } else { without_secrets(value) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_left_out_at_any_depth_and_nothing_else() {
        let given = json!({ "name": "a", "max_tokens": 5, "tools": [{ "url": "u",
            "server": { "X-Api-Key": "1", "clientSecret": { "a": "2" }, "password": null } }] });
        let expected = json!({ "name": "a", "max_tokens": 5, "tools": [{ "url": "u",
            "server": { "X-Api-Key": "(left out)", "clientSecret": "(left out)",
                "password": null } }] });
        assert_eq!(without_secrets(&given), expected);
    }

    #[test]
    fn an_address_has_one_spelling() {
        let mapped = "::ffff:192.0.2.7".parse().ok();
        assert_eq!(Actor::new("a", mapped), Actor::new("a", "192.0.2.7".parse().ok()));
    }
}
