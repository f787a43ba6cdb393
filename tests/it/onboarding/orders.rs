//! `org create`: what it prints, and what it refuses.

use serde_json::Value;
use uuid::Uuid;

use super::made::{EMAIL, SLOW};
use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn create_waits_for_the_key_and_prints_it_once() {
    let world = World::start().await;
    let (made, talk, code) = world
        .cli(&["org", "create", "--name", "A", "--slug", "a", "--email", EMAIL, "-o", "json"])
        .await;
    assert_eq!(code, 0, "{talk}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["api_key"].as_str().unwrap_or_else(|| panic!("no key: {talk}"));
    assert_eq!(world.status_with(key, "/v1/calls").await, 200);
    let id = made["organization_id"].as_str().unwrap();
    assert_eq!(world.cli(&["org", "first-key", id]).await.2, 5);
    let unknown = Uuid::now_v7().to_string();
    assert_eq!(world.cli(&["org", "first-key", &unknown]).await.2, 3);
    assert_eq!(world.cli(&["org", "first-key", "nobody"]).await.2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_makes_nothing_and_says_what_is_wrong() {
    let world = World::without_worker().await;
    world.new_organization("taken", SLOW).await;
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--timezone", "Mars/Olympus"], 2, "timezone: "),
        (&["--slug", "taken"], 5, "taken by another organization"),
        (&["--slug", "Not A Slug"], 2, "slug: "),
        (&["--anchor-day", "32"], 2, "anchor day: "),
        (&["--anchor-day", "0"], 2, "anchor day: "),
        (&["--overage-price", "-0.01"], 2, "overage price: "),
        (&["--overage-price", "a"], 2, "--overage-price"),
        (&["--included-minutes", "-1"], 2, "included minutes: "),
        (&["--limit", "none"], 2, "--limit"),
        (&["--template", "unknown"], 2, "appointments"),
        (&["--email", "planted nobody"], 2, "email: "),
        (&["--name", ""], 2, "name: "),
        (&["--timing", "4,3,2,1"], 2, "in order"),
    ];
    for (wrong, code, words) in cases {
        let mut arguments = vec!["org", "create", "--wait=false"];
        let fine = [("--name", "A"), ("--slug", "fine"), ("--email", EMAIL)];
        for (name, value) in fine.iter().filter(|(name, _)| !wrong.contains(name)) {
            arguments.extend([name, value]);
        }
        arguments.extend_from_slice(wrong);
        let (shown, talk, found) = world.cli(&arguments).await;
        assert_eq!((found, shown.as_str()), (*code, ""), "{wrong:?}: {talk}");
        assert!(talk.contains(words), "{wrong:?}: {talk}");
        assert!(!talk.contains("planted"), "{talk}");
    }
    let sql = "select (select count(*) from organizations), (select count(*) from onboardings),
        (select count(*) from workflow_starts)";
    let row = world.db.query_one(sql, &[]).await.unwrap();
    let counts: [i64; 3] = std::array::from_fn(|column| row.get(column));
    assert_eq!(counts, [2, 1, 1], "the demo organization, and the one with the slug");
}
