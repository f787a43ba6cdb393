//! Days of usage, added up from the calls and replaced as a whole.
//!
//! A page of organizations is one transaction, and one pass over the calls of its days. Days that
//! something touched after they were over take passes of their own, for those whose days they are.

pub mod generated;
pub mod plan;
mod slices;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use contract::{
    ids::OrganizationId,
    period,
    usage::{Days, PageAggregated, UsageAggregated},
};
use sqlx::{query, query_file};
use uuid::Uuid;

use self::slices::Slices;
use crate::{
    Database, StoreError, alerts,
    database::{Tx, commit},
    error::During,
    usage,
};

/// Organizations of a page. Each page is one pass over the calls of its days, whosever they are, so
/// larger ones are faster in all.
pub const PAGE: i64 = 10_000;

/// Days that one statement adds up, so that what it keeps in memory has a bound, whatever the range: it
/// is in the order of days that calls are stored, and a week of them is read without the others.
const DAYS_AT_ONCE: u32 = 7;

/// Touched days taken up by one page, the longest waiting first; the next run takes the others.
const MOST_TOUCHED: i64 = 100_000;

/// `work_mem`: a week of ten thousand organizations, by assistant, is added up in 70 MB, and hashing may
/// take twice this; more goes to disk. Compiling the expressions takes longer than it saves. Runs at
/// once would replace each other's rows by older ones: one waits for the other, and less long than its
/// activity's attempt may take.
const PREPARE: &str = "set local work_mem = '64MB'; set local jit = off;
    set local lock_timeout = '5min';
    select pg_advisory_xact_lock(hashtext('postcall.aggregation'));
    set local lock_timeout to default";

/// Aggregates days of at most `limit` organizations after one, in the order of their ids. Run again it
/// changes nothing, unless calls did.
///
/// # Errors
/// Of the database. Nothing is changed then.
pub async fn aggregate_page(
    db: &Database,
    days: Days,
    after: Option<OrganizationId>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<PageAggregated, StoreError> {
    const OPERATION: &str = "daily.aggregate_page";
    let mut tx = db.billing().await?;
    sqlx::raw_sql(PREPARE).execute(&mut *tx).await.during("daily.prepare")?;
    let page = Page::read(&mut tx, after, limit).await?;
    let touched = page.touched(&mut tx).await?;
    let mut aggregated = UsageAggregated {
        organizations: count(page.zones.len()),
        touched_days: count(touched.len()),
        unknown_zones: page.unknown_zones(),
        ..UsageAggregated::default()
    };
    let further = further_days(&touched, |organization, day| {
        page.zones.get(&organization).map(|zone| (zone.as_str(), slices::holds(days, zone, day)))
    });
    for slices in page.slices(days).chain(further) {
        let changed = recompute(&mut tx, &slices, now).await?;
        aggregated = aggregated.and(changed);
    }
    let organizations: Vec<OrganizationId> = page.zones.keys().copied().collect();
    aggregated.alerts = alerts::check(&mut tx, &organizations).await?;
    usage::days::trim(&mut tx, now).await?;
    settle(&mut tx, &touched).await?;
    commit(tx, OPERATION).await?;
    let next = if page.has_more { organizations.last().copied() } else { None };
    Ok(PageAggregated { aggregated, next })
}

/// Organizations and the names of their zones, which need not be zones.
struct Page {
    zones: BTreeMap<OrganizationId, String>,
    has_more: bool,
}

impl Page {
    async fn read(
        tx: &mut Tx,
        after: Option<OrganizationId>,
        limit: i64,
    ) -> Result<Self, StoreError> {
        let rows = query!(
            // Deleted ones too: what they used is still to be paid for.
            "select id, timezone from organizations where id > $1 order by id limit $2",
            after.map_or(Uuid::nil(), Uuid::from),
            limit.saturating_add(1),
        )
        .fetch_all(&mut **tx)
        .await
        .during("daily.organizations")?;
        let limit = usize::try_from(limit).unwrap_or(0);
        let has_more = rows.len() > limit;
        let zones = rows.into_iter().map(|row| (OrganizationId(row.id), row.timezone));
        Ok(Self { zones: zones.take(limit).collect(), has_more })
    }

    fn ids(&self) -> Vec<Uuid> {
        self.zones.keys().map(|organization| organization.0).collect()
    }

    fn unknown_zones(&self) -> u32 {
        let is_unknown = |(_, zone): &(&OrganizationId, &String)| period::zone(zone).is_none();
        let mut unknown = self.zones.iter().filter(is_unknown);
        let Some((first, _)) = unknown.next() else { return 0 };
        let unknown = count(unknown.count()).saturating_add(1);
        tracing::warn!(
            unknown,
            organization_id = %first,
            "organizations with a time zone that nobody knows; theirs are days of UTC"
        );
        unknown
    }

    /// The days in pieces, each for one statement.
    fn slices(&self, days: Days) -> impl Iterator<Item = Slices> + '_ {
        slices::pieces(days, DAYS_AT_ONCE).into_iter().filter_map(|days| {
            Slices::new(self.ids(), self.zones.values().map(String::as_str), |zone| {
                slices::days_in(days, zone)
            })
        })
    }

    async fn touched(&self, tx: &mut Tx) -> Result<Vec<Touched>, StoreError> {
        let rows = query!(
            r#"select organization_id, date, xmin::text as "version!" from usage_days_touched
               where organization_id = any($1) order by touched_at limit $2"#,
            &self.ids(),
            MOST_TOUCHED,
        )
        .fetch_all(&mut **tx)
        .await
        .during("daily.touched")?;
        let touched = rows.into_iter().map(|row| Touched {
            organization: OrganizationId(row.organization_id),
            date: row.date,
            version: row.version,
        });
        Ok(touched.collect())
    }
}

/// A day that was over when something of it changed.
struct Touched {
    organization: OrganizationId,
    date: NaiveDate,
    /// Which version of its row was read: one that was written since tells of a later change.
    version: String,
}

/// The touched days that are not aggregated anyway: each run of days that follow upon each other, as many
/// as one statement takes, with the organizations that have one in it. `place` gives an organization's zone, and whether a day is
/// among those that are aggregated.
fn further_days<'a>(
    touched: &[Touched],
    place: impl Fn(OrganizationId, NaiveDate) -> Option<(&'a str, bool)>,
) -> Vec<Slices> {
    let mut dates: BTreeMap<NaiveDate, BTreeMap<OrganizationId, &'a str>> = BTreeMap::new();
    for day in touched {
        if let Some((zone, false)) = place(day.organization, day.date) {
            dates.entry(day.date).or_default().insert(day.organization, zone);
        }
    }
    let mut runs: Vec<(NaiveDate, NaiveDate, BTreeMap<OrganizationId, &'a str>)> = Vec::new();
    for (date, organizations) in dates {
        match runs.last_mut() {
            Some((first, last, all))
                if last.succ_opt() == Some(date) && slices::fits(*first, date, DAYS_AT_ONCE) =>
            {
                *last = date;
                all.extend(organizations);
            }
            _ => runs.push((date, date, organizations)),
        }
    }
    let slices = runs.into_iter().filter_map(|(first, last, organizations)| {
        let ids = organizations.keys().map(|organization| organization.0).collect();
        Slices::new(ids, organizations.values().copied(), |_| (first, last))
    });
    slices.collect()
}

async fn recompute(
    tx: &mut Tx,
    slices: &Slices,
    now: DateTime<Utc>,
) -> Result<UsageAggregated, StoreError> {
    let changed = query_file!(
        "src/daily/recompute.sql",
        &slices.organizations,
        &slices.zones,
        &slices.first_days,
        &slices.firsts,
        &slices.lasts,
        &slices.bounds,
        slices.created.start,
        slices.created.end,
        slices.occurred.start,
        slices.occurred.end,
        slices.days.0,
        slices.days.1,
        now,
    )
    .fetch_one(&mut **tx)
    .await
    .during("daily.recompute")?;
    Ok(UsageAggregated {
        rows_written: u64::try_from(changed.written).unwrap_or(0),
        rows_removed: u64::try_from(changed.removed).unwrap_or(0),
        ..UsageAggregated::default()
    })
}

/// Forgets the touched days, last of all: who finishes a call waits for this row's lock. What touched a
/// day since it was read wrote a further version, which stays for the next run.
async fn settle(tx: &mut Tx, touched: &[Touched]) -> Result<(), StoreError> {
    let organizations: Vec<Uuid> = touched.iter().map(|day| day.organization.0).collect();
    let dates: Vec<NaiveDate> = touched.iter().map(|day| day.date).collect();
    let versions: Vec<String> = touched.iter().map(|day| day.version.clone()).collect();
    query!(
        "delete from usage_days_touched t
         using unnest($1::uuid[], $2::date[], $3::text[]) d (organization_id, date, version)
         where t.organization_id = d.organization_id and t.date = d.date
             and t.xmin::text = d.version",
        &organizations,
        &dates,
        &versions,
    )
    .execute(&mut **tx)
    .await
    .during("daily.settle")
    .map(drop)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
