//! `usage.aggregate`: days of usage, added up from the calls.

use contract::usage::{AggregatePage, PageAggregated};
use store::daily::{self, PAGE};
use temporalio_sdk::activities::ActivityError;

use crate::{failure::of_store_until_done, usage::UsageActivities};

pub(crate) async fn aggregate(
    room: &UsageActivities,
    input: AggregatePage,
) -> Result<PageAggregated, ActivityError> {
    room.faults.point("aggregate.before").await?;
    let now = room.clock.now();
    let page = daily::aggregate_page(&room.db, input.days, input.after, PAGE, now).await;
    let page = page.map_err(|error| of_store_until_done(&error))?;
    room.faults.point("aggregate.after").await?;
    Ok(page)
}
