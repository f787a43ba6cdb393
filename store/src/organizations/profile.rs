//! An organization as its people, and whoever runs the installation, see and change it.

use chrono::{DateTime, Utc};
use contract::{ids::OrganizationId, period};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sqlx::{query, query_as};
use uuid::Uuid;

use super::Settings;
use crate::{
    Database, StoreError,
    audit::Changer,
    database::{Tx, commit},
    error::During,
    written::Written,
};

/// All that there is to know of an organization.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Its name in URLs.
    pub slug: String,
    /// Name of its plan.
    pub plan: String,
    /// Minutes of a period that the plan includes.
    pub plan_minutes: i32,
    /// Price of a further minute in US dollars.
    pub overage_price: Decimal,
    /// `soft`: further minutes are sold; `hard`: they are not.
    pub usage_limit: String,
    /// IANA's name of its time zone.
    pub timezone: String,
    /// What it chose.
    pub settings: Settings,
    /// Begin of the period that is open.
    pub current_period_start: Option<DateTime<Utc>>,
    /// End of the period that is open.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Grows with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Profile {
    /// What the audit log says of it: of recipients only how many there are, for they are people.
    pub(super) fn audited(&self) -> Value {
        let Settings { notifications, billing, keep_all_events } = &self.settings;
        json!({
            "name": self.name,
            "slug": self.slug,
            "plan": self.plan,
            "plan_minutes": self.plan_minutes,
            "overage_price": self.overage_price,
            "usage_limit": self.usage_limit,
            "timezone": self.timezone,
            "settings": {
                "notifications": {
                    "sms": notifications.sms.len(), "email": notifications.email.len(),
                },
                "billing": { "email": billing.email.len() },
                "keep_all_events": keep_all_events,
            },
            "version": self.version,
        })
    }

    /// The same, and which lists of recipients are others than before.
    fn audited_after(&self, before: &Self) -> Value {
        let (was, is) = (&before.settings, &self.settings);
        let lists = [
            ("settings.notifications.sms", was.notifications.sms != is.notifications.sms),
            ("settings.notifications.email", was.notifications.email != is.notifications.email),
            ("settings.billing.email", was.billing.email != is.billing.email),
        ];
        let mut audited = self.audited();
        let changed = lists.into_iter().filter_map(|(list, is_other)| is_other.then_some(list));
        audited["changed_recipients"] = changed.collect();
        audited
    }
}

/// What its people change. All of it was checked; what is none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Its name.
    pub name: Option<String>,
    /// IANA's name of its time zone.
    pub timezone: Option<String>,
    /// Phone numbers that hear of each call.
    pub notified_numbers: Option<Vec<String>>,
    /// Addresses that hear of each call.
    pub notified_emails: Option<Vec<String>>,
    /// Addresses that hear of minutes and bills.
    pub billing_emails: Option<Vec<String>>,
    /// Whether messages that drive no call are stored too.
    pub keep_all_events: Option<bool>,
}

impl Changes {
    fn apply(&self, settings: &mut Settings) {
        let Settings { notifications, billing, keep_all_events } = settings;
        let lists = [
            (&self.notified_numbers, &mut notifications.sms),
            (&self.notified_emails, &mut notifications.email),
            (&self.billing_emails, &mut billing.email),
        ];
        for (given, kept) in lists {
            if let Some(given) = given {
                kept.clone_from(given);
            }
        }
        *keep_all_events = self.keep_all_events.unwrap_or(*keep_all_events);
    }
}

struct Row {
    id: Uuid,
    name: String,
    slug: String,
    plan: String,
    plan_minutes: i32,
    overage_price: Decimal,
    usage_limit: String,
    timezone: String,
    settings: Value,
    current_period_start: Option<DateTime<Utc>>,
    current_period_end: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

impl Row {
    /// Settings that cannot be read choose nothing: they must not keep anybody from mending them.
    fn profile(self) -> Profile {
        Profile {
            id: OrganizationId(self.id),
            name: self.name,
            slug: self.slug,
            plan: self.plan,
            plan_minutes: self.plan_minutes,
            overage_price: self.overage_price,
            usage_limit: self.usage_limit,
            timezone: self.timezone,
            settings: serde_json::from_value(self.settings).unwrap_or_default(),
            current_period_start: self.current_period_start,
            current_period_end: self.current_period_end,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        }
    }
}

/// Reads an organization; none where it is unknown or was deleted.
pub async fn profile(
    db: &Database,
    organization: OrganizationId,
) -> Result<Option<Profile>, StoreError> {
    const OPERATION: &str = "organization.profile";
    let mut tx = db.tenant(organization).await?;
    let found = find(&mut tx, organization).await.during(OPERATION)?;
    commit(tx, OPERATION).await?;
    Ok(found.map(Row::profile).filter(|found| found.deleted_at.is_none()))
}

/// One that was deleted, too.
pub(super) async fn find_in(
    tx: &mut Tx,
    organization: OrganizationId,
    operation: &'static str,
) -> Result<Option<Profile>, StoreError> {
    Ok(find(tx, organization).await.during(operation)?.map(Row::profile))
}

async fn find(tx: &mut Tx, organization: OrganizationId) -> Result<Option<Row>, sqlx::Error> {
    query_as!(
        Row,
        "select id, name, slug, plan, plan_minutes, overage_price, usage_limit, timezone, settings,
             current_period_start, current_period_end, version, created_at, updated_at, deleted_at
         from organizations where id = $1",
        organization.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Changes an organization, if it still has a version that is `expected`, where some are.
pub async fn update(
    db: &Database,
    changer: &Changer,
    expected: Option<&[i64]>,
    changes: &Changes,
    now: DateTime<Utc>,
) -> Result<Written<Profile>, StoreError> {
    const OPERATION: &str = "organization.update";
    let organization = changer.organization;
    let mut tx = db.tenant(organization).await?;
    query!("select id from organizations where id = $1 for no key update", organization.0)
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
    let row = find(&mut tx, organization).await.during(OPERATION)?;
    let Some(row) = row.filter(|row| row.deleted_at.is_none()) else {
        return Ok(Written::Unknown);
    };
    let stored = row.settings.clone();
    let before = row.profile();
    if expected.is_some_and(|versions| !versions.contains(&before.version)) {
        return Ok(Written::Stale);
    }
    let mut settings = before.settings.clone();
    changes.apply(&mut settings);
    query!(
        "update organizations set name = coalesce($2, name), timezone = coalesce($3, timezone),
             settings = $4, version = version + 1, updated_at = now()
         where id = $1",
        organization.0,
        changes.name.as_deref(),
        changes.timezone.as_deref(),
        merged(stored, &settings),
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    if let Some(zone) = changes.timezone.as_deref().filter(|zone| *zone != before.timezone) {
        touch_days(&mut tx, organization, zone, now).await?;
    }
    let after = find(&mut tx, organization).await.during(OPERATION)?.map(Row::profile);
    let Some(after) = after else { return Ok(Written::Unknown) };
    let (was, is) = (Some(before.audited()), Some(after.audited_after(&before)));
    changer.record(&mut tx, OPERATION, "organization", was, is).await?;
    commit(tx, OPERATION).await?;
    Ok(Written::Done(after))
}

/// What else is stored stays: a later release may have written it.
fn merged(stored: Value, settings: &Settings) -> Value {
    let mut all = match stored {
        Value::Object(stored) => stored,
        _ => Map::new(),
    };
    if let Ok(Value::Object(chosen)) = serde_json::to_value(settings) {
        all.extend(chosen);
    }
    Value::Object(all)
}

/// In another zone a call may belong to the day before or after: all days that are over are added up
/// again by the next run.
async fn touch_days(
    tx: &mut Tx,
    organization: OrganizationId,
    zone: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let today = period::local_date(now, period::zone_or_utc(zone));
    query!(
        "insert into usage_days_touched (organization_id, date, touched_at)
         select distinct $1::uuid, d.date + shift, $3::timestamptz
         from daily_usage d cross join generate_series(-1, 1) shift
         where d.organization_id = $1 and d.date + shift < $2 order by 2
         on conflict (organization_id, date) do update set touched_at = excluded.touched_at",
        organization.0,
        today,
        now,
    )
    .execute(&mut **tx)
    .await
    .map(drop)
    .during("organization.touch_days")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_in_the_settings_stays() {
        let mut settings = Settings::default();
        let changes = Changes { keep_all_events: Some(true), ..Changes::default() };
        changes.apply(&mut settings);
        let all = merged(json!({ "later": 1, "keep_all_events": false }), &settings);
        assert_eq!((&all["later"], &all["keep_all_events"]), (&json!(1), &json!(true)));
        assert_eq!(all["notifications"], json!({ "sms": [], "email": [] }));
    }
}
