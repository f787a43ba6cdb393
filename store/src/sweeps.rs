//! What the sweep needs to know: whom to ask for, what is known, what never ended; and its diary.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use contract::{
    call::Provider,
    ids::{CallId, OrganizationId},
    sweep::{CallsSwept, UnfinishedCall},
};
use sqlx::query;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit, error::During};

/// What the inbox holds of a call; parked and discarded events do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// The event that tells everything.
    pub report: bool,
    /// An event that tells the end.
    pub ended: bool,
    /// An event that tells that somebody answered.
    pub answered: bool,
}

/// A call whose end nobody told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    /// Owner.
    pub organization_id: OrganizationId,
    /// Where it stands in the list.
    pub place: UnfinishedCall,
    /// The provider's id of it.
    pub provider_call_id: String,
    /// Whether it is known to be in progress.
    pub answered: bool,
    /// Whether it waits to be dialled.
    pub is_queued: bool,
}

/// Organizations with credentials that may open the provider's API, in the order of their ids.
pub async fn organizations(
    db: &Database,
    provider: Provider,
    after: Option<OrganizationId>,
    limit: i64,
) -> Result<Vec<OrganizationId>, StoreError> {
    const OPERATION: &str = "sweeps.organizations";
    let mut tx = db.sweep().await?;
    // The webhooks' secret is a key of the API too at Retell and Twilio, at Vapi it is not.
    let rows = query!(
        "select organization_id from provider_credentials
         where provider = $1 and organization_id > $2
             and (api_key is not null or provider <> 'vapi')
         order by organization_id limit $3",
        provider.as_str(),
        after.map_or(Uuid::nil(), Uuid::from),
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(rows.into_iter().map(|row| OrganizationId(row.organization_id)).collect())
}

/// Until when the provider's calls are known; nothing before the first sweep.
pub async fn swept_until(
    db: &Database,
    organization: OrganizationId,
    provider: Provider,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    const OPERATION: &str = "sweeps.swept_until";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        "select swept_until from provider_sweeps where organization_id = $1 and provider = $2",
        organization.0,
        provider.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.and_then(|row| row.swept_until))
}

/// Whether a sweep of the organization worked after `since`, whatever became of later ones.
pub async fn worked_since(
    db: &Database,
    organization: OrganizationId,
    provider: Provider,
    since: DateTime<Utc>,
) -> Result<bool, StoreError> {
    const OPERATION: &str = "sweeps.worked_since";
    let mut tx = db.tenant(organization).await?;
    let row = query!(
        r#"select exists (select from provider_sweeps
             where organization_id = $1 and provider = $2
                 and (swept_until > $3 or error is null and last_run_at > $3)) as "worked!""#,
        organization.0,
        provider.as_str(),
        since,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(row.worked)
}

/// What the inbox holds of these calls. One that is not in the answer is unknown.
pub async fn known(
    db: &Database,
    organization: OrganizationId,
    calls: &[CallId],
) -> Result<HashMap<CallId, Known>, StoreError> {
    const OPERATION: &str = "sweeps.known";
    let ids: Vec<Uuid> = calls.iter().map(|call| call.0).collect();
    let mut tx = db.tenant(organization).await?;
    let rows = query!(
        r#"select call_id as "call_id!", bool_or(life = 'report') as "report!",
             bool_or(life = 'ended' and event_kind <> 'lost-call') as "ended!",
             coalesce(bool_or(call_status = 'in-progress'), false) as "answered!"
         from inbox
         where call_id = any($1) and organization_id = $2
             and status in ('received', 'processed') and life in ('progress', 'ended', 'report')
         group by call_id"#,
        &ids,
        organization.0,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let known = rows.into_iter().map(|row| {
        let known = Known { report: row.report, ended: row.ended, answered: row.answered };
        (CallId(row.call_id), known)
    });
    Ok(known.collect())
}

/// An organization's calls at a provider, made before `before`, whose end nobody told.
///
/// Oldest first; those that wait to be dialled come last, because hundreds may be planned for days
/// ahead and the others must not wait for them.
pub async fn stuck(
    db: &Database,
    organization: OrganizationId,
    provider: Provider,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<OpenCall>, StoreError> {
    const OPERATION: &str = "sweeps.stuck";
    let mut tx = db.tenant(organization).await?;
    // One whose end was told is the dispatcher's, and will be finished.
    let rows = query!(
        r#"select id, created_at, provider_call_id, status = 'in-progress' as "answered!",
             status = 'queued' as "is_queued!"
         from calls c
         where provider = $1 and billed_minutes is null and created_at < $2
             and organization_id = $3
             and not exists (select from inbox i
                 where i.call_id = c.id and i.life in ('ended', 'report')
                     and i.status in ('received', 'processed'))
         order by status = 'queued', created_at, id limit $4"#,
        provider.as_str(),
        before,
        organization.0,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let open = rows.into_iter().map(|row| OpenCall {
        organization_id: organization,
        place: UnfinishedCall { created_at: row.created_at, call_id: CallId(row.id) },
        provider_call_id: row.provider_call_id,
        answered: row.answered,
        is_queued: row.is_queued,
    });
    Ok(open.collect())
}

/// Unfinished calls of any organization, made before `before`; oldest first, after `after`.
///
/// Their end may have been told: the scope of the sweep does not see the inbox, [`known`] does.
pub async fn unfinished(
    db: &Database,
    provider: Provider,
    before: DateTime<Utc>,
    after: Option<UnfinishedCall>,
    limit: i64,
) -> Result<Vec<OpenCall>, StoreError> {
    const OPERATION: &str = "sweeps.unfinished";
    let (after_time, after_id) = after
        .map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |after| (after.created_at, after.call_id.0));
    let mut tx = db.sweep().await?;
    let rows = query!(
        r#"select organization_id, id, created_at, provider_call_id,
             status = 'in-progress' as "answered!", status = 'queued' as "is_queued!"
         from calls
         where provider = $1 and billed_minutes is null and created_at < $2
             -- Vapi takes calls that are to be made up to 30 days later.
             and not ($1 = 'vapi' and status = 'queued' and created_at > now() - interval '30 days')
             and created_at >= $3 and (created_at, id) > ($3, $4)
         order by created_at, id limit $5"#,
        provider.as_str(),
        before,
        after_time,
        after_id,
        limit,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let open = rows.into_iter().map(|row| OpenCall {
        organization_id: OrganizationId(row.organization_id),
        place: UnfinishedCall { created_at: row.created_at, call_id: CallId(row.id) },
        provider_call_id: row.provider_call_id,
        answered: row.answered,
        is_queued: row.is_queued,
    });
    Ok(open.collect())
}

/// Writes down a sweep that worked; `swept_until` is absent where it did not come to the end.
pub async fn succeeded(
    db: &Database,
    organization: OrganizationId,
    provider: Provider,
    swept_until: Option<DateTime<Utc>>,
    swept: CallsSwept,
) -> Result<(), StoreError> {
    const OPERATION: &str = "sweeps.succeeded";
    let mut tx = db.tenant(organization).await?;
    // An attempt that was given up and still ran must not turn the time back.
    query!(
        "insert into provider_sweeps (organization_id, provider, swept_until, last_run_at, listed,
             found)
         values ($1, $2, $3, now(), $4, $5)
         on conflict (organization_id, provider) do update set
             swept_until = greatest(provider_sweeps.swept_until, excluded.swept_until),
             last_run_at = excluded.last_run_at, listed = excluded.listed,
             found = excluded.found, error = null",
        organization.0,
        provider.as_str(),
        swept_until,
        i32::try_from(swept.listed).unwrap_or(i32::MAX),
        i32::try_from(swept.found).unwrap_or(i32::MAX),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}

/// Writes down why a sweep failed: the class of the failure, which is free of personal data.
pub async fn failed(
    db: &Database,
    organization: OrganizationId,
    provider: Provider,
    class: &str,
) -> Result<(), StoreError> {
    const OPERATION: &str = "sweeps.failed";
    let mut tx = db.tenant(organization).await?;
    query!(
        "insert into provider_sweeps (organization_id, provider, last_run_at, error)
         values ($1, $2, now(), $3)
         on conflict (organization_id, provider) do update set
             last_run_at = excluded.last_run_at, error = excluded.error",
        organization.0,
        provider.as_str(),
        class,
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await
}
