//! What is sent and answered.
//!
//! Made from `openapi.json` by `cargo run -p client-generator`: change that, not this.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    export::{Listing, Row},
    patch::Patch,
    query::{self, Pairs},
    words::words,
};

words! {
    /// How a body is shown.
    BodyForm {
        Readable = "readable",
        Base64 = "base64",
    }
}

words! {
    /// Where a call stands.
    CallStatus {
        Queued = "queued",
        Ringing = "ringing",
        InProgress = "in-progress",
        Completed = "completed",
        Failed = "failed",
        NoAnswer = "no-answer",
        Busy = "busy",
        Canceled = "canceled",
    }
}

words! {
    /// Whether an endpoint is sent to.
    Circuit {
        Closed = "closed",
        Open = "open",
        HalfOpen = "half-open",
    }
}

words! {
    /// What an endpoint's events wait for.
    DeliveryOrder {
        None = "none",
        Call = "call",
    }
}

words! {
    /// What became of a delivery.
    DeliveryState {
        Pending = "pending",
        Delivered = "delivered",
        Failed = "failed",
        Disabled = "disabled",
    }
}

words! {
    /// Why books may differ.
    DifferenceReason {
        Late = "late",
        Adjusted = "adjusted",
        InFlight = "in-flight",
        Voided = "voided",
    }
}

words! {
    /// Who began a call.
    Direction {
        Inbound = "inbound",
        Outbound = "outbound",
        Web = "web",
    }
}

words! {
    /// What an event says of the life of its call.
    EventLife {
        Progress = "progress",
        Ended = "ended",
        Report = "report",
        Message = "message",
        Other = "other",
    }
}

words! {
    /// How much webhooks had told of a call.
    GapKind {
        Missing = "missing",
        Incomplete = "incomplete",
    }
}

words! {
    /// Where an event stands.
    InboxStatus {
        Received = "received",
        Processed = "processed",
        Parked = "parked",
        Discarded = "discarded",
    }
}

words! {
    /// What a line of a log tells of.
    LogKind {
        Attempt = "attempt",
        Skip = "skip",
    }
}

words! {
    /// What became of an attempt.
    LogOutcome {
        Delivered = "delivered",
        Failed = "failed",
    }
}

words! {
    /// What books count.
    Measure {
        Calls = "calls",
        Minutes = "minutes",
        Seconds = "seconds",
        Cost = "cost",
        Overage = "overage",
    }
}

words! {
    /// What a member may do.
    MemberRole {
        Owner = "owner",
        Admin = "admin",
        Member = "member",
    }
}

words! {
    /// How an event came.
    Origin {
        Webhook = "webhook",
        Spool = "spool",
        Sweep = "sweep",
        Replay = "replay",
    }
}

words! {
    /// Who runs calls.
    Provider {
        Vapi = "vapi",
        Retell = "retell",
        Twilio = "twilio",
    }
}

words! {
    /// What to do with a recovery.
    RecoveryChange {
        Pause = "pause",
        Resume = "resume",
        Abort = "abort",
    }
}

words! {
    /// What is recovered.
    RecoveryKind {
        Failed = "failed",
        Missing = "missing",
    }
}

words! {
    /// A step of what is done for a call.
    StepName {
        Finish = "finish",
        Recording = "recording",
        Extract = "extract",
        Sms = "sms",
        Email = "email",
        Webhooks = "webhooks",
        Close = "close",
    }
}

words! {
    /// What became of a step.
    StepStatus {
        Completed = "completed",
        Failed = "failed",
        Skipped = "skipped",
    }
}

words! {
    /// What a row of usage is of.
    UsageBy {
        Day = "day",
        Assistant = "assistant",
    }
}

/// Something that was agreed on a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Action {
    /// What is to be done.
    pub description: String,
    /// Who does it, where it was said.
    pub owner: Option<String>,
    /// Until when, where an instant was named.
    pub due_at: Option<DateTime<Utc>>,
    /// Until when, as it was said. Example: `next Friday`.
    pub due_text: Option<String>,
    /// `open`, `done` or `dismissed`.
    pub status: String,
}

/// A member to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct AddMember {
    /// The user's id: the `sub` of its tokens.
    pub user_id: Uuid,
    /// The user's email address. At most 254 characters. Example: `ada@example.com`.
    pub email: String,
    /// The user's name, where nobody knows the user yet. At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a member may do.
    pub role: MemberRole,
}

impl AddMember {
    /// With what is needed.
    pub fn new(user_id: Uuid, email: impl Into<String>, role: MemberRole) -> Self {
        Self {
            user_id,
            email: email.into(),
            name: Default::default(),
            role,
        }
    }

    /// The user's name, where nobody knows the user yet. At most 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// The process is alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alive {
    /// Always `ok`.
    pub status: String,
}

/// An API key of the organization, without what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// Words of your own.
    pub name: String,
    /// Its first ten characters. Example: `vx_7Hq2mPd`.
    pub key_prefix: String,
    /// What it may do; `*` is everything.
    pub scopes: Vec<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Until when it may be used; null for ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests an hour; null for the usual number.
    pub rate_limit: Option<i32>,
    /// Requests in all; null for no end.
    pub usage_quota: Option<i64>,
    /// Requests so far.
    pub usage_count: i64,
    /// Time of the last request, to a second or so.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when the key before a rotation works, too; null where there is none.
    pub previous_key_ends_at: Option<DateTime<Utc>>,
    /// The member who made it; null where a key or an operator did.
    pub user_id: Option<Uuid>,
    /// Grows with each change by people; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Row for ApiKey {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "key_prefix",
        "scopes",
        "enabled",
        "expires_at",
        "rate_limit",
        "usage_quota",
        "usage_count",
        "last_used_at",
        "previous_key_ends_at",
        "user_id",
        "version",
        "created_at",
        "updated_at",
    ];
}

/// An API key with what it is: the only time that it is told.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ApiKeyWithKey {
    /// Its id.
    pub id: Uuid,
    /// Words of your own.
    pub name: String,
    /// Its first ten characters. Example: `vx_7Hq2mPd`.
    pub key_prefix: String,
    /// What it may do; `*` is everything.
    pub scopes: Vec<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Until when it may be used; null for ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests an hour; null for the usual number.
    pub rate_limit: Option<i32>,
    /// Requests in all; null for no end.
    pub usage_quota: Option<i64>,
    /// Requests so far.
    pub usage_count: i64,
    /// Time of the last request, to a second or so.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when the key before a rotation works, too; null where there is none.
    pub previous_key_ends_at: Option<DateTime<Utc>>,
    /// The member who made it; null where a key or an operator did.
    pub user_id: Option<Uuid>,
    /// Grows with each change by people; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
    /// What goes after `Authorization: Bearer`.
    #[serde(deserialize_with = "crate::secret::deserialize")]
    pub key: SecretString,
}

/// An API key with what it was used for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiKeyWithUsage {
    /// Its id.
    pub id: Uuid,
    /// Words of your own.
    pub name: String,
    /// Its first ten characters. Example: `vx_7Hq2mPd`.
    pub key_prefix: String,
    /// What it may do; `*` is everything.
    pub scopes: Vec<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// Until when it may be used; null for ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests an hour; null for the usual number.
    pub rate_limit: Option<i32>,
    /// Requests in all; null for no end.
    pub usage_quota: Option<i64>,
    /// Requests so far.
    pub usage_count: i64,
    /// Time of the last request, to a second or so.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Until when the key before a rotation works, too; null where there is none.
    pub previous_key_ends_at: Option<DateTime<Utc>>,
    /// The member who made it; null where a key or an operator did.
    pub user_id: Option<Uuid>,
    /// Grows with each change by people; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
    /// Requests on each of the last 30 days that had some, newest first.
    pub usage_by_day: Vec<UsageDay>,
}

/// Who answers or makes calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assistant {
    /// Its id.
    pub id: Uuid,
    /// Its name. Example: `Front desk`.
    pub name: String,
    /// Who runs calls.
    pub provider: Provider,
    /// The provider's id of it: calls find their assistant by it.
    pub provider_assistant_id: Option<String>,
    /// The template that it was made from. Example: `front-desk`.
    pub template: Option<String>,
    /// Your own words about it.
    pub configuration: Value,
    /// Whether it is in use.
    pub is_active: bool,
    /// Grows with each change; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Row for Assistant {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "provider",
        "provider_assistant_id",
        "template",
        "configuration",
        "is_active",
        "version",
        "created_at",
        "updated_at",
    ];
}

/// A change that somebody made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// Who made it: `api_key:{id}`, or `command-line` for whoever runs the installation.
    pub actor: String,
    /// What was done. Example: `assistants.update`.
    pub action: String,
    /// What it was done to. Example: `assistants:0199a000-0000-7000-8000-000000000001`.
    pub target: String,
    /// What it was before, without secrets; null where there was nothing.
    pub before: Option<Value>,
    /// What it became; null where it is gone.
    pub after: Option<Value>,
    /// From which address; null where it was no request. Example: `192.0.2.7`.
    pub ip: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl Row for AuditEntry {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "actor",
        "action",
        "target",
        "before",
        "after",
        "ip",
        "created_at",
    ];
}

/// A line of the history of billing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BillingEvent {
    /// Its id.
    pub id: Uuid,
    /// The period that it is about.
    pub period_id: Option<Uuid>,
    /// What happened. Example: `period.closed`.
    pub event: String,
    /// Numbers and states.
    pub details: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl Row for BillingEvent {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "period_id",
        "event",
        "details",
        "created_at",
    ];
}

/// A billing period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BillingPeriod {
    /// Its id.
    pub id: Uuid,
    /// First instant.
    pub period_start: DateTime<Utc>,
    /// First instant after it.
    pub period_end: DateTime<Utc>,
    /// `open`; `closing`, it is over and being billed; `closed`, it never changes again.
    pub status: String,
    /// When it was frozen: later usage is an adjustment in the open period.
    pub watermark: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Minutes that the plan included.
    pub included_minutes: u64,
    /// Minutes that the period before was owed, 0 or less. At most 0.
    pub carried_minutes: i64,
    /// Minutes on its ledger; so far, while it is open.
    pub used_minutes: i64,
    /// Minutes that are billed; null until it is frozen.
    pub overage_minutes: Option<u64>,
    /// Price of such a minute in US dollars, a decimal number. Example: `0.12`.
    pub overage_price_usd: String,
    /// `soft` or `hard`.
    pub usage_limit: String,
    /// What Stripe was told; null where there was nothing to tell, or nobody to tell it to.
    pub report: Option<StripeReport>,
}

impl Row for BillingPeriod {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "period_start",
        "period_end",
        "status",
        "watermark",
        "closed_at",
        "included_minutes",
        "carried_minutes",
        "used_minutes",
        "overage_minutes",
        "overage_price_usd",
        "usage_limit",
        "report",
    ];
}

/// What closing the current period now would bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BillingPreview {
    /// The period; null before the first call.
    pub period_id: Option<Uuid>,
    /// First instant of the period.
    pub period_start: DateTime<Utc>,
    /// First instant after it.
    pub period_end: DateTime<Utc>,
    /// Minutes that the plan includes.
    pub included_minutes: u64,
    /// Minutes on the period's ledger, corrections of earlier ones included; may be negative.
    pub used_minutes: i64,
    /// Minutes that the period before was owed, 0 or less. At most 0.
    pub carried_minutes: i64,
    /// Minutes that would be billed.
    pub overage_minutes: u64,
    /// Price of such a minute in US dollars, a decimal number. Example: `0.12`.
    pub overage_price_usd: String,
    /// What they cost, exact, a decimal number. Example: `5.04`.
    pub overage_usd_exact: String,
    /// The same in whole cents, half a cent to the even one. Example: `5.04`.
    pub overage_usd: String,
    /// What the next period would be owed, 0 or less. At most 0.
    pub carried_on_minutes: i64,
    /// `soft` or `hard`.
    pub usage_limit: String,
}

/// Who hears of minutes and bills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BillingSettings {
    /// Addresses that get an email; where there are none, those that hear of calls.
    pub email: Vec<String>,
}

/// What each book says of one day or period, in whole units. A book that says nothing of it is
/// null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BookRow {
    /// Whose books.
    pub organization_id: Uuid,
    /// The day, where the organization is; null in a row of a period. Example: `2026-11-20`.
    pub date: Option<NaiveDate>,
    /// The period; null in a row of a day.
    pub period_id: Option<Uuid>,
    /// First instant of the period.
    pub period_start: Option<DateTime<Utc>>,
    /// What books count.
    pub measure: Measure,
    /// What the calls say, voided ones included.
    pub calls: Option<i64>,
    /// What the ledger says: of a day by when it occurred, of a period by what was booked in it.
    pub ledger: Option<i64>,
    /// What the aggregated day says.
    pub daily_usage: Option<i64>,
    /// What stands beside the ledger.
    pub totals: Option<i64>,
    /// What was fixed when the period was frozen.
    pub statement: Option<i64>,
    /// What the counters say; null too where they were not asked.
    pub redis: Option<i64>,
    /// What Stripe has counted of what it accepted; where it was not asked yet, what it was told.
    pub stripe: Option<i64>,
    /// Between the book that says most and the one that says least, and what of a period's ledger
    /// occurred outside of it.
    pub difference: u64,
    /// Why.
    pub explanations: Vec<RowExplanation>,
    /// What no explanation accounts for.
    pub unexplained: u64,
    /// What else is known of it.
    pub note: Option<String>,
}

impl Row for BookRow {
    const COLUMNS: &'static [&'static str] = &[
        "organization_id",
        "date",
        "period_id",
        "period_start",
        "measure",
        "calls",
        "ledger",
        "daily_usage",
        "totals",
        "statement",
        "redis",
        "stripe",
        "difference",
        "explanations",
        "unexplained",
        "note",
    ];
}

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Call {
    /// Its id.
    pub id: Uuid,
    /// The organization it belongs to.
    pub organization_id: Uuid,
    /// Who runs calls.
    pub provider: Provider,
    /// The provider's id of it.
    pub provider_call_id: String,
    /// The assistant that talked, where it is one of the organization's.
    pub assistant_id: Option<Uuid>,
    /// Who began a call.
    pub direction: Option<Direction>,
    /// Where a call stands.
    pub status: CallStatus,
    /// What came of it, by its purpose.
    pub outcome: Option<String>,
    /// The caller's number. Example: `+14155550100`.
    pub from_number: Option<String>,
    /// The called number. Example: `+14155550199`.
    pub to_number: Option<String>,
    /// When the talk began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its length in seconds.
    pub duration_seconds: Option<u32>,
    /// Minutes counted for billing; null until the call is processed.
    pub billed_minutes: Option<u32>,
    /// The provider's word for why it ended.
    pub ended_reason: Option<String>,
    /// What the provider charged, in US dollars, with up to six decimals.
    pub cost_usd: Option<f64>,
    /// The provider's summary.
    pub summary: Option<String>,
    /// Its audio; null where there is none.
    pub recording: Option<Recording>,
    /// What was agreed.
    pub actions: Vec<Action>,
    /// What was done for it.
    pub steps: Vec<Step>,
    /// What the customer attached to it.
    pub metadata: Value,
    /// When it began to exist.
    pub created_at: DateTime<Utc>,
    /// When this was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Row for Call {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "organization_id",
        "provider",
        "provider_call_id",
        "assistant_id",
        "direction",
        "status",
        "outcome",
        "from_number",
        "to_number",
        "started_at",
        "ended_at",
        "duration_seconds",
        "billed_minutes",
        "ended_reason",
        "cost_usd",
        "summary",
        "recording",
        "actions",
        "steps",
        "metadata",
        "created_at",
        "updated_at",
    ];
}

/// What one extractor found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallResult {
    /// Its id.
    pub id: Uuid,
    /// The call.
    pub call_id: Uuid,
    /// Name of the extractor. Example: `action-items`.
    pub extractor: String,
    /// Its version.
    pub extractor_version: i32,
    /// `ok`, `empty`, `failed` or `skipped`.
    pub status: String,
    /// What it found, in the extractor's own schema.
    pub structured_data: Option<Value>,
    /// The model that answered, or `rules`.
    pub extraction_model: Option<String>,
    /// How sure it was. At most 1.
    pub extraction_confidence: Option<f64>,
    /// When it answered.
    pub extraction_timestamp: Option<DateTime<Utc>>,
    /// How the mood was. -1 to 1.
    pub sentiment_score: Option<f64>,
    /// How well the talk went. At most 1.
    pub call_quality_score: Option<f64>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

impl Row for CallResult {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "call_id",
        "extractor",
        "extractor_version",
        "status",
        "structured_data",
        "extraction_model",
        "extraction_confidence",
        "extraction_timestamp",
        "sentiment_score",
        "call_quality_score",
        "created_at",
    ];
}

/// The results of a call, newest first, at most 100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallResults {
    /// The results.
    pub data: Vec<CallResult>,
}

impl Listing for CallResults {
    type Row = CallResult;
}

/// The story of one call's minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallUsage {
    /// The call.
    pub id: Uuid,
    /// All of it in a sentence. Example: `3 minutes on 2026-11-20 (Asia/Kathmandu), in the period
    /// from 2026-11-01 to 2026-12-01, open`.
    pub summary: String,
    /// Its status. Example: `completed`.
    pub status: String,
    /// Seconds, at most a day.
    pub duration_seconds: Option<u32>,
    /// Begun minutes; null before it is counted.
    pub billed_minutes: Option<u32>,
    /// What the provider charges in US dollars, a decimal number. Example: `0.214`.
    pub cost_usd: Option<String>,
    /// What was wrong with the duration that the provider told: `capped` or `negative`.
    pub duration_flag: Option<String>,
    /// When it counts as used.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The organization's time zone. Example: `Asia/Kathmandu`.
    pub timezone: String,
    /// Events that told of its end, oldest first.
    pub events: Vec<UsageEvent>,
    /// Its rows of the ledger, in the order of their recording.
    pub ledger: Vec<LedgerRow>,
    /// The periods that they are in, oldest first.
    pub periods: Vec<PeriodOfCall>,
    /// That it is not to be paid for.
    pub voided: Option<VoidOfCall>,
    /// The day that it counts for; null before it is counted.
    pub day: Option<DayOfCall>,
}

/// Another role.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct ChangeMember {
    /// What a member may do.
    pub role: MemberRole,
}

impl ChangeMember {
    /// With what is needed.
    pub fn new(role: MemberRole) -> Self {
        Self {
            role,
        }
    }
}

/// An API key to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct CreateApiKey {
    /// Words of your own. 1 to 100 characters. Example: `nightly export`.
    pub name: String,
    /// What it may do, no more than you yourself; `*` is everything, also of later releases. At
    /// least 1 items.
    pub scopes: Vec<String>,
    /// Until when it may be used. Default: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Requests an hour. Default: the usual number. 1 to 10000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
    /// Requests in all. Default: no end. At most 1000000000000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_quota: Option<u64>,
}

impl CreateApiKey {
    /// With what is needed.
    pub fn new(name: impl Into<String>, scopes: impl IntoIterator<Item: Into<String>>) -> Self {
        Self {
            name: name.into(),
            scopes: scopes.into_iter().map(Into::into).collect(),
            expires_at: Default::default(),
            rate_limit: Default::default(),
            usage_quota: Default::default(),
        }
    }

    /// Until when it may be used. Default: for ever.
    pub fn expires_at(mut self, expires_at: DateTime<Utc>) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Requests an hour. Default: the usual number. 1 to 10000000.
    pub fn rate_limit(mut self, rate_limit: u64) -> Self {
        self.rate_limit = Some(rate_limit);
        self
    }

    /// Requests in all. Default: no end. At most 1000000000000.
    pub fn usage_quota(mut self, usage_quota: u64) -> Self {
        self.usage_quota = Some(usage_quota);
        self
    }
}

/// An assistant to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct CreateAssistant {
    /// Its name. Default: the template's. At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who runs calls.
    pub provider: Provider,
    /// The provider's id of it: calls find their assistant by it. No two assistants share one. At
    /// most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_assistant_id: Option<String>,
    /// A template to make it from. Example: `front-desk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Your own words about it, up to 64 KB and 20 levels. Default: none, or the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Value>,
    /// Whether it is in use. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

impl CreateAssistant {
    /// With what is needed.
    pub fn new(provider: Provider) -> Self {
        Self {
            name: Default::default(),
            provider,
            provider_assistant_id: Default::default(),
            template: Default::default(),
            configuration: Default::default(),
            is_active: Default::default(),
        }
    }

    /// Its name. Default: the template's. At most 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider's id of it: calls find their assistant by it. No two assistants share one. At
    /// most 200 characters.
    pub fn provider_assistant_id(mut self, provider_assistant_id: impl Into<String>) -> Self {
        self.provider_assistant_id = Some(provider_assistant_id.into());
        self
    }

    /// A template to make it from. Example: `front-desk`.
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// Your own words about it, up to 64 KB and 20 levels. Default: none, or the template's.
    pub fn configuration(mut self, configuration: Value) -> Self {
        self.configuration = Some(configuration);
        self
    }

    /// Whether it is in use. Default: true.
    pub fn is_active(mut self, is_active: bool) -> Self {
        self.is_active = Some(is_active);
        self
    }
}

/// A number to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct CreatePhoneNumber {
    /// The number in E.164. Example: `+14155550100`.
    pub number: String,
    /// Who runs calls.
    pub provider: Provider,
    /// The provider's id of it: calls find their number by it. At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_phone_number_id: Option<String>,
    /// Who answers there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant_id: Option<Uuid>,
}

impl CreatePhoneNumber {
    /// With what is needed.
    pub fn new(number: impl Into<String>, provider: Provider) -> Self {
        Self {
            number: number.into(),
            provider,
            provider_phone_number_id: Default::default(),
            assistant_id: Default::default(),
        }
    }

    /// The provider's id of it: calls find their number by it. At most 200 characters.
    pub fn provider_phone_number_id(mut self, provider_phone_number_id: impl Into<String>) -> Self {
        self.provider_phone_number_id = Some(provider_phone_number_id.into());
        self
    }

    /// Who answers there.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Some(assistant_id);
        self
    }
}

/// An endpoint to be made.
#[derive(Debug, Clone, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct CreateWebhook {
    /// Where events go: https, without user, password and fragment, to a public address. At most
    /// 2048 characters. Example: `https://example.com/hooks`.
    pub url: String,
    /// What it gets: types of events, families such as `call.*`, or `*` for all. 1 to 50 items.
    pub events: Vec<String>,
    /// Only events of this assistant's calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant_id: Option<Uuid>,
    /// Words of your own. At most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether events are sent to it. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most deliveries a second. Default: as many as there are. 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
    /// `none`, or `call` for one after the other within a call. Default: `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering: Option<String>,
    /// Headers of your own, such as `authorization`; their values are never told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub headers: Option<BTreeMap<String, SecretString>>,
    /// Ids and links only, instead of the whole payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<bool>,
    /// Waits between attempts in seconds, each up to a day and five days in all. Default: the usual
    /// ones, over 27 hours. 1 to 20 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Vec<i64>>,
    /// A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. Default: 32 random bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub secret: Option<SecretString>,
}

impl CreateWebhook {
    /// With what is needed.
    pub fn new(url: impl Into<String>, events: impl IntoIterator<Item: Into<String>>) -> Self {
        Self {
            url: url.into(),
            events: events.into_iter().map(Into::into).collect(),
            assistant_id: Default::default(),
            description: Default::default(),
            enabled: Default::default(),
            rate_limit: Default::default(),
            ordering: Default::default(),
            headers: Default::default(),
            thin: Default::default(),
            schedule: Default::default(),
            secret: Default::default(),
        }
    }

    /// Only events of this assistant's calls.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Some(assistant_id);
        self
    }

    /// Words of your own. At most 500 characters.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Whether events are sent to it. Default: true.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// Most deliveries a second. Default: as many as there are. 1 to 1000.
    pub fn rate_limit(mut self, rate_limit: u64) -> Self {
        self.rate_limit = Some(rate_limit);
        self
    }

    /// `none`, or `call` for one after the other within a call. Default: `none`.
    pub fn ordering(mut self, ordering: impl Into<String>) -> Self {
        self.ordering = Some(ordering.into());
        self
    }

    /// Headers of your own, such as `authorization`; their values are never told again.
    pub fn headers(
        mut self,
        headers: impl IntoIterator<Item = (impl Into<String>, impl Into<SecretString>)>,
    ) -> Self {
        self.headers = Some(headers.into_iter().map(|(name, text)| (name.into(), text.into())).collect());
        self
    }

    /// Ids and links only, instead of the whole payload.
    pub fn thin(mut self, thin: bool) -> Self {
        self.thin = Some(thin);
        self
    }

    /// Waits between attempts in seconds, each up to a day and five days in all. Default: the usual
    /// ones, over 27 hours. 1 to 20 items.
    pub fn schedule(mut self, schedule: impl IntoIterator<Item = i64>) -> Self {
        self.schedule = Some(schedule.into_iter().collect());
        self
    }

    /// A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. Default: 32 random bytes.
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}

/// Usage of the current billing period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CurrentUsage {
    /// First instant of the period.
    pub period_start: DateTime<Utc>,
    /// First instant after it.
    pub period_end: DateTime<Utc>,
    /// The organization's time zone, which decides its days. Example: `Asia/Kathmandu`.
    pub timezone: String,
    /// The organization's plan. Example: `starter`.
    pub plan: String,
    /// Minutes that the plan includes.
    pub included_minutes: u64,
    /// Minutes used so far, corrections of earlier periods included.
    pub used_minutes: i64,
    /// Minutes that the period before was owed, 0 or less. At most 0.
    pub carried_minutes: i64,
    /// Minutes to be billed beyond the included ones; none under a hard limit.
    pub overage_minutes: u64,
    /// Seconds used so far.
    pub used_seconds: i64,
    /// What providers charged so far, in US dollars, with up to six decimals.
    pub cost_usd: f64,
    /// What happens when the included minutes are used up: `soft`, further ones are billed; `hard`,
    /// no further ones are sold.
    pub usage_limit: String,
    /// Whether the included minutes are used up.
    pub limit_reached: bool,
}

/// An organization at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dashboard {
    /// Whose it is.
    pub organization: DashboardOrganization,
    /// Its calls of today.
    pub today: Today,
    /// Its last 20 calls of the last 7 days, newest first.
    pub recent_calls: Vec<RecentCall>,
    /// Its active assistants, by name; at most 100.
    pub assistants: Vec<DashboardAssistant>,
}

/// An assistant of the dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DashboardAssistant {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Who runs it. Example: `vapi`.
    pub provider: String,
}

/// The organization of a dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DashboardOrganization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its name in URLs.
    pub slug: String,
    /// Its plan. Example: `starter`.
    pub plan: String,
    /// Minutes that the plan includes in a period.
    pub plan_minutes: u32,
    /// Its time zone, which decides its days. Example: `Asia/Kathmandu`.
    pub timezone: String,
    /// What it chose.
    pub settings: Value,
}

/// A local day, with all calls of the organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DayOfCall {
    /// The day. Example: `2026-11-20`.
    pub date: NaiveDate,
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
    /// When it was added up to what it says now; null where it was not yet.
    pub computed_at: Option<DateTime<Utc>>,
    /// Calls of the day, as added up.
    pub total_calls: u64,
    /// Their minutes.
    pub total_minutes: u64,
    /// When something changed of it that is not added up yet.
    pub touched_at: Option<DateTime<Utc>>,
}

/// A day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DayOfUsage {
    /// The day, where the organization is. Example: `2026-11-20`.
    pub date: NaiveDate,
    /// Whose calls; null for all.
    pub assistant_id: Option<Uuid>,
    /// Calls that ended.
    pub total_calls: u32,
    /// Calls that were talked through.
    pub completed_calls: u32,
    /// Calls that ended otherwise.
    pub failed_calls: u32,
    /// Billed minutes.
    pub minutes: u64,
    /// Seconds.
    pub seconds: u64,
    /// Seconds of a call on average; null without calls.
    pub average_duration_seconds: Option<f64>,
    /// What providers charged, in US dollars, with up to six decimals.
    pub cost_usd: f64,
    /// When this was added up; null where nothing was yet. Calls of today are added up tonight.
    pub computed_at: Option<DateTime<Utc>>,
}

impl Row for DayOfUsage {
    const COLUMNS: &'static [&'static str] = &[
        "date",
        "assistant_id",
        "total_calls",
        "completed_calls",
        "failed_calls",
        "minutes",
        "seconds",
        "average_duration_seconds",
        "cost_usd",
        "computed_at",
    ];
}

/// Usage by day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DaysOfUsage {
    /// First day, where the organization is.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// The days, in order. By day also those without calls, up to today.
    pub data: Vec<DayOfUsage>,
    /// The sum of all rows.
    pub total: UsageSum,
}

impl Listing for DaysOfUsage {
    type Row = DayOfUsage;
}

/// What became of a discarded event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiscardedEvent {
    /// The event.
    pub id: Uuid,
    /// Where an event stands.
    pub status: InboxStatus,
}

/// A type of event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventType {
    /// Its name. Example: `call.completed`.
    pub r#type: String,
    /// What subscribes to all of its kind. Example: `call.*`.
    pub family: String,
    /// What has happened. Example: `A call was answered.`.
    pub description: String,
    /// Version of its form, which only grows. Example: `1`.
    pub version: String,
    /// Whether such events happen. False: they come with a later release, and have no form yet.
    pub available: bool,
    /// JSON Schema (2020-12) of the whole body.
    pub schema: Option<Value>,
    /// A whole body, made up.
    pub example: Option<Value>,
    /// The same event for an endpoint that wants thin ones.
    pub example_thin: Option<Value>,
}

impl Row for EventType {
    const COLUMNS: &'static [&'static str] = &[
        "type",
        "family",
        "description",
        "version",
        "available",
        "schema",
        "example",
        "example_thin",
    ];
}

/// Every type of event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventTypesList {
    /// The types.
    pub data: Vec<EventType>,
}

impl Listing for EventTypesList {
    type Row = EventType;
}

/// An event that was found in the provider's list of calls, because no webhook had told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The event that was stored instead.
    pub id: Uuid,
    /// The call.
    pub call_id: Option<Uuid>,
    /// Whose webhook did not come. Example: `vapi`.
    pub provider: String,
    /// The provider's id of the call.
    pub provider_call_id: Option<String>,
    /// What was found.
    pub event_kind: String,
    /// When it was found.
    pub found_at: DateTime<Utc>,
    /// Kinds of the call's events that webhooks had told before.
    pub known_before: Vec<String>,
    /// How much webhooks had told.
    pub gap: GapKind,
    /// Whether a webhook of the call came afterwards.
    pub webhook_came_later: bool,
}

impl Row for Gap {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "call_id",
        "provider",
        "provider_call_id",
        "event_kind",
        "found_at",
        "known_before",
        "gap",
        "webhook_came_later",
    ];
}

/// Parameters of `GET /v1/inbox/{id}`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct GetInboxEventQuery {
    /// Form of the body. Default: `readable`.
    pub body: Option<BodyForm>,
}

impl GetInboxEventQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Form of the body. Default: `readable`.
    pub fn body(mut self, body: BodyForm) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "body", self.body);
        pairs
    }
}

/// An event of a provider's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InboxEvent {
    /// Its id.
    pub id: Uuid,
    /// Who sent it. Example: `vapi`.
    pub provider: String,
    /// What makes two deliveries the same event.
    pub event_key: String,
    /// The provider's name of the event. Example: `end-of-call-report`.
    pub event_kind: String,
    /// The provider's id of the call.
    pub provider_call_id: Option<String>,
    /// The call.
    pub call_id: Option<Uuid>,
    /// What an event says of the life of its call.
    pub life: EventLife,
    /// How an event came.
    pub origin: Origin,
    /// Where an event stands.
    pub status: InboxStatus,
    /// Why nobody could use it.
    pub parked_reason: Option<String>,
    /// Deliveries under the same key with another body: the first one counts.
    pub conflicts: i32,
    /// Size of the body in bytes; null once it aged out.
    pub body_bytes: Option<u32>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub processed_at: Option<DateTime<Utc>>,
}

impl Row for InboxEvent {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "provider",
        "event_key",
        "event_kind",
        "provider_call_id",
        "call_id",
        "life",
        "origin",
        "status",
        "parked_reason",
        "conflicts",
        "body_bytes",
        "received_at",
        "processed_at",
    ];
}

/// An event with everything that is known of it. Its body is in one of three members; all are null
/// once it aged out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InboxEventWithBody {
    /// Its id.
    pub id: Uuid,
    /// Who sent it. Example: `vapi`.
    pub provider: String,
    /// What makes two deliveries the same event.
    pub event_key: String,
    /// The provider's name of the event. Example: `end-of-call-report`.
    pub event_kind: String,
    /// The provider's id of the call.
    pub provider_call_id: Option<String>,
    /// The call.
    pub call_id: Option<Uuid>,
    /// What an event says of the life of its call.
    pub life: EventLife,
    /// How an event came.
    pub origin: Origin,
    /// Where an event stands.
    pub status: InboxStatus,
    /// Why nobody could use it.
    pub parked_reason: Option<String>,
    /// Deliveries under the same key with another body: the first one counts.
    pub conflicts: i32,
    /// Size of the body in bytes; null once it aged out.
    pub body_bytes: Option<u32>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub processed_at: Option<DateTime<Utc>>,
    /// The body, where it is JSON. Numbers may be rounded.
    pub body_json: Option<Value>,
    /// The body, where it is some other text.
    pub body_text: Option<String>,
    /// The body, where it is neither, or was asked for in this form.
    pub body_base64: Option<String>,
    /// Where a call stands.
    pub call_status: Option<CallStatus>,
    /// The text message that it is about.
    pub notification_id: Option<Uuid>,
    /// Headers that were kept, without secrets.
    pub headers: Value,
    /// SHA-256 of the body, in hex.
    pub body_sha256: String,
    /// How often the dispatcher took it.
    pub dispatches: i32,
    /// When the dispatcher takes it (again); null where nothing is left to do.
    pub dispatch_after: Option<DateTime<Utc>>,
    /// When its call's rows had what it says.
    pub folded_at: Option<DateTime<Utc>>,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerRow {
    /// Its id.
    pub id: Uuid,
    /// `call_minutes`; `call_seconds`; `call_cost`, in millionths of a US dollar.
    pub meter: String,
    /// From 0, for each meter.
    pub revision: u32,
    /// The change that it makes.
    pub quantity: i64,
    /// `call`, `correction`, `late`, `moved` or `voided`.
    pub reason: String,
    /// When the call occurred, by what was known then.
    pub occurred_at: DateTime<Utc>,
    /// When it was written.
    pub recorded_at: DateTime<Utc>,
    /// The period that takes it.
    pub period_id: Uuid,
}

/// Parameters of `GET /v1/api-keys`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListApiKeysQuery {
    /// Items in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListApiKeysQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/assistants`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListAssistantsQuery {
    /// Who runs calls.
    pub provider: Option<Provider>,
    /// Only assistants in use, or only those that are not.
    pub is_active: Option<bool>,
    /// Assistants in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListAssistantsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who runs calls.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Only assistants in use, or only those that are not.
    pub fn is_active(mut self, is_active: bool) -> Self {
        self.is_active = Some(is_active);
        self
    }

    /// Assistants in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "provider", self.provider);
        query::add(&mut pairs, "is_active", self.is_active);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/audit-log`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListAuditLogQuery {
    /// Only changes by this actor, such as `api_key:{id}` or `command-line`.
    pub actor: Option<String>,
    /// Only changes of this kind, such as `webhooks.update`.
    pub action: Option<String>,
    /// Only changes to this, such as `webhooks:{id}`.
    pub target: Option<String>,
    /// Only changes at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only changes before this time.
    pub to: Option<DateTime<Utc>>,
    /// Changes in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListAuditLogQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only changes by this actor, such as `api_key:{id}` or `command-line`.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Only changes of this kind, such as `webhooks.update`.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Only changes to this, such as `webhooks:{id}`.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Only changes at this time or later.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only changes before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Changes in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "actor", self.actor);
        query::add(&mut pairs, "action", self.action);
        query::add(&mut pairs, "target", self.target);
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/billing/events`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListBillingEventsQuery {
    /// Only those about this period.
    pub period_id: Option<Uuid>,
    /// Lines in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filter. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListBillingEventsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those about this period.
    pub fn period_id(mut self, period_id: Uuid) -> Self {
        self.period_id = Some(period_id);
        self
    }

    /// Lines in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filter. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "period_id", self.period_id);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/billing/periods`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListBillingPeriodsQuery {
    /// Periods in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListBillingPeriodsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Periods in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/calls/{id}/timeline`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListCallTimelineQuery {
    /// Entries in a page. 1 to 250. Default: `100`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListCallTimelineQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries in a page. 1 to 250. Default: `100`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/calls`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListCallsQuery {
    /// The provider's id of a call. Without `from` and `to` it is found at any age.
    pub provider_call_id: Option<String>,
    /// Where a call stands.
    pub status: Option<CallStatus>,
    /// Only calls created at this time or later. Default: 7 days before `to` or now.
    pub from: Option<DateTime<Utc>>,
    /// Only calls created before this time.
    pub to: Option<DateTime<Utc>>,
    /// Only calls of this assistant.
    pub assistant_id: Option<Uuid>,
    /// Calls in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListCallsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The provider's id of a call. Without `from` and `to` it is found at any age.
    pub fn provider_call_id(mut self, provider_call_id: impl Into<String>) -> Self {
        self.provider_call_id = Some(provider_call_id.into());
        self
    }

    /// Where a call stands.
    pub fn status(mut self, status: CallStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only calls created at this time or later. Default: 7 days before `to` or now.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only calls created before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Only calls of this assistant.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Some(assistant_id);
        self
    }

    /// Calls in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "provider_call_id", self.provider_call_id);
        query::add(&mut pairs, "status", self.status);
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "assistant_id", self.assistant_id);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/inbox/gaps`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListInboxGapsQuery {
    /// Only what was found at this time or later. Default: 7 days before `to` or now.
    pub from: Option<DateTime<Utc>>,
    /// Only what was found before this time.
    pub to: Option<DateTime<Utc>>,
    /// Who runs calls.
    pub provider: Option<Provider>,
    /// Gaps in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListInboxGapsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only what was found at this time or later. Default: 7 days before `to` or now.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only what was found before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Who runs calls.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Gaps in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "provider", self.provider);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/inbox`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListInboxQuery {
    /// Where an event stands.
    pub status: Option<InboxStatus>,
    /// Who runs calls.
    pub provider: Option<Provider>,
    /// Only events that the provider calls this.
    pub event_kind: Option<String>,
    /// How an event came.
    pub origin: Option<Origin>,
    /// Only events of the call with this id at its provider. Without `from` and `to` they are found
    /// at any age.
    pub provider_call_id: Option<String>,
    /// Only events of this call. Without `from` and `to` they are found at any age.
    pub call_id: Option<Uuid>,
    /// Only events received at this time or later. Default: 7 days before `to` or now.
    pub from: Option<DateTime<Utc>>,
    /// Only events received before this time.
    pub to: Option<DateTime<Utc>>,
    /// Events in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListInboxQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where an event stands.
    pub fn status(mut self, status: InboxStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Who runs calls.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Only events that the provider calls this.
    pub fn event_kind(mut self, event_kind: impl Into<String>) -> Self {
        self.event_kind = Some(event_kind.into());
        self
    }

    /// How an event came.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Only events of the call with this id at its provider. Without `from` and `to` they are found
    /// at any age.
    pub fn provider_call_id(mut self, provider_call_id: impl Into<String>) -> Self {
        self.provider_call_id = Some(provider_call_id.into());
        self
    }

    /// Only events of this call. Without `from` and `to` they are found at any age.
    pub fn call_id(mut self, call_id: Uuid) -> Self {
        self.call_id = Some(call_id);
        self
    }

    /// Only events received at this time or later. Default: 7 days before `to` or now.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only events received before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Events in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "status", self.status);
        query::add(&mut pairs, "provider", self.provider);
        query::add(&mut pairs, "event_kind", self.event_kind);
        query::add(&mut pairs, "origin", self.origin);
        query::add(&mut pairs, "provider_call_id", self.provider_call_id);
        query::add(&mut pairs, "call_id", self.call_id);
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/members`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListMembersQuery {
    /// Members in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListMembersQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Members in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/phone-numbers`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListPhoneNumbersQuery {
    /// Who runs calls.
    pub provider: Option<Provider>,
    /// Only numbers where this assistant answers.
    pub assistant_id: Option<Uuid>,
    /// Only this number, in E.164.
    pub number: Option<String>,
    /// Numbers in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListPhoneNumbersQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who runs calls.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Only numbers where this assistant answers.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Some(assistant_id);
        self
    }

    /// Only this number, in E.164.
    pub fn number(mut self, number: impl Into<String>) -> Self {
        self.number = Some(number.into());
        self
    }

    /// Numbers in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "provider", self.provider);
        query::add(&mut pairs, "assistant_id", self.assistant_id);
        query::add(&mut pairs, "number", self.number);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/templates`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListTemplatesQuery {
    /// Only templates for this industry.
    pub industry: Option<String>,
    /// Only those to show first, or only the others.
    pub featured: Option<bool>,
    /// Templates in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListTemplatesQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only templates for this industry.
    pub fn industry(mut self, industry: impl Into<String>) -> Self {
        self.industry = Some(industry.into());
        self
    }

    /// Only those to show first, or only the others.
    pub fn featured(mut self, featured: bool) -> Self {
        self.featured = Some(featured);
        self
    }

    /// Templates in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "industry", self.industry);
        query::add(&mut pairs, "featured", self.featured);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/usage`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListUsageQuery {
    /// First day, where the organization is. Default: 29 days before `to`.
    pub from: Option<NaiveDate>,
    /// Last day, included. Default: today.
    pub to: Option<NaiveDate>,
    /// Only calls of this assistant.
    pub assistant_id: Option<Uuid>,
    /// `day`: a row a day. `assistant`: a row for each assistant and day with calls of it.
    pub by: Option<UsageBy>,
}

impl ListUsageQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// First day, where the organization is. Default: 29 days before `to`.
    pub fn from(mut self, from: NaiveDate) -> Self {
        self.from = Some(from);
        self
    }

    /// Last day, included. Default: today.
    pub fn to(mut self, to: NaiveDate) -> Self {
        self.to = Some(to);
        self
    }

    /// Only calls of this assistant.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Some(assistant_id);
        self
    }

    /// `day`: a row a day. `assistant`: a row for each assistant and day with calls of it.
    pub fn by(mut self, by: UsageBy) -> Self {
        self.by = Some(by);
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "assistant_id", self.assistant_id);
        query::add(&mut pairs, "by", self.by);
        pairs
    }
}

/// Parameters of `GET /v1/webhooks/{id}/deliveries`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListWebhookDeliveriesQuery {
    /// What became of a delivery.
    pub state: Option<DeliveryState>,
    /// Only events of this type.
    pub event: Option<String>,
    /// Only deliveries made at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only deliveries made before this time.
    pub to: Option<DateTime<Utc>>,
    /// Deliveries in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListWebhookDeliveriesQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What became of a delivery.
    pub fn state(mut self, state: DeliveryState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only events of this type.
    pub fn event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// Only deliveries made at this time or later.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only deliveries made before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Deliveries in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "state", self.state);
        query::add(&mut pairs, "event", self.event);
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/webhooks/{id}/logs`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListWebhookLogsQuery {
    /// Only events of this type.
    pub event: Option<String>,
    /// Only answers with this HTTP status. 100 to 599.
    pub status_code: Option<u32>,
    /// Only failures of this class, or events that were skipped for this reason.
    pub error: Option<String>,
    /// What a line of a log tells of.
    pub kind: Option<LogKind>,
    /// What became of an attempt.
    pub outcome: Option<LogOutcome>,
    /// Only this event.
    pub event_id: Option<Uuid>,
    /// Only attempts at this delivery.
    pub delivery_id: Option<Uuid>,
    /// Only at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub to: Option<DateTime<Utc>>,
    /// Rows in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListWebhookLogsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events of this type.
    pub fn event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// Only answers with this HTTP status. 100 to 599.
    pub fn status_code(mut self, status_code: u32) -> Self {
        self.status_code = Some(status_code);
        self
    }

    /// Only failures of this class, or events that were skipped for this reason.
    pub fn error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    /// What a line of a log tells of.
    pub fn kind(mut self, kind: LogKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// What became of an attempt.
    pub fn outcome(mut self, outcome: LogOutcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Only this event.
    pub fn event_id(mut self, event_id: Uuid) -> Self {
        self.event_id = Some(event_id);
        self
    }

    /// Only attempts at this delivery.
    pub fn delivery_id(mut self, delivery_id: Uuid) -> Self {
        self.delivery_id = Some(delivery_id);
        self
    }

    /// Only at this time or later.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Rows in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same filters. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "event", self.event);
        query::add(&mut pairs, "status_code", self.status_code);
        query::add(&mut pairs, "error", self.error);
        query::add(&mut pairs, "kind", self.kind);
        query::add(&mut pairs, "outcome", self.outcome);
        query::add(&mut pairs, "event_id", self.event_id);
        query::add(&mut pairs, "delivery_id", self.delivery_id);
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/webhooks/{id}/recoveries`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListWebhookRecoveriesQuery {
    /// Items in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListWebhookRecoveriesQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/webhooks/{id}/recoveries/{recovery_id}/items`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListWebhookRecoveryItemsQuery {
    /// Items in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListWebhookRecoveryItemsQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Parameters of `GET /v1/webhooks`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ListWebhooksQuery {
    /// Items in a page. 1 to 250. Default: `50`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before. At least 1 characters.
    pub cursor: Option<String>,
}

impl ListWebhooksQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items in a page. 1 to 250. Default: `50`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// A transcript that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Match {
    /// The call.
    pub call_id: Uuid,
    /// When the call began to exist.
    pub created_at: DateTime<Utc>,
    /// How well it fits, from 0; comparable within one search only.
    pub rank: f64,
    /// Where it fits: HTML text, escaped but for `<mark>` around the found words.
    pub snippet: String,
    /// The provider's summary.
    pub summary: Option<String>,
}

impl Row for Match {
    const COLUMNS: &'static [&'static str] = &[
        "call_id",
        "created_at",
        "rank",
        "snippet",
        "summary",
    ];
}

/// A user in the organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The user.
    pub user_id: Uuid,
    /// The user's email address. Example: `ada@example.com`.
    pub email: String,
    /// The user's name.
    pub name: Option<String>,
    /// What a member may do.
    pub role: MemberRole,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

impl Row for Member {
    const COLUMNS: &'static [&'static str] = &[
        "user_id",
        "email",
        "name",
        "role",
        "created_at",
    ];
}

/// Who hears of each call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NotificationSettings {
    /// Phone numbers in E.164 that get a text message.
    pub sms: Vec<String>,
    /// Addresses that get an email.
    pub email: Vec<String>,
}

/// The organization that asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name. Example: `Tables & Co`.
    pub name: String,
    /// Its name in URLs. Example: `tables`.
    pub slug: String,
    /// Name of its plan. Example: `growth`.
    pub plan: String,
    /// Minutes of a period that the plan includes.
    pub plan_minutes: i32,
    /// Price of a further minute, in US dollars. Example: `0.050000`.
    pub overage_price: String,
    /// `soft`: further minutes are sold; `hard`: they are not.
    pub usage_limit: String,
    /// Its time zone, as IANA names it: decides its days and periods. Example: `Europe/Berlin`.
    pub timezone: String,
    /// What it chose.
    pub settings: OrganizationSettings,
    /// Begin of the period that is open.
    pub current_period_start: Option<DateTime<Utc>>,
    /// End of the period that is open.
    pub current_period_end: Option<DateTime<Utc>>,
    /// Grows with each change; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an organization chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OrganizationSettings {
    /// Who hears of each call.
    pub notifications: NotificationSettings,
    /// Who hears of minutes and bills.
    pub billing: BillingSettings,
    /// Whether messages of providers that drive no call are stored too.
    pub keep_all_events: bool,
}

/// A period that has rows of the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeriodOfCall {
    /// Its id.
    pub id: Uuid,
    /// First instant.
    pub period_start: DateTime<Utc>,
    /// First instant after it.
    pub period_end: DateTime<Utc>,
    /// `open`, `closing` or `closed`.
    pub status: String,
    /// When it was frozen.
    pub watermark: Option<DateTime<Utc>>,
    /// Minutes of the call in it.
    pub minutes: i64,
    /// Minutes of all calls that are billed beyond the included ones; null before it is frozen.
    pub overage_minutes: Option<u64>,
    /// What Stripe was told of it, oldest first.
    pub reports: Vec<ReportOfCall>,
}

/// What an organization is called at, and calls from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PhoneNumber {
    /// Its id.
    pub id: Uuid,
    /// The number in E.164. Example: `+14155550100`.
    pub number: String,
    /// Who runs calls.
    pub provider: Provider,
    /// The provider's id of it: calls find their number by it.
    pub provider_phone_number_id: Option<String>,
    /// Who answers there.
    pub assistant_id: Option<Uuid>,
    /// Grows with each change; also the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Row for PhoneNumber {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "number",
        "provider",
        "provider_phone_number_id",
        "assistant_id",
        "version",
        "created_at",
        "updated_at",
    ];
}

/// What may be known of the credentials for a provider: never a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderCredentials {
    /// Who runs calls.
    pub provider: Provider,
    /// When the current secret was set.
    pub rotated_at: DateTime<Utc>,
    /// Whether the secret before it is still accepted.
    pub has_previous: bool,
    /// Until when it is; null where there is none, or no end.
    pub previous_ends_at: Option<DateTime<Utc>>,
    /// Whether there is a key for requests signed with a shared key.
    pub has_shared_key: bool,
    /// Whether there is a key for the provider's API beside the secret.
    pub has_api_key: bool,
    /// Settings of the provider: Vapi's HMAC plan, Twilio's account.
    pub settings: Value,
    /// Whether there is a key that opens the provider's API. Without one no sweep finds calls that
    /// webhooks did not tell of.
    pub is_swept: bool,
    /// Calls that changed before this are known; null before the first sweep.
    pub swept_until: Option<DateTime<Utc>>,
    /// When the last sweep ran, whether it worked or not; null before the first.
    pub last_swept_at: Option<DateTime<Utc>>,
    /// Calls of which, or of whose end, only the last sweep that worked told; null before the
    /// first.
    pub sweep_found: Option<u32>,
    /// Why the last sweep failed, in a word: `Unavailable`, `Rejected` by the provider or
    /// `Invalid`; null where it worked.
    pub sweep_error: Option<String>,
}

impl Row for ProviderCredentials {
    const COLUMNS: &'static [&'static str] = &[
        "provider",
        "rotated_at",
        "has_previous",
        "previous_ends_at",
        "has_shared_key",
        "has_api_key",
        "settings",
        "is_swept",
        "swept_until",
        "last_swept_at",
        "sweep_found",
        "sweep_error",
    ];
}

/// All credentials of the organization.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderCredentialsList {
    /// One for each provider that has some.
    pub data: Vec<ProviderCredentials>,
}

impl Listing for ProviderCredentialsList {
    type Row = ProviderCredentials;
}

/// Whether the process can serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Readiness {
    /// `ready` or `unready`.
    pub status: String,
    /// What each dependency is: `ok`, `unreachable`, or `behind` where migrations must run first.
    pub checks: BTreeMap<String, String>,
}

/// A call of the dashboard. `/v1/calls/{id}` tells the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecentCall {
    /// Its id.
    pub id: Uuid,
    /// Who ran it. Example: `vapi`.
    pub provider: String,
    /// The assistant that talked, where it is one of the organization's.
    pub assistant_id: Option<Uuid>,
    /// Who called whom; null where not known. Example: `inbound`.
    pub direction: Option<String>,
    /// Where it stands. Example: `completed`.
    pub status: String,
    /// What came of it, by its purpose.
    pub outcome: Option<String>,
    /// The caller's number. Example: `+14155550100`.
    pub from_number: Option<String>,
    /// The called number. Example: `+14155550199`.
    pub to_number: Option<String>,
    /// When the talk began.
    pub started_at: Option<DateTime<Utc>>,
    /// Its length in seconds.
    pub duration_seconds: Option<u32>,
    /// Minutes counted for billing; null until the call is processed.
    pub billed_minutes: Option<u32>,
    /// When it began to exist.
    pub created_at: DateTime<Utc>,
}

/// Parameters of `GET /v1/usage/reconcile`.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct ReconcileUsageQuery {
    /// First day, where the organization is. Default: 35 days before `to`.
    pub from: Option<NaiveDate>,
    /// Last day, included. Default: today. Periods that share a day with the range are compared
    /// whole.
    pub to: Option<NaiveDate>,
    /// Also rows in which all books agree.
    pub all: Option<bool>,
}

impl ReconcileUsageQuery {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// First day, where the organization is. Default: 35 days before `to`.
    pub fn from(mut self, from: NaiveDate) -> Self {
        self.from = Some(from);
        self
    }

    /// Last day, included. Default: today. Periods that share a day with the range are compared
    /// whole.
    pub fn to(mut self, to: NaiveDate) -> Self {
        self.to = Some(to);
        self
    }

    /// Also rows in which all books agree.
    pub fn all(mut self, all: bool) -> Self {
        self.all = Some(all);
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "all", self.all);
        pairs
    }
}

/// The books side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reconciliation {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Whether nothing is unexplained.
    pub is_clean: bool,
    /// Rows that differ, and every unit of it is accounted for.
    pub explained: u64,
    /// Rows that differ, and nobody knows why.
    pub unexplained: u64,
    /// Days first, then periods.
    pub data: Vec<BookRow>,
}

impl Listing for Reconciliation {
    type Row = BookRow;
}

/// The audio of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recording {
    /// `pending`, `stored` or `failed`.
    pub status: String,
    /// Its key in object storage, once stored.
    pub path: Option<String>,
    /// Its media type. Example: `audio/wav`.
    pub content_type: Option<String>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// Its SHA-256 in hex.
    pub sha256: Option<String>,
    /// Where this API gives it out, once stored.
    pub url: String,
}

/// Which deliveries are made again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct RecoverRequest {
    /// What is recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RecoveryKind>,
    /// Events told at this time or later.
    pub since: DateTime<Utc>,
    /// Events told before this time. Default, and the latest possible: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Only these types. Default: all that the endpoint subscribes to. At most 50 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Deliveries a second. 1 to 1000. Default: `50`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Only count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

impl RecoverRequest {
    /// With what is needed.
    pub fn new(since: DateTime<Utc>) -> Self {
        Self {
            kind: Default::default(),
            since,
            until: Default::default(),
            events: Default::default(),
            rate: Default::default(),
            dry_run: Default::default(),
        }
    }

    /// What is recovered.
    pub fn kind(mut self, kind: RecoveryKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Events told before this time. Default, and the latest possible: now.
    pub fn until(mut self, until: DateTime<Utc>) -> Self {
        self.until = Some(until);
        self
    }

    /// Only these types. Default: all that the endpoint subscribes to. At most 50 items.
    pub fn events(mut self, events: impl IntoIterator<Item: Into<String>>) -> Self {
        self.events = Some(events.into_iter().map(Into::into).collect());
        self
    }

    /// Deliveries a second. 1 to 1000. Default: `50`.
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Only count.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = Some(dry_run);
        self
    }
}

/// Deliveries made again in bulk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recovery {
    /// Its id.
    pub id: Uuid,
    /// The endpoint.
    pub webhook_id: Uuid,
    /// `failed` or `missing`.
    pub kind: String,
    /// Events told at this time or later.
    pub since: DateTime<Utc>,
    /// And before this.
    pub until: DateTime<Utc>,
    /// Only of these types; null for all.
    pub events: Option<Vec<String>>,
    /// Deliveries a second.
    pub rate: i32,
    /// `running`, `paused`, `aborted` or `completed`. It is paused where its endpoint is disabled,
    /// too.
    pub state: String,
    /// Deliveries counted before it began.
    pub total: i64,
    /// Deliveries that were handed to the queue: more than `total` where some became due since they
    /// were counted.
    pub begun: i64,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was completed or aborted.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Row for Recovery {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "webhook_id",
        "kind",
        "since",
        "until",
        "events",
        "rate",
        "state",
        "total",
        "begun",
        "created_by",
        "created_at",
        "ended_at",
    ];
}

/// A recovery that was begun, or would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecoveryBegun {
    /// Its id; null where it was only counted.
    pub id: Option<Uuid>,
    /// Deliveries.
    pub total: u64,
}

/// What became of one delivery of a recovery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecoveryItem {
    /// The event.
    pub event_id: Uuid,
    /// Its type.
    pub event: Option<String>,
    /// The delivery.
    pub delivery_id: Uuid,
    /// `pending`, `delivered`, `failed` or `disabled`.
    pub state: String,
    /// Attempts since it was last begun.
    pub attempts: i32,
}

impl Row for RecoveryItem {
    const COLUMNS: &'static [&'static str] = &[
        "event_id",
        "event",
        "delivery_id",
        "state",
        "attempts",
    ];
}

/// A batch of a replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplayBatch {
    /// Events of the batch: those that the filter names.
    pub matched: u32,
    /// Of these, events that do not wait already and whose body did not age out.
    pub replayable: u32,
    /// Of these, events that are read again because of this request.
    pub replayed: u32,
    /// Where the next batch begins; null on the last.
    pub next_cursor: Option<String>,
}

/// All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct ReplayFilter {
    /// These events alone. 1 to 1000 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<Uuid>>,
    /// Where an event stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<InboxStatus>,
    /// Who runs calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Events that the provider calls this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_kind: Option<String>,
    /// Events parked for this reason, in these very words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_reason: Option<String>,
    /// Events received at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Events received before this time. Default, and the latest possible: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
}

impl ReplayFilter {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These events alone. 1 to 1000 items.
    pub fn ids(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.ids = Some(ids.into_iter().collect());
        self
    }

    /// Where an event stands.
    pub fn status(mut self, status: InboxStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Who runs calls.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Events that the provider calls this.
    pub fn event_kind(mut self, event_kind: impl Into<String>) -> Self {
        self.event_kind = Some(event_kind.into());
        self
    }

    /// Events parked for this reason, in these very words.
    pub fn parked_reason(mut self, parked_reason: impl Into<String>) -> Self {
        self.parked_reason = Some(parked_reason.into());
        self
    }

    /// Events received at this time or later.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Events received before this time. Default, and the latest possible: now.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }
}

/// Which events to replay, and how many at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct ReplayRequest {
    /// Which events. At least one member is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<ReplayFilter>,
    /// Only count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Events in a batch. 1 to 1000. Default: `500`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the batch before, with the same filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl ReplayRequest {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which events. At least one member is needed.
    pub fn filter(mut self, filter: ReplayFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Only count.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = Some(dry_run);
        self
    }

    /// Events in a batch. 1 to 1000. Default: `500`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the batch before, with the same filter.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplayedEvent {
    /// The event.
    pub id: Uuid,
    /// Whether it is read again because of this request; false where it was waiting already.
    pub replayed: bool,
    /// Where an event stands.
    pub status: InboxStatus,
}

/// What Stripe was told of a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReportOfCall {
    /// Identifier of the meter event.
    pub identifier: String,
    /// Minutes.
    pub quantity: u64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    pub state: String,
    /// When it was last sent.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// When that was decided.
    pub settled_at: Option<DateTime<Utc>>,
    /// Minutes of it that Stripe was seen to have counted; null where it was not asked yet.
    pub counted_minutes: Option<u64>,
    /// When that was seen first.
    pub counted_at: Option<DateTime<Utc>>,
}

/// How a key is replaced.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct RotateApiKey {
    /// For how many seconds the current key works beside the new one. Default: a day. At most
    /// 604800.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u32>,
}

impl RotateApiKey {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how many seconds the current key works beside the new one. Default: a day. At most
    /// 604800.
    pub fn overlap_seconds(mut self, overlap_seconds: u32) -> Self {
        self.overlap_seconds = Some(overlap_seconds);
        self
    }
}

/// A secret that takes the place of the current one.
#[derive(Debug, Clone, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct RotateProviderCredentials {
    /// The new secret. 8 to 512 characters.
    #[serde(serialize_with = "crate::secret::serialize")]
    pub secret: SecretString,
    /// For how many hours the current secret is accepted beside it. At most 720. Default: `24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_hours: Option<u32>,
}

impl RotateProviderCredentials {
    /// With what is needed.
    pub fn new(secret: impl Into<SecretString>) -> Self {
        Self {
            secret: secret.into(),
            overlap_hours: Default::default(),
        }
    }

    /// For how many hours the current secret is accepted beside it. At most 720. Default: `24`.
    pub fn overlap_hours(mut self, overlap_hours: u32) -> Self {
        self.overlap_hours = Some(overlap_hours);
        self
    }
}

/// A secret that takes the place of the current one.
#[derive(Debug, Clone, Default, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct RotateSecret {
    /// For how many seconds the current secret signs beside the new one. Default: a day. At most
    /// 604800.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u32>,
    /// A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. Default: 32 random bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub secret: Option<SecretString>,
}

impl RotateSecret {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how many seconds the current secret signs beside the new one. Default: a day. At most
    /// 604800.
    pub fn overlap_seconds(mut self, overlap_seconds: u32) -> Self {
        self.overlap_seconds = Some(overlap_seconds);
        self
    }

    /// A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. Default: 32 random bytes.
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}

/// A part of a difference, and why it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RowExplanation {
    /// Why books may differ.
    pub reason: DifferenceReason,
    /// How much it accounts for; negative where a book says less for it.
    pub quantity: i64,
}

/// Parameters of `GET /v1/search/transcripts`.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct SearchTranscriptsQuery {
    /// Words that must all occur; also `"a phrase"`, `or`, and `-without`. 1 to 500 characters.
    pub q: String,
    /// Only calls created at this time or later. Default: 30 days before `to` or now.
    pub from: Option<DateTime<Utc>>,
    /// Only calls created before this time.
    pub to: Option<DateTime<Utc>>,
    /// Matches in a page. 1 to 250. Default: `20`.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, with the same search and times. At least 1 characters.
    pub cursor: Option<String>,
}

impl SearchTranscriptsQuery {
    /// With what is needed.
    pub fn new(q: impl Into<String>) -> Self {
        Self {
            q: q.into(),
            from: Default::default(),
            to: Default::default(),
            limit: Default::default(),
            cursor: Default::default(),
        }
    }

    /// Only calls created at this time or later. Default: 30 days before `to` or now.
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.from = Some(from);
        self
    }

    /// Only calls created before this time.
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.to = Some(to);
        self
    }

    /// Matches in a page. 1 to 250. Default: `20`.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `next_cursor` of the page before, with the same search and times. At least 1 characters.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    pub(crate) fn pairs(self) -> Pairs {
        let mut pairs = Pairs::new();
        query::add(&mut pairs, "q", Some(self.q));
        query::add(&mut pairs, "from", self.from);
        query::add(&mut pairs, "to", self.to);
        query::add(&mut pairs, "limit", self.limit);
        query::add(&mut pairs, "cursor", self.cursor);
        pairs
    }
}

/// Credentials to be set: at least one of the fields.
#[derive(Debug, Clone, Default, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct SetProviderCredentials {
    /// What the provider's webhooks prove themselves with: Vapi's server secret, Retell's API key,
    /// Twilio's auth token. Needed where there are no credentials yet. 8 to 512 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub secret: Option<SecretString>,
    /// Key of the provider's API, for listing calls, where it is not the secret. Vapi needs one. 8
    /// to 512 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub api_key: Option<SecretString>,
    /// Key of requests that Twilio signs with a shared key; needs `settings.shared_key_id`. 8 to
    /// 512 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub shared_key: Option<SecretString>,
    /// Vapi: its `HmacAuthenticationPlan`. Twilio: `account_sid`, and `shared_key_id` where there
    /// is a shared key. Retell: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

impl SetProviderCredentials {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the provider's webhooks prove themselves with: Vapi's server secret, Retell's API key,
    /// Twilio's auth token. Needed where there are no credentials yet. 8 to 512 characters.
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Key of the provider's API, for listing calls, where it is not the secret. Vapi needs one. 8
    /// to 512 characters.
    pub fn api_key(mut self, api_key: impl Into<SecretString>) -> Self {
        self.api_key = Some(api_key.into());
        self
    }

    /// Key of requests that Twilio signs with a shared key; needs `settings.shared_key_id`. 8 to
    /// 512 characters.
    pub fn shared_key(mut self, shared_key: impl Into<SecretString>) -> Self {
        self.shared_key = Some(shared_key.into());
        self
    }

    /// Vapi: its `HmacAuthenticationPlan`. Twilio: `account_sid`, and `shared_key_id` where there
    /// is a shared key. Retell: none.
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings = Some(settings);
        self
    }
}

/// A step of the call's processing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// A step of what is done for a call.
    pub name: StepName,
    /// What became of a step.
    pub status: StepStatus,
    /// Class of the failure.
    pub error: Option<String>,
}

/// What Stripe was told of a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StripeReport {
    /// Identifier of the meter event.
    pub identifier: String,
    /// Minutes.
    pub quantity: u64,
    /// `pending`, `sending`, `unknown`, `accepted` or `rejected`.
    pub state: String,
    /// Why it was rejected.
    pub error: Option<String>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
}

/// What an assistant can be made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Template {
    /// Its id.
    pub id: Uuid,
    /// Its name in URLs and in `template` of a new assistant.
    pub slug: String,
    /// Its name. Example: `Driver check-in`.
    pub name: String,
    /// Whom it is for. Example: `logistics`.
    pub industry: Option<String>,
    /// Whether to show it first.
    pub featured: bool,
    /// What it does.
    pub description: String,
    /// What an assistant made from it begins with.
    pub configuration: Value,
}

impl Row for Template {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "slug",
        "name",
        "industry",
        "featured",
        "description",
        "configuration",
    ];
}

/// What to send.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct TestRequest {
    /// An example of this type, marked `"test": true`, whatever the endpoint subscribes to.
    /// Default: `webhook.test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Whether to wait for the first attempt, up to 15 seconds, and tell what came of it. Nobody
    /// waits where the request has an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

impl TestRequest {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An example of this type, marked `"test": true`, whatever the endpoint subscribes to.
    /// Default: `webhook.test`.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Whether to wait for the first attempt, up to 15 seconds, and tell what came of it. Nobody
    /// waits where the request has an `Idempotency-Key`.
    pub fn wait(mut self, wait: bool) -> Self {
        self.wait = Some(wait);
        self
    }
}

/// Something that happened to a row about the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimelineEntry {
    /// When. A row without a clock of its own stands where the call was last changed.
    pub at: DateTime<Utc>,
    /// The kind of row: `inbox`, `call_keys`, `calls`, `call_transcripts`, `call_actions`,
    /// `call_recordings`, `call_results`, `notifications`, `events`, `webhook_deliveries`,
    /// `webhook_logs`, `usage_ledger`, `usage_voids`, `stripe_reports` or `audit_log`.
    pub source: String,
    /// The row; the call where the row has no id of its own.
    pub id: Uuid,
    /// What happened; one row may tell of several things. Example: `delivered`.
    pub what: String,
    /// More of it, by the kind of row; without what was said, and to whom.
    pub details: Value,
}

impl Row for TimelineEntry {
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "source",
        "id",
        "what",
        "details",
    ];
}

/// Calls of the day that it is where the organization is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Today {
    /// The day.
    pub date: NaiveDate,
    /// Calls in progress, whenever they began.
    pub active_calls: u64,
    /// Calls that have ended.
    pub calls: u64,
    /// Those of them that were talked through.
    pub completed_calls: u64,
    /// The others.
    pub failed_calls: u64,
    /// Minutes counted for billing.
    pub minutes: u64,
    /// Seconds of a call on average; null without calls.
    pub average_duration_seconds: Option<f64>,
    /// What providers charged, in US dollars.
    pub cost_usd: f64,
}

/// What was said on a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transcript {
    /// The call.
    pub call_id: Uuid,
    /// The whole text. Example: `AI: Hello. User: Hi, it is about the invoice.`.
    pub text: String,
    /// Who said what when, in the provider's own form.
    pub messages: Option<Vec<Value>>,
    /// The provider's summary.
    pub summary: Option<String>,
}

/// What is to change. What is not given stays as it is; null puts back the default, where there is
/// one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateApiKey {
    /// Words of your own. 1 to 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do, all of it; no more than you yourself. At least 1 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Until when it may be used; null for ever.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub expires_at: Patch<DateTime<Utc>>,
    /// Requests an hour; null for the usual number. 1 to 10000000.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub rate_limit: Patch<u64>,
    /// Requests in all; null for no end. At most 1000000000000.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub usage_quota: Patch<u64>,
    /// Whether it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl UpdateApiKey {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Words of your own. 1 to 100 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it may do, all of it; no more than you yourself. At least 1 items.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item: Into<String>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Until when it may be used; null for ever.
    pub fn expires_at(mut self, expires_at: DateTime<Utc>) -> Self {
        self.expires_at = Patch::Set(expires_at);
        self
    }

    /// Clears [`Self::expires_at`].
    pub fn clear_expires_at(mut self) -> Self {
        self.expires_at = Patch::Clear;
        self
    }

    /// Requests an hour; null for the usual number. 1 to 10000000.
    pub fn rate_limit(mut self, rate_limit: u64) -> Self {
        self.rate_limit = Patch::Set(rate_limit);
        self
    }

    /// Clears [`Self::rate_limit`].
    pub fn clear_rate_limit(mut self) -> Self {
        self.rate_limit = Patch::Clear;
        self
    }

    /// Requests in all; null for no end. At most 1000000000000.
    pub fn usage_quota(mut self, usage_quota: u64) -> Self {
        self.usage_quota = Patch::Set(usage_quota);
        self
    }

    /// Clears [`Self::usage_quota`].
    pub fn clear_usage_quota(mut self) -> Self {
        self.usage_quota = Patch::Clear;
        self
    }

    /// Whether it may be used.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateAssistant {
    /// Its name. At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The provider's id of it; null for none. At most 200 characters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub provider_assistant_id: Patch<String>,
    /// Your own words about it, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Value>,
    /// Whether it is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

impl UpdateAssistant {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its name. At most 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The provider's id of it; null for none. At most 200 characters.
    pub fn provider_assistant_id(mut self, provider_assistant_id: impl Into<String>) -> Self {
        self.provider_assistant_id = Patch::Set(provider_assistant_id.into());
        self
    }

    /// Clears [`Self::provider_assistant_id`].
    pub fn clear_provider_assistant_id(mut self) -> Self {
        self.provider_assistant_id = Patch::Clear;
        self
    }

    /// Your own words about it, all of them.
    pub fn configuration(mut self, configuration: Value) -> Self {
        self.configuration = Some(configuration);
        self
    }

    /// Whether it is in use.
    pub fn is_active(mut self, is_active: bool) -> Self {
        self.is_active = Some(is_active);
        self
    }
}

/// Who hears of minutes and bills.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateBillingSettings {
    /// Addresses that get an email, all of them. At most 20 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Vec<String>>,
}

impl UpdateBillingSettings {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Addresses that get an email, all of them. At most 20 items.
    pub fn email(mut self, email: impl IntoIterator<Item: Into<String>>) -> Self {
        self.email = Some(email.into_iter().map(Into::into).collect());
        self
    }
}

/// Who hears of each call.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateNotificationSettings {
    /// Phone numbers in E.164 that get a text message, all of them. At most 20 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<Vec<String>>,
    /// Addresses that get an email, all of them. At most 20 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Vec<String>>,
}

impl UpdateNotificationSettings {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Phone numbers in E.164 that get a text message, all of them. At most 20 items.
    pub fn sms(mut self, sms: impl IntoIterator<Item: Into<String>>) -> Self {
        self.sms = Some(sms.into_iter().map(Into::into).collect());
        self
    }

    /// Addresses that get an email, all of them. At most 20 items.
    pub fn email(mut self, email: impl IntoIterator<Item: Into<String>>) -> Self {
        self.email = Some(email.into_iter().map(Into::into).collect());
        self
    }
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateOrganization {
    /// Its name. At most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its time zone, as IANA names it. Example: `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// What it chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<UpdateOrganizationSettings>,
}

impl UpdateOrganization {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its name. At most 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its time zone, as IANA names it. Example: `Europe/Berlin`.
    pub fn timezone(mut self, timezone: impl Into<String>) -> Self {
        self.timezone = Some(timezone.into());
        self
    }

    /// What it chooses.
    pub fn settings(mut self, settings: UpdateOrganizationSettings) -> Self {
        self.settings = Some(settings);
        self
    }
}

/// What an organization chooses. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateOrganizationSettings {
    /// Who hears of each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notifications: Option<UpdateNotificationSettings>,
    /// Who hears of minutes and bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<UpdateBillingSettings>,
    /// Whether messages of providers that drive no call are stored too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_all_events: Option<bool>,
}

impl UpdateOrganizationSettings {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who hears of each call.
    pub fn notifications(mut self, notifications: UpdateNotificationSettings) -> Self {
        self.notifications = Some(notifications);
        self
    }

    /// Who hears of minutes and bills.
    pub fn billing(mut self, billing: UpdateBillingSettings) -> Self {
        self.billing = Some(billing);
        self
    }

    /// Whether messages of providers that drive no call are stored too.
    pub fn keep_all_events(mut self, keep_all_events: bool) -> Self {
        self.keep_all_events = Some(keep_all_events);
        self
    }
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdatePhoneNumber {
    /// The provider's id of it; null for none. At most 200 characters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub provider_phone_number_id: Patch<String>,
    /// Who answers there; null for nobody.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub assistant_id: Patch<Uuid>,
}

impl UpdatePhoneNumber {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The provider's id of it; null for none. At most 200 characters.
    pub fn provider_phone_number_id(mut self, provider_phone_number_id: impl Into<String>) -> Self {
        self.provider_phone_number_id = Patch::Set(provider_phone_number_id.into());
        self
    }

    /// Clears [`Self::provider_phone_number_id`].
    pub fn clear_provider_phone_number_id(mut self) -> Self {
        self.provider_phone_number_id = Patch::Clear;
        self
    }

    /// Who answers there; null for nobody.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Patch::Set(assistant_id);
        self
    }

    /// Clears [`Self::assistant_id`].
    pub fn clear_assistant_id(mut self) -> Self {
        self.assistant_id = Patch::Clear;
        self
    }
}

/// What is to change. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateUser {
    /// Email address. At most 254 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Name; null for none. At most 200 characters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<String>,
}

impl UpdateUser {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Email address. At most 254 characters.
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }

    /// Name; null for none. At most 200 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Patch::Set(name.into());
        self
    }

    /// Clears [`Self::name`].
    pub fn clear_name(mut self) -> Self {
        self.name = Patch::Clear;
        self
    }
}

/// What is to change. What is not given stays as it is; null puts back the default, where there is
/// one.
#[derive(Debug, Clone, Default, Serialize)]
#[must_use]
#[non_exhaustive]
pub struct UpdateWebhook {
    /// Where events go. At most 2048 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What it gets, all of it. 1 to 50 items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Only events of this assistant's calls; null for those of all.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub assistant_id: Patch<Uuid>,
    /// Words of your own; null for none. At most 500 characters.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// False ends what waits to be sent. True also closes the circuit and forgets failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Most deliveries a second; null for as many as there are. 1 to 1000.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub rate_limit: Patch<u64>,
    /// `none`, or `call` for one after the other within a call; null for `none`.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub ordering: Patch<String>,
    /// Headers of your own, all of them; null for none.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    #[serde(serialize_with = "crate::secret::serialize")]
    pub headers: Patch<BTreeMap<String, SecretString>>,
    /// Ids and links only, instead of the whole payload.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub thin: Patch<bool>,
    /// Waits between attempts in seconds; null for the usual ones. 1 to 20 items.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub schedule: Patch<Vec<i64>>,
}

impl UpdateWebhook {
    /// With nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where events go. At most 2048 characters.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// What it gets, all of it. 1 to 50 items.
    pub fn events(mut self, events: impl IntoIterator<Item: Into<String>>) -> Self {
        self.events = Some(events.into_iter().map(Into::into).collect());
        self
    }

    /// Only events of this assistant's calls; null for those of all.
    pub fn assistant_id(mut self, assistant_id: Uuid) -> Self {
        self.assistant_id = Patch::Set(assistant_id);
        self
    }

    /// Clears [`Self::assistant_id`].
    pub fn clear_assistant_id(mut self) -> Self {
        self.assistant_id = Patch::Clear;
        self
    }

    /// Words of your own; null for none. At most 500 characters.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Patch::Set(description.into());
        self
    }

    /// Clears [`Self::description`].
    pub fn clear_description(mut self) -> Self {
        self.description = Patch::Clear;
        self
    }

    /// False ends what waits to be sent. True also closes the circuit and forgets failures.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// Most deliveries a second; null for as many as there are. 1 to 1000.
    pub fn rate_limit(mut self, rate_limit: u64) -> Self {
        self.rate_limit = Patch::Set(rate_limit);
        self
    }

    /// Clears [`Self::rate_limit`].
    pub fn clear_rate_limit(mut self) -> Self {
        self.rate_limit = Patch::Clear;
        self
    }

    /// `none`, or `call` for one after the other within a call; null for `none`.
    pub fn ordering(mut self, ordering: impl Into<String>) -> Self {
        self.ordering = Patch::Set(ordering.into());
        self
    }

    /// Clears [`Self::ordering`].
    pub fn clear_ordering(mut self) -> Self {
        self.ordering = Patch::Clear;
        self
    }

    /// Headers of your own, all of them; null for none.
    pub fn headers(
        mut self,
        headers: impl IntoIterator<Item = (impl Into<String>, impl Into<SecretString>)>,
    ) -> Self {
        self.headers = Patch::Set(headers.into_iter().map(|(name, text)| (name.into(), text.into())).collect());
        self
    }

    /// Clears [`Self::headers`].
    pub fn clear_headers(mut self) -> Self {
        self.headers = Patch::Clear;
        self
    }

    /// Ids and links only, instead of the whole payload.
    pub fn thin(mut self, thin: bool) -> Self {
        self.thin = Patch::Set(thin);
        self
    }

    /// Clears [`Self::thin`].
    pub fn clear_thin(mut self) -> Self {
        self.thin = Patch::Clear;
        self
    }

    /// Waits between attempts in seconds; null for the usual ones. 1 to 20 items.
    pub fn schedule(mut self, schedule: impl IntoIterator<Item = i64>) -> Self {
        self.schedule = Patch::Set(schedule.into_iter().collect());
        self
    }

    /// Clears [`Self::schedule`].
    pub fn clear_schedule(mut self) -> Self {
        self.schedule = Patch::Clear;
        self
    }
}

/// Requests of a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageDay {
    /// The day, in UTC.
    pub date: NaiveDate,
    /// Requests.
    pub requests: i64,
}

/// An event of a provider, without what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageEvent {
    /// Its id in the inbox.
    pub id: Uuid,
    /// The provider's name of it. Example: `end-of-call-report`.
    pub event_kind: String,
    /// How it came. Example: `webhook`.
    pub origin: String,
    /// Where it stands. Example: `processed`.
    pub status: String,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// When its call's row had what it says.
    pub folded_at: Option<DateTime<Utc>>,
}

/// The sum of days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsageSum {
    /// Calls that ended.
    pub total_calls: i64,
    /// Calls that were talked through.
    pub completed_calls: i64,
    /// Calls that ended otherwise.
    pub failed_calls: i64,
    /// Billed minutes.
    pub minutes: i64,
    /// Seconds.
    pub seconds: i64,
    /// What providers charged, in US dollars.
    pub cost_usd: f64,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The `sub` of its tokens.
    pub id: Uuid,
    /// Email address. Example: `ada@example.com`.
    pub email: String,
    /// Name.
    pub name: Option<String>,
    /// Whether this organization made the user known, and may change email and name.
    pub is_ours: bool,
    /// Since when the user is known.
    pub created_at: DateTime<Utc>,
    /// When email or name were last changed.
    pub updated_at: DateTime<Utc>,
}

/// That a call is not to be paid for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VoidOfCall {
    /// Why. Example: `a test call`.
    pub reason: String,
    /// When.
    pub voided_at: DateTime<Utc>,
}

/// An endpoint of the organization's that events are sent to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// Only events of this assistant's calls, or of all.
    pub assistant_id: Option<Uuid>,
    /// Where events go. Example: `https://example.com/hooks`.
    pub url: String,
    /// Types of events it gets: types, families such as `call.*`, or `*` for all.
    pub events: Vec<String>,
    /// Whether events are sent to it.
    pub enabled: bool,
    /// Why not. Example: `by-customer`.
    pub disabled_reason: Option<String>,
    /// Since when not.
    pub disabled_at: Option<DateTime<Utc>>,
    /// The customer's words.
    pub description: String,
    /// Most deliveries a second.
    pub rate_limit: Option<i32>,
    /// What an endpoint's events wait for.
    pub ordering: DeliveryOrder,
    /// Names of the customer's own headers. Their values are never told.
    pub header_names: Vec<String>,
    /// Whether its messages carry ids and links only.
    pub thin: bool,
    /// Waits between attempts in seconds; null for the usual ones.
    pub schedule: Option<Vec<i32>>,
    /// Until when the secret before the current one signs beside it; null where there is none.
    pub previous_secret_ends_at: Option<DateTime<Utc>>,
    /// Grows with each change by people; also the `ETag`.
    pub version: i64,
    /// Whether an endpoint is sent to.
    pub circuit: Circuit,
    /// When the next probe leaves; null while the circuit is closed.
    pub circuit_probe_at: Option<DateTime<Utc>>,
    /// First failure since the last success; null where all is well. After five days of nothing but
    /// failures an endpoint is disabled; they begin with one that is 12 hours or more after the
    /// first.
    pub failing_since: Option<DateTime<Utc>>,
    /// Failed attempts since the last success.
    pub retry_count: i32,
    /// Time of the last attempt.
    pub last_triggered_at: Option<DateTime<Utc>>,
    /// HTTP status of the last attempt.
    pub last_status: Option<i32>,
    /// Class of failure of the last attempt; null where it arrived.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Row for Webhook {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "assistant_id",
        "url",
        "events",
        "enabled",
        "disabled_reason",
        "disabled_at",
        "description",
        "rate_limit",
        "ordering",
        "header_names",
        "thin",
        "schedule",
        "previous_secret_ends_at",
        "version",
        "circuit",
        "circuit_probe_at",
        "failing_since",
        "retry_count",
        "last_triggered_at",
        "last_status",
        "last_error",
        "created_at",
        "updated_at",
    ];
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookDelivery {
    /// Its id.
    pub id: Uuid,
    /// The endpoint.
    pub webhook_id: Uuid,
    /// The event: `webhook-id` of its requests.
    pub event_id: Uuid,
    /// Type of the event. Example: `call.completed`.
    pub event: String,
    /// The call that it tells of.
    pub call_id: Option<Uuid>,
    /// What became of a delivery.
    pub state: DeliveryState,
    /// Attempts since it was made, or was last resent.
    pub attempts: i32,
    /// Attempts before it was resent.
    pub earlier_attempts: i32,
    /// When it is attempted next, at the earliest; null where nothing is left to do.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub settled_at: Option<DateTime<Utc>>,
}

impl Row for WebhookDelivery {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "webhook_id",
        "event_id",
        "event",
        "call_id",
        "state",
        "attempts",
        "earlier_attempts",
        "next_attempt_at",
        "created_at",
        "settled_at",
    ];
}

/// An attempt to deliver an event, or an event that was skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookLog {
    /// Its id.
    pub id: Uuid,
    /// What a line of a log tells of.
    pub kind: LogKind,
    /// The endpoint.
    pub webhook_id: Uuid,
    /// The delivery, which may take several attempts; null where the event was skipped.
    pub delivery_id: Option<Uuid>,
    /// Type of the event. Example: `call.completed`.
    pub event: String,
    /// The event: `webhook-id` of the request.
    pub event_id: Uuid,
    /// What was sent.
    pub payload: Option<Value>,
    /// Headers as sent; values of the endpoint's own headers are masked.
    pub request_headers: Option<Value>,
    /// HTTP status of the answer; null where there was none.
    pub status_code: Option<i32>,
    /// Headers of the answer, the first 8 KiB.
    pub response_headers: Option<Value>,
    /// The first 8 KiB of the answer.
    pub response_body: Option<String>,
    /// Class of the failure, or why the event was skipped; null where the endpoint took it.
    /// Example: `timeout`.
    pub error: Option<String>,
    /// Which attempt of the delivery, from 1.
    pub attempt_number: i32,
    /// From request to answer, in milliseconds.
    pub latency_ms: Option<i32>,
    /// When the endpoint took the event.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When the attempt was made, or the event was skipped.
    pub created_at: DateTime<Utc>,
}

impl Row for WebhookLog {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "webhook_id",
        "delivery_id",
        "event",
        "event_id",
        "payload",
        "request_headers",
        "status_code",
        "response_headers",
        "response_body",
        "error",
        "attempt_number",
        "latency_ms",
        "delivered_at",
        "created_at",
    ];
}

/// A test on its way, or at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookTest {
    /// The event: `webhook-id` of its requests.
    pub event_id: Uuid,
    /// Its delivery.
    pub delivery_id: Uuid,
    /// What came of the first attempt; null where nobody waited for it, also for the sake of an
    /// `Idempotency-Key`, or it took too long.
    pub attempt: Option<WebhookLog>,
}

/// An endpoint with its new secret: the only time that it is told.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct WebhookWithSecret {
    /// Its id.
    pub id: Uuid,
    /// Only events of this assistant's calls, or of all.
    pub assistant_id: Option<Uuid>,
    /// Where events go. Example: `https://example.com/hooks`.
    pub url: String,
    /// Types of events it gets: types, families such as `call.*`, or `*` for all.
    pub events: Vec<String>,
    /// Whether events are sent to it.
    pub enabled: bool,
    /// Why not. Example: `by-customer`.
    pub disabled_reason: Option<String>,
    /// Since when not.
    pub disabled_at: Option<DateTime<Utc>>,
    /// The customer's words.
    pub description: String,
    /// Most deliveries a second.
    pub rate_limit: Option<i32>,
    /// What an endpoint's events wait for.
    pub ordering: DeliveryOrder,
    /// Names of the customer's own headers. Their values are never told.
    pub header_names: Vec<String>,
    /// Whether its messages carry ids and links only.
    pub thin: bool,
    /// Waits between attempts in seconds; null for the usual ones.
    pub schedule: Option<Vec<i32>>,
    /// Until when the secret before the current one signs beside it; null where there is none.
    pub previous_secret_ends_at: Option<DateTime<Utc>>,
    /// Grows with each change by people; also the `ETag`.
    pub version: i64,
    /// Whether an endpoint is sent to.
    pub circuit: Circuit,
    /// When the next probe leaves; null while the circuit is closed.
    pub circuit_probe_at: Option<DateTime<Utc>>,
    /// First failure since the last success; null where all is well. After five days of nothing but
    /// failures an endpoint is disabled; they begin with one that is 12 hours or more after the
    /// first.
    pub failing_since: Option<DateTime<Utc>>,
    /// Failed attempts since the last success.
    pub retry_count: i32,
    /// Time of the last attempt.
    pub last_triggered_at: Option<DateTime<Utc>>,
    /// HTTP status of the last attempt.
    pub last_status: Option<i32>,
    /// Class of failure of the last attempt; null where it arrived.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
    /// What its messages are signed with, as Standard Webhooks libraries take it. Example:
    /// `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
    #[serde(deserialize_with = "crate::secret::deserialize")]
    pub secret: SecretString,
}
