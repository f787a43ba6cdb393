//! Further processes of `serve`, and asking any of them.

use std::collections::BTreeMap;

use postcall::dev::servers::OwnProcess;
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

use super::{
    Options, World,
    world::{free_address, spawn_serve},
};

/// Another `serve` of the same world. Dropping it ends it.
pub(crate) struct Serve {
    pub(crate) api_url: String,
    _process: OwnProcess,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, after a look at the status.
    pub(crate) fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The last part of the problem's type.
    pub(crate) fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.rsplit('/').next().unwrap_or_default()
    }

    /// A header as text; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl World {
    /// Nobody processes calls.
    pub(crate) async fn serving(environment: Vec<(&'static str, String)>) -> Self {
        let options = Options { no_worker: true, environment, ..Options::default() };
        Self::with(options).await
    }

    /// Starts another `serve` beside the first.
    pub(crate) async fn another_serve(&self) -> Serve {
        let listen = free_address();
        let folder = self.folder.join(format!("serve-{}", listen.port()));
        for name in ["logs", "run"] {
            std::fs::create_dir_all(folder.join(name)).expect("folder");
        }
        let mut environment: BTreeMap<String, String> = self.environment.clone();
        environment.insert("POSTCALL_LISTEN".to_owned(), listen.to_string());
        let spool = folder.join("spool").display().to_string();
        environment.insert("POSTCALL_SPOOL_DIR".to_owned(), spool);
        let api_url = format!("http://{listen}");
        let process = spawn_serve(&folder, &environment, &self.http, &api_url).await;
        Serve { api_url, _process: process }
    }

    /// SIGTERM to `serve`, and its end.
    pub(crate) async fn stop_serve(&mut self) {
        if let Some(serve) = self.serve.take() {
            serve.stop().await;
        }
    }

    /// Asks a `serve` with a bearer and further headers.
    pub(crate) async fn ask_at(
        &self,
        api_url: &str,
        bearer: Option<&str>,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{api_url}{path}"));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.json().await.unwrap_or_default() }
    }

    /// Asks the world's own `serve` with a bearer.
    pub(crate) async fn ask_as(
        &self,
        bearer: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        self.ask_at(&self.api_url, Some(bearer), (method, path), &[], body).await
    }

    /// Makes an API key as the demo organization; gives its id and the key.
    pub(crate) async fn made_key(&self, body: &Value) -> (String, String) {
        let own = &self.demo.api_key;
        let made = self.ask_as(own, Method::POST, "/v1/api-keys", Some(body)).await.with(201);
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("key"))
    }
}
