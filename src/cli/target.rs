//! Which installation a command talks to: the environment's, else the `postcall dev` of a folder.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use temporalio_client::Client;
use uuid::Uuid;

use super::Failed;
use crate::{
    config::{self, ClientConfig, TemporalConfig},
    dev::DevState,
    temporal,
};

/// Options of every command that talks to an installation.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// The folder of the `postcall dev` to talk to, unless POSTCALL_API_URL is set. As the demo organization,
    /// unless POSTCALL_API_KEY is set.
    #[arg(long, default_value = ".postcall")]
    pub(super) data_dir: PathBuf,
}

/// An installation's API.
pub(super) struct Target {
    pub(super) api_url: String,
    api_key: SecretString,
    pub(super) http: reqwest::Client,
}

impl TargetArgs {
    /// The running `postcall dev`.
    pub(super) fn dev(&self) -> anyhow::Result<DevState> {
        DevState::read(&self.data_dir)?.ok_or_else(|| {
            anyhow!(
                "no `postcall dev` is ready in {}; start it, or name its folder with --data-dir",
                self.data_dir.display()
            )
        })
    }

    /// The Temporal of `postcall dev` where that is the target, else the environment's.
    pub(super) async fn temporal(&self) -> anyhow::Result<Client> {
        let identity = config::identity("cli");
        // The same choice as for the API: a call of one installation is not run in another.
        let elsewhere = ClientConfig::from_env()?.api_url.is_some();
        match DevState::read(&self.data_dir)?.filter(|_| !elsewhere) {
            Some(dev) => {
                temporal::connect_to(&dev.temporal_address, &dev.temporal_namespace, &identity)
                    .await
            }
            None => temporal::connect(&TemporalConfig::from_env()?, &identity).await,
        }
    }

    /// The API to talk to.
    pub(super) fn api(&self) -> anyhow::Result<Target> {
        let client = ClientConfig::from_env()?;
        let http = reqwest::Client::builder().build()?;
        if let Some(api_url) = client.api_url {
            let api_key = client.api_key.context("POSTCALL_API_URL needs POSTCALL_API_KEY")?;
            return Ok(Target { api_url, api_key, http });
        }
        let state = self.dev()?;
        // A key that was given is meant, whichever organization's it is.
        let api_key = client.api_key.unwrap_or_else(|| state.demo.api_key.into());
        Ok(Target { api_url: state.api_url, api_key, http })
    }
}

impl Target {
    /// GETs JSON, with the API's own words where it refuses.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failed> {
        self.answer(self.request(Method::GET, path).query(query)).await
    }

    /// Sends a change, with the API's own words where it refuses. Null where it answers nothing.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let request = self.request(method, path);
        self.answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.api_url);
        self.http.request(method, url).bearer_auth(self.api_key.expose_secret())
    }

    /// GETs an answer that is as long as it likes, to be read in pieces.
    pub(super) async fn open(
        &self,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Response, Failed> {
        self.accepted(self.request(Method::GET, path).query(query)).await
    }

    /// GETs a text, with the API's own words where it refuses.
    pub(super) async fn get_text(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<String, Failed> {
        self.answered(self.request(Method::GET, path).query(query)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failed> {
        Ok(serde_json::from_str(&self.answered(request).await?).unwrap_or_default())
    }

    /// Opens a stream of events after `last`, or from now on.
    pub(super) async fn stream(&self, path: &str, last: Option<Uuid>) -> Result<Response, Failed> {
        let request = self.request(Method::GET, path);
        self.accepted(match last {
            Some(last) => request.header("last-event-id", last.to_string()),
            None => request,
        })
        .await
    }

    async fn answered(&self, request: RequestBuilder) -> Result<String, Failed> {
        let response = self.accepted(request).await?;
        Ok(response.text().await.context("the answer breaks off")?)
    }

    /// The beginning of an answer that is a success.
    async fn accepted(&self, request: RequestBuilder) -> Result<Response, Failed> {
        let response = request.send().await.with_context(|| {
            format!("{} does not answer; is `postcall dev` or `serve` running?", self.api_url)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.context("the answer breaks off")?;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut text =
            format!("{}: {} {}", status.as_u16(), words(&body["title"]), words(&body["detail"]));
        for error in body["errors"].as_array().into_iter().flatten() {
            let what = format!("{} {}", words(&error["pointer"]), words(&error["detail"]));
            text = format!("{text}\n  {what}");
        }
        Err(match status {
            StatusCode::NOT_FOUND => Failed::NotFound(text),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failed::NotAllowed(text),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Failed::Conflict(text),
            StatusCode::BAD_REQUEST => Failed::Usage(text),
            _ => Failed::Other(anyhow!(text)),
        })
    }
}
