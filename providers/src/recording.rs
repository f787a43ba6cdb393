//! The audio of a call, read from wherever its provider keeps it.

use std::{io, time::Duration};

use bytes::Bytes;
use chrono::Utc;
use contract::call::Provider;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, LOCATION},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

use crate::{
    egress::{self, Egress, Refused},
    error::{ErrorKind, ProviderError},
    http::{self, SetupError},
    operation::Operation,
};

/// Where Vapi is when it is not a fake.
pub const VAPI_BASE_URL: &str = "https://api.vapi.ai";
/// Storage links redirect once or twice; more is a loop.
const MAX_REDIRECTS: usize = 3;
/// Longest silence before the head and between chunks.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time of one whole download: one byte a second must end too.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

const OPEN: Operation = Operation { provider: "recording", name: "open", repeatable: true };
const READ: Operation = Operation { provider: "recording", name: "read", repeatable: true };

/// Opens recordings within the bounds of the configuration.
#[derive(Debug, Clone)]
pub struct RecordingSource {
    egress: Egress,
    guarded: Client,
    /// For the configured base URL only: the operator's word, so it may be a private address.
    trusted: Client,
    vapi_base_url: Url,
    is_default_base: bool,
    vapi_api_key: Option<SecretString>,
    max_bytes: u64,
    idle_timeout: Duration,
}

/// A recording whose beginning has arrived.
pub struct OpenRecording {
    /// As the server names it.
    pub content_type: Option<String>,
    /// `wav`, `mp3` and so on: by content type, then by the path, else `wav`.
    pub extension: &'static str,
    /// In bytes, where the server tells; at most the configured size.
    pub length: Option<u64>,
    /// The audio. Ends with an error if it is larger than allowed, shorter than promised or empty.
    pub stream: BoxStream<'static, Result<Bytes, ProviderError>>,
}

impl RecordingSource {
    /// `max_bytes` bounds one recording. Without `vapi_api_key` only links are tried.
    ///
    /// # Errors
    /// When `vapi_base_url` is none, or the machine's TLS set-up does not allow a client.
    pub fn new(
        egress: Egress,
        vapi_base_url: &str,
        vapi_api_key: Option<SecretString>,
        max_bytes: u64,
    ) -> Result<Self, SetupError> {
        let vapi_base_url = http::base_url("vapi", vapi_base_url)?;
        let is_default_base = http::base_url("vapi", VAPI_BASE_URL)? == vapi_base_url;
        Ok(Self {
            egress,
            guarded: egress.client()?,
            trusted: http::builder().build().map_err(SetupError::Client)?,
            vapi_base_url,
            is_default_base,
            vapi_api_key,
            max_bytes,
            idle_timeout: IDLE_TIMEOUT,
        })
    }

    /// Tries each link in turn and then, for Vapi, the API, which knows links that have expired.
    ///
    /// # Errors
    /// The failure that leaves most hope: one that may pass before one that will not. A 404 may
    /// pass, because a recording appears some seconds after its call.
    pub async fn open(
        &self,
        provider: Provider,
        provider_call_id: &str,
        urls: &[String],
    ) -> Result<OpenRecording, ProviderError> {
        let mut failure: Option<ProviderError> = None;
        let mut keep = |error: ProviderError| {
            if failure.as_ref().is_none_or(|kept| !kept.can_retry()) {
                failure = Some(error);
            }
        };
        for url in urls {
            let opened = match Url::parse(url) {
                Ok(url) => self.follow(url, None).await,
                Err(_) => Err(OPEN.rejected("invalid-url")),
            };
            match opened {
                Ok(recording) => return Ok(recording),
                Err(error) => keep(error),
            }
        }
        if let (Provider::Vapi, Some(key)) = (provider, &self.vapi_api_key) {
            let path = ["call", provider_call_id, "mono-recording"];
            match self.follow(http::under(&self.vapi_base_url, &path), Some(key)).await {
                Ok(recording) => return Ok(recording),
                Err(error) => keep(error),
            }
        }
        Err(failure.unwrap_or_else(|| OPEN.rejected("no-source")))
    }

    /// Follows redirects by hand, so that each address is checked and the key goes to the first only.
    async fn follow(
        &self,
        first: Url,
        mut key: Option<&SecretString>,
    ) -> Result<OpenRecording, ProviderError> {
        let mut url = first;
        for _ in 0..=MAX_REDIRECTS {
            url = self.localised(url);
            let response = self.get(&url, key.take()).await?;
            if !response.status().is_redirection() {
                return self.accept(&url, response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next.ok_or_else(|| OPEN.rejected("redirect"))?;
        }
        Err(OPEN.rejected("too-many-redirects"))
    }

    /// With another base URL than Vapi's own, all of Vapi is there: a test never leaves the machine.
    fn localised(&self, url: Url) -> Url {
        let is_vapi =
            url.host_str().is_some_and(|host| host == "vapi.ai" || host.ends_with(".vapi.ai"));
        if self.is_default_base || !is_vapi || !self.egress.allows_loopback() {
            return url;
        }
        let mut local = self.vapi_base_url.clone();
        local.set_path(url.path());
        local.set_query(url.query());
        local
    }

    /// Whether this is a test setup's own place on this machine.
    fn is_local(&self, url: &Url) -> bool {
        self.egress.allows_loopback() && url.origin() == self.vapi_base_url.origin()
    }

    async fn get(&self, url: &Url, key: Option<&SecretString>) -> Result<Response, ProviderError> {
        // Only what carries our key was built by us; a link is a stranger's word, also where it
        // leads to the configured place.
        let client = if key.is_some() || self.is_local(url) {
            &self.trusted
        } else {
            self.egress.check_url(url).map_err(blocked)?;
            &self.guarded
        };
        let mut request = client.get(url.clone()).timeout(DOWNLOAD_TIMEOUT);
        if let Some(key) = key {
            request = request.bearer_auth(key.expose_secret());
        }
        match timeout(self.idle_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if egress::failure_code(&error) == "blocked" => {
                Err(blocked(Refused::NotPublic))
            }
            Ok(Err(error)) => Err(unavailable(OPEN, None).caused_by(error.without_url())),
            Err(elapsed) => Err(unavailable(OPEN, None).caused_by(elapsed)),
        }
    }

    fn accept(&self, url: &Url, response: Response) -> Result<OpenRecording, ProviderError> {
        let status = response.status();
        if status != StatusCode::OK {
            return Err(refused(&response));
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let content_type = content_type.map(|text| text.chars().take(100).collect::<String>());
        let media = content_type.as_deref().map(media_type).unwrap_or_default();
        if is_no_audio(&media) {
            return Err(OPEN.malformed(status));
        }
        let length = response.content_length();
        if length.is_some_and(|length| length > self.max_bytes) {
            return Err(OPEN.rejected("too-large"));
        }
        Ok(OpenRecording {
            extension: extension(&media, url),
            content_type,
            length,
            stream: bounded(response, length, self.max_bytes, self.idle_timeout),
        })
    }
}

fn blocked(why: Refused) -> ProviderError {
    OPEN.rejected("blocked").caused_by(why)
}

fn unavailable(operation: Operation, status: Option<u16>) -> ProviderError {
    operation.error(ErrorKind::Unavailable { status, retry_after: None })
}

/// Reading changes nothing, so whatever may pass is simply unavailable now.
fn refused(response: &Response) -> ProviderError {
    let status = response.status();
    match status.as_u16() {
        404 | 408 | 425 | 429 | 500.. => OPEN.error(ErrorKind::Unavailable {
            status: Some(status.as_u16()),
            retry_after: http::retry_after(response.headers(), Utc::now()),
        }),
        code if status.is_client_error() => OPEN.rejected(format!("http-{code}")),
        _ => OPEN.malformed(status),
    }
}

struct Download {
    response: Response,
    received: u64,
    length: Option<u64>,
    max_bytes: u64,
    idle_timeout: Duration,
    deadline: Instant,
}

fn bounded(
    response: Response,
    length: Option<u64>,
    max_bytes: u64,
    idle_timeout: Duration,
) -> BoxStream<'static, Result<Bytes, ProviderError>> {
    let deadline = Instant::now() + DOWNLOAD_TIMEOUT;
    let download = Download { response, received: 0, length, max_bytes, idle_timeout, deadline };
    stream::try_unfold(download, |mut download| async move {
        Ok(download.next().await?.map(|chunk| (chunk, download)))
    })
    .boxed()
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, ProviderError> {
        let patience = self.idle_timeout.min(self.deadline - Instant::now());
        let chunk = match timeout(patience, self.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => return Err(unavailable(READ, None).caused_by(error.without_url())),
            Err(elapsed) => return Err(unavailable(READ, None).caused_by(elapsed)),
        };
        let Some(chunk) = chunk else {
            let complete = self.length.is_none_or(|length| length == self.received);
            if self.received == 0 || !complete {
                let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(unavailable(READ, None).caused_by(cut));
            }
            return Ok(None);
        };
        self.received += chunk.len() as u64;
        if self.received > self.max_bytes {
            return Err(READ.rejected("too-large"));
        }
        Ok(Some(chunk))
    }
}

fn media_type(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Pages and API answers sent with 200 in place of the audio.
fn is_no_audio(media: &str) -> bool {
    media.starts_with("text/") || media.ends_with("json") || media.ends_with("xml")
}

fn extension(media: &str, url: &Url) -> &'static str {
    const KNOWN: [&str; 8] = ["wav", "mp3", "ogg", "webm", "m4a", "mp4", "flac", "aac"];
    match media {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/ogg" | "application/ogg" | "audio/opus" => "ogg",
        "audio/webm" | "video/webm" => "webm",
        "audio/mp4" | "audio/x-m4a" | "audio/m4a" => "m4a",
        "video/mp4" => "mp4",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/aac" => "aac",
        _ => {
            let ending = url.path().rsplit_once('.').map(|(_, ending)| ending);
            let known = |known: &&str| ending.is_some_and(|text| text.eq_ignore_ascii_case(known));
            KNOWN.into_iter().find(known).unwrap_or("wav")
        }
    }
}

#[cfg(test)]
mod tests;
