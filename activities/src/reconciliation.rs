//! `usage.reconcile`: the books side by side.

use std::collections::BTreeSet;

use contract::usage::{PageReconciled, ReconcilePage, UsageReconciled};
use store::{
    StoreError,
    reconcile::{self, Books, Look, Row, Scope},
};
use temporalio_sdk::activities::ActivityError;

use crate::{failure::of_store, usage::UsageActivities};

/// Organizations of a page. Each page is a pass over the calls of its days, whosever they are.
const ORGANIZATIONS_PER_PAGE: u16 = 2_000;
/// Unexplained rows of a page that are logged; the command line shows all.
const MOST_LOGGED: usize = 100;

/// Compares a page. Asked for twice it tells nobody twice.
pub(crate) async fn reconcile(
    room: &UsageActivities,
    input: ReconcilePage,
) -> Result<PageReconciled, ActivityError> {
    let now = room.clock.now();
    let look = Look { from: input.from, to: input.to, now, all: false };
    let books =
        reconcile::page(&room.db, &room.counters, input.after, ORGANIZATIONS_PER_PAGE, look)
            .await
            .map_err(|error| of_store(&error))?;
    tell(room, &books, now).await.map_err(|error| of_store(&error))?;
    let unexplained = books.unexplained();
    let gauge = metrics::gauge!("postcall_reconcile_unexplained");
    // A run begins with the first page; its other pages add to it.
    match input.after {
        None => gauge.set(unexplained as f64),
        Some(_) => gauge.increment(unexplained as f64),
    }
    Ok(PageReconciled {
        reconciled: UsageReconciled {
            organizations: books.organizations,
            explained: books.explained() as u64,
            unexplained: unexplained as u64,
        },
        next: books.next,
    })
}

async fn tell(
    room: &UsageActivities,
    books: &Books,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let unexplained = || books.rows.iter().filter(|row| row.unexplained != 0);
    unexplained().take(MOST_LOGGED).for_each(log);
    let organizations: BTreeSet<_> = unexplained().map(|row| row.organization_id).collect();
    for organization in organizations {
        reconcile::tell(&room.db, organization, &books.rows, now).await?;
    }
    Ok(())
}

fn log(row: &Row) {
    let scope = match row.scope {
        Scope::Day(date) => date.to_string(),
        Scope::Period { id, .. } => format!("period {id}"),
    };
    tracing::error!(
        organization = %row.organization_id,
        scope,
        measure = row.measure.as_str(),
        difference = row.difference,
        unexplained = row.unexplained,
        note = row.note,
        "books differ, and nothing explains it"
    );
}
