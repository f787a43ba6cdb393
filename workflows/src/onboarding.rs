//! `Onboarding`: from a new organization to its first call.
#![expect(missing_docs, reason = "the markers that workflow_methods makes have none")]

use std::time::{Duration, SystemTime};

use contract::onboarding::{
    EndOnboarding, OnboardOrganization, Onboarded, OnboardingStep, OnboardingSteps, Remind,
    StepDone,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityCloseTimeouts, ActivityExecutionError, ActivityOptions, CancellableFuture,
    SyncWorkflowContext, TimerResult, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination, join, select,
};

use crate::policy;

/// One try at Stripe or at the carrier of emails.
const ONE_TRY: Duration = Duration::from_secs(60);
/// However short the time until the next step is, a step that fails is tried again for as long.
const SHORTEST_EFFORT: Duration = Duration::from_secs(300);

/// Started with the organization; its id is `onboarding-{organization_id}`.
#[workflow]
pub struct Onboarding {
    input: OnboardOrganization,
    /// The first call was counted.
    has_called: bool,
}

type Context = WorkflowContext<Onboarding>;

#[workflow_methods]
impl Onboarding {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: OnboardOrganization) -> Self {
        Self { input, has_called: false }
    }

    #[run(name = "Onboarding")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Onboarded> {
        let journey = Journey::begin(ctx);
        // An outage of Stripe delays nobody's welcome, and a first call waits for no customer.
        let (customer, onboarded) = join!(make_customer(ctx, &journey), accompany(ctx, &journey));
        customer?;
        onboarded
    }

    #[signal(name = "first-call")]
    pub fn first_call(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.has_called = true;
    }
}

/// One onboarding, and when it began.
struct Journey {
    input: OnboardOrganization,
    began: Option<SystemTime>,
}

impl Journey {
    fn begin(ctx: &Context) -> Self {
        Self { input: ctx.state(|state| state.input), began: ctx.workflow_time() }
    }

    fn step(&self) -> OnboardingStep {
        OnboardingStep { organization_id: self.input.organization_id }
    }

    /// Seconds after the beginning at which something is due; nothing is after the end.
    fn reminders(&self) -> impl Iterator<Item = (u32, u32)> {
        let timing = self.input.timing;
        let due = move |seconds: u32| seconds.min(timing.end_seconds);
        (1..).zip(timing.reminder_seconds.into_iter().map(due))
    }

    /// How long it is until so many seconds after the beginning.
    fn left(&self, ctx: &Context, seconds: u32) -> Duration {
        let due = Duration::from_secs(seconds.into());
        let passed = self.began.zip(ctx.workflow_time());
        let passed = passed.and_then(|(began, now)| now.duration_since(began).ok());
        due.saturating_sub(passed.unwrap_or_default())
    }
}

/// Tried until Stripe takes it, for as long as the onboarding may last.
async fn make_customer(ctx: &Context, journey: &Journey) -> Result<(), WorkflowTermination> {
    let limit = journey.left(ctx, journey.input.timing.end_seconds);
    let options = within(policy::stripe(), limit);
    match ctx.execute_activity(OnboardingSteps::customer, journey.step(), options).await {
        Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
        // Why is written with the onboarding; periods wait for a customer.
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn accompany(ctx: &Context, journey: &Journey) -> WorkflowResult<Onboarded> {
    ctx.execute_activity(OnboardingSteps::furnish, journey.step(), policy::until_done()).await?;
    let mut has_called = remind(ctx, journey, 0).await?.has_called;
    let mut reminders = 0;
    for (number, due) in journey.reminders() {
        if has_called || wait(ctx, journey, due).await? {
            has_called = true;
            break;
        }
        let reminded = remind(ctx, journey, number).await?;
        reminders += u32::from(reminded.done);
        has_called = reminded.has_called;
    }
    let end = journey.input.timing.end_seconds;
    has_called = has_called || wait(ctx, journey, end).await?;
    let end = EndOnboarding { organization_id: journey.input.organization_id, has_called };
    let ended = ctx.execute_activity(OnboardingSteps::end, end, policy::until_done()).await?;
    Ok(Onboarded { has_called: ended.has_called, reminders })
}

/// An email that cannot be sent before the next step is due is given up: nothing waits for it.
async fn remind(
    ctx: &Context,
    journey: &Journey,
    number: u32,
) -> Result<StepDone, WorkflowTermination> {
    let next = journey.reminders().find(|(later, _)| *later > number);
    let next = next.map_or(journey.input.timing.end_seconds, |(_, due)| due);
    let options = within(policy::until_done(), journey.left(ctx, next));
    let input = Remind { organization_id: journey.input.organization_id, number };
    match ctx.execute_activity(OnboardingSteps::remind, input, options).await {
        Ok(done) => Ok(done),
        Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
        Err(_) => Ok(StepDone::default()),
    }
}

/// Waits until so many seconds after the beginning, or for the first call; whether that came.
async fn wait(ctx: &Context, journey: &Journey, due: u32) -> Result<bool, WorkflowTermination> {
    let left = journey.left(ctx, due);
    let has_called = ctx.state(|state| state.has_called);
    if has_called || left.is_zero() {
        return Ok(has_called);
    }
    let mut timer = ctx.timer(left);
    let mut call = ctx.wait_condition(|state: &Onboarding| state.has_called);
    select! {
        called = call => {
            called?;
            timer.cancel();
            Ok(true)
        }
        ended = timer => match ended {
            TimerResult::Fired => Ok(false),
            _ => Err(WorkflowTermination::cancelled()),
        },
    }
}

/// The same, given up after `limit`.
fn within(mut options: ActivityOptions, limit: Duration) -> ActivityOptions {
    options.close_timeouts = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: limit.max(SHORTEST_EFFORT),
        start_to_close: ONE_TRY,
    };
    options
}
