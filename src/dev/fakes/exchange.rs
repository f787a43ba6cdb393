//! What every request to a provider goes through: read, look for a script, act, log, wait, answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde_json::json;

use super::{
    Answer, Effect, Kind, Provider, answer,
    asked::Asked,
    line::Cut,
    reply::{Content, Identity, Reply},
    world::World,
};

/// Answers for the provider whose prefix the path has.
pub(super) async fn exchange(
    State(world): State<Arc<World>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let prefix = request.uri().path().split('/').nth(1).unwrap_or_default();
    let Ok(provider) = prefix.parse::<Provider>() else {
        let error = json!({ "error": "nothing here; GET / tells what is" });
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    };
    let (asked, read) = Asked::read(provider, request).await;
    let identity = world.fake(provider).identify(&asked);
    if read.is_err() {
        let refused = world.fake(provider).refuse(413);
        log(&world, &asked, identity, 413, &refused);
        return answer::plain(refused);
    }
    let scripted = world.scripts.take(provider, &identity);
    match scripted {
        None => {
            let reply = world.fake(provider).perform(&asked, world.clock.now());
            log(&world, &asked, identity, reply.status, &reply);
            wait(&world, world.delay(provider)).await;
            answer::plain(reply)
        }
        Some(scripted) => follow(&world, &cut, &asked, identity, scripted).await,
    }
}

/// Does as the script says.
async fn follow(
    world: &World,
    cut: &Cut,
    asked: &Asked,
    identity: Identity,
    scripted: Answer,
) -> Response {
    let fake = world.fake(asked.provider);
    let mut reply = if scripted.does_it() {
        fake.perform(asked, world.clock.now())
    } else {
        fake.refuse(scripted.status.unwrap_or(500))
    };
    let status = scripted.status.unwrap_or(reply.status);
    let seen = if scripted.drop_connection { 0 } else { status };
    log(world, asked, identity, seen, &reply);
    if status != reply.status && !(200..300).contains(&status) {
        // The effect took place and the answer denies it.
        reply = fake.refuse(status);
    }
    reply.status = status;
    if scripted.stored {
        keep(world, asked, &scripted, reply.clone());
    }
    let delay = scripted.delay_ms.map(Duration::from_millis);
    wait(world, delay.unwrap_or_else(|| world.delay(asked.provider))).await;
    if scripted.drop_connection {
        cut.cut();
        return ().into_response();
    }
    answer::scripted(&scripted, reply, &world.stopping)
}

/// As the answer that the provider will repeat under the same idempotency key.
fn keep(world: &World, asked: &Asked, scripted: &Answer, mut reply: Reply) {
    if let Some(body) = scripted.body.as_ref().filter(|body| !body.is_string()) {
        reply.body = Content::Json(body.clone());
    }
    world.fake(asked.provider).keep(asked, &reply, world.clock.now());
}

/// Before the answer, so that the effect stays known when the caller does not wait for it.
fn log(world: &World, asked: &Asked, identity: Identity, status: u16, reply: &Reply) {
    let mut keys = identity.keys.into_iter();
    world.effects.record(Effect {
        seq: 0,
        at: Utc::now(),
        clock_seconds: world.clock.ahead_seconds(),
        provider: asked.provider,
        kind: identity.kind,
        key: keys.next().unwrap_or_default(),
        other_keys: keys.collect(),
        status,
        accepted: reply.accepted,
        request: asked.seen(identity.kind == Kind::Webhook),
        result: reply.result.clone(),
    });
}

async fn wait(world: &World, delay: Duration) {
    if delay.is_zero() {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = world.stopping.cancelled() => {}
    }
}
