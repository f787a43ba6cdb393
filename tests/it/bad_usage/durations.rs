//! Durations that cannot be: counted as 0 or as a day, flagged, and on the ledger once.

use contract::call::Provider;
use serde_json::{Value, json};

use crate::harness::{
    World,
    calls::report_with,
    signed::{Webhook, fresh_call, retell_event, twilio_form},
};

/// Longest duration that is believed, in seconds.
const DAY: i64 = 86_400;

/// A call's last word, and what becomes of its duration.
struct Case {
    what: &'static str,
    provider: Provider,
    id: String,
    webhook: Webhook,
    seconds: i64,
    flag: Option<&'static str>,
}

impl Case {
    fn vapi(what: &'static str, fields: &Value, seconds: i64, flag: Option<&'static str>) -> Self {
        let id = fresh_call(Provider::Vapi);
        let mut fields = fields.clone();
        if fields["startedAt"].is_null() {
            // The example's call has times, too.
            fields["call"] = json!({ "id": id });
        }
        let webhook = Webhook::Vapi(report_with(&id, &fields));
        Self { what, provider: Provider::Vapi, id, webhook, seconds, flag }
    }

    fn retell(
        what: &'static str,
        fields: &Value,
        seconds: i64,
        flag: Option<&'static str>,
    ) -> Self {
        let id = fresh_call(Provider::Retell);
        let mut fields = fields.clone();
        fields["recording_url"] = Value::Null;
        fields["recording_multi_channel_url"] = Value::Null;
        let webhook = Webhook::Retell(retell_event("call_analyzed", &id, &fields));
        Self { what, provider: Provider::Retell, id, webhook, seconds, flag }
    }

    fn twilio(told: &'static str, seconds: i64, flag: Option<&'static str>) -> Self {
        let id = fresh_call(Provider::Twilio);
        let form = twilio_form("voice_status_completed", &id);
        let form = form.replace("CallDuration=127", &format!("CallDuration={told}"));
        let webhook = Webhook::Twilio("status", form);
        Self { what: told, provider: Provider::Twilio, id, webhook, seconds, flag }
    }
}

fn cases() -> Vec<Case> {
    let (negative, capped) = (Some("negative"), Some("capped"));
    let seconds = |seconds: f64| {
        json!({ "startedAt": null, "endedAt": null, "durationMs": null, "durationMinutes": null,
            "durationSeconds": seconds })
    };
    let millis = |millis: f64| json!({ "start_timestamp": null, "end_timestamp": null, "duration_ms": millis });
    vec![
        Case::vapi(
            "ended before it started",
            &json!({ "startedAt": "2026-11-20T15:02:09.398Z",
                "endedAt": "2026-11-20T15:00:01.800Z" }),
            0,
            negative,
        ),
        Case::vapi("-5 s", &seconds(-5.0), 0, negative),
        Case::vapi("1e12 s", &seconds(1e12), DAY, capped),
        Case::vapi("a day", &seconds(86_400.0), DAY, None),
        Case::vapi("more than a day", &seconds(86_400.5), DAY, capped),
        Case::vapi(
            "a year by its times",
            &json!({ "startedAt": "2025-11-20T15:00:00Z", "endedAt": "2026-11-20T15:00:00Z" }),
            DAY,
            capped,
        ),
        Case::retell(
            "ended before it started",
            &json!({ "start_timestamp": 1_795_186_929_398_i64,
                "end_timestamp": 1_795_186_801_800_i64 }),
            0,
            negative,
        ),
        Case::retell("1e15 ms", &millis(1e15), DAY, capped),
        Case::retell("-1 ms", &millis(-1.0), 0, negative),
        Case::retell("-1e15 ms", &millis(-1e15), 0, negative),
        Case::twilio("-7", 0, negative),
        Case::twilio("999999999", DAY, capped),
        Case::twilio("99999999999999999999", DAY, capped),
        Case::twilio("0", 0, None),
        Case::twilio("soon", 0, None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_that_cannot_be_is_cut_flagged_and_booked_once() {
    let world = World::start().await;
    world.without_options().await;
    let cases = cases();
    for case in &cases {
        let status = world.post_webhook(case.webhook.clone()).await;
        assert!((200..300).contains(&status), "{}: {status}", case.what);
    }
    let mut wrong = Vec::new();
    for case in &cases {
        world.closed_of(case.provider, &case.id).await;
        let found = world.duration_of(case).await;
        let minutes = case.seconds.div_euclid(60) + i64::from(case.seconds % 60 > 0);
        let expected = (case.seconds, minutes, case.flag.map(str::to_owned));
        if found != expected {
            wrong.push(format!("{} of {}: {found:?}", case.what, case.provider));
        }
        world.is_booked_once(case, minutes).await;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(world.number("select count(*) from inbox where status = 'parked'").await, 0);
    assert_eq!(world.number("select count(*) from calls").await, cases.len() as i64);
    world.redis_equals_ledger().await;
    // Whatever they told, the days that they are counted on are their sum.
    let (rows, talk, code) = world.cli(&["usage", "reconcile", "-o", "json"]).await;
    assert_eq!(code, 0, "{talk} {rows}");
}

impl World {
    /// Seconds, minutes and flag of the call's row.
    async fn duration_of(&self, case: &Case) -> (i64, i64, Option<String>) {
        let sql = "select duration_seconds::bigint, billed_minutes::bigint, duration_flag
            from calls where id = $1";
        let call = self.call_of(case.provider, &case.id);
        let row = self.db.query_one(sql, &[&call.0]).await.expect("a call");
        (row.get(0), row.get(1), row.get(2))
    }

    async fn is_booked_once(&self, case: &Case, minutes: i64) {
        let sql = "select string_agg(meter || ' ' || revision, ', ' order by meter),
                sum(quantity) filter (where meter = 'call_minutes')::bigint,
                count(distinct l.occurred_at), bool_and(l.occurred_at = c.occurred_at),
                bool_and(l.occurred_at between now() - interval '400 days' and now() + interval '32 days')
            from usage_ledger l join calls c on c.id = l.call_id where l.call_id = $1";
        let call = self.call_of(case.provider, &case.id);
        let row = self.db.query_one(sql, &[&call.0]).await.expect("the ledger");
        assert_eq!(
            row.get::<_, &str>(0),
            "call_cost 0, call_minutes 0, call_seconds 0",
            "{}",
            case.what
        );
        assert_eq!(row.get::<_, i64>(1), minutes, "{}", case.what);
        let times = (row.get::<_, i64>(2), row.get(3), row.get(4));
        assert_eq!(times, (1, true, true), "{}", case.what);
    }
}
