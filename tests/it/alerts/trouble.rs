//! Emails in doubt, alerts that Temporal lost, and starts that nobody can read.

use std::collections::BTreeSet;

use contract::usage::UsageTold;
use postcall::dev::fakes::{Filter, Kind, Provider, Script};
use serde_json::json;

use super::told::{PATIENCE, RECIPIENTS, Told};
use crate::harness::{World, wait::until};

#[tokio::test(flavor = "multi_thread")]
async fn an_email_in_doubt_is_repeated_under_its_key_and_not_after_a_day() {
    let world = World::start().await;
    world.plan(2).await;
    let lost = json!({ "answers": [{ "status": 500 }], "then": "repeat_last" });
    world.fakes.script(Provider::Resend, None, serde_json::from_value(lost).unwrap());
    world.post_calls_of(&[1]).await;
    let tries = || {
        let filter = Filter { kind: Some(Kind::Email), ..Filter::default() };
        world.fakes.effects().list(&filter)
    };
    until("each email is tried again", PATIENCE, || async {
        (tries().len() >= 2 * RECIPIENTS.len()).then_some(())
    })
    .await;
    let keys: BTreeSet<_> = tries().into_iter().map(|effect| effect.other_keys).collect();
    assert_eq!(keys.len(), RECIPIENTS.len(), "the same key at each try: {keys:?}");
    // Nobody knows whether the first recipient's was sent, and the key of it is forgotten.
    let sql = "update organization_emails set claimed_at = now() - interval '1 day' where id =
        (select id from organization_emails order by id limit 1)";
    world.db.batch_execute(sql).await.unwrap();
    until("one is given up", PATIENCE, || async {
        let sql = "select count(*) from organization_emails where state = 'unknown'";
        (world.db.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    world.fakes.script(Provider::Resend, None, Script::default());
    until("the other is sent", PATIENCE, || async {
        (world.accepted(Kind::Email) == 1).then_some(())
    })
    .await;
    assert_eq!(world.told_again().await, [UsageTold { sent: 1, failed: 1 }]);
    assert_eq!(world.accepted(Kind::Email), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_temporal_lost_is_sent_after_an_aggregation() {
    let world = World::start().await;
    world.plan(2).await;
    let sql = "create function lose() returns trigger language plpgsql
            as $$ begin return null; end $$;
        create trigger lose before insert on workflow_starts for each row execute function lose()";
    world.db.batch_execute(sql).await.unwrap();
    world.post_calls_of(&[1]).await;
    world.counted(1).await;
    world.db.batch_execute("drop trigger lose on workflow_starts").await.unwrap();
    assert_eq!(world.aggregate().await, 0);
    let starts = world.alerts_told().await.starts;
    assert_eq!((starts, world.accepted(Kind::Email)), (0, 0), "it may still be under way");
    let sql = "update usage_alerts set reached_at = now() - interval '2 hours'";
    world.db.batch_execute(sql).await.unwrap();
    assert_eq!(world.aggregate().await, 0, "it was found before");
    world.told_exactly("lost", &Told::once(&[50], &[50])).await;
    world.aggregate().await;
    assert_eq!(world.alerts_told().await.starts, 0, "what was sent is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_read_waits_and_holds_up_no_other() {
    let world = World::start().await;
    world.plan(2).await;
    let sql = "insert into workflow_starts (id, organization_id, kind, workflow_id, input)
        select gen_random_uuid(), id, kind, kind || '-of-nobody', input from organizations,
            (values ('usage-alert', '{\"alert\": 1}'::jsonb), ('first-call', 'null'))
            as asked (kind, input)";
    world.db.batch_execute(sql).await.unwrap();
    world.post_calls_of(&[1]).await;
    until("the email is sent", PATIENCE, || async {
        (world.accepted(Kind::Email) == 2).then_some(())
    })
    .await;
    world.all_started().await;
    let sql = "select kind, due_at > now() + interval '50 minutes' from workflow_starts";
    let rows = world.db.query(sql, &[]).await.unwrap();
    let waiting: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(waiting, [("usage-alert".to_owned(), true)], "where nobody is onboarded it is done");
}
