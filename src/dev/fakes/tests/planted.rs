//! Calls that were not placed here, and the lists in which sweeps look for them.

use super::*;
use serde_json::json;

use crate::dev::fakes::NotPlanted;

impl Bench {
    fn plant(&self, provider: Provider, call: Value) {
        self.fakes.plant(provider, call).expect("a call");
    }

    /// Ids in a list of Vapi's for a query.
    async fn vapi(&self, query: &str) -> Vec<String> {
        let (status, list) =
            answer(self.get(&format!("/vapi/call?{query}")).bearer_auth("key")).await;
        assert_eq!(status, 200);
        ids(&list, "id")
    }

    async fn retell(&self, body: Value) -> (Vec<String>, Value) {
        let (status, page) =
            answer(self.post("/retell/v3/list-calls").bearer_auth("key").json(&body)).await;
        assert_eq!(status, 200, "{page}");
        (ids(&page["items"], "call_id"), page)
    }

    async fn twilio(&self, path: &str) -> Value {
        let (status, page) = answer(self.get(path).basic_auth("AC1", Some("t"))).await;
        assert_eq!(status, 200, "{page}");
        page
    }

    /// Sids in a list of Twilio's for a filter.
    async fn twilio_sids(&self, filter: &[(&str, &str)]) -> Vec<String> {
        let request = self.get(&format!("{CALLS}.json")).query(filter);
        let (status, page) = answer(request.basic_auth("AC1", Some("t"))).await;
        assert_eq!(status, 200);
        ids(&page["calls"], "sid")
    }
}

const CALLS: &str = "/twilio/2010-04-01/Accounts/AC1/Calls";

fn ids(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|call| call[field].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn vapi_lists_by_both_dates_the_last_created_first() {
    let bench = Bench::start().await;
    let call = |id: &str, created: &str, updated: &str| {
        json!({ "id": id, "createdAt": format!("2026-11-20T{created}Z"),
            "updatedAt": format!("2026-11-20T{updated}Z"), "status": "in-progress" })
    };
    bench.plant(Provider::Vapi, call("b", "11:00:00.000", "11:05:00.000"));
    bench.plant(Provider::Vapi, call("a", "10:00:00.000", "12:00:00.000"));
    bench.plant(Provider::Vapi, call("c", "11:30:00.000", "11:31:00.123"));
    assert_eq!(bench.vapi("").await, ["c", "b", "a"]);
    assert_eq!(bench.vapi("limit=2").await, ["c", "b"]);
    let at = |time: &str| format!("2026-11-20T{time}Z");
    for (query, expected) in [
        (format!("updatedAtGe={}", at("11:31:00.123")), vec!["c", "a"]),
        (format!("updatedAtGt={}", at("11:31:00.123")), vec!["a"]),
        (format!("updatedAtLt={}", at("11:31:00.123")), vec!["b"]),
        (format!("updatedAtGe={}&updatedAtLt={}", at("11:05:00"), at("12:00:00")), vec!["c", "b"]),
        (format!("createdAtLe={}", at("11:00:00")), vec!["b", "a"]),
        (format!("createdAtGe={}&updatedAtGe={}", at("11:00:00"), at("11:10:00")), vec!["c"]),
    ] {
        assert_eq!(bench.vapi(&query).await, expected, "{query}");
    }
    let mut ended = call("a", "10:00:00.000", "12:30:00.000");
    ended["status"] = json!("ended");
    let put = bench.ask(Method::PUT, "/admin/calls/vapi").json(&ended);
    assert_eq!(answer(put).await.0, 204);
    assert_eq!(bench.vapi("").await, ["c", "b", "a"], "an upsert");
    let found = answer(bench.get("/vapi/call/a").bearer_auth("key")).await;
    assert_eq!(found, (StatusCode::OK, ended));
    assert_eq!(answer(bench.get("/vapi/call/none").bearer_auth("key")).await.0, 404);

    bench.plant(Provider::Vapi, json!({ "id": "now" }));
    let hour_ago = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    let query = format!("updatedAtGe={}", hour_ago.format("%Y-%m-%dT%H:%M:%SZ"));
    assert_eq!(bench.vapi(&query).await, ["now"], "dates are filled in");
    assert_eq!(answer(bench.get("/vapi/call")).await.0, 401);
    assert_eq!(bench.accepted(Kind::Call), 0);
    assert_eq!(bench.accepted(Kind::Planted), 5);
}

#[tokio::test]
async fn retell_lists_by_its_filters_without_transcripts() {
    let bench = Bench::start().await;
    let call = |id: &str, start: Option<i64>, end: Option<i64>, status: &str| {
        let mut call = json!({ "call_id": id, "call_status": status, "agent_id": "agent_1",
            "transcript": "Agent: Hello", "transcript_object": [], "call_analysis": {} });
        for (name, at) in [("start_timestamp", start), ("end_timestamp", end)] {
            if let Some(at) = at {
                call[name] = json!(at);
            }
        }
        call
    };
    bench.plant(Provider::Retell, call("b", Some(200), Some(900), "ended"));
    bench.plant(Provider::Retell, call("a", Some(100), Some(300), "ended"));
    bench.plant(Provider::Retell, call("c", Some(300), None, "ongoing"));
    bench.plant(Provider::Retell, call("d", None, Some(250), "not_connected"));
    let (all, page) = bench.retell(json!({})).await;
    assert_eq!(all, ["c", "b", "a", "d"]);
    assert_eq!((&page["has_more"], page.get("pagination_key")), (&json!(false), None));
    assert_eq!(page["items"][0].get("transcript"), None);
    assert!(page["items"][0].get("call_analysis").is_some());
    let one = answer(bench.get("/retell/v2/get-call/c").bearer_auth("key")).await.1;
    assert_eq!(one["transcript"], "Agent: Hello");

    let range = |low: i64, high: i64| json!({ "type": "range", "op": "bt", "value": [low, high] });
    let number = |op: &str, value: i64| json!({ "type": "number", "op": op, "value": value });
    let status = |names: &[&str]| json!({ "type": "enum", "op": "in", "value": names });
    for (criteria, expected) in [
        (json!({ "start_timestamp": range(100, 200) }), vec!["b", "a"]),
        (json!({ "end_timestamp": range(250, 300) }), vec!["a", "d"]),
        (json!({ "start_timestamp": number("ge", 200) }), vec!["c", "b"]),
        (json!({ "start_timestamp": number("lt", 200) }), vec!["a"]),
        (
            json!({ "start_timestamp": number("gt", 99), "end_timestamp": number("le", 300) }),
            vec!["a"],
        ),
        (json!({ "call_status": status(&["ongoing", "not_connected"]) }), vec!["c", "d"]),
        (json!({ "call_id": { "type": "string", "op": "eq", "value": "a" } }), vec!["a"]),
        (json!({ "agent": [{ "agent_id": "agent_2" }] }), vec![]),
    ] {
        let (found, _) = bench.retell(json!({ "filter_criteria": criteria })).await;
        assert_eq!(found, expected, "{criteria}");
    }
    let (up, _) = bench.retell(json!({ "sort_order": "ascending", "limit": 2 })).await;
    assert_eq!(up, ["a", "b"]);
    let body = json!({ "limit": 3, "include_total": true });
    let (first, page) = bench.retell(body).await;
    assert_eq!((first.len(), &page["has_more"], &page["total"]), (3, &json!(true), &json!(4)));
    let next = json!({ "limit": 3, "pagination_key": page["pagination_key"] });
    assert_eq!(bench.retell(next).await.0, ["d"]);

    for criteria in [
        json!({ "metadata": [] }),
        json!({ "start_timestamp": { "lower_threshold": 1 } }),
        json!({ "start_timestamp": { "type": "range", "op": "bt", "value": [1] } }),
        json!([]),
    ] {
        let body = json!({ "filter_criteria": criteria });
        let request = bench.post("/retell/v3/list-calls").bearer_auth("key").json(&body);
        assert_eq!(answer(request).await.0, 400, "{criteria}");
    }
}

#[tokio::test]
async fn twilio_lists_by_start_end_and_status_and_shows_recordings_apart() {
    let bench = Bench::start().await;
    let call = |sid: &str, start: &str, end: Option<&str>, status: &str| {
        let day = |time: &str| format!("Fri, 20 Nov 2026 {time} +0000");
        json!({ "sid": sid, "status": status, "date_created": day(start),
            "start_time": day(start), "end_time": end.map(day), "to": "+14155552671" })
    };
    let mut first = call("CA1", "10:00:00", Some("10:30:00"), "completed");
    first["recordings"] = json!([{ "sid": "RE1", "call_sid": "CA1", "duration": "30" }]);
    bench.plant(Provider::Twilio, call("CA2", "11:00:00", Some("11:01:00"), "busy"));
    bench.plant(Provider::Twilio, first);
    bench.plant(Provider::Twilio, call("CA3", "12:00:00", None, "in-progress"));
    bench.plant(Provider::Twilio, json!({ "sid": "CA4", "status": "queued" }));
    assert_eq!(bench.twilio_sids(&[]).await, ["CA4", "CA3", "CA2", "CA1"]);
    let at = |time: &str| format!("2026-11-20T{time}Z");
    for (filter, expected) in [
        (vec![("StartTime>", at("11:00:00"))], vec!["CA3", "CA2"]),
        (vec![("StartTime>=", at("11:00:01"))], vec!["CA3"]),
        (vec![("StartTime<", at("11:00:00"))], vec!["CA2", "CA1"]),
        (vec![("EndTime>=", at("10:30:00")), ("EndTime<=", at("11:00:59"))], vec!["CA1"]),
        (vec![("EndTime>", "2026-11-20".into())], vec!["CA2", "CA1"]),
        (vec![("EndTime<", "2026-11-20".into())], vec![]),
        (
            vec![("StartTime>", "2026-11-20".into()), ("StartTime<", "2026-11-21".into())],
            vec!["CA3", "CA2", "CA1"],
        ),
        (vec![("StartTime", "2026-11-20".into())], vec!["CA3", "CA2", "CA1"]),
        (vec![("Status", "busy".into())], vec!["CA2"]),
        (vec![("Status", "queued".into())], vec!["CA4"]),
    ] {
        let filter: Vec<(&str, &str)> = filter.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(bench.twilio_sids(&filter).await, expected, "{filter:?}");
    }
    let page = bench.twilio(&format!("{CALLS}.json?PageSize=3")).await;
    let next = page["next_page_uri"].as_str().expect("a next page");
    let last = bench.twilio(next).await;
    assert_eq!(
        (ids(&last["calls"], "sid"), &last["next_page_uri"]),
        (vec!["CA1".into()], &Value::Null)
    );
    assert_eq!(last["calls"][0].get("recordings"), None);
    assert_eq!(bench.twilio(&format!("{CALLS}/CA1.json")).await.get("recordings"), None);
    let recordings = bench.twilio(&format!("{CALLS}/CA1/Recordings.json")).await;
    assert_eq!(ids(&recordings["recordings"], "sid"), ["RE1"]);
    let none = bench.twilio(&format!("{CALLS}/CA2/Recordings.json")).await;
    assert_eq!(none["recordings"], json!([]));
    let unknown = bench.get(&format!("{CALLS}/CA9/Recordings.json")).basic_auth("AC1", Some("t"));
    assert_eq!(answer(unknown).await.0, 404);
    assert_eq!(answer(bench.get(&format!("{CALLS}/CA1/Recordings.json"))).await.0, 401);

    let end = bench.post(&format!("{CALLS}/CA3.json")).basic_auth("AC1", Some("t"));
    assert_eq!(answer(end.form(&[("Status", "completed")])).await.1["status"], "completed");

    let stranger = json!({ "sid": "CA5", "account_sid": "AC2", "status": "queued" });
    bench.plant(Provider::Twilio, stranger);
    assert_eq!(bench.twilio_sids(&[("Status", "queued")]).await, ["CA4"]);
    let theirs = bench.twilio("/twilio/2010-04-01/Accounts/AC2/Calls.json?Status=queued").await;
    assert_eq!(ids(&theirs["calls"], "sid"), ["CA5", "CA4"], "CA4 is nobody's");
    let refusal = json!({ "kind": "lookup", "answers": [{ "status": 401 }] });
    bench.script(Provider::Twilio, Some("AC1"), refusal);
    let list = bench.get(&format!("{CALLS}.json")).basic_auth("AC1", Some("t"));
    assert_eq!(answer(list).await.0, 401, "scripts may be for an account");
}

#[tokio::test]
async fn planted_calls_are_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("effects.jsonl");
    let before = Bench::start_on(Some(file.clone())).await;
    before.plant(Provider::Vapi, json!({ "id": "a", "status": "queued" }));
    before.plant(Provider::Vapi, json!({ "id": "a", "status": "ended" }));
    before.plant(Provider::Retell, json!({ "call_id": "b", "start_timestamp": 1 }));
    before.plant(Provider::Twilio, json!({ "sid": "CA1", "recordings": [{ "sid": "RE1" }] }));
    before.fakes.effects().clear();
    let (_, vapi) = answer(before.get("/vapi/call").bearer_auth("key")).await;
    before.fakes.stop().await;

    let after = Bench::start_on(Some(file)).await;
    assert_eq!(answer(after.get("/vapi/call").bearer_auth("key")).await.1, vapi);
    assert_eq!(vapi[0]["status"], "ended");
    assert_eq!(after.retell(json!({})).await.0, ["b"]);
    let recordings = after.twilio(&format!("{CALLS}/CA1/Recordings.json")).await;
    assert_eq!(ids(&recordings["recordings"], "sid"), ["RE1"]);
}

#[tokio::test]
async fn what_is_no_call_of_a_voice_provider_is_refused() {
    let bench = Bench::start().await;
    let put = |provider: &str, call: Value| {
        answer(bench.ask(Method::PUT, &format!("/admin/calls/{provider}")).json(&call))
    };
    for (provider, call, status) in [
        ("vapi", json!({ "call_id": "a" }), 400),
        ("retell", json!({ "call_id": "" }), 400),
        ("twilio", json!({ "sid": 1 }), 400),
        ("vapi", json!([]), 400),
        ("stripe", json!({ "id": "a" }), 404),
        ("acme", json!({ "id": "a" }), 404),
    ] {
        let (answered, body) = put(provider, call).await;
        assert_eq!(answered, status, "{provider}");
        assert!(body["error"].is_string(), "{provider}");
    }
    let refused = bench.fakes.plant(Provider::Hooks, json!({ "id": "a" }));
    assert_eq!(refused, Err(NotPlanted::NoCalls(Provider::Hooks)));
    let large = json!({ "id": "large", "transcript": "x".repeat(5_000_000) });
    assert_eq!(put("vapi", large).await.0, 204);
    assert_eq!(bench.accepted(Kind::Planted), 1);
}
