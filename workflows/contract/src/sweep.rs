//! Completeness by pull: what webhooks should have told is fetched from the providers' APIs.
#![expect(missing_docs, reason = "the markers that activity_definitions makes have none")]

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;

use crate::{
    call::Provider,
    ids::{CallId, OrganizationId},
    merge::MAX_DURATION_SECONDS,
};

/// Workflow type: one pass over every organization's calls at one provider.
pub const PROVIDER_SWEEP: &str = "ProviderSweep";

/// Input of `ProviderSweep`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SweepProvider {
    /// Whose API is asked.
    pub provider: Provider,
    /// Organizations up to this one were swept by the runs before.
    #[serde(default)]
    pub after: Option<OrganizationId>,
    /// What the runs before found.
    #[serde(default)]
    pub so_far: ProviderSwept,
    /// How long things are waited for; tests shorten it.
    #[serde(default)]
    pub timing: SweepTiming,
}

/// How old a call must be before something is done about it, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepTiming {
    /// The end of a call is left to its webhook for so long.
    pub settle_seconds: u32,
    /// An unfinished call is asked for by its id after this.
    pub stuck_seconds: u32,
    /// A call that its provider does not know is closed after this.
    pub unknown_seconds: u32,
    /// A call that nobody tells the end of is closed after this.
    pub abandoned_seconds: u32,
}

impl Default for SweepTiming {
    fn default() -> Self {
        Self {
            settle_seconds: 120,
            stuck_seconds: 600,
            // A provider may show a new call in its API a little later than it tells of it.
            unknown_seconds: 3600,
            abandoned_seconds: MAX_DURATION_SECONDS + 3600,
        }
    }
}

/// Result of `ProviderSweep`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderSwept {
    /// Organizations that were asked for.
    pub organizations: u32,
    /// Those among them whose sweep failed; `provider_sweeps` says why.
    pub failed: u32,
    /// What was done for the others, and about calls that nobody tells the end of.
    #[serde(flatten)]
    pub calls: CallsSwept,
}

/// Result of `sweep.organization`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallsSwept {
    /// Calls that the provider listed.
    pub listed: u32,
    /// Events that only the sweep told of.
    pub found: u32,
    /// Calls closed because nobody tells their end.
    pub closed: u32,
}

impl ProviderSwept {
    /// One organization more, with what its sweep did unless it failed.
    #[must_use]
    pub fn and(mut self, organization: Option<CallsSwept>) -> Self {
        self.organizations = self.organizations.saturating_add(1);
        match organization {
            Some(swept) => self.calls = self.calls.and(swept),
            None => self.failed = self.failed.saturating_add(1),
        }
        self
    }
}

impl CallsSwept {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            listed: self.listed.saturating_add(other.listed),
            found: self.found.saturating_add(other.found),
            closed: self.closed.saturating_add(other.closed),
        }
    }
}

/// Input of `sweep.organizations`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ListOrganizations {
    /// Whose API they must have access to.
    pub provider: Provider,
    /// The last one of the page before.
    #[serde(default)]
    pub after: Option<OrganizationId>,
}

/// Result of `sweep.organizations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationsPage {
    /// In the order of their ids.
    pub organizations: Vec<OrganizationId>,
    /// Whether more come after them.
    pub has_more: bool,
}

/// Input of `sweep.organization`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SweepOrganization {
    /// Whose calls.
    pub organization_id: OrganizationId,
    /// Whose API is asked.
    pub provider: Provider,
    /// How long things are waited for.
    #[serde(default)]
    pub timing: SweepTiming,
}

/// Input of `sweep.abandoned`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct CloseAbandoned {
    /// Whose calls.
    pub provider: Provider,
    /// The last one of the page before.
    #[serde(default)]
    pub after: Option<UnfinishedCall>,
    /// How long things are waited for.
    #[serde(default)]
    pub timing: SweepTiming,
}

/// Result of `sweep.abandoned`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbandonedClosed {
    /// Calls closed.
    pub closed: u32,
    /// Where the next page begins, if there may be one.
    #[serde(default)]
    pub next: Option<UnfinishedCall>,
}

/// A place in the list of unfinished calls, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedCall {
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The call.
    pub call_id: CallId,
}

/// Declares the activities; `activities` implements them.
pub struct Sweep;

#[activity_definitions]
impl Sweep {
    /// A page of the organizations that give access to the provider's API.
    #[activity(name = "sweep.organizations")]
    pub fn organizations(_: ListOrganizations) -> OrganizationsPage {
        unimplemented!()
    }

    /// Fetches what one organization's webhooks did not tell.
    #[activity(name = "sweep.organization")]
    pub fn organization(_: SweepOrganization) -> CallsSwept {
        unimplemented!()
    }

    /// Closes a page of the calls of any organization that nobody tells the end of.
    #[activity(name = "sweep.abandoned")]
    pub fn abandoned(_: CloseAbandoned) -> AbandonedClosed {
        unimplemented!()
    }
}

pub use self::sweep::{
    Abandoned as AbandonedActivity, Organization as OrganizationActivity,
    Organizations as OrganizationsActivity,
};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn an_input_needs_its_provider_only() {
        let input: SweepProvider = serde_json::from_str(r#"{"provider":"retell"}"#).unwrap();
        assert_eq!(input.provider, Provider::Retell);
        assert_eq!((input.after, input.so_far), (None, ProviderSwept::default()));
        assert_eq!(input.timing, SweepTiming::default());
        let shortened = r#"{"provider":"vapi","timing":{"settle_seconds":0}}"#;
        let input: SweepProvider = serde_json::from_str(shortened).unwrap();
        assert_eq!((input.timing.settle_seconds, input.timing.stuck_seconds), (0, 600));
    }

    #[test]
    fn results_add_up_and_a_failure_counts_once() {
        let one = CallsSwept { listed: 5, found: 2, closed: 1 };
        let swept = ProviderSwept::default().and(Some(one)).and(None).and(Some(one));
        assert_eq!((swept.organizations, swept.failed), (3, 1));
        assert_eq!(swept.calls, CallsSwept { listed: 10, found: 4, closed: 2 });
        let written = serde_json::to_value(swept).unwrap();
        assert_eq!(written["found"], 4, "flat, as people read it");
        assert_eq!(serde_json::from_value::<ProviderSwept>(written).unwrap(), swept);
    }
}
