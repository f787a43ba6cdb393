//! The audit log as people read it.

use chrono::{DateTime, Utc};
use contract::ids::OrganizationId;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::query_as;
use uuid::Uuid;

use crate::{
    Database, StoreError,
    database::{Owner, commit},
    error::During,
    reads::{Page, Place, one_more},
};

/// One change that somebody made.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its id.
    pub id: Uuid,
    /// Who made it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// What it was before, without secrets and personal data.
    pub before: Option<Value>,
    /// What it became.
    pub after: Option<Value>,
    /// From which address.
    pub ip: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Which changes. All that is given must hold.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// By this actor.
    pub actor: Option<&'a str>,
    /// Of this kind.
    pub action: Option<&'a str>,
    /// To this.
    pub target: Option<&'a str>,
    /// At this instant or later.
    pub from: DateTime<Utc>,
    /// What follows this place.
    pub after: Place,
}

/// A page of the changes to an organization's rows, newest first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    filter: &Filter<'_>,
    limit: u16,
) -> Result<Page<Recorded>, StoreError> {
    const OPERATION: &str = "audit.page";
    // Planned for its values: each filter has an index in the order of the list.
    let mut tx = db.tenant_search(organization).await?;
    let rows = query_as!(
        Recorded,
        r#"select id, actor, action, target, before, after, host(ip) as ip, created_at
           from audit_log
           where organization_id = $1 and created_at >= $2 and (created_at, id) < ($3, $4)
             and ($5::text is null or actor = $5)
             and ($6::text is null or action = $6)
             and ($7::text is null or target = $7)
           order by created_at desc, id desc limit $8"#,
        organization.0,
        filter.from,
        filter.after.at,
        filter.after.id,
        filter.actor,
        filter.action,
        filter.target,
        one_more(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(Page::cut(rows, limit))
}

/// The newest changes to what belongs to no organization: templates and users. Needs the owner's
/// connection.
pub async fn of_installation(
    admin_url: &SecretString,
    limit: u16,
) -> Result<Vec<Recorded>, StoreError> {
    const OPERATION: &str = "audit.of_installation";
    let owner = Owner::connect(admin_url)?;
    let mut tx = owner.begin(OPERATION).await?;
    let rows = query_as!(
        Recorded,
        "select id, actor, action, target, before, after, host(ip) as ip, created_at
         from audit_log where organization_id is null
         order by created_at desc, id desc limit $1",
        i64::from(limit),
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows)
}
