//! What events about used minutes carry.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{EventData, Timestamp};
use crate::ids::{AlertId, OrganizationId, PeriodId};

/// A share of the included minutes is used up.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ThresholdReached {
    /// The alert.
    pub id: AlertId,
    /// Whose minutes.
    pub organization_id: OrganizationId,
    /// Percent of the included minutes: 50, 75, 90 or 100.
    pub threshold_percent: i16,
    /// Minutes that the plan includes in the period.
    pub included_minutes: i64,
    /// Minutes that count against them.
    pub used_minutes: i64,
    /// First instant of the period.
    pub period_start: Timestamp,
    /// First instant after the period.
    pub period_end: Timestamp,
}

impl EventData for ThresholdReached {
    fn example(_: &str) -> Self {
        Self {
            id: AlertId(Uuid::from_u128(0x5b1e_9a52_33d0_4c7f_8f0a_64a2_90be_11d7)),
            organization_id: OrganizationId::example(),
            threshold_percent: 75,
            included_minutes: 1000,
            used_minutes: 752,
            period_start: Timestamp::example(-1_695_600),
            period_end: Timestamp::example(896_400),
        }
    }
}

/// The books of an organization differ, and nobody knows why.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReconcileFailed {
    /// Whose books.
    pub organization_id: OrganizationId,
    /// How many rows are unexplained.
    pub unexplained: usize,
    /// The first 20 of them.
    pub rows: Vec<UnexplainedRow>,
    /// Where all are, from the root of the API.
    pub links: ReconcileLinks,
}

/// What the books say differently of one day or period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UnexplainedRow {
    /// The day in the organization's zone; null where the row is of a period.
    pub day: Option<NaiveDate>,
    /// The billing period; null where the row is of a day.
    pub period_id: Option<PeriodId>,
    /// What is counted: `calls`, `minutes`, `seconds`, `cost` (millionths of a US dollar) or
    /// `overage` (minutes to be billed).
    pub measure: String,
    /// How far the books are apart, in units of the measure.
    pub difference: i64,
    /// The part of it that has no explanation.
    pub unexplained: i64,
}

/// Paths of the API, from its root.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReconcileLinks {
    /// The books side by side.
    pub reconcile: String,
}

impl Default for ReconcileLinks {
    fn default() -> Self {
        Self { reconcile: "/v1/usage/reconcile".to_owned() }
    }
}

impl EventData for ReconcileFailed {
    fn example(_: &str) -> Self {
        let row = UnexplainedRow {
            day: NaiveDate::from_ymd_opt(2026, 11, 19),
            period_id: None,
            measure: "minutes".to_owned(),
            difference: 3,
            unexplained: 3,
        };
        Self {
            organization_id: OrganizationId::example(),
            unexplained: 1,
            rows: vec![row],
            links: ReconcileLinks::default(),
        }
    }
}
