//! Answers to the messages that Vapi waits for (`ServerMessageResponse` of its SDK).

use serde_json::{Value, json};

use crate::json;

/// What the model is told of a tool that nobody serves.
const NO_HANDLER: &str = "No handler is configured for this tool.";

/// The answer to a message that needs one, else nothing: any 2xx will do.
///
/// `provider_assistant_id` is the assistant that takes a call to the number, if one is configured.
/// Vapi waits 7.5 s for `assistant-request` and speaks an `error` to the caller.
pub fn reply(body: &[u8], provider_assistant_id: Option<&str>) -> Option<Value> {
    let root = json::parse(body).ok()?;
    let message = json::at(&root, "/message")?;
    match json::text(message, &["/type"])? {
        "assistant-request" => Some(match provider_assistant_id {
            Some(id) => json!({ "assistantId": id }),
            None => json!({ "error": "This number is not in service at the moment." }),
        }),
        "tool-calls" => Some(json!({ "results": tool_results(message) })),
        // The older form of a tool call: one function, one answer, which the model reads.
        "function-call" => Some(json!({ "result": NO_HANDLER })),
        "transfer-destination-request" => {
            Some(json!({ "error": "No transfer destination is configured." }))
        }
        "handoff-destination-request" => {
            Some(json!({ "error": "No handoff destination is configured." }))
        }
        "knowledge-base-request" => Some(json!({ "documents": [] })),
        _ => None,
    }
}

/// One result per call. The schema nests the name under `function`, an example of the docs does not.
fn tool_results(message: &Value) -> Vec<Value> {
    let direct = ["/toolCallList", "/toolCalls"]
        .iter()
        .filter_map(|pointer| json::at(message, pointer)?.as_array())
        .find(|calls| !calls.is_empty());
    let calls: Vec<&Value> = match direct {
        Some(calls) => calls.iter().collect(),
        None => json::at(message, "/toolWithToolCallList")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(|entry| entry.get("toolCall")).collect())
            .unwrap_or_default(),
    };
    calls
        .into_iter()
        .filter_map(|call| {
            Some(json!({
                "toolCallId": json::text(call, &["/id"])?,
                "name": json::text(call, &["/function/name", "/name"]).unwrap_or_default(),
                "error": NO_HANDLER,
            }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL_CALLS: &[u8] = include_bytes!("../../../tests/fixtures/vapi/tool_calls.json");
    const ASSISTANT_REQUEST: &[u8] =
        include_bytes!("../../../tests/fixtures/vapi/assistant_request.json");
    const TRANSFER: &[u8] =
        include_bytes!("../../../tests/fixtures/vapi/transfer_destination_request.json");
    const HANG: &[u8] = include_bytes!("../../../tests/fixtures/vapi/hang.json");

    #[test]
    fn both_shapes_of_tool_calls_are_answered() {
        let expected = json!({"results": [{
            "toolCallId": "call_W5Li5VmfGO1r4i1gCwYxYhRP",
            "name": "checkAvailability",
            "error": "No handler is configured for this tool.",
        }]});
        assert_eq!(reply(TOOL_CALLS, None), Some(expected.clone()));
        let call = json!({"id": "call_W5Li5VmfGO1r4i1gCwYxYhRP", "name": "checkAvailability",
            "parameters": {}});
        for list in [
            json!({"type": "tool-calls", "toolCallList": [call]}),
            json!({"type": "tool-calls", "toolWithToolCallList": [{"toolCall": call}]}),
        ] {
            let body = json!({ "message": list }).to_string();
            assert_eq!(reply(body.as_bytes(), None), Some(expected.clone()));
        }
    }

    #[test]
    fn an_assistant_request_gets_the_assistant_or_a_spoken_error() {
        assert_eq!(reply(ASSISTANT_REQUEST, Some("a-1")), Some(json!({"assistantId": "a-1"})));
        let answer = reply(ASSISTANT_REQUEST, None).expect("an answer");
        assert!(answer["error"].is_string());
    }

    #[test]
    fn other_requests_get_a_minimal_answer_and_events_get_none() {
        assert!(reply(TRANSFER, None).expect("an answer")["error"].is_string());
        for (kind, field) in
            [("handoff-destination-request", "error"), ("knowledge-base-request", "documents")]
        {
            let body = json!({"message": {"type": kind}}).to_string();
            let answer = reply(body.as_bytes(), None).expect("an answer");
            assert!(!answer[field].is_null(), "{kind}");
        }
        let older = json!({"message": {"type": "function-call", "functionCall":
            {"name": "sendEmail", "parameters": {"to": "a"}}}});
        let answer = reply(older.to_string().as_bytes(), None).expect("an answer");
        assert_eq!(answer, json!({ "result": NO_HANDLER }));
        assert_eq!(reply(HANG, None), None);
        assert_eq!(reply(b"not json", None), None);
    }
}
