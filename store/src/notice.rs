//! What a message to people says of a call.

use contract::calls::CallRef;
use sqlx::query;

use crate::{
    Database, StoreError,
    database::commit,
    error::During,
    organizations::{self, NotificationSettings},
    results::{self, Action},
};

/// The facts of a notice. Personal data: never logged.
#[derive(Clone)]
pub struct Notice {
    /// The organization's name.
    pub organization: String,
    /// How the call ended.
    pub status: String,
    /// The number on the other side.
    pub other_party: Option<String>,
    /// How long it took.
    pub duration_seconds: i32,
    /// What it was about.
    pub summary: Option<String>,
    /// What was agreed, in its order.
    pub actions: Vec<Action>,
    /// Who hears of it.
    pub recipients: NotificationSettings,
}

/// Reads what a notice about a call says, and to whom, in one transaction.
pub async fn get(db: &Database, call: CallRef) -> Result<Notice, StoreError> {
    const OPERATION: &str = "notice.get";
    let mut tx = db.tenant(call.organization_id).await?;
    let row = query!(
        r#"select c.status,
             case when c.direction = 'outbound' then c.to_number else c.from_number end
                 as other_party,
             coalesce(c.duration_seconds, 0) as "duration_seconds!", t.summary as "summary?"
         from calls c
         left join call_transcripts t on t.call_id = c.id and t.call_created_at = c.created_at
         where c.id = $1 and c.created_at = $2"#,
        call.call_id.0,
        call.created_at,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let organization = organizations::get_in(&mut tx, call.organization_id).await?;
    let actions = results::actions_in(&mut tx, call).await?;
    commit(tx, OPERATION).await?;
    Ok(Notice {
        organization: organization.name,
        status: row.status,
        other_party: row.other_party,
        duration_seconds: row.duration_seconds,
        summary: row.summary,
        actions,
        recipients: organization.settings.notifications,
    })
}
