//! Two organizations: for every route of the OpenAPI document, with every id of the other, 404 and nothing
//! else. The document makes the cases, so a route whose ids nobody knows here fails the test.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{World, answers::Answer, calls::PATIENCE, wait::until};

/// Which thing a parameter of a route means, by the beginning of the route.
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("/v1/api-keys/", "id", "api_key"),
    ("/v1/assistants/", "id", "assistant"),
    ("/v1/calls/", "id", "call"),
    ("/v1/inbox/", "id", "event of a provider"),
    ("/v1/members/", "id", "user"),
    ("/v1/phone-numbers/", "id", "phone_number"),
    ("/v1/users/", "id", "user"),
    ("/v1/webhooks/", "id", "webhook"),
    ("/v1/webhooks/", "delivery_id", "delivery"),
    ("/v1/webhooks/", "recovery_id", "recovery"),
];
/// Routes with parameters that name nothing of an organization's.
const COMMON: &[&str] = &["/v1/event-types/{type}", "/v1/templates/{slug}"];
/// Routes whose parameter names something that each organization has of its own.
const OWN: &[&str] = &["/v1/provider-credentials/{provider}"];
/// An endless answer; what it tells is another test's.
const STREAM: &str = "/v1/events";
/// Which thing a parameter of a query or a field of a body means.
const FIELDS: &[(&str, &str)] = &[
    ("assistant_id", "assistant"),
    ("call_id", "call"),
    ("delivery_id", "delivery"),
    ("event_id", "event"),
    ("period_id", "period"),
];

/// The ids of an organization that has one of everything.
type Things = BTreeMap<&'static str, String>;

/// A route with a method, as the document has it.
struct Route {
    method: Method,
    path: String,
    operation: Value,
}

impl World {
    async fn document_routes(&self) -> Vec<Route> {
        let (_, document) = self.get("/openapi.json").await;
        let mut routes = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let method: Method = method.to_uppercase().parse().unwrap();
                let operation = resolved(&document, operation);
                routes.push(Route { method, path: path.clone(), operation });
            }
        }
        assert!(routes.len() > 60, "{}", routes.len());
        routes
    }

    /// One of everything, of the demo organization.
    pub(super) async fn things(&self) -> Things {
        let id = self.post_call().await;
        self.closed(&id).await;
        let first = |sql: &'static str| async move {
            let sql = format!("select id::text from {sql} where organization_id = $1 limit 1");
            self.db.query_one(&sql, &[&self.organization()]).await.unwrap().get::<_, String>(0)
        };
        let made = |path: &'static str, body: Value| async move {
            let made = self.api(&self.demo.api_key, Method::POST, path, Some(&body), None).await;
            made.with(201)["id"].as_str().unwrap_or_default().to_owned()
        };
        let assistant = first("assistants").await;
        let number =
            json!({"number": "+14155550142", "provider": "twilio", "assistant_id": assistant});
        let user = Uuid::now_v7().to_string();
        let member = json!({"user_id": user, "email": "member@example.com", "role": "member"});
        made("/v1/members", member).await;
        let webhook = first("webhooks").await;
        let delivery = until("a delivery", PATIENCE, || async {
            let sql = "select id::text from webhook_deliveries where state = 'delivered' limit 1";
            self.db.query_opt(sql, &[]).await.unwrap().map(|row| row.get(0))
        })
        .await;
        let recover = json!({"since": "2026-11-01T00:00:00Z"});
        let path = format!("/v1/webhooks/{webhook}/recover");
        let recovery =
            self.api(&self.demo.api_key, Method::POST, &path, Some(&recover), None).await;
        let recovery = recovery.with(202)["id"].as_str().unwrap().to_owned();
        Things::from([
            ("api_key", made("/v1/api-keys", json!({"name": "A", "scopes": ["calls:read"]})).await),
            ("assistant", assistant),
            ("call", self.call_id(&id).to_string()),
            ("event of a provider", first("inbox").await),
            ("phone_number", made("/v1/phone-numbers", number).await),
            ("user", user),
            ("webhook", webhook),
            ("delivery", delivery),
            ("recovery", recovery),
            ("event", first("events").await),
            ("period", first("billing_periods").await),
        ])
    }

    async fn ask_route(&self, key: &str, route: &Route, path: &str) -> Answer {
        let body = (route.method != Method::GET && route.operation.get("requestBody").is_some())
            .then(|| body_of(route));
        self.api(key, route.method.clone(), path, body.as_ref(), None).await
    }

    /// What an organization sees of its own things; without counts of the questions themselves.
    async fn seen(&self, routes: &[Route], things: &Things) -> Vec<(String, Value)> {
        let mut seen = Vec::new();
        for route in routes.iter().filter(|route| route.method == Method::GET) {
            let Some(path) = path_of(route, things) else { continue };
            let answer = self.ask_route(&self.demo.api_key, route, &path).await;
            seen.push((path, answer.body));
        }
        seen
    }
}

/// With schemas in the place of references to them, for bodies of requests.
fn resolved(document: &Value, operation: &Value) -> Value {
    let mut operation = operation.clone();
    let schema = operation.pointer_mut("/requestBody/content/application~1json/schema");
    if let Some(schema) = schema {
        let options = schema["oneOf"].as_array().cloned().unwrap_or_default();
        let named = options.into_iter().chain([schema.clone()]);
        let named = named.filter_map(|schema| schema["$ref"].as_str().map(str::to_owned)).next();
        if let Some(name) = named {
            *schema = document.pointer(name.trim_start_matches('#')).unwrap().clone();
        }
    }
    operation
}

fn fields_of(route: &Route) -> Vec<(String, Value)> {
    let schema = &route.operation["requestBody"]["content"]["application/json"]["schema"];
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    fields.into_iter().collect()
}

/// The route with ids; none where it has no parameter that names something of an organization.
fn path_of(route: &Route, things: &Things) -> Option<String> {
    let Route { path, .. } = route;
    if !path.contains('{') || COMMON.contains(&path.as_str()) || is_own(path) {
        return None;
    }
    let mut filled = path.clone();
    for (start, name, thing) in PARAMETERS {
        if path.starts_with(start) {
            filled = filled.replace(&format!("{{{name}}}"), &things[thing]);
        }
    }
    let filled = filled.replace("{change}", "abort");
    assert!(!filled.contains('{'), "a new route without a case: {filled}");
    Some(filled)
}

fn is_own(path: &str) -> bool {
    OWN.iter().any(|own| path.starts_with(own))
}

/// The route with one's own thing in the place of the first parameter and the other's for the rest; none where
/// it has no more.
fn mixed_path_of(route: &Route, own: &str, things: &Things) -> Option<String> {
    let (start, rest) = path_of(route, things).and(route.path.split_once("{id}"))?;
    let route = Route {
        method: route.method.clone(),
        path: format!("{start}{own}{rest}"),
        operation: route.operation.clone(),
    };
    path_of(&route, things)
}

/// A body that the route takes.
fn body_of(route: &Route) -> Value {
    match (route.method.as_str(), route.path.as_str()) {
        ("POST", "/v1/api-keys") => json!({"name": "B", "scopes": ["calls:read"]}),
        ("POST", "/v1/assistants") => json!({"name": "B", "provider": "vapi"}),
        ("POST", "/v1/phone-numbers") => json!({"number": "+14155550143", "provider": "twilio"}),
        ("POST", "/v1/webhooks") => json!({"url": "https://example.com/", "events": ["*"]}),
        ("POST", "/v1/inbox/replay") => json!({"filter": {}, "dry_run": true}),
        ("POST", path) if path.ends_with("/recover") => json!({"since": "2026-11-01T00:00:00Z"}),
        ("PATCH", "/v1/members/{id}") => json!({"role": "admin"}),
        ("PATCH", "/v1/webhooks/{id}") => json!({"description": "changed"}),
        ("PATCH", "/v1/phone-numbers/{id}") => json!({"assistant_id": null}),
        ("PATCH", "/v1/organization") => json!({"name": "B"}),
        ("PATCH", _) => json!({"name": "changed"}),
        _ => json!({}),
    }
}

/// All that is not this organization's, in whatever words.
fn is_silent(what: &str, text: &str, things: &Things) {
    for (thing, id) in things {
        assert!(!text.contains(id.as_str()), "{what} tells of the other's {thing}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_tells_or_changes_anything_of_another_organization() {
    let world = World::start().await;
    let things = world.things().await;
    let other = world.second_organization().await;
    until("the other key is known", PATIENCE, || async {
        let list = world.api(&other.api_key, Method::GET, "/v1/assistants", None, None).await;
        (list.status == 200).then_some(())
    })
    .await;
    let routes = world.document_routes().await;
    let recovered = format!("/v1/webhooks/{}/recoveries/{}", things["webhook"], things["recovery"]);
    until("the recovery has ended", PATIENCE, || async {
        (world.get(&recovered).await.1["state"] == "completed").then_some(())
    })
    .await;

    let before = world.seen(&routes, &things).await;
    let mut refused = 0;
    for route in &routes {
        let Some(path) = path_of(route, &things) else { continue };
        let answer = world.ask_route(&other.api_key, route, &path).await;
        let name = format!("{} {path}", route.method);
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (404, &json!("/docs/problems/not-found")),
            "{name}: {}",
            answer.body
        );
        is_silent(&name, &answer.body.to_string(), &things);
        refused += 1;
    }
    assert!(refused > 30, "{refused}");
    let webhook = own_endpoint(&world, &other.api_key).await;
    let mut mixed = 0;
    for route in routes.iter().filter(|route| route.path.starts_with("/v1/webhooks/")) {
        let Some(path) = mixed_path_of(route, &webhook, &things) else { continue };
        let answer = world.ask_route(&other.api_key, route, &path).await;
        assert_eq!(answer.status, 404, "{} {path}: {}", route.method, answer.body);
        mixed += 1;
    }
    assert!(mixed >= 4, "{mixed}");
    lists_are_silent(&world, &other.api_key, &webhook, &routes, &things).await;
    references_are_refused(&world, &other.api_key, &routes, &things).await;
    assert_eq!(world.seen(&routes, &things).await, before, "nothing was changed");

    // The ids are right: whoever owns them gets everywhere. What deletes comes last.
    let (deletes, others): (Vec<&Route>, Vec<&Route>) =
        routes.iter().partition(|route| route.method == Method::DELETE);
    for route in others.into_iter().chain(deletes) {
        let Some(path) = path_of(route, &things) else { continue };
        let answer = world.ask_route(&world.demo.api_key, route, &path).await;
        assert!(
            ![400, 401, 403, 404].contains(&answer.status) && answer.status < 500,
            "{} {path}: {} {}",
            route.method,
            answer.status,
            answer.body
        );
    }
}

/// An endpoint of whoever has the key.
async fn own_endpoint(world: &World, key: &str) -> String {
    let webhook = json!({"url": "http://127.0.0.1:9/", "events": ["*"], "enabled": false});
    let made = world.api(key, Method::POST, "/v1/webhooks", Some(&webhook), None).await;
    made.with(201)["id"].as_str().unwrap().to_owned()
}

/// No answer has anything of the other, also where the other's ids are asked for.
async fn lists_are_silent(
    world: &World,
    key: &str,
    webhook: &str,
    routes: &[Route],
    things: &Things,
) {
    for route in routes.iter().filter(|route| route.method == Method::GET && route.path != STREAM) {
        let path = route.path.replace("/webhooks/{id}", &format!("/webhooks/{webhook}"));
        if path.contains('{') {
            continue;
        }
        let query =
            if path.contains("/search/") { "q=table&from=2026-11-01T00:00:00Z&" } else { "" };
        let answer = world.ask_route(key, route, &format!("{path}?{query}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        is_silent(&path, &answer.body.to_string(), things);
        let parameters = route.operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().filter(|one| one["in"] == "query") {
            if parameter["schema"]["format"] != "uuid" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            let asked = format!("{path}?{query}{name}={}", thing_of(name, things));
            let answer = world.ask_route(key, route, &asked).await;
            assert!([200, 404].contains(&answer.status), "{asked}: {}", answer.body);
            let rows = answer.body["data"].as_array().map_or(0, Vec::len);
            let empty_days = path == "/v1/usage" && answer.body["total"]["total_calls"] == 0;
            assert!(rows == 0 || empty_days, "{asked}: {}", answer.body);
        }
    }
}

/// Nothing of one organization refers to something of another.
async fn references_are_refused(world: &World, key: &str, routes: &[Route], things: &Things) {
    let own = |path: &'static str, body: Value| async move {
        let made = world.api(key, Method::POST, path, Some(&body), None).await;
        made.with(201)["id"].as_str().unwrap().to_owned()
    };
    let number = json!({"number": "+14155550144", "provider": "vapi"});
    let (number, webhook) =
        (own("/v1/phone-numbers", number).await, own_endpoint(world, key).await);
    let mut tried = 0;
    for route in routes.iter().filter(|route| route.method != Method::GET) {
        for (name, schema) in fields_of(route) {
            // A user belongs to nobody alone.
            if !schema.to_string().contains("uuid") || name == "user_id" {
                continue;
            }
            let mut body = body_of(route);
            body[name.as_str()] = json!(thing_of(&name, things));
            let path =
                route.path.replace("/phone-numbers/{id}", &format!("/phone-numbers/{number}"));
            let path = path.replace("/webhooks/{id}", &format!("/webhooks/{webhook}"));
            assert!(!path.contains('{'), "a new field without a case: {path} {name}");
            let answer = world.api(key, route.method.clone(), &path, Some(&body), None).await;
            let pointer = format!("#/body/{name}");
            assert!(
                answer.status == 400 && answer.errors().iter().any(|(at, _)| *at == pointer),
                "{} {path} {name}: {} {}",
                route.method,
                answer.status,
                answer.body
            );
            tried += 1;
        }
    }
    assert!(tried >= 4, "{tried}");
    let foreign = json!({"filter": {"ids": [things["event of a provider"]]}});
    let found = world.api(key, Method::POST, "/v1/inbox/replay", Some(&foreign), None).await;
    assert_eq!(found.with(200)["matched"], 0);
}

fn thing_of<'a>(name: &str, things: &'a Things) -> &'a str {
    let thing = FIELDS.iter().find(|(field, _)| *field == name);
    let (_, thing) = thing.unwrap_or_else(|| panic!("a new parameter without a case: {name}"));
    &things[thing]
}
