//! Questions to the API, and its answers.

use reqwest::Method;
use serde_json::Value;

use super::{Options, World};

/// An answer of the API.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, after a look at the status.
    pub(crate) fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// What is wrong, by field.
    pub(crate) fn errors(&self) -> Vec<(&str, &str)> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        assert!(errors.iter().all(|error| !text(&error["detail"]).is_empty()), "{}", self.body);
        errors
            .iter()
            .filter_map(|error| Some((error["pointer"].as_str()?, error["detail"].as_str()?)))
            .collect()
    }
}

impl World {
    /// A world without a worker.
    pub(crate) async fn quiet() -> Self {
        Self::with(Options { no_worker: true, ..Options::default() }).await
    }

    /// Asks the API as somebody.
    pub(crate) async fn api(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> Answer {
        let url = format!("{}{path}", self.api_url);
        let mut request = self.http.request(method, url).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let etag = etag.map(ToOwned::to_owned);
        Answer { status, etag, body: answer.json().await.unwrap_or_default() }
    }
}
