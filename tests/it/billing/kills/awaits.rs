//! Inside a transaction, and between two where no fault point lies.

use futures::StreamExt;

use super::{
    super::made::{AT_ONCE as TIMING, PATIENCE, Plan},
    AT_ONCE,
    kept::Kept,
};
use crate::harness::{
    World,
    held::Hold::{self, Commit, Lock, Row},
    wait::until,
};

/// An await of billing.
#[derive(Debug, Clone, Copy)]
struct Await {
    /// What was done, and what is about to be.
    what: &'static str,
    /// The hourly sweep finds the period; else somebody starts its workflow.
    is_swept: bool,
    hold: Hold<'static>,
    /// Words of the statement that waits.
    words: &'static str,
    /// The period's history, and its reports, when the worker is dead.
    stands: &'static [&'static str],
}

const AWAITS: [Await; 7] = [
    Await {
        what: "the next period is open, its workflow is not asked for",
        is_swept: true,
        hold: Lock("lock table stripe_reports"),
        words: "from stripe_reports r",
        stands: &["period.opened"],
    },
    Await {
        what: "the dispatcher has claimed the workflow, and not brought it to Temporal",
        is_swept: true,
        // Not that of the alerts, which may still be on its way.
        hold: Commit("update on workflow_starts", "new.kind = 'billing-cycle'"),
        words: "commit",
        stands: &["period.opened"],
    },
    Await {
        what: "the next period is open, this one is being frozen",
        is_swept: false,
        hold: Lock("lock table usage_ledger"),
        words: "cross join lateral",
        stands: &["period.opened"],
    },
    Await {
        what: "the period is frozen, and nobody has heard of it",
        is_swept: false,
        hold: Commit("insert on billing_events", "new.event = 'period.frozen'"),
        words: "commit",
        stands: &["period.opened", "period.frozen"],
    },
    Await {
        what: "the report is being claimed",
        is_swept: false,
        hold: Row("insert on stripe_reports", "true"),
        words: "insert into stripe_reports",
        stands: &["period.opened", "period.frozen"],
    },
    Await {
        what: "Stripe has the report, its answer is being settled",
        is_swept: false,
        hold: Row("update on stripe_reports", "new.state = 'accepted'"),
        words: "update stripe_reports set state",
        stands: &["period.opened", "period.frozen", "sending"],
    },
    Await {
        what: "the period is being closed",
        is_swept: false,
        hold: Row("update on billing_periods", "new.status = 'closed'"),
        words: "update billing_periods set status = 'closed'",
        stands: &["period.opened", "period.frozen", "report.accepted", "accepted"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_within_a_transaction_of_billing_bills_once() {
    let killed = futures::stream::iter(AWAITS).map(killed_at).buffer_unordered(AT_ONCE);
    tokio::join!(killed.collect::<Vec<()>>(), killed_after_the_workflow_is_started());
}

async fn killed_at(at: Await) {
    let mut world = World::postgres_alone().await;
    world.start_biller(&[]).await;
    let kept = Kept::open(&world, Plan::default()).await;
    let held = world.hold(at.hold).await;
    if at.is_swept {
        world.begin_sweep().await;
    } else {
        kept.account(&world).start(TIMING).await;
    }
    world.killed_at(held, at.words).await;
    assert_eq!(kept.stands(&world).await, at.stands, "{}", at.what);
    world.start_biller(&[]).await;
    kept.is_billed_once(&world, at.what, &[]).await;
}

/// It is started twice.
async fn killed_after_the_workflow_is_started() {
    let mut world = World::postgres_alone().await;
    world.start_biller(&[]).await;
    let kept = Kept::open(&world, Plan::default()).await;
    // Alerts of its minutes may still be on their way.
    world.everything_is_started().await;
    let held = world.hold(Row("delete on workflow_starts", "true")).await;
    world.begin_sweep().await;
    world.killed_at(held, "delete from workflow_starts").await;
    let waiting = "select count(*) from workflow_starts";
    assert_eq!(world.db.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 1);
    world.start_biller(&[]).await;
    world.everything_is_started().await;
    kept.is_billed_once(&world, "started twice", &[]).await;
}

impl World {
    /// Nothing waits to be brought to Temporal any more: what a dead worker had claimed comes up again
    /// after a minute.
    async fn everything_is_started(&self) {
        let sql = "select count(*) from workflow_starts";
        until("every workflow is started", PATIENCE, || async {
            (self.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }
}
