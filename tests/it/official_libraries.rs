//! The official Standard Webhooks libraries accept what was really delivered, by the very code that
//! the docs show, and refuse what was not.

mod library;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use contract::ids::OrganizationId;
use postcall::dev::fakes::{Filter, Kind, Provider};
use providers::webhook_out::new_secret;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::sealing::{Place, Sealer};

use self::library::{JAVASCRIPT, Library, PYTHON};
use crate::harness::{
    World,
    calls::{example_of, fresh_id, report_with},
    wait::until,
};

/// A message as a receiver has it, and what it verifies with.
#[derive(Clone)]
struct Case {
    headers: Value,
    body: String,
    secret: String,
    /// The type of the event, where the message is good.
    good: Option<String>,
}

impl Case {
    fn wrong(self) -> Self {
        Self { good: None, ..self }
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].as_str().expect("a header")
    }
}

impl World {
    /// What arrived at the endpoint, in order.
    fn deliveries(&self, secret: &SecretString) -> Vec<Case> {
        let filter = Filter { kind: Some(Kind::Webhook), ..Filter::default() };
        let effects = self.fakes.effects().list(&filter);
        let case = |effect| {
            let request = serde_json::to_value(effect).unwrap()["request"].clone();
            let body = request["raw"].as_str().unwrap().to_owned();
            let parsed: Value = serde_json::from_str(&body).unwrap();
            Case {
                headers: request["headers"].clone(),
                body,
                secret: secret.expose_secret().to_owned(),
                good: Some(parsed["type"].as_str().unwrap().to_owned()),
            }
        };
        effects.iter().map(case).collect()
    }

    async fn arrived(&self, count: usize) {
        until("everything arrives", Duration::from_secs(120), || async {
            (self.deliveries(&"".into()).len() >= count).then_some(())
        })
        .await;
    }

    /// From now on `previous` signs too, for an hour.
    async fn rotate(&self, previous: &SecretString) {
        let key = STANDARD.decode(self.secrets.encryption_key().expose_secret()).unwrap();
        let organization = OrganizationId(self.organization());
        let place = Place { table: "webhooks", column: "previous_secret", organization };
        let sealer = Sealer::new(key.try_into().expect("32 bytes"));
        let sealed = sealer.seal(place, previous.expose_secret().as_bytes()).unwrap();
        let sql = "update webhooks set previous_secret = $1,
            previous_secret_ends_at = now() + interval '1 hour'";
        assert_eq!(self.db.execute(sql, &[&sealed]).await.unwrap(), 1);
    }
}

/// Everything that a receiver may be sent that is not what was signed.
fn spoiled(case: &Case) -> Vec<Case> {
    let flipped = |at: usize| {
        let mut body = case.body.clone().into_bytes();
        body[at] ^= 1;
        Case { body: String::from_utf8(body).unwrap(), ..case.clone() }
    };
    let with = |name: &str, value: String| {
        let mut headers = case.headers.clone();
        headers[name] = json!(value);
        Case { headers, ..case.clone() }
    };
    let seconds: i64 = case.header("webhook-timestamp").parse().unwrap();
    let secret = new_secret().unwrap().expose_secret().to_owned();
    let spoiled = [
        flipped(case.body.find("timestamp").unwrap()),
        Case { body: format!("{} ", case.body), ..case.clone() },
        Case { secret, ..case.clone() },
        with("webhook-id", fresh_id()),
        with("webhook-timestamp", (seconds + 1).to_string()),
        // Signed, but by a clock that is ten minutes away.
        resigned(case, seconds - 600),
        resigned(case, seconds + 600),
    ];
    spoiled.map(Case::wrong).to_vec()
}

fn resigned(case: &Case, seconds: i64) -> Case {
    let secrets = [SecretString::from(case.secret.as_str())];
    let id = case.header("webhook-id");
    let signed = providers::webhook_out::sign(id, seconds, case.body.as_bytes(), &secrets);
    let mut headers = case.headers.clone();
    headers["webhook-timestamp"] = json!(seconds.to_string());
    headers["webhook-signature"] = json!(signed.unwrap());
    Case { headers, ..case.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_libraries_take_every_delivery_and_nothing_else() {
    let world = World::start().await;
    let current = world.secrets.endpoint_secret();
    let failing = json!({ "answers": [{ "status": 500 }] });
    world.fakes.script(Provider::Hooks, None, serde_json::from_value(failing).unwrap());
    let words = "Zoë – “fine” \\ ✓ 😀 \u{2028} </script>\n";
    let words = json!({ "analysis": { "summary": words } });
    assert_eq!(world.post(report_with(&fresh_id(), &words)).await, 200);
    // The first attempt and its repetition.
    world.arrived(2).await;
    let no_answer = example_of("end_of_call_report_outbound_no_answer", &fresh_id());
    assert_eq!(world.post(no_answer).await, 200);
    world.arrived(3).await;
    let previous = new_secret().unwrap();
    world.rotate(&previous).await;
    world.post_call().await;
    world.arrived(4).await;

    let mut cases = world.deliveries(&current);
    assert_eq!(cases[0].body, cases[1].body);
    assert!(cases[0].body.contains("Zoë – “fine” \\\\ ✓ 😀"), "{}", cases[0].body);
    let signatures: Vec<usize> =
        cases.iter().map(|case| case.header("webhook-signature").split(' ').count()).collect();
    assert_eq!(signatures, [1, 1, 1, 2]);
    let types: Vec<&str> = cases.iter().filter_map(|case| case.good.as_deref()).collect();
    assert_eq!(types, ["call.completed", "call.completed", "call.failed", "call.completed"]);
    let overlap = cases[3].clone();
    cases.push(Case { secret: previous.expose_secret().to_owned(), ..overlap });
    let before = cases[2].clone();
    let too_early = Case { secret: previous.expose_secret().to_owned(), ..before };
    let wrong: Vec<Case> = cases.iter().flat_map(spoiled).chain([too_early.wrong()]).collect();
    cases.extend(wrong);

    let docs = world.http.get(format!("{}/docs/webhooks.md", world.api_url)).send().await.unwrap();
    let docs = docs.text().await.unwrap();
    for library in [JAVASCRIPT, PYTHON] {
        judged(&world, library, &docs, &cases).await;
    }
}

async fn judged(world: &World, library: Library, docs: &str, cases: &[Case]) {
    let folder = world.folder.join(library.name);
    let answers = library.verify(&folder, docs, cases).await;
    assert_eq!(answers.len(), cases.len(), "{}", library.name);
    for (number, (answer, case)) in answers.iter().zip(cases).enumerate() {
        let expected = case.good.as_deref();
        assert_eq!(answer["type"].as_str(), expected, "{} {number}: {answer}", library.name);
        assert_eq!(answer["refused"].is_string(), expected.is_none(), "{} {number}", library.name);
    }
}
