//! kill -9 of the worker before, between and after the effects of an onboarding, one by one.

use activities::faults::OF_BOOKS;
use contract::{ids::OrganizationId, onboarding::Onboarded};
use futures::StreamExt;
use postcall::dev::fakes::Kind;
use serde_json::Value;

use super::made::{Furniture, SLOW};
use crate::harness::{World, calls::PATIENCE, wait::until};

/// Worlds of this test at once: for a minute each they wait for Temporal to miss the worker.
const AT_ONCE: usize = 3;
/// The points that an onboarding passes.
const OF_ONBOARDING: [&str; 4] = ["customer.", "furnish.", "letter.", "onboarded."];
/// It ends without a call, a few seconds after its beginning.
const QUICK: &str = "1,2,3,4";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_of_an_onboarding_repeats_nothing() {
    let is_ours = |point: &&str| OF_ONBOARDING.iter().any(|family| point.starts_with(family));
    let points: Vec<&'static str> = OF_BOOKS.iter().copied().filter(is_ours).collect();
    assert_eq!(points.len(), 14, "{points:?}");
    let killed = futures::stream::iter(points).map(killed_at).buffer_unordered(AT_ONCE);
    killed.collect::<Vec<()>>().await;
}

async fn killed_at(point: &'static str) {
    let mut world = World::without_worker().await;
    let ends = point.starts_with("onboarded.");
    let organization = world.new_organization("killed", if ends { QUICK } else { SLOW }).await;
    let faults = world.faults(&format!("{point}=kill"));
    world.start_onboarder(&faults).await;
    world.dies_at(point).await;
    world.stands_as_at(point, organization).await;
    world.start_onboarder(&[]).await;

    world.is_welcomed(organization).await;
    let mut emails = vec!["0"];
    if ends {
        let ended = world.onboarded(organization).await;
        assert_eq!(ended, Onboarded { has_called: false, reminders: 3 }, "{point}");
        emails.extend(["1", "2", "3"]);
    } else {
        let key = world.first_key(organization).await;
        assert_eq!(world.status_with(&key, "/v1/calls").await, 200, "{point}");
    }
    until(&format!("{point}: every step is done"), PATIENCE, || async {
        let (_, steps) = world.onboarding(organization).await;
        let steps = steps.as_array().unwrap();
        let is_done = |step: &Value| step["done_at"].is_string() && step["note"].is_null();
        (steps.len() == 2 + emails.len() && steps.iter().all(is_done)).then_some(())
    })
    .await;
    assert_eq!(world.furniture(organization).await, Furniture::once(&emails), "{point}");
    let (state, _) = world.onboarding(organization).await;
    assert_eq!(state, if ends { "expired" } else { "running" }, "{point}");
}

impl World {
    /// The worker died where the point is: what comes before it is there, and nothing after it.
    async fn stands_as_at(&self, point: &str, organization: OrganizationId) {
        let sql = "select o.stripe_customer_id is not null, n.first_key is not null, n.state,
                (select e.state from organization_emails e
                    where e.organization_id = o.id and e.about = '0'), n.steps
            from organizations o join onboardings n on n.organization_id = o.id where o.id = $1";
        let row = self.db.query_one(sql, &[&organization.0]).await.unwrap();
        let (is_linked, has_key): (bool, bool) = (row.get(0), row.get(1));
        let (state, email): (String, Option<String>) = (row.get(2), row.get(3));
        let steps: Value = row.get(4);
        let is_noted = |name: &str| steps.as_array().unwrap().iter().any(|s| s["name"] == name);
        let made = self.accepted(Kind::Customer);
        match point {
            "customer.before" => assert_eq!((made, is_noted("customer")), (0, false)),
            "customer.claimed" => assert_eq!((made, is_noted("customer")), (0, true)),
            "customer.made" => assert_eq!((made, is_linked), (1, false)),
            "customer.linked" | "customer.after" => assert_eq!((made, is_linked), (1, true)),
            "furnish.before" => assert_eq!((has_key, is_noted("furnish")), (false, false)),
            "furnish.after" => assert_eq!((has_key, is_noted("furnish")), (true, true)),
            "letter.before" => assert_eq!(email, None),
            "letter.claimed" | "letter.posted" => {
                assert_eq!(email.as_deref(), Some("sending"));
                let posted = u64::from(point == "letter.posted");
                assert_eq!(self.accepted(Kind::Email), posted);
            }
            "letter.settled" => {
                assert_eq!((email.as_deref(), is_noted("welcome")), (Some("sent"), false));
            }
            "letter.after" => assert!(is_noted("welcome")),
            "onboarded.before" => assert_eq!(state, "running"),
            "onboarded.after" => assert_eq!(state, "expired"),
            other => panic!("nobody says how it stands at {other}"),
        }
    }
}
