//! Bad input: a clear answer, nothing lost, no 5xx.

use serde_json::json;

use crate::harness::{
    World,
    calls::{REPORT, fresh_id, report_of, report_with},
};

impl World {
    async fn post_to(
        &self,
        organization: &str,
        secret: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, String) {
        let mut request = self.http.post(format!("{}/vapi/{organization}", self.api_url));
        if let Some(secret) = secret {
            request = request.header("x-vapi-secret", secret);
        }
        let answer = request.body(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    async fn inbox(&self) -> Vec<(String, String)> {
        let sql = "select status, coalesce(parked_reason, '') from inbox order by received_at, id";
        let rows = self.db.query(sql, &[]).await.expect("the inbox");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_request_is_refused_and_leaves_nothing() {
    let world = World::start().await;
    let own = world.demo.organization_id.clone();
    let wrong = world.post_to(&own, Some("wrong"), REPORT.to_vec()).await;
    assert_eq!(wrong.0, 401);
    let secret = Some(world.demo.vapi_secret.as_str());
    let stranger = uuid::Uuid::now_v7().to_string();
    for (organization, secret) in [
        (own.as_str(), None),
        (own.as_str(), Some("")),
        (stranger.as_str(), secret),
        ("no-id", secret),
    ] {
        let answer = world.post_to(organization, secret, REPORT.to_vec()).await;
        assert_eq!(answer, wrong, "all refusals look alike");
    }
    assert_eq!(world.inbox().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_parked_and_what_drives_no_call_is_answered() {
    let world = World::start().await;
    let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
    let poison: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "not JSON"),
        (b"not json".to_vec(), "not JSON"),
        (deep, "nested"),
        (report_with(&fresh_id(), &json!({ "transcript": "a\u{0}b" })), "NUL"),
        (br#"{"message":{"type":"status-update","status":"ended"}}"#.to_vec(), "call"),
        (
            br#"{"message":{"type":"end-of-call-report","cost":1e309,"call":{"id":"x"}}}"#.to_vec(),
            "out of range",
        ),
        (br#"{"message":{"type":"hang","note":"\ud800","call":{"id":"x"}}}"#.to_vec(), "surrogate"),
    ];
    for (body, _) in &poison {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(world.post(body.clone()).await, 200, "{shown}");
    }
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), poison.len(), "each is stored once: {inbox:?}");
    for ((status, reason), (_, word)) in inbox.iter().zip(&poison) {
        assert_eq!(status, "parked", "{reason}");
        assert!(reason.contains(word), "{reason:?} should tell of {word:?}");
    }

    assert_eq!(world.post(br#"{"message":{"type":"from-the-future"}}"#.to_vec()).await, 200);
    assert_eq!(world.inbox().await.len(), poison.len(), "dropped by default");
    let own = world.demo.organization_id.clone();
    let secret = Some(world.demo.vapi_secret.as_str());
    let tools = include_bytes!("../fixtures/vapi/tool_calls.json").to_vec();
    let (status, reply) = world.post_to(&own, secret, tools).await;
    assert_eq!(status, 200);
    assert!(reply.contains("call_W5Li5VmfGO1r4i1gCwYxYhRP"), "{reply}");
    let ask = include_bytes!("../fixtures/vapi/assistant_request.json").to_vec();
    let (status, reply) = world.post_to(&own, secret, ask).await;
    assert!(status == 200 && (reply.contains("assistantId") || reply.contains("error")), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_20_mb_is_refused_and_odd_reports_are_understood() {
    let world = World::start().await;
    assert_eq!(world.post(vec![b' '; 20 * 1024 * 1024]).await, 413);
    assert_eq!(world.inbox().await, []);

    let text_numbers = fresh_id();
    let body = json!({ "message": { "type": "end-of-call-report", "durationSeconds": "61.5",
        "cost": "0.25", "call": { "id": text_numbers } } });
    assert_eq!(world.post(body.to_string().into_bytes()).await, 200);
    let call = world.closed(&text_numbers).await;
    assert_eq!((&call["billed_minutes"], &call["cost_usd"]), (&json!(2), &json!(0.25)));

    let bare = fresh_id();
    let body = json!({ "message": { "type": "end-of-call-report", "call": { "id": bare } } });
    assert_eq!(world.post(body.to_string().into_bytes()).await, 200);
    let call = world.closed(&bare).await;
    assert_eq!(call["billed_minutes"], 0, "{call}");

    let long = fresh_id();
    let talk = "User: one more sentence about nothing.\n".repeat(130_000);
    let body = report_with(&long, &json!({ "transcript": talk, "artifact": {} }));
    assert!(body.len() > 5_000_000);
    assert_eq!(world.post(body).await, 200);
    let call = world.closed(&long).await;
    assert_eq!(call["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_are_one_and_another_body_is_a_conflict() {
    let world = World::start().await;
    let id = fresh_id();
    let posts = (0..200).map(|_| world.post(report_of(&id)));
    let answers = futures::future::join_all(posts).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(world.inbox().await.len(), 1);
    let other = report_with(&id, &json!({ "summary": "something else" }));
    assert_eq!(world.post(other).await, 200);
    let row = world.db.query_one("select conflicts, body_sha256 from inbox", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
    let call = world.closed(&id).await;
    assert!(call["summary"].as_str().unwrap().contains("Ana"), "the first wins");
}
