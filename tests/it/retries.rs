//! Steps that fail until their retries end: the call completes, and `retry-step` mends it.

use postcall::dev::fakes::{Kind, Provider, Script};
use serde_json::json;

use crate::harness::{
    Options, World,
    audit::Counts,
    calls::{PATIENCE, example_of, fresh_id, report_of, step},
    wait::until,
};

fn always(status: u16) -> Script {
    let script = json!({ "answers": [{ "status": status }], "then": "repeat_last" });
    serde_json::from_value(script).expect("a script")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_optional_step_fails_for_good_and_is_mended() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let log = world.folder.join("faults.log").display().to_string();
    let faults =
        [("POSTCALL_FAULTS", "webhooks.before=fail*1000".to_owned()), ("POSTCALL_FAULTS_LOG", log)];
    world.start_worker(&faults).await;
    world.fakes.script(Provider::Vapi, None, always(503));
    world.fakes.script(Provider::Openai, None, always(500));
    world.fakes.script(Provider::Twilio, None, always(429));
    world.fakes.script(Provider::Resend, None, always(500));
    let id = fresh_id();
    assert_eq!(world.post(report_of(&id)).await, 200);
    let call = world.closed(&id).await;
    assert_eq!(call["status"], "completed");
    let failed = ["recording", "extract", "sms", "email", "webhooks"];
    for name in failed {
        let step = step(&call, name);
        assert_eq!(step["status"], "failed", "{name}: {call}");
        let error = step["error"].as_str().expect("an error");
        assert!(!error.contains("+1415") && !error.contains('@'), "{error}");
    }
    assert_eq!(world.accepted(Kind::Sms) + world.accepted(Kind::Email), 0);

    for provider in [Provider::Vapi, Provider::Openai, Provider::Twilio, Provider::Resend] {
        world.fakes.script(provider, None, Script::default());
    }
    world.kill_worker().await;
    world.start_worker(&[]).await;
    let call_id = world.call_id(&id).to_string();
    for name in failed {
        // The run before may still be at its last move: that is a conflict, and tried again.
        let (shown, talk, code) = until("the step is retried", PATIENCE, || async {
            let done = world.cli(&["calls", "retry-step", &call_id, name]).await;
            (done.2 != 5).then_some(done)
        })
        .await;
        assert_eq!(code, 0, "{name}: {shown} {talk}");
    }
    let call = world.closed(&id).await;
    for name in failed {
        assert_eq!(step(&call, name)["status"], "completed", "{name}: {call}");
    }
    assert_eq!(world.counts(&id).await, Counts::once(3));
    assert_eq!((world.accepted(Kind::Sms), world.accepted(Kind::Email)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_and_the_last_step_are_tried_until_they_work() {
    let mut world = World::with(Options { no_worker: true, ..Options::default() }).await;
    let log = world.folder.join("faults.log");
    world
        .start_worker(&[
            ("POSTCALL_FAULTS", "finish.before=fail*4,close.written=fail*4".to_owned()),
            ("POSTCALL_FAULTS_LOG", log.display().to_string()),
        ])
        .await;
    let id = world.post_call().await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "close")["status"], "completed");
    until("all faults strike", PATIENCE, || async {
        (std::fs::read_to_string(&log).unwrap().lines().count() == 8).then_some(())
    })
    .await;
    assert_eq!(world.counts(&id).await, Counts::once(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_no_step_and_a_call_that_is_no_call_have_their_exit_codes() {
    let world = World::start().await;
    let nobody = uuid::Uuid::now_v7().to_string();
    let (_, talk, code) = world.cli(&["calls", "show", &nobody]).await;
    assert_eq!(code, 3, "{talk}");
    let (_, talk, code) = world.cli(&["calls", "retry-step", &nobody, "dance"]).await;
    assert_eq!(code, 2, "{talk}");
    let id = world.post_call().await;
    world.closed(&id).await;
    let call = world.call_id(&id).to_string();
    let (_, talk, code) = world.cli(&["calls", "retry-step", &call, "close"]).await;
    assert_eq!(code, 5, "{talk}");
    let (shown, _, code) =
        world.cli(&["calls", "list", "--from", "2026-11-01T00:00:00Z", "-o", "json"]).await;
    let calls: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &calls[0]["id"]), (0, &json!(call)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_a_failed_step_and_is_not_sent_again() {
    let world = World::start().await;
    let refusal = json!({ "answers": [{ "status": 400,
        "headers": { "content-type": "application/json" },
        "body": r#"{"code":21211,"message":"invalid number","more_info":"","status":400}"# }] });
    world.fakes.script(Provider::Twilio, None, serde_json::from_value(refusal).unwrap());
    let id = world.post_call().await;
    let call = world.closed(&id).await;
    assert_eq!(step(&call, "sms")["status"], "failed", "{call}");
    assert!(step(&call, "sms")["error"].as_str().unwrap().contains("21211"), "{call}");
    assert_eq!(step(&call, "email")["status"], "completed");
    assert_eq!(world.accepted(Kind::Sms), 0, "once refused, not asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_progress_cannot_be_finished_by_hand() {
    let world = World::start().await;
    let id = fresh_id();
    assert_eq!(world.post(example_of("status_update_in_progress", &id)).await, 200);
    let call = world.call_id(&id).to_string();
    until("the call is open", PATIENCE, || async {
        (world.get(&format!("/v1/calls/{call}")).await.0 == 200).then_some(())
    })
    .await;
    let (_, talk, code) = world.cli(&["calls", "retry-step", &call, "sms"]).await;
    assert_eq!(code, 5, "{talk}");
    let (_, shown) = world.get(&format!("/v1/calls/{call}")).await;
    assert_eq!(shown["status"], "in-progress");
    let (_, talk, code) = world.cli(&["calls", "list", "--status", "dancing"]).await;
    assert!(code == 2 && talk.contains("status"), "{code} {talk}");
}
