//! What a dashboard shows of an organization, in one answer: from Redis without a statement, else by four.

pub mod generated;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    ids::OrganizationId,
    period::{local_date, zone_or_utc},
};
use serde::{Deserialize, Serialize};
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::{
    Database, StoreError,
    cache::{Cache, Flights, Found, Key},
    database::{Tx, commit},
    error::{During, Problem},
    organizations::Settings,
    usage::{DayTotal, days},
};

const OPERATION: &str = "reads.dashboard";
/// The last calls of a dashboard.
const CALLS: i64 = 20;
/// It looks no farther back for them.
const REACH: TimeDelta = TimeDelta::days(7);
/// Active assistants that it shows.
const ASSISTANTS: i64 = 100;

/// What a dashboard shows.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Whose it is.
    pub organization: Card,
    /// What the organization chose.
    pub settings: Settings,
    /// Its calls of today.
    pub today: DayTotal,
    /// Its calls in progress.
    pub active_calls: i64,
    /// Its last calls, newest first.
    pub calls: Vec<RecentCall>,
    /// Its active assistants, by name.
    pub assistants: Vec<Assistant>,
}

/// An organization. Also what Redis keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its name in URLs.
    pub slug: String,
    /// Its plan.
    pub plan: String,
    /// Minutes that the plan includes in a period.
    pub plan_minutes: i32,
    /// Its time zone, as IANA names it.
    pub timezone: String,
}

/// A call of the list. Also what Redis keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentCall {
    /// Its id.
    pub id: Uuid,
    /// Who ran it.
    pub provider: String,
    /// The assistant that talked.
    pub assistant_id: Option<Uuid>,
    /// Who called whom.
    pub direction: Option<String>,
    /// Where it stands.
    pub status: String,
    /// What came of it.
    pub outcome: Option<String>,
    /// The caller's number.
    pub from_number: Option<String>,
    /// The called number.
    pub to_number: Option<String>,
    /// When the talk began.
    pub started_at: Option<DateTime<Utc>>,
    /// Its length in seconds.
    pub duration_seconds: Option<i32>,
    /// Minutes on the ledger.
    pub billed_minutes: Option<i32>,
    /// When it began to exist.
    pub created_at: DateTime<Utc>,
}

/// An assistant of the list. Also what Redis keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assistant {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub provider: String,
}

/// Reads dashboards. Of many who ask for the same at once one reads it.
#[derive(Debug, Clone)]
pub struct Dashboards {
    db: Database,
    cache: Cache,
    flights: Flights<Arc<Dashboard>>,
}

impl Dashboards {
    /// Of the organizations in `db`.
    pub fn new(db: Database, cache: Cache) -> Self {
        Self { db, flights: cache.flights(), cache }
    }

    /// An organization's dashboard.
    ///
    /// # Errors
    /// Of the database, where Redis has not all of it.
    pub async fn of(
        &self,
        organization: OrganizationId,
        now: DateTime<Utc>,
    ) -> Result<Arc<Dashboard>, Arc<StoreError>> {
        let this = self.clone();
        let read = async move { this.read(organization, now).await.map(Arc::new) };
        self.flights.join(organization.to_string(), read).await
    }

    async fn read(
        &self,
        organization: OrganizationId,
        now: DateTime<Utc>,
    ) -> Result<Dashboard, StoreError> {
        let mut parts = Parts::kept(&self.cache, organization, now).await;
        if !parts.is_whole() {
            let mut tx = self.db.tenant(organization).await?;
            let statements = parts.complete(&mut tx, organization, now).await?;
            metrics::counter!("postcall_dashboard_statements_total").increment(statements);
            commit(tx, OPERATION).await?;
            parts.keep(&self.cache).await;
        }
        parts.whole().ok_or_else(|| StoreError::new(OPERATION, Problem::NotFound))
    }
}

/// A part that Redis had, or that was read.
#[derive(Debug)]
struct Part<T> {
    key: Key,
    value: Option<T>,
    is_read: bool,
}

impl<T> Part<T> {
    fn read(&mut self, value: T) {
        (self.value, self.is_read) = (Some(value), true);
    }
}

struct Parts {
    found: Found,
    card: Part<Card>,
    settings: Part<Settings>,
    today: Part<DayTotal>,
    active: Part<i64>,
    calls: Part<Vec<RecentCall>>,
    assistants: Part<Vec<Assistant>>,
}

impl Parts {
    /// What Redis has. A day that is over is no today.
    async fn kept(cache: &Cache, id: OrganizationId, now: DateTime<Utc>) -> Self {
        let keys = [
            Key::Organization(id),
            Key::Settings(id),
            Key::CallsToday(id),
            Key::ActiveCalls(id),
            Key::RecentCalls(id),
            Key::Assistants(id),
        ];
        let found = cache.look_up(&keys).await;
        let [card, settings, today, active, calls, assistants] = keys;
        let mut parts = Self {
            card: found.part(0, card),
            settings: found.part(1, settings),
            today: found.part(2, today),
            active: found.part(3, active),
            calls: found.part(4, calls),
            assistants: found.part(5, assistants),
            found,
        };
        let date =
            parts.card.value.as_ref().map(|card| local_date(now, zone_or_utc(&card.timezone)));
        parts.today.value =
            parts.today.value.filter(|day| date.is_none_or(|date| day.date == date));
        parts
    }

    const fn is_whole(&self) -> bool {
        self.card.value.is_some()
            && self.settings.value.is_some()
            && self.today.value.is_some()
            && self.active.value.is_some()
            && self.calls.value.is_some()
            && self.assistants.value.is_some()
    }

    /// Reads what is missing, by a statement for each that is: organization and settings, today and what
    /// is in progress, calls, assistants. How many that were.
    async fn complete(
        &mut self,
        tx: &mut Tx,
        organization: OrganizationId,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut statements = 0;
        if self.card.value.is_none() || self.settings.value.is_none() {
            let (card, settings) = read_organization(tx, organization).await?;
            let date = local_date(now, zone_or_utc(&card.timezone));
            self.today.value = self.today.value.filter(|day| day.date == date);
            self.card.read(card);
            self.settings.read(settings);
            statements += 1;
        }
        if self.today.value.is_none() || self.active.value.is_none() {
            let (today, active) = days::today(tx, organization, now).await?;
            self.today.read(today);
            self.active.read(active);
            statements += 1;
        }
        if self.calls.value.is_none() {
            self.calls.read(read_calls(tx, organization, now).await?);
            statements += 1;
        }
        if self.assistants.value.is_none() {
            self.assistants.read(read_assistants(tx, organization).await?);
            statements += 1;
        }
        Ok(statements)
    }

    async fn keep(&self, cache: &Cache) {
        let Self { found, card, settings, today, active, calls, assistants } = self;
        tokio::join!(
            card.keep(cache, found),
            settings.keep(cache, found),
            today.keep(cache, found),
            active.keep(cache, found),
            calls.keep(cache, found),
            assistants.keep(cache, found),
        );
    }

    fn whole(self) -> Option<Dashboard> {
        Some(Dashboard {
            organization: self.card.value?,
            settings: self.settings.value?,
            today: self.today.value?,
            active_calls: self.active.value?,
            calls: self.calls.value?,
            assistants: self.assistants.value?,
        })
    }
}

impl Found {
    fn part<T: serde::de::DeserializeOwned>(&self, place: usize, key: Key) -> Part<T> {
        let value = self.value(place, &key).flatten();
        Part { key, value, is_read: false }
    }
}

impl<T: Serialize + Sync> Part<T> {
    async fn keep(&self, cache: &Cache, found: &Found) {
        if self.is_read {
            cache.keep(found, &self.key, self.value.as_ref()).await;
        }
    }
}

async fn read_organization(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<(Card, Settings), StoreError> {
    let row = query!(
        "select name, slug, plan, plan_minutes, timezone, settings from organizations
         where id = $1 and deleted_at is null",
        organization.0,
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    let settings = serde_json::from_value(row.settings).map_err(|error| {
        StoreError::new(OPERATION, Problem::Invalid(format!("settings: {error}")))
    })?;
    let card = Card {
        name: row.name,
        slug: row.slug,
        plan: row.plan,
        plan_minutes: row.plan_minutes,
        timezone: row.timezone,
    };
    Ok((card, settings))
}

async fn read_calls(
    tx: &mut Tx,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Vec<RecentCall>, StoreError> {
    query_as!(
        RecentCall,
        "select id, provider, assistant_id, direction, status, outcome, from_number, to_number,
             started_at, duration_seconds, billed_minutes, created_at
         from calls where organization_id = $1 and created_at >= $2
         order by created_at desc, id desc limit $3",
        organization.0,
        now - REACH,
        CALLS,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)
}

async fn read_assistants(
    tx: &mut Tx,
    organization: OrganizationId,
) -> Result<Vec<Assistant>, StoreError> {
    query_as!(
        Assistant,
        "select id, name, provider from assistants
         where organization_id = $1 and is_active and deleted_at is null order by name, id limit $2",
        organization.0,
        ASSISTANTS,
    )
    .fetch_all(&mut **tx)
    .await
    .during(OPERATION)
}
