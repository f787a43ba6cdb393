//! `calls.finish`: everything a call's events say, in one transaction.

use chrono::{DateTime, SubsecRound, Utc};
use contract::{
    call::{CallStatus, billed_minutes},
    calls::{CallRef, FinishCall, FinishedCall},
    merge::CallFacts,
    notifications::Channel,
    steps::Step,
    usage::occurred_at,
};
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use sha2::{Digest, Sha256};
use sqlx::query;

use crate::{
    Database, StoreError,
    calls::{self, Billed, CallIdentity, word},
    database::{Tx, commit},
    error::{During, Problem},
    events::{self, Told},
    inbox,
    inbox::StoredEvent,
    organizations,
    recorded::{self, Fold},
    transcripts,
    usage::{self, Use, days::Counted},
};

/// Of a US dollar, in the ledger.
const MICROS: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// Folds the stored events of a call and writes call, transcript, recording, ledger and events.
///
/// `now` decides the billing period, `fold` turns the stored events into facts. Returns what is left to do. Run again with the same
/// events it changes nothing; with further events it writes the difference.
pub async fn finish(
    db: &Database,
    input: &FinishCall,
    now: DateTime<Utc>,
    fold: impl Fold,
) -> Result<FinishedCall, StoreError> {
    const OPERATION: &str = "finish";
    let mut tx = db.tenant(input.organization_id).await?;
    let call = query!(
        r#"select provider, provider_call_id as "provider_call_id!" from inbox
           where call_id = $1 and status in ('received', 'processed') and life in ('progress', 'ended', 'report')
           limit 1"#,
        input.call_id.0,
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    let identity = CallIdentity {
        organization_id: input.organization_id,
        call_id: input.call_id,
        provider: word(OPERATION, &call.provider)?,
        provider_call_id: &call.provider_call_id,
    };
    calls::lock(&mut tx, input.call_id).await?;
    let stored = inbox::events_of_call(&mut tx, input.call_id).await?;
    if !stored.iter().any(|event| event.life.is_final()) {
        let rule = "the call has not ended".to_owned();
        return Err(StoreError::new(OPERATION, Problem::Invalid(rule)));
    }
    let facts = settle_status(recorded::fold_whole(&mut tx, identity, &stored, fold).await?);
    let key = calls::fix_key(&mut tx, identity, &facts, &stored).await?;
    let call = key.call_ref(identity);
    let billed = bill(&facts, key.created_at);
    let was = calls::upsert(&mut tx, identity, &key, &facts, Some(billed)).await?;
    let transcript = transcripts::upsert(&mut tx, call, &facts).await?;
    upsert_recording(&mut tx, call, &facts).await?;
    let status = facts.status.unwrap_or(CallStatus::Failed);
    let told = Told { identity, key, facts: &facts, billed: Some(billed) };
    events::emit_final(&mut tx, told, status).await?;
    mark_folded(&mut tx, &stored).await?;
    let needed = needed(&mut tx, call, transcript.as_deref(), &input.retry).await?;
    // Last: every call of the organization waits for the totals' rows.
    let used = Use {
        call,
        minutes: billed.minutes,
        seconds: billed.seconds,
        cost_micros: cost_micros(facts.cost_usd),
        occurred_at: billed.occurred_at,
    };
    let completed = status == CallStatus::Completed;
    let is = Counted { occurred_at: billed.occurred_at, completed };
    usage::record(&mut tx, &used, (was, Some(is)), now).await?;
    commit(tx, OPERATION).await?;
    Ok(FinishedCall { created_at: key.created_at, status, needed })
}

/// A call whose workflow runs is over: an end without a status of its own is told by its times.
fn settle_status(mut facts: CallFacts) -> CallFacts {
    if facts.status.is_none_or(|status| !status.is_final()) {
        let answered = facts.started_at.is_some();
        facts.status = Some(if answered { CallStatus::Completed } else { CallStatus::Failed });
    }
    facts
}

fn bill(facts: &CallFacts, created_at: DateTime<Utc>) -> Billed {
    let seconds = facts.duration_seconds.unwrap_or(0);
    // Microseconds, as Postgres keeps them: what is read back is compared with it.
    let occurred_at = occurred_at(facts, created_at).trunc_subsecs(6);
    Billed { seconds, minutes: billed_minutes(seconds), occurred_at }
}

/// Millionths of a US dollar, rounded as the call's column rounds. What is too much for that column
/// never comes here.
fn cost_micros(cost: Option<Decimal>) -> i64 {
    cost.and_then(|cost| cost.checked_mul(MICROS))
        .map(|micros| micros.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero))
        .and_then(|micros| micros.to_i64())
        .unwrap_or(0)
}

async fn upsert_recording(tx: &mut Tx, call: CallRef, facts: &CallFacts) -> Result<(), StoreError> {
    let urls = facts.recording_urls.as_deref().unwrap_or_default();
    let Some((source, others)) = urls.split_first() else { return Ok(()) };
    // A stored recording stays: presigned links differ between deliveries of the same audio.
    query!(
        "insert into call_recordings (call_id, call_created_at, organization_id, source_url,
             other_urls, status)
         values ($1, $2, $3, $4, $5, 'pending')
         on conflict (call_id) do update
             set source_url = excluded.source_url, other_urls = excluded.other_urls
             where call_recordings.status <> 'stored'",
        call.call_id.0,
        call.created_at,
        call.organization_id.0,
        source,
        others,
    )
    .execute(&mut **tx)
    .await
    .during("finish.recording")
    .map(drop)
}

async fn mark_folded(tx: &mut Tx, stored: &[StoredEvent]) -> Result<(), StoreError> {
    let ids: Vec<_> = stored.iter().map(|event| event.id.0).collect();
    query!("update inbox set folded_at = now() where id = any($1) and status = 'received'", &ids)
        .execute(&mut **tx)
        .await
        .during("finish.mark_folded")
        .map(drop)
}

/// Which optional steps have something to do.
async fn needed(
    tx: &mut Tx,
    call: CallRef,
    transcript: Option<&str>,
    retry: &[Step],
) -> Result<Vec<Step>, StoreError> {
    const OPERATION: &str = "finish.needed";
    let sha256 = transcript.map(|text| <[u8; 32]>::from(Sha256::digest(text)).to_vec());
    let state = query!(
        r#"select
             exists (select from call_recordings where call_id = $1 and status = 'pending')
                 as "recording!",
             exists (select from call_recordings where call_id = $1 and status = 'failed')
                 as "recording_failed!",
             exists (select from call_results where call_id = $1 and transcript_sha256 = $2
                 and status <> 'failed') as "extracted!",
             exists (select from call_results where call_id = $1 and transcript_sha256 = $2
                 and status = 'failed') as "extract_failed!",
             (select count(*) from notifications where call_id = $1 and channel = 'sms'
                 and state in ('sent', 'failed')) as "sms_settled!",
             (select count(*) from notifications where call_id = $1 and channel = 'email'
                 and state in ('sent', 'failed')) as "email_settled!",
             exists (select from webhook_deliveries where call_id = $1 and state = 'pending')
                 as "webhooks!""#,
        call.call_id.0,
        sha256,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    let settings = organizations::notified_in(tx, call.organization_id).await?;
    let recipients = |channel: Channel| match channel {
        Channel::Sms => settings.sms.len(),
        Channel::Email => settings.email.len(),
    };
    let unsettled = |channel: Channel, settled: i64| {
        i64::try_from(recipients(channel)).unwrap_or(i64::MAX) > settled
    };
    let again = |step: Step| retry.contains(&step);
    let has_transcript = transcript.is_some_and(|text| !text.is_empty());
    let wanted = [
        (Step::Recording, state.recording || (again(Step::Recording) && state.recording_failed)),
        (
            Step::Extract,
            has_transcript
                && (!(state.extracted || state.extract_failed)
                    || (again(Step::Extract) && state.extract_failed)),
        ),
        (
            Step::Sms,
            unsettled(Channel::Sms, state.sms_settled)
                || (again(Step::Sms) && recipients(Channel::Sms) > 0),
        ),
        (
            Step::Email,
            unsettled(Channel::Email, state.email_settled)
                || (again(Step::Email) && recipients(Channel::Email) > 0),
        ),
        (Step::Webhooks, state.webhooks || again(Step::Webhooks)),
    ];
    Ok(wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(step, _)| step).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn cost_is_counted_in_millionths_as_postgres_rounds_them() {
        let micros = |cost: &str| cost_micros(Some(cost.parse().unwrap()));
        assert_eq!(cost_micros(None), 0);
        assert_eq!(micros("0.123456"), 123_456);
        assert_eq!(micros("0.0000005"), 1);
        assert_eq!(micros("0.00000049"), 0);
        assert_eq!(micros("999999.999999"), 999_999_999_999);
    }
}
