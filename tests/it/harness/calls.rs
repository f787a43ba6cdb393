//! Posting calls and waiting for them.

use std::time::Duration;

use contract::{
    call::Provider,
    ids::{CallId, OrganizationId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{World, wait::until};

/// A step that gives up takes 15 s; a killed worker is missed after 10 s to a minute; and many worlds may
/// share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Vapi's example report of a completed call.
pub(crate) const REPORT: &[u8] = include_bytes!("../../fixtures/vapi/end_of_call_report.json");
/// Vapi's id of the call in it.
pub(crate) const REPORT_CALL: &str = "019aa141-4449-7775-8d7e-006f2a64e546";

/// The example report as that of another call.
pub(crate) fn report_of(provider_call_id: &str) -> Vec<u8> {
    String::from_utf8_lossy(REPORT).replace(REPORT_CALL, provider_call_id).into_bytes()
}

/// An example message as one of another call.
pub(crate) fn example_of(name: &str, provider_call_id: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/vapi/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let body = std::fs::read_to_string(path).expect("a fixture");
    let parsed: Value = serde_json::from_str(&body).expect("JSON");
    let id = parsed["message"]["call"]["id"].as_str().expect("a call id");
    body.replace(id, provider_call_id).into_bytes()
}

/// The example report with some fields of `message` replaced.
pub(crate) fn report_with(provider_call_id: &str, fields: &Value) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&report_of(provider_call_id)).expect("JSON");
    for (name, value) in fields.as_object().expect("fields") {
        body["message"][name] = value.clone();
    }
    body.to_string().into_bytes()
}

/// A fresh id, as Vapi would make it.
pub(crate) fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}

impl World {
    /// Posts a signed message of Vapi; gives the status.
    pub(crate) async fn post(&self, body: Vec<u8>) -> u16 {
        let url = format!("{}/vapi/{}", self.api_url, self.demo.organization_id);
        let request = self.http.post(url).header("x-vapi-secret", &self.demo.vapi_secret);
        let answer = request.body(body).send().await.expect("serve answers");
        answer.status().as_u16()
    }

    /// Posts a fresh call's report; gives Vapi's id of it.
    pub(crate) async fn post_call(&self) -> String {
        let id = fresh_id();
        assert_eq!(self.post(report_of(&id)).await, 200);
        id
    }

    /// Our id of a call.
    pub(crate) fn call_id(&self, provider_call_id: &str) -> CallId {
        let organization = OrganizationId(self.organization());
        CallId::derive(organization, Provider::Vapi, provider_call_id)
    }

    /// GETs JSON from the API.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.api_url));
        let answer = request.bearer_auth(&self.demo.api_key).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(json!(null)))
    }

    /// Waits until a call's workflow has closed, that is: its step list is there and no event of
    /// it is undone. Gives the call as the API shows it.
    pub(crate) async fn closed(&self, provider_call_id: &str) -> Value {
        let id = self.call_id(provider_call_id);
        let what = format!("call {provider_call_id} closes");
        until(&what, PATIENCE, || async {
            let sql = "select count(*) from inbox where call_id = $1 and status = 'received'";
            let undone: i64 = self.db.query_one(sql, &[&id.0]).await.ok()?.get(0);
            let (status, call) = self.get(&format!("/v1/calls/{id}")).await;
            let steps = call["steps"].as_array().is_some_and(|steps| !steps.is_empty());
            (status == 200 && steps && undone == 0).then_some(call)
        })
        .await
    }
}

/// Status of a step in a call as the API shows it.
pub(crate) fn step<'a>(call: &'a Value, name: &str) -> &'a Value {
    let steps = call["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["name"] == name).unwrap_or(&Value::Null)
}
