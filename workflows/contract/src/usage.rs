//! Metering: what is counted, and the workflows that add it up and compare the books.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{
    ids::{AlertId, OrganizationId},
    merge::CallFacts,
    words::words,
};

/// Workflow type: aggregates days of every organization.
pub const USAGE_AGGREGATION: &str = "UsageAggregation";
/// Workflow type: compares the books of every organization.
pub const USAGE_RECONCILIATION: &str = "UsageReconciliation";
/// Workflow type: tells people that a share of the included minutes is used up.
pub const USAGE_ALERT: &str = "UsageAlert";

/// Shares of the included minutes that are told, in percent.
pub const THRESHOLDS: [u8; 4] = [50, 75, 90, 100];
/// A call counts as used at most so long before its row was made: a provider's wrong clock must not
/// move it out of the reach of the aggregation.
pub const LONGEST_BEFORE_CREATION: TimeDelta = TimeDelta::days(40);
/// And at most so long after: Vapi takes calls that are to be made 30 days later.
pub const LONGEST_AFTER_CREATION: TimeDelta = TimeDelta::days(32);

words! {
    /// What is counted of a call, each in whole units.
    Meter, "meter" {
        /// Begun minutes, as billed.
        CallMinutes = "call_minutes",
        /// Seconds.
        CallSeconds = "call_seconds",
        /// What the provider charges, in millionths of a US dollar.
        CallCost = "call_cost",
    }
}

/// When a call counts as used: its start, else its end, else its creation. Decides its day.
pub fn occurred_at(facts: &CallFacts, created_at: DateTime<Utc>) -> DateTime<Utc> {
    let at = facts.started_at.or(facts.ended_at).unwrap_or(created_at);
    let earliest = created_at - LONGEST_BEFORE_CREATION;
    let latest = created_at + LONGEST_AFTER_CREATION;
    if (earliest..=latest).contains(&at) { at } else { created_at }
}

/// Input of `UsageAggregation`. Without days it is the last whole day before the scheduled time,
/// and the one that has begun since, each organization's own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AggregateUsage {
    /// First local day.
    pub from: Option<NaiveDate>,
    /// Last local day, included; `from` where absent.
    pub to: Option<NaiveDate>,
    /// The scheduled time, where an earlier run of the same workflow took it.
    pub at: Option<DateTime<Utc>>,
    /// Organizations up to this one were aggregated by the runs before.
    pub after: Option<OrganizationId>,
    /// What the runs before did.
    pub so_far: UsageAggregated,
}

/// Which local days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Days {
    /// The last whole day before an instant, and the one that it lies in.
    Around {
        /// The instant.
        at: DateTime<Utc>,
    },
    /// These, both included.
    Between {
        /// First day.
        from: NaiveDate,
        /// Last day.
        to: NaiveDate,
    },
}

/// Input of `usage.aggregate`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AggregatePage {
    /// Which days; those that were touched since their aggregation come with them.
    pub days: Days,
    /// The last organization of the page before.
    #[serde(default)]
    pub after: Option<OrganizationId>,
}

/// Result of `usage.aggregate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageAggregated {
    /// What was done.
    pub aggregated: UsageAggregated,
    /// The last organization of the page; absent at the end of the list.
    pub next: Option<OrganizationId>,
}

/// Result of `UsageAggregation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageAggregated {
    /// Organizations looked at.
    pub organizations: u32,
    /// Days that were aggregated again because something touched them, over all organizations.
    pub touched_days: u32,
    /// Rows of `daily_usage` that were written because they changed or were new.
    pub rows_written: u64,
    /// Rows that no call stands behind any more.
    pub rows_removed: u64,
    /// Thresholds that were found passed.
    pub alerts: u32,
    /// Organizations whose time zone nobody knows; theirs are days of UTC.
    pub unknown_zones: u32,
}

impl UsageAggregated {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            organizations: self.organizations.saturating_add(other.organizations),
            touched_days: self.touched_days.saturating_add(other.touched_days),
            rows_written: self.rows_written.saturating_add(other.rows_written),
            rows_removed: self.rows_removed.saturating_add(other.rows_removed),
            alerts: self.alerts.saturating_add(other.alerts),
            unknown_zones: self.unknown_zones.saturating_add(other.unknown_zones),
        }
    }
}

/// Input of `UsageReconciliation`. Without days it is the 35 days before the scheduled time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReconcileUsage {
    /// First local day.
    pub from: Option<NaiveDate>,
    /// Last local day, included.
    pub to: Option<NaiveDate>,
    /// Organizations up to this one were compared by the runs before.
    pub after: Option<OrganizationId>,
    /// What the runs before found.
    pub so_far: UsageReconciled,
    /// The scheduled time, where an earlier run of the same workflow took it.
    pub at: Option<DateTime<Utc>>,
}

/// Input of `usage.reconcile`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ReconcilePage {
    /// First local day.
    pub from: NaiveDate,
    /// Last local day, included.
    pub to: NaiveDate,
    /// The last organization of the page before.
    #[serde(default)]
    pub after: Option<OrganizationId>,
}

/// Result of `usage.reconcile`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageReconciled {
    /// What was found.
    pub reconciled: UsageReconciled,
    /// The last organization of the page; absent at the end of the list.
    pub next: Option<OrganizationId>,
}

/// Result of `UsageReconciliation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageReconciled {
    /// Organizations compared.
    pub organizations: u32,
    /// Rows that differ, with a reason.
    pub explained: u64,
    /// Rows that differ, and nobody knows why. Anything but 0 is an alert.
    pub unexplained: u64,
}

impl UsageReconciled {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            organizations: self.organizations.saturating_add(other.organizations),
            explained: self.explained.saturating_add(other.explained),
            unexplained: self.unexplained.saturating_add(other.unexplained),
        }
    }
}

/// Input of `UsageAlert` and of `usage.send_alert`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TellUsage {
    /// Whose minutes.
    pub organization_id: OrganizationId,
    /// The alert.
    pub alert_id: AlertId,
}

/// Result of `UsageAlert` and of `usage.send_alert`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageTold {
    /// Emails that were sent, now or before.
    pub sent: u32,
    /// Emails that were refused for good, or whose fate is unknown.
    pub failed: u32,
}

/// Declares the activities; `activities` implements them.
pub struct Usage;

#[activity_definitions]
impl Usage {
    /// Aggregates days of a page of organizations.
    #[activity(name = "usage.aggregate")]
    pub fn aggregate(_: AggregatePage) -> PageAggregated {
        unimplemented!()
    }

    /// Compares the books of a page of organizations.
    #[activity(name = "usage.reconcile")]
    pub fn reconcile(_: ReconcilePage) -> PageReconciled {
        unimplemented!()
    }

    /// Sends the emails of an alert.
    #[activity(name = "usage.send_alert")]
    pub fn send_alert(_: TellUsage) -> UsageTold {
        unimplemented!()
    }
}

pub use self::usage::{
    Aggregate as AggregateActivity, Reconcile as ReconcileActivity, SendAlert as SendAlertActivity,
};
