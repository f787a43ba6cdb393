//! `ProviderSweep`: what webhooks should have told of a provider's calls is fetched from its API.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use contract::{
    call::Provider,
    ids::OrganizationId,
    sweep::{
        CallsSwept, CloseAbandoned, ListOrganizations, ProviderSwept, Sweep, SweepOrganization,
        SweepProvider, SweepTiming,
    },
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, WorkflowContext, WorkflowResult,
    WorkflowTermination, join_all,
};

use crate::policy;

/// Organizations whose calls are fetched at the same time.
const LANES: usize = 8;
/// Pages of abandoned calls closed in one run; the run ten minutes later goes on.
const ABANDONED_PAGES: usize = 20;

/// Started by the schedules `provider-sweep-vapi`, `provider-sweep-retell` and
/// `provider-sweep-twilio`; one at a time for each provider.
#[workflow]
#[derive(Default)]
pub struct ProviderSweep;

type Context = WorkflowContext<ProviderSweep>;

#[workflow_methods]
impl ProviderSweep {
    #[run(name = "ProviderSweep")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: SweepProvider,
    ) -> WorkflowResult<ProviderSwept> {
        let SweepProvider { provider, after, so_far, timing } = input;
        let list = ListOrganizations { provider, after };
        let page = ctx.execute_activity(Sweep::organizations, list, policy::until_done()).await?;
        let mut swept = so_far;
        let lanes = lanes(&page.organizations);
        for result in join_all(lanes.iter().map(|lane| sweep(ctx, provider, timing, lane))).await {
            swept = result?.into_iter().fold(swept, ProviderSwept::and);
        }
        if let (true, Some(last)) = (page.has_more, page.organizations.last()) {
            // A run for each page: the history stays small however many organizations there are.
            let next = SweepProvider { provider, after: Some(*last), so_far: swept, timing };
            ctx.continue_as_new(next, ContinueAsNewOptions::default())?;
        }
        let closed = close_abandoned(ctx, provider, timing).await?;
        swept.calls = swept.calls.and(CallsSwept { closed, ..CallsSwept::default() });
        Ok(swept)
    }
}

/// One organization after the other; nothing for one whose sweep failed, which stops no other.
async fn sweep(
    ctx: &Context,
    provider: Provider,
    timing: SweepTiming,
    organizations: &[OrganizationId],
) -> Result<Vec<Option<CallsSwept>>, WorkflowTermination> {
    let mut results = Vec::with_capacity(organizations.len());
    for organization_id in organizations.iter().copied() {
        let input = SweepOrganization { organization_id, provider, timing };
        results.push(
            match ctx.execute_activity(Sweep::organization, input, policy::sweep()).await {
                Ok(swept) => Some(swept),
                Err(error @ ActivityExecutionError::Cancelled(_)) => return Err(error.into()),
                Err(_) => None,
            },
        );
    }
    Ok(results)
}

/// Closes calls that nobody tells the end of, also of organizations without access to the API.
async fn close_abandoned(
    ctx: &Context,
    provider: Provider,
    timing: SweepTiming,
) -> Result<u32, WorkflowTermination> {
    let (mut closed, mut after) = (0_u32, None);
    for _ in 0..ABANDONED_PAGES {
        let input = CloseAbandoned { provider, after, timing };
        let page = ctx.execute_activity(Sweep::abandoned, input, policy::until_done()).await?;
        closed = closed.saturating_add(page.closed);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(closed)
}

/// Deals the organizations out, so that a slow one holds up its own lane only.
fn lanes(organizations: &[OrganizationId]) -> Vec<Vec<OrganizationId>> {
    let mut lanes = vec![Vec::new(); LANES.min(organizations.len())];
    for (position, organization) in organizations.iter().enumerate() {
        lanes[position % LANES].push(*organization);
    }
    lanes
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn organizations(count: usize) -> Vec<OrganizationId> {
        let id = |n| format!("00000000-0000-0000-0000-{n:012}").parse().expect("an id");
        (0..count).map(id).collect()
    }

    #[test]
    fn every_organization_is_in_one_lane_and_no_lane_is_much_longer() {
        for count in [0, 1, 7, 8, 9, 50] {
            let dealt = lanes(&organizations(count));
            assert_eq!(dealt.len(), count.min(LANES));
            let shortest = count / LANES;
            assert!(dealt.iter().all(|lane| [shortest.max(1), shortest + 1].contains(&lane.len())));
            let mut all = dealt.concat();
            all.sort();
            assert_eq!(all, organizations(count));
        }
    }
}
