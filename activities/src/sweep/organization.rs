//! One organization's calls at one provider: the recent ones page by page, then those that are
//! stuck.
//!
//! Idempotent without a memory of its own: an attempt lists anew, and what an earlier one stored is
//! known. The time up to which calls are known moves only when all pages were read.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    call::{Origin, Provider},
    failure::INVALID,
    ids::{CallId, OrganizationId},
    sweep::{CallsSwept, SweepOrganization, SweepTiming},
};
use futures::{StreamExt, stream};
use providers::{
    calls_api::{CallsApi, ListedCall},
    error::{ErrorKind, ProviderError},
    incoming,
};
use store::{
    credentials::{self, ApiAccess},
    sweeps,
};

use super::{
    Failed, SweepActivities, stored_form,
    verdict::{Told, Verdict, Wanted, is_wanted, verdict},
};
use crate::failure::failure;

/// How far back the first sweep of an organization goes.
const FIRST_RANGE: TimeDelta = TimeDelta::hours(24);
/// Each sweep goes back so far before the end of the one before. Covers clocks that differ and lists
/// that show a call late.
const OVERLAP: TimeDelta = TimeDelta::minutes(30);
/// Longest range of one sweep. After an outage of days each run takes up to a day more, so none is
/// much longer than others.
const LONGEST_RANGE: TimeDelta = TimeDelta::hours(24);
/// A call that could not be fetched is listed again for so long; after that the sweeps go on without
/// it, or one bad call would make the range of each of them a day.
const UNFETCHED_PATIENCE: TimeDelta = TimeDelta::hours(6);
/// Pages read in one sweep. More are no calls of a day: the provider repeats itself.
const MAX_PAGES: usize = 1000;
/// Calls fetched in one sweep: about as many as its ten minutes allow. The next one goes on.
const MAX_FETCHES: usize = 1000;
/// Stuck calls asked for in one sweep, oldest first.
const MAX_STUCK: i64 = 200;
/// Calls fetched at the same time: no provider limits an account to less.
const FETCHES_AT_ONCE: usize = 4;
/// A few calls that cannot be fetched keep no other from being found; more is an outage.
const MAX_UNFETCHED: usize = 5;

/// Fetches what webhooks did not tell. Without access to the API there is nothing to do.
pub(super) async fn sweep(
    room: &SweepActivities,
    input: SweepOrganization,
    now: DateTime<Utc>,
) -> Result<CallsSwept, Failed> {
    let SweepOrganization { organization_id: organization, provider, timing } = input;
    let Some(api) = open_api(room, organization, provider).await? else {
        return Ok(CallsSwept::default());
    };
    let before = sweeps::swept_until(&room.db, organization, provider).await?;
    let (since, until) = range(before, timing, now);
    let mut sweep = Sweep {
        room,
        api,
        organization,
        provider,
        timing,
        now,
        swept: CallsSwept::default(),
        fetched: 0,
        answered: 0,
        unfetched: 0,
    };
    let is_whole = sweep.recent(since, until).await?;
    let swept_until = reached(before, until, sweep.unfetched).filter(|_| is_whole);
    // Noted before the stuck calls, which are asked for again without being listed.
    sweeps::succeeded(&room.db, organization, provider, swept_until, sweep.swept).await?;
    sweep.stuck().await?;
    sweeps::succeeded(&room.db, organization, provider, swept_until, sweep.swept).await?;
    Ok(sweep.swept)
}

/// The times between which changes are listed.
///
/// It ends when webhooks have had their chance, so the cursor never passes a call that is left to
/// its webhook: such a call ended, and so changed, after the range, and lies in the next one.
fn range(
    swept_until: Option<DateTime<Utc>>,
    timing: SweepTiming,
    now: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    // A worker whose clock was ahead must not leave a gap.
    let since = swept_until.unwrap_or(now - FIRST_RANGE).min(now) - OVERLAP;
    let settled = now - TimeDelta::seconds(timing.settle_seconds.into());
    (since, settled.min(since + OVERLAP + LONGEST_RANGE))
}

/// How far calls are known after a sweep to `until`; nothing where that stays as it was, so that the
/// next sweep lists calls again that could not be fetched.
fn reached(
    before: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
    unfetched: usize,
) -> Option<DateTime<Utc>> {
    let is_patient = before.is_none_or(|before| until - before < UNFETCHED_PATIENCE);
    (unfetched == 0 || !is_patient).then_some(until)
}

async fn open_api(
    room: &SweepActivities,
    organization: OrganizationId,
    provider: Provider,
) -> Result<Option<CallsApi>, Failed> {
    let access = credentials::api_access(&room.db, &room.sealer, organization, provider).await?;
    // The installation's own account would list the calls of others too.
    let ApiAccess::Own(access) = access else { return Ok(None) };
    let account = access.settings["account_sid"].as_str().unwrap_or_default();
    if provider == Provider::Twilio && account.is_empty() {
        let text = "the credentials for twilio have no account_sid in their settings".to_owned();
        return Err(Failed { class: INVALID, failure: failure(INVALID, text, false, None) });
    }
    Ok(Some(CallsApi::new(provider, room.base_url(provider), account, access.api_key)?))
}

struct Sweep<'a> {
    room: &'a SweepActivities,
    api: CallsApi,
    organization: OrganizationId,
    provider: Provider,
    timing: SweepTiming,
    now: DateTime<Utc>,
    swept: CallsSwept,
    fetched: usize,
    answered: usize,
    unfetched: usize,
}

impl Sweep<'_> {
    /// Calls that changed in the range. False where a bound was met before its end.
    async fn recent(&mut self, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool, Failed> {
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page = self.api.page(since, until, cursor.as_deref()).await?;
            let listed = u32::try_from(page.calls.len()).unwrap_or(u32::MAX);
            self.swept.listed = self.swept.listed.saturating_add(listed);
            let mut wanted = self.wanted(&page.calls).await?;
            let left = MAX_FETCHES.saturating_sub(self.fetched);
            let is_too_much = wanted.len() > left;
            wanted.truncate(left);
            self.fetch(wanted).await?;
            if is_too_much {
                return Ok(false);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Calls of ours whose end nobody told.
    async fn stuck(&mut self) -> Result<(), Failed> {
        let before = self.now - TimeDelta::seconds(self.timing.stuck_seconds.into());
        let (db, organization, provider) = (&self.room.db, self.organization, self.provider);
        let open = sweeps::stuck(db, organization, provider, before, MAX_STUCK).await?;
        let wanted = open.into_iter().map(|call| Wanted {
            provider_call_id: call.provider_call_id,
            known: Some(sweeps::Known { answered: call.answered, ..sweeps::Known::default() }),
            is_queued: call.is_queued,
            stuck_since: Some(call.place.created_at),
        });
        self.fetch(wanted.collect()).await
    }

    /// Those of a page that have something new to tell.
    async fn wanted(&self, listed: &[ListedCall]) -> Result<Vec<Wanted>, Failed> {
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let id = |call: &ListedCall| {
            CallId::derive(self.organization, self.provider, &call.provider_call_id)
        };
        let ids: Vec<CallId> = listed.iter().map(id).collect();
        let known = sweeps::known(&self.room.db, self.organization, &ids).await?;
        let wanted = listed.iter().zip(ids).filter_map(|(call, id)| {
            let known = known.get(&id).copied();
            is_wanted(call, known).then(|| Wanted {
                provider_call_id: call.provider_call_id.clone(),
                known,
                is_queued: false,
                stuck_since: None,
            })
        });
        Ok(wanted.collect())
    }

    async fn fetch(&mut self, wanted: Vec<Wanted>) -> Result<(), Failed> {
        self.fetched += wanted.len();
        let api = self.api.clone();
        let ask = |wanted: Wanted| async {
            let answer = api.call(&wanted.provider_call_id).await;
            (wanted, answer)
        };
        let mut answers = stream::iter(wanted).map(ask).buffer_unordered(FETCHES_AT_ONCE);
        while let Some((wanted, answer)) = answers.next().await {
            self.answered += usize::from(answer.is_ok());
            match answer {
                Ok(None) => self.settle(&wanted, Told::Unknown).await?,
                Ok(Some(body)) => self.read(&wanted, body).await?,
                Err(error) if self.can_do_without(&error) => {
                    tracing::warn!(%error, "a call could not be fetched; the next sweep tries again");
                    self.settle(&wanted, Told::Nothing).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A provider that asks for a pause gets it at once.
    fn can_do_without(&mut self, error: &ProviderError) -> bool {
        self.unfetched += 1;
        let is_limit = matches!(error.kind, ErrorKind::Unavailable { status: Some(429), .. });
        !is_limit && self.unfetched <= self.tolerated()
    }

    /// A few bad calls, or fewer than one in twenty of many; more failures are an outage.
    fn tolerated(&self) -> usize {
        MAX_UNFETCHED.max(self.answered / 20)
    }

    async fn read(&mut self, wanted: &Wanted, body: Bytes) -> Result<(), Failed> {
        let (organization, provider, now) = (self.organization, self.provider, self.now);
        let read = incoming::read(provider, Origin::Sweep, &body, now);
        let stored = |read| {
            let id = &wanted.provider_call_id;
            stored_form(organization, provider, id, body.clone(), read, now)
        };
        let Ok(incoming) = &read else {
            tracing::warn!(%provider, "a fetched call cannot be read and is parked");
            self.room.append(&stored(&read)).await?;
            return self.settle(wanted, Told::Nothing).await;
        };
        if self.verdict(wanted, Told::Event(&incoming.event)) == Verdict::Append {
            if self.room.append(&stored(&read)).await? {
                self.swept.found += 1;
                metrics::counter!("postcall_sweep_found_total", "provider" => provider.as_str())
                    .increment(1);
            }
            return Ok(());
        }
        self.settle(wanted, Told::Event(&incoming.event)).await
    }

    /// Closes a call whose end nobody will tell.
    async fn settle(&mut self, wanted: &Wanted, told: Told<'_>) -> Result<(), Failed> {
        if self.verdict(wanted, told) == Verdict::Close {
            let (organization, provider) = (self.organization, self.provider);
            let id = &wanted.provider_call_id;
            let closed = self.room.close(organization, provider, id, self.now).await?;
            self.swept.closed += u32::from(closed);
        }
        Ok(())
    }

    fn verdict(&self, wanted: &Wanted, told: Told<'_>) -> Verdict {
        verdict(self.provider, wanted, told, self.timing, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
    }

    fn range_of(swept_until: Option<DateTime<Utc>>) -> (DateTime<Utc>, DateTime<Utc>) {
        range(swept_until, SweepTiming::default(), minutes(0))
    }

    #[test]
    fn a_range_overlaps_the_one_before_and_leaves_webhooks_their_time() {
        assert_eq!(range_of(Some(minutes(-12))), (minutes(-42), minutes(-2)));
    }

    #[test]
    fn the_first_range_is_a_day_and_ends_now() {
        let (since, until) = range_of(None);
        assert_eq!((since, until), (minutes(-24 * 60 - 30), minutes(-2)));
    }

    #[test]
    fn a_call_that_cannot_be_fetched_holds_the_range_open_for_six_hours() {
        let hours = |hours: i64| minutes(hours * 60);
        assert_eq!(reached(None, hours(0), 0), Some(hours(0)));
        assert_eq!(reached(Some(hours(-1)), hours(0), 0), Some(hours(0)));
        assert_eq!(reached(None, hours(0), 1), None, "the first range is a day anyway");
        assert_eq!(reached(Some(hours(-5)), hours(0), 1), None);
        assert_eq!(reached(Some(hours(-6)), hours(0), 1), Some(hours(0)));
    }

    #[test]
    fn after_an_outage_each_range_goes_a_day_further() {
        let week = 7 * 24 * 60;
        let (mut swept_until, mut runs) = (minutes(-week), 0);
        while swept_until < minutes(-2) {
            let (since, until) = range_of(Some(swept_until));
            assert_eq!(since, swept_until - OVERLAP, "nothing lies between two ranges");
            assert!(until - since <= LONGEST_RANGE + OVERLAP && until > swept_until);
            (swept_until, runs) = (until, runs + 1);
        }
        assert_eq!((swept_until, runs), (minutes(-2), 7));
    }
}
