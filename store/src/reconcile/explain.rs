//! The story of one call's minutes: what was told, counted, aggregated and billed, and when.

mod read;
mod summary;

use chrono::{DateTime, NaiveDate, Utc};
use contract::{
    ids::{CallId, InboxId, OrganizationId, PeriodId},
    period::Span,
};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{Database, StoreError, database::commit};

/// Everything that the books know of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The call.
    pub call: CallFigures,
    /// Events that told of its end, oldest first.
    pub events: Vec<ToldEvent>,
    /// Its rows of the ledger, in the order of their recording.
    pub ledger: Vec<BookedRow>,
    /// The periods that they are in, oldest first.
    pub periods: Vec<BookedPeriod>,
    /// That it is not to be paid for.
    pub voided: Option<Voided>,
    /// The day that it counts for; none before it is counted.
    pub day: Option<DayFigures>,
    /// All of it in a sentence.
    pub summary: String,
}

/// What a call's row says.
#[derive(Debug, Clone, PartialEq)]
pub struct CallFigures {
    /// Its id.
    pub id: CallId,
    /// Its status.
    pub status: String,
    /// Seconds, at most a day.
    pub duration_seconds: Option<i32>,
    /// Begun minutes; none before it is counted.
    pub billed_minutes: Option<i32>,
    /// What the provider charges, in US dollars.
    pub cost_usd: Option<Decimal>,
    /// What was wrong with the duration that the provider told: `capped` or `negative`.
    pub duration_flag: Option<String>,
    /// When it counts as used.
    pub occurred_at: Option<DateTime<Utc>>,
    /// When its row was last written.
    pub updated_at: DateTime<Utc>,
    /// The organization's time zone.
    pub timezone: String,
}

/// An event of a provider, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldEvent {
    /// Its id.
    pub id: InboxId,
    /// The provider's name of it.
    pub kind: String,
    /// How it came.
    pub origin: String,
    /// Where it stands.
    pub status: String,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// When its call's row had what it says.
    pub folded_at: Option<DateTime<Utc>>,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedRow {
    /// Its id.
    pub id: Uuid,
    /// `call_minutes`, `call_seconds` or `call_cost`.
    pub meter: String,
    /// From 0, for each meter.
    pub revision: i32,
    /// The change that it makes, in units of its meter.
    pub quantity: i64,
    /// Why it was written.
    pub reason: String,
    /// When the call occurred, by what was known then.
    pub occurred_at: DateTime<Utc>,
    /// When it was written.
    pub recorded_at: DateTime<Utc>,
    /// The period that takes it.
    pub period_id: PeriodId,
}

/// A period that has rows of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedPeriod {
    /// Its id.
    pub id: PeriodId,
    /// From when to when.
    pub span: Span,
    /// `open`, `closing` or `closed`.
    pub status: String,
    /// When it was frozen.
    pub watermark: Option<DateTime<Utc>>,
    /// Minutes of the call in it.
    pub minutes: i64,
    /// Minutes of all calls that are billed beyond the included ones; none before it is frozen.
    pub overage_minutes: Option<i64>,
    /// What Stripe was told of it, oldest revision first.
    pub reports: Vec<ReportOfPeriod>,
}

/// What Stripe was told of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportOfPeriod {
    /// How Stripe knows it.
    pub identifier: String,
    /// Minutes.
    pub quantity: i64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    pub state: String,
    /// When it was last sent.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// When that was decided.
    pub settled_at: Option<DateTime<Utc>>,
    /// Minutes of it that Stripe was seen to have counted; none where it was not asked yet.
    pub counted_minutes: Option<i64>,
    /// When that was seen first.
    pub counted_at: Option<DateTime<Utc>>,
}

/// That a call is not to be paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voided {
    /// Why, in the words of whoever did it.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A local day, with all calls of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayFigures {
    /// The day.
    pub date: NaiveDate,
    /// From when to when.
    pub span: Span,
    /// When it was added up to what it says now; never so far where absent.
    pub computed_at: Option<DateTime<Utc>>,
    /// Calls of the day, as added up.
    pub total_calls: i64,
    /// Their minutes.
    pub total_minutes: i64,
    /// When something changed of it that is not added up yet.
    pub touched_at: Option<DateTime<Utc>>,
}

/// Reads the story of a call; none where the organization has no such call.
pub async fn explain(
    db: &Database,
    organization: OrganizationId,
    call: CallId,
) -> Result<Option<Story>, StoreError> {
    let mut tx = db.tenant(organization).await?;
    let story = read::story(&mut tx, organization, call).await?;
    commit(tx, "reconcile.explain").await?;
    Ok(story.map(|story| Story { summary: summary::of(&story), ..story }))
}
