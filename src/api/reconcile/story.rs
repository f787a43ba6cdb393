//! The story of one call's minutes, as JSON.

use chrono::NaiveDate;
use contract::ids::{CallId, InboxId, PeriodId};
use serde::Serialize;
use store::reconcile::{
    BookedPeriod, BookedRow, DayFigures, ReportOfPeriod, Story, ToldEvent, Voided,
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::timestamp::Timestamp;

/// The story of one call's minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallUsage {
    /// The call.
    #[schema(value_type = Uuid)]
    id: CallId,
    /// All of it in a sentence.
    #[schema(
        example = "3 minutes on 2026-11-20 (Asia/Kathmandu), in the period from 2026-11-01 to \
                        2026-12-01, open"
    )]
    summary: String,
    /// Its status.
    #[schema(example = "completed")]
    status: String,
    /// Seconds, at most a day.
    #[schema(minimum = 0, example = 151)]
    duration_seconds: Option<i32>,
    /// Begun minutes; null before it is counted.
    #[schema(minimum = 0, example = 3)]
    billed_minutes: Option<i32>,
    /// What the provider charges in US dollars, a decimal number.
    #[schema(example = "0.214")]
    cost_usd: Option<String>,
    /// What was wrong with the duration that the provider told: `capped` or `negative`.
    duration_flag: Option<String>,
    /// When it counts as used.
    occurred_at: Option<Timestamp>,
    /// The organization's time zone.
    #[schema(example = "Asia/Kathmandu")]
    timezone: String,
    /// Events that told of its end, oldest first.
    events: Vec<UsageEvent>,
    /// Its rows of the ledger, in the order of their recording.
    ledger: Vec<LedgerRow>,
    /// The periods that they are in, oldest first.
    periods: Vec<PeriodOfCall>,
    /// That it is not to be paid for.
    voided: Option<VoidOfCall>,
    /// The day that it counts for; null before it is counted.
    day: Option<DayOfCall>,
}

/// An event of a provider, without what it says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageEvent {
    /// Its id in the inbox.
    #[schema(value_type = Uuid)]
    id: InboxId,
    /// The provider's name of it.
    #[schema(example = "end-of-call-report")]
    event_kind: String,
    /// How it came.
    #[schema(example = "webhook")]
    origin: String,
    /// Where it stands.
    #[schema(example = "processed")]
    status: String,
    /// When it was stored.
    received_at: Timestamp,
    /// When its call's row had what it says.
    folded_at: Option<Timestamp>,
}

/// A row of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LedgerRow {
    /// Its id.
    id: Uuid,
    /// `call_minutes`; `call_seconds`; `call_cost`, in millionths of a US dollar.
    #[schema(example = "call_minutes")]
    meter: String,
    /// From 0, for each meter.
    #[schema(minimum = 0, example = 0)]
    revision: i32,
    /// The change that it makes.
    #[schema(example = 3)]
    quantity: i64,
    /// `call`, `correction`, `late`, `moved` or `voided`.
    #[schema(example = "call")]
    reason: String,
    /// When the call occurred, by what was known then.
    occurred_at: Timestamp,
    /// When it was written.
    recorded_at: Timestamp,
    /// The period that takes it.
    #[schema(value_type = Uuid)]
    period_id: PeriodId,
}

/// A period that has rows of the call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PeriodOfCall {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: PeriodId,
    /// First instant.
    period_start: Timestamp,
    /// First instant after it.
    period_end: Timestamp,
    /// `open`, `closing` or `closed`.
    #[schema(example = "closed")]
    status: String,
    /// When it was frozen.
    watermark: Option<Timestamp>,
    /// Minutes of the call in it.
    #[schema(example = 3)]
    minutes: i64,
    /// Minutes of all calls that are billed beyond the included ones; null before it is frozen.
    #[schema(minimum = 0, example = 42)]
    overage_minutes: Option<i64>,
    /// What Stripe was told of it, oldest first.
    reports: Vec<ReportOfCall>,
}

/// What Stripe was told of a period.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReportOfCall {
    /// Identifier of the meter event.
    identifier: String,
    /// Minutes.
    #[schema(minimum = 0, example = 42)]
    quantity: i64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    #[schema(example = "accepted")]
    state: String,
    /// When it was last sent.
    last_sent_at: Option<Timestamp>,
    /// When that was decided.
    settled_at: Option<Timestamp>,
    /// Minutes of it that Stripe was seen to have counted; null where it was not asked yet.
    #[schema(minimum = 0, example = 42)]
    counted_minutes: Option<i64>,
    /// When that was seen first.
    counted_at: Option<Timestamp>,
}

/// That a call is not to be paid for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VoidOfCall {
    /// Why.
    #[schema(example = "a test call")]
    reason: String,
    /// When.
    voided_at: Timestamp,
}

/// A local day, with all calls of the organization.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DayOfCall {
    /// The day.
    #[schema(example = "2026-11-20")]
    date: NaiveDate,
    /// Its first instant.
    starts_at: Timestamp,
    /// The first instant after it.
    ends_at: Timestamp,
    /// When it was added up to what it says now; null where it was not yet.
    computed_at: Option<Timestamp>,
    /// Calls of the day, as added up.
    #[schema(minimum = 0, example = 42)]
    total_calls: i64,
    /// Their minutes.
    #[schema(minimum = 0, example = 97)]
    total_minutes: i64,
    /// When something changed of it that is not added up yet.
    touched_at: Option<Timestamp>,
}

impl From<Story> for CallUsage {
    fn from(story: Story) -> Self {
        let call = story.call;
        Self {
            id: call.id,
            summary: story.summary,
            status: call.status,
            duration_seconds: call.duration_seconds,
            billed_minutes: call.billed_minutes,
            cost_usd: call.cost_usd.map(|cost| cost.normalize().to_string()),
            duration_flag: call.duration_flag,
            occurred_at: call.occurred_at.map(Timestamp),
            timezone: call.timezone,
            events: story.events.into_iter().map(UsageEvent::from).collect(),
            ledger: story.ledger.into_iter().map(LedgerRow::from).collect(),
            periods: story.periods.into_iter().map(PeriodOfCall::from).collect(),
            voided: story.voided.map(VoidOfCall::from),
            day: story.day.map(DayOfCall::from),
        }
    }
}

impl From<ToldEvent> for UsageEvent {
    fn from(event: ToldEvent) -> Self {
        Self {
            id: event.id,
            event_kind: event.kind,
            origin: event.origin,
            status: event.status,
            received_at: Timestamp(event.received_at),
            folded_at: event.folded_at.map(Timestamp),
        }
    }
}

impl From<BookedRow> for LedgerRow {
    fn from(row: BookedRow) -> Self {
        Self {
            id: row.id,
            meter: row.meter,
            revision: row.revision,
            quantity: row.quantity,
            reason: row.reason,
            occurred_at: Timestamp(row.occurred_at),
            recorded_at: Timestamp(row.recorded_at),
            period_id: row.period_id,
        }
    }
}

impl From<BookedPeriod> for PeriodOfCall {
    fn from(period: BookedPeriod) -> Self {
        Self {
            id: period.id,
            period_start: Timestamp(period.span.start),
            period_end: Timestamp(period.span.end),
            status: period.status,
            watermark: period.watermark.map(Timestamp),
            minutes: period.minutes,
            overage_minutes: period.overage_minutes,
            reports: period.reports.into_iter().map(ReportOfCall::from).collect(),
        }
    }
}

impl From<ReportOfPeriod> for ReportOfCall {
    fn from(report: ReportOfPeriod) -> Self {
        Self {
            identifier: report.identifier,
            quantity: report.quantity,
            state: report.state,
            last_sent_at: report.last_sent_at.map(Timestamp),
            settled_at: report.settled_at.map(Timestamp),
            counted_minutes: report.counted_minutes,
            counted_at: report.counted_at.map(Timestamp),
        }
    }
}

impl From<Voided> for VoidOfCall {
    fn from(voided: Voided) -> Self {
        Self { reason: voided.reason, voided_at: Timestamp(voided.at) }
    }
}

impl From<DayFigures> for DayOfCall {
    fn from(day: DayFigures) -> Self {
        Self {
            date: day.date,
            starts_at: Timestamp(day.span.start),
            ends_at: Timestamp(day.span.end),
            computed_at: day.computed_at.map(Timestamp),
            total_calls: day.total_calls,
            total_minutes: day.total_minutes,
            touched_at: day.touched_at.map(Timestamp),
        }
    }
}
