//! The books side by side: what agrees is silent, what differs is explained to the last unit, and what
//! nobody can explain is found, whichever book it is in.

mod commands;
mod counted;
mod made;
mod zones;

use contract::billing::{ReportOutcome, UsageReported};
use store::{
    audit::Actor,
    billing,
    counters::Counters,
    error::Problem,
    reconcile::{self, Measure, Reason, Rebuilt},
};

use self::made::{Account, at, look, of, told};
use crate::harness::{Options, World};

/// Long after every day of November was added up.
const LATER: &str = "2026-11-28T12:00:00Z";
/// November of an organization in UTC.
const NOVEMBER: &str = "2026-11-01T00:00:00Z";

impl World {
    /// Nobody but the test writes books here.
    async fn with_quiet_books() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mix_of_calls_is_clean_once_its_days_are_added_up() {
    let world = World::with_quiet_books().await;
    for zone in ["Asia/Kathmandu", "America/New_York", "Pacific/Apia", "Mars/Olympus"] {
        let account = Account::open(&world, zone).await;
        account.call("long", "2026-11-20T12:00:00Z", 151, "2026-11-20T12:05:00Z").await;
        account.call("silent", "2026-11-20T12:00:00Z", 0, "2026-11-20T12:05:00Z").await;
        account.call("corrected", "2026-11-20T23:00:00Z", 600, "2026-11-20T23:15:00Z").await;
        account.call("corrected", "2026-11-20T23:00:00Z", 59, "2026-11-20T23:16:00Z").await;
        for name in ["moved", "moved and silent"] {
            let seconds = if name == "moved" { 61 } else { 0 };
            account.call(name, "2026-11-21T01:00:00Z", seconds, "2026-11-21T01:05:00Z").await;
            account.call(name, "2026-11-19T03:00:00Z", seconds, "2026-11-21T01:06:00Z").await;
        }
        let rows = account.compare("2026-11-21T01:07:00Z").await;
        assert!(!rows.is_empty() && rows.iter().all(|row| row.unexplained == 0), "{rows:?}");
        let in_flight = |row: &reconcile::Row| row.explanations[0].reason == Reason::InFlight;
        assert!(rows.iter().all(in_flight), "{zone}: {:?}", told(&rows));

        account.aggregate("2026-11-21T02:00:00Z").await;
        assert_eq!(told(&account.compare(LATER).await), [""; 0], "{zone}");
        let all = account.compare_alone(LATER, true).await;
        let november = of(&all.rows, Measure::Minutes);
        let november = november.iter().find(|row| row.totals == Some(6)).unwrap();
        assert_eq!((november.ledger, november.redis), (Some(6), Some(6)), "{zone}");
        for (measure, sum) in [(Measure::Calls, 5), (Measure::Minutes, 6), (Measure::Seconds, 271)]
        {
            let days = of(&all.rows, measure);
            let days = days.iter().filter(|row| row.calls.is_some());
            assert_eq!(days.map(|row| row.ledger.unwrap()).sum::<i64>(), sum, "{zone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touched_day_is_in_flight_until_the_next_aggregation_was_due() {
    let world = World::with_quiet_books().await;
    let account = Account::open(&world, "UTC").await;
    account.call("early", "2026-11-20T12:00:00Z", 60, "2026-11-20T12:05:00Z").await;
    account.aggregate("2026-11-21T02:00:00Z").await;
    assert_eq!(told(&account.compare(LATER).await), [""; 0]);
    account.call("found late", "2026-11-20T13:00:00Z", 120, LATER).await;
    let expected = [
        "2026-11-20 calls 1 in-flight -1",
        "2026-11-20 minutes 2 in-flight -2",
        "2026-11-20 seconds 120 in-flight -120",
        "2026-11-20 cost 120007 in-flight -120007",
    ];
    assert_eq!(told(&account.compare(LATER).await), expected);
    let missed = account.compare("2026-11-29T14:00:00Z").await;
    assert_eq!(told(&missed)[1], "2026-11-20 minutes 2 UNEXPLAINED 2");
    account.aggregate("2026-11-29T15:00:00Z").await;
    assert_eq!(told(&account.compare("2026-11-29T16:00:00Z").await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_book_is_wrong_is_found() {
    const EXTRA_ROW: &str = "
        insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
            occurred_at, period_id, reason)
        select gen_random_uuid(), organization_id, call_id, meter, 9, 7, occurred_at, period_id,
            'correction'
        from usage_ledger where organization_id = ORGANIZATION and meter = 'call_minutes'";
    // One that no call stands behind, late as it says, with the totals to match.
    const UNKNOWN_CALL: &str = "
        insert into usage_ledger (id, organization_id, call_id, meter, revision, quantity,
            occurred_at, period_id, reason)
        select gen_random_uuid(), organization_id, gen_random_uuid(), 'call_minutes', 0, 0,
            occurred_at, period_id, 'late'
        from usage_ledger where organization_id = ORGANIZATION and meter = 'call_minutes'";
    let cases: [(&str, &[&str]); 7] = [
        (EXTRA_ROW, &["2026-11-20 minutes 7 UNEXPLAINED 7", "2026-11-01 minutes 7 UNEXPLAINED 7"]),
        (UNKNOWN_CALL, &["2026-11-20 calls 1 UNEXPLAINED 1"]),
        (
            "update usage_totals set total = total + 1
             where organization_id = ORGANIZATION and meter = 'call_cost'",
            &["2026-11-01 cost 1 UNEXPLAINED 2"],
        ),
        (
            "update daily_usage set total_minutes = total_minutes - 1
             where organization_id = ORGANIZATION and assistant_id is null",
            &["2026-11-20 minutes 1 UNEXPLAINED 1"],
        ),
        (
            "delete from daily_usage where organization_id = ORGANIZATION",
            &[
                "2026-11-20 calls 1 UNEXPLAINED 1",
                "2026-11-20 minutes 3 UNEXPLAINED 3",
                "2026-11-20 seconds 151 UNEXPLAINED 151",
                "2026-11-20 cost 151007 UNEXPLAINED 151007",
            ],
        ),
        (
            "update calls set duration_seconds = 150 where organization_id = ORGANIZATION",
            &["2026-11-20 seconds 1 UNEXPLAINED 1"],
        ),
        // Declared void, and never taken back.
        (
            "insert into usage_voids (organization_id, call_id, reason)
             select organization_id, id, 'tampering' from calls
             where organization_id = ORGANIZATION",
            &[
                "2026-11-20 minutes 0 voided -3 UNEXPLAINED 3",
                "2026-11-20 seconds 0 voided -151 UNEXPLAINED 151",
                "2026-11-20 cost 0 voided -151007 UNEXPLAINED 151007",
            ],
        ),
    ];
    let world = World::with_quiet_books().await;
    for (tampering, expected) in cases {
        let account = Account::open(&world, "UTC").await;
        account.call("one", "2026-11-20T12:00:00Z", 151, "2026-11-20T12:05:00Z").await;
        account.aggregate("2026-11-21T02:00:00Z").await;
        assert_eq!(told(&account.compare(LATER).await), [""; 0]);
        account.tamper(tampering).await;
        assert_eq!(told(&account.compare(LATER).await), expected, "{tampering}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_filled_again_and_a_wrong_counter_is_found() {
    let world = World::with_quiet_books().await;
    let account = Account::open(&world, "UTC").await;
    account.call("one", "2026-11-20T12:00:00Z", 151, "2026-11-20T12:05:00Z").await;
    account.aggregate("2026-11-21T02:00:00Z").await;
    let clean = [""; 0];
    assert_eq!(told(&account.compare(LATER).await), clean);

    // As FLUSHALL does, which other tests would notice.
    account.redis("DEL", NOVEMBER, &[]).await;
    let lost = account.compare_alone(LATER, false).await;
    let expected = [
        "2026-11-01 minutes 0 in-flight -3",
        "2026-11-01 seconds 0 in-flight -151",
        "2026-11-01 cost 0 in-flight -151007",
    ];
    assert_eq!(told(&lost.rows), expected);
    assert_eq!(told(&account.compare(LATER).await), clean, "it was projected again");

    let nobody = Counters::new(&"redis://127.0.0.1:1".into()).unwrap();
    let (db, organization) = (&account.db, account.organization);
    let down = reconcile::of_organization(db, &nobody, organization, look(LATER, false)).await;
    assert_eq!(told(&down.unwrap().rows), expected, "nothing is wrong with the books");

    let minutes = |difference: &str| vec![format!("2026-11-01 minutes {difference}")];
    for (command, arguments, found) in [
        ("HSET", &["minutes", "2"][..], minutes("1 UNEXPLAINED 1")),
        ("HINCRBY", &["sequence", "1"], {
            let meters = ["minutes", "seconds", "cost"];
            meters.map(|meter| format!("2026-11-01 {meter} 0 UNEXPLAINED 1")).to_vec()
        }),
        ("HDEL", &["cost_micros"], {
            let said = [("minutes", 3), ("seconds", 151), ("cost", 151_007)];
            said.map(|(meter, said)| format!("2026-11-01 {meter} 0 UNEXPLAINED {said}")).to_vec()
        }),
    ] {
        account.redis(command, NOVEMBER, arguments).await;
        for _ in 0..2 {
            assert_eq!(told(&account.compare(LATER).await), found, "{arguments:?}: it stays");
        }
        let rebuilt = reconcile::rebuild(db, &account.counters, Some(organization)).await.unwrap();
        assert_eq!(rebuilt, Rebuilt { organizations: 1, counters: 1 });
        assert_eq!(told(&account.compare(LATER).await), clean, "{arguments:?}");
    }
    Account::open(&world, "UTC").await;
    let rebuilt = reconcile::rebuild(db, &account.counters, None).await.unwrap();
    assert_eq!(rebuilt, Rebuilt { organizations: 1, counters: 1 }, "one has no period");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voided_call_counts_nothing_and_is_explained() {
    let world = World::with_quiet_books().await;
    let account = Account::open(&world, "UTC").await;
    let call = account.call("tried", "2026-11-20T12:00:00Z", 151, "2026-11-20T12:05:00Z").await;
    account.call("real", "2026-11-20T12:00:00Z", 60, "2026-11-20T12:05:00Z").await;
    account.aggregate("2026-11-21T02:00:00Z").await;
    let by = Actor::command_line();
    let void =
        || reconcile::void(&account.db, &account.counters, call, "a test call", &by, at(LATER));
    let first = void().await.unwrap();
    assert_eq!((first.minutes, first.was_void), (3, false));
    assert_eq!(first.organization_id, account.organization);
    let second = void().await.unwrap();
    assert_eq!((second.minutes, second.was_void), (0, true));
    let minutes = |rows: &[_]| told(&of(rows, Measure::Minutes));
    let rows = account.compare(LATER).await;
    assert_eq!(minutes(&rows), ["2026-11-20 minutes 3 voided -3 in-flight +3"]);
    account.aggregate(LATER).await;
    assert_eq!(minutes(&account.compare(LATER).await), ["2026-11-20 minutes 3 voided -3"]);
    // Whatever is told later.
    account.call("tried", "2026-11-20T12:00:00Z", 600, LATER).await;
    account.aggregate(LATER).await;
    assert_eq!(minutes(&account.compare(LATER).await), ["2026-11-20 minutes 10 voided -10"]);

    let story = reconcile::explain(&account.db, account.organization, call).await.unwrap().unwrap();
    assert_eq!(story.voided.unwrap().reason, "a test call");
    assert!(story.summary.starts_with("voided, so 0 minutes on 2026-11-20"), "{}", story.summary);
    let reasons = story.ledger.iter().filter(|row| row.meter == "call_minutes");
    assert_eq!(reasons.map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["call", "voided"]);
    let sql = "select count(*) from audit_log where action = 'usage.void' and target = $1";
    let target = format!("call:{call}");
    assert_eq!(world.db.query_one(sql, &[&target]).await.unwrap().get::<_, i64>(0), 1);
    let unknown = contract::ids::CallId(uuid::Uuid::now_v7());
    let refused =
        reconcile::void(&account.db, &account.counters, unknown, "x", &by, at(LATER)).await;
    assert!(matches!(refused.unwrap_err().problem(), Problem::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_freeze_is_shown_as_late_and_billed_minutes_as_stripe_has_them() {
    let world = World::with_quiet_books().await;
    let account = Account::open(&world, "UTC").await;
    let (db, organization) = (&account.db, account.organization);
    let call = account.call("one", "2026-11-20T12:00:00Z", 720, "2026-11-20T12:15:00Z").await;
    account.call("two", "2026-11-21T12:00:00Z", 60, "2026-11-21T12:15:00Z").await;
    let period = account.period(NOVEMBER).await;
    let (closed, soon) = ("2026-12-01T00:10:00Z", "2026-12-01T00:20:00Z");
    account.aggregate(closed).await;
    let overage = |rows: &[_]| told(&of(rows, Measure::Overage));
    let due = account.compare(closed).await;
    assert_eq!(overage(&due), ["2026-11-01 overage 3 in-flight -3"], "it is being closed");
    let forgotten = account.compare("2026-12-02T00:00:00Z").await;
    assert_eq!(overage(&forgotten), ["2026-11-01 overage 3 UNEXPLAINED 3"]);

    billing::freeze(db, organization, period, at(closed)).await.unwrap();
    assert_eq!(overage(&account.compare(soon).await), ["2026-11-01 overage 3 in-flight -3"]);
    let reported = UsageReported { outcome: ReportOutcome::NoCustomer, ..Default::default() };
    billing::close(db, organization, period, &reported, at(closed)).await.unwrap();
    let waits = account.compare("2026-12-03T00:00:00Z").await;
    assert_eq!(overage(&waits), ["2026-11-01 overage 3 in-flight -3"], "no customer yet");
    let forgotten = account.compare("2026-12-05T00:00:00Z").await;
    assert_eq!(overage(&forgotten), ["2026-11-01 overage 3 UNEXPLAINED 3"], "no customer for days");
    account
        .tamper(&format!(
            "update organizations set stripe_customer_id = 'cus_' || id where id = ORGANIZATION;
             insert into stripe_reports (id, organization_id, period_id, kind, revision, identifier,
                 customer, event_name, quantity, reported_for, state, created_at)
             values (gen_random_uuid(), ORGANIZATION, '{period}', 'overage', 0,
                 'usage-{period}-overage-0', 'cus_1', 'voice_minutes', 3, now(), 'pending', '2026-12-19T00:00:00Z')"
        ))
        .await;
    let later = "2026-12-20T00:00:00Z";
    for (state, expected) in [
        ("pending", &["2026-11-01 overage 3 in-flight -3"][..]),
        ("rejected", &["2026-11-01 overage 3 UNEXPLAINED 3"]),
        ("unknown", &["2026-11-01 overage 3 UNEXPLAINED 3"]),
        ("accepted", &[]),
    ] {
        let sql = "update stripe_reports set state = 'STATE' where organization_id = ORGANIZATION";
        account.tamper(&sql.replace("STATE", state)).await;
        assert_eq!(overage(&account.compare(later).await), expected, "{state}");
    }

    account.call("one", "2026-11-20T12:00:00Z", 660, later).await;
    account.aggregate(later).await;
    let minutes = |rows: &[_]| told(&of(rows, Measure::Minutes));
    let expected = ["2026-11-01 minutes 1 adjusted +1", "2026-12-01 minutes 1 late -1"];
    assert_eq!(minutes(&account.compare(later).await), expected);
    let story = reconcile::explain(db, organization, call).await.unwrap().unwrap();
    assert_eq!(
        story.summary,
        format!(
            "11 minutes on 2026-11-20 (UTC); 12 minutes in the period from 2026-11-01 to 2026-12-01, \
             closed, billed as part of report usage-{period}-overage-0; less 1 minute in the period \
             from 2026-12-01 to 2027-01-01, open"
        )
    );

    // On the ledger of a period that may not have it any more.
    account
        .tamper(
            "update billing_periods set watermark = null
             where organization_id = ORGANIZATION and period_start = '2026-11-01'",
        )
        .await;
    let rows = minutes(&account.compare(later).await);
    assert_eq!(
        rows[1], "2026-12-01 minutes 1 UNEXPLAINED 1",
        "it could have gone where it belongs"
    );
}
