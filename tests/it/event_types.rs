//! The catalogue of events says what a running world really sends.

use contract::events::{MOST_BYTES, MOST_THIN_BYTES, event_type, thin};
use serde_json::{Value, json};

use crate::harness::{
    World,
    calls::{PATIENCE, example_of, fresh_id},
    wait::until,
};

impl World {
    /// Waits until so many events are written.
    async fn tells(&self, count: i64) {
        until("the event is written", PATIENCE, || async {
            let sql = "select count(*) from events where type <> 'call_completed'";
            let written: i64 = self.db.query_one(sql, &[]).await.ok()?.get(0);
            (written == count).then_some(())
        })
        .await;
    }

    /// Every event that was written for endpoints is as its schema says; gives their types.
    pub(crate) async fn events_are_of_the_catalogue(&self) -> Vec<String> {
        let sql = "select type, payload from events where type <> 'call_completed'";
        let mut seen = Vec::new();
        for row in self.db.query(sql, &[]).await.unwrap() {
            let (name, payload): (String, Value) = (row.get(0), row.get(1));
            let known = event_type(&name).expect("a type of the catalogue");
            let options = jsonschema::options().should_validate_formats(true);
            let validator = options.build(&known.schema().expect("it is available")).unwrap();
            let errors = validator.iter_errors(&payload).map(|error| error.to_string());
            let errors: Vec<String> = errors.collect();
            assert!(errors.is_empty(), "{name}: {errors:?} in {payload}");
            assert!(payload.to_string().len() < MOST_BYTES, "{name}");
            assert!(thin(&payload).to_string().len() < MOST_THIN_BYTES, "{name}");
            if name.starts_with("call.") {
                let members = |body: &Value| -> Vec<String> {
                    body["data"].as_object().unwrap().keys().cloned().collect()
                };
                assert_eq!(members(&payload), members(&known.example().unwrap()), "{name}");
            }
            seen.push(name);
        }
        seen
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_what_the_catalogue_says() {
    let world = World::start().await;
    let id = fresh_id();
    assert_eq!(world.post(example_of("status_update_in_progress", &id)).await, 200);
    // The newest event decides: what comes too soon after it would be all that is told.
    world.tells(1).await;
    assert_eq!(world.post(example_of("status_update_ended", &id)).await, 200);
    world.tells(2).await;
    world.closed(&id).await;
    assert_eq!(world.post(example_of("end_of_call_report", &id)).await, 200);
    world.tells(3).await;
    let unanswered = fresh_id();
    let report = example_of("end_of_call_report_outbound_no_answer", &unanswered);
    assert_eq!(world.post(report).await, 200);
    world.closed(&unanswered).await;

    let seen = world.events_are_of_the_catalogue().await;
    let (status, all) = world.get("/v1/event-types").await;
    assert_eq!(status, 200, "{all}");
    for name in &seen {
        let (status, known) = world.get(&format!("/v1/event-types/{name}")).await;
        assert_eq!((status, &known["available"]), (200, &json!(true)), "{name}");
        assert!(all["data"].as_array().unwrap().contains(&known), "{name}");
    }
    for name in ["call.started", "call.completed", "call.failed", "call.analyzed"] {
        assert!(seen.iter().any(|seen| seen == name), "{name} of {seen:?}");
    }

    let (status, later) = world.get("/v1/event-types/call.ended").await;
    assert_eq!((status, &later["available"], &later["schema"]), (200, &json!(false), &json!(null)));
    let (status, problem) = world.get("/v1/event-types/call_completed").await;
    assert_eq!((status, &problem["type"]), (404, &json!("/docs/problems/not-found")));
}
