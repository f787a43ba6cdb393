//! `postcall usage explain`: one call's minutes on one clock.

use clap::Args;
use contract::ids::CallId;
use serde_json::{Value, json};

use crate::cli::{Failed, Format, output, target::TargetArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The call's id.
    id: CallId,
    /// Form of the output. JSON holds the books' rows as they are.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

pub(super) async fn run(args: &ExplainArgs) -> Result<(), Failed> {
    let path = format!("/v1/calls/{}/usage", args.id);
    let story = args.target.api()?.get(&path, &[]).await?;
    if args.output != Format::Table {
        output::object(args.output, &story);
        return Ok(());
    }
    output::line(words(&story["summary"]));
    output::rows(args.output, &["at", "what", "details"], &moments(&story));
    Ok(())
}

/// Everything that happened, in the order of time.
fn moments(story: &Value) -> Vec<Value> {
    let mut moments = Vec::new();
    let mut note = |at: &Value, what: &str, details: String| {
        if let Some(at) = at.as_str() {
            moments.push(json!({ "at": at, "what": what, "details": details }));
        }
    };
    note(&story["occurred_at"], "the call counts as used", call_details(story));
    for event in list(&story["events"]) {
        let details = format!(
            "{} by {}, {}, {}",
            words(&event["event_kind"]),
            words(&event["origin"]),
            words(&event["status"]),
            words(&event["id"])
        );
        note(&event["received_at"], "an event told its end", details.clone());
        note(&event["folded_at"], "the call's row had it", words(&event["id"]).to_owned());
    }
    for row in list(&story["ledger"]) {
        let details = format!(
            "{} {} ({}, revision {})",
            row["quantity"],
            words(&row["meter"]),
            words(&row["reason"]),
            row["revision"]
        );
        note(&row["recorded_at"], "on the ledger", details);
    }
    let day = &story["day"];
    let aggregated = format!(
        "{}: {} calls, {} minutes",
        words(&day["date"]),
        day["total_calls"],
        day["total_minutes"]
    );
    note(&day["starts_at"], "its day began", words(&story["timezone"]).to_owned());
    note(&day["ends_at"], "its day ended", String::new());
    note(&day["computed_at"], "its day was added up", aggregated);
    note(&day["touched_at"], "its day is to be added up again", String::new());
    for period in list(&story["periods"]) {
        let id = words(&period["id"]);
        note(
            &period["period_start"],
            "a period began",
            format!("{id}, {} minutes of it", period["minutes"]),
        );
        note(
            &period["period_end"],
            "the period ended",
            format!("{id}, {}", words(&period["status"])),
        );
        note(
            &period["watermark"],
            "the period was frozen",
            format!("{id}, overage {}", period["overage_minutes"]),
        );
        for report in list(&period["reports"]) {
            let details =
                format!("{}, {} minutes", words(&report["identifier"]), report["quantity"]);
            note(&report["last_sent_at"], "Stripe was told", details.clone());
            note(&report["settled_at"], words(&report["state"]), details);
            let counted =
                format!("{}, {} minutes", words(&report["identifier"]), report["counted_minutes"]);
            note(&report["counted_at"], "Stripe was seen to have counted", counted);
        }
    }
    let voided = &story["voided"];
    note(&voided["voided_at"], "voided", words(&voided["reason"]).to_owned());
    // RFC 3339 in UTC with as many digits each: in the order of time.
    moments.sort_by(|a, b| words(&a["at"]).cmp(words(&b["at"])));
    moments
}

fn call_details(story: &Value) -> String {
    let flag = match story["duration_flag"].as_str() {
        Some(flag) => format!(", {flag}"),
        None => String::new(),
    };
    let seconds = story["duration_seconds"].as_i64().unwrap_or(0);
    format!("{}, {seconds} seconds{flag}", words(&story["status"]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_told_in_the_order_of_time() {
        let at = |hour: u32| format!("2026-11-20T{hour:02}:00:00.000Z");
        let story = json!({
            "status": "completed",
            "duration_seconds": 151,
            "duration_flag": "capped",
            "occurred_at": at(5),
            "events": [{ "id": "e", "event_kind": "end-of-call-report", "origin": "webhook",
                "status": "processed", "received_at": at(6), "folded_at": at(7) }],
            "ledger": [{ "meter": "call_minutes", "quantity": 3, "reason": "call", "revision": 0,
                "recorded_at": at(7) }],
            "day": { "date": "2026-11-20", "total_calls": 1, "total_minutes": 3,
                "starts_at": at(0), "ends_at": at(23), "computed_at": null, "touched_at": null },
            "periods": [{ "id": "p", "minutes": 3, "status": "closed", "overage_minutes": 9,
                "reports": [{ "identifier": "usage-p-overage-0", "quantity": 9,
                    "state": "accepted", "last_sent_at": at(20), "settled_at": at(21),
                    "counted_minutes": 18, "counted_at": at(22) }] }],
            "voided": null,
        });
        let moments = moments(&story);
        let told: Vec<_> = moments.iter().map(|moment| words(&moment["what"])).collect();
        assert_eq!(
            told,
            [
                "its day began",
                "the call counts as used",
                "an event told its end",
                "the call's row had it",
                "on the ledger",
                "Stripe was told",
                "accepted",
                "Stripe was seen to have counted",
                "its day ended",
            ]
        );
        assert_eq!(moments[7]["details"], "usage-p-overage-0, 18 minutes");
        assert_eq!(call_details(&story), "completed, 151 seconds, capped");
    }
}
