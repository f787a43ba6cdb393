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
    egress::{self, Code, Egress},
    error::{ErrorKind, ProviderError},
    http::{self, SetupError},
    operation::Operation,
    retell::{self, calls::RetellCalls},
};

/// Where the providers are when they are not fakes.
pub const DEFAULT_BASES: Bases<'static> = Bases {
    vapi: "https://api.vapi.ai",
    retell: "https://api.retellai.com",
    twilio: "https://api.twilio.com",
};
/// Storage links redirect once or twice; more is a loop.
const MAX_REDIRECTS: usize = 3;
/// Longest silence before the head and between chunks.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time of one whole download: one byte a second must end too.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

const OPEN: Operation = Operation { provider: "recording", name: "open", repeatable: true };
const READ: Operation = Operation { provider: "recording", name: "read", repeatable: true };

/// Base URLs of the providers' APIs.
#[derive(Debug, Clone, Copy)]
pub struct Bases<'a> {
    /// Vapi's.
    pub vapi: &'a str,
    /// Retell's.
    pub retell: &'a str,
    /// Twilio's.
    pub twilio: &'a str,
}

/// What opens an account of a provider.
#[derive(Debug, Clone)]
pub struct Access {
    /// Twilio's account SID; empty elsewhere.
    pub account: String,
    /// The API key, or Twilio's auth token.
    pub api_key: SecretString,
}

/// Opens recordings within the bounds of the configuration.
#[derive(Debug, Clone)]
pub struct RecordingSource {
    egress: Egress,
    guarded: egress::Client,
    /// For the configured base URLs only: the operator's word, so it may be a private address.
    trusted: Client,
    vapi: Base,
    retell: Base,
    twilio: Base,
    max_bytes: u64,
    idle_timeout: Duration,
}

#[derive(Debug, Clone)]
struct Base {
    url: Url,
    is_default: bool,
}

impl Base {
    fn new(provider: &'static str, url: &str, default: &str) -> Result<Self, SetupError> {
        let url = http::base_url(provider, url)?;
        let is_default = http::base_url(provider, default)? == url;
        Ok(Self { url, is_default })
    }
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

/// A request's proof, for its first address only.
enum Proof<'a> {
    Bearer(&'a SecretString),
    Basic(&'a Access),
}

impl RecordingSource {
    /// `max_bytes` bounds one recording.
    ///
    /// # Errors
    /// When a base URL is none, or the machine's TLS set-up does not allow a client.
    pub fn new(egress: Egress, bases: Bases<'_>, max_bytes: u64) -> Result<Self, SetupError> {
        Ok(Self {
            guarded: egress.client(None)?,
            egress,
            trusted: http::builder().build().map_err(SetupError::Client)?,
            vapi: Base::new("vapi", bases.vapi, DEFAULT_BASES.vapi)?,
            retell: Base::new("retell", bases.retell, DEFAULT_BASES.retell)?,
            twilio: Base::new("twilio", bases.twilio, DEFAULT_BASES.twilio)?,
            max_bytes,
            idle_timeout: IDLE_TIMEOUT,
        })
    }

    /// Tries each link in turn and then the provider's API, which knows links that have expired
    /// (Retell's do after 24 h). Twilio's links need the account's own proof.
    ///
    /// # Errors
    /// The failure that leaves most hope: one that may pass before one that will not. A 404 may
    /// pass, because a recording appears some seconds after its call.
    pub async fn open(
        &self,
        provider: Provider,
        provider_call_id: &str,
        urls: &[String],
        access: Option<&Access>,
    ) -> Result<OpenRecording, ProviderError> {
        let mut failure: Option<ProviderError> = None;
        let mut keep = |error: ProviderError| {
            if failure.as_ref().is_none_or(|kept| !kept.can_retry()) {
                failure = Some(error);
            }
        };
        for url in urls {
            match self.open_link(url, provider, access).await {
                Ok(recording) => return Ok(recording),
                Err(error) => keep(error),
            }
        }
        match self.open_by_api(provider, provider_call_id, access).await {
            Some(Ok(recording)) => return Ok(recording),
            Some(Err(error)) => keep(error),
            None => {}
        }
        Err(failure.unwrap_or_else(|| OPEN.rejected("no-source")))
    }

    async fn open_link(
        &self,
        url: &str,
        provider: Provider,
        access: Option<&Access>,
    ) -> Result<OpenRecording, ProviderError> {
        let url = Url::parse(url).map_err(|_| OPEN.rejected("invalid-url"))?;
        // Twilio's own API only: anyone else would get the account's token.
        let url = self.localised(url);
        let is_twilio = provider == Provider::Twilio && url.origin() == self.twilio.url.origin();
        let proof = access.filter(|_| is_twilio).map(Proof::Basic);
        self.follow(url, proof).await
    }

    async fn open_by_api(
        &self,
        provider: Provider,
        call: &str,
        access: Option<&Access>,
    ) -> Option<Result<OpenRecording, ProviderError>> {
        let access = access?;
        match provider {
            Provider::Vapi => {
                let url = http::under(&self.vapi.url, &["call", call, "mono-recording"]);
                Some(self.follow(url, Some(Proof::Bearer(&access.api_key))).await)
            }
            Provider::Retell => Some(self.open_fresh_link(call, access).await),
            Provider::Twilio => None,
        }
    }

    /// Retell makes a new link whenever the call is read.
    async fn open_fresh_link(
        &self,
        call: &str,
        access: &Access,
    ) -> Result<OpenRecording, ProviderError> {
        let api = RetellCalls::new(self.retell.url.as_str(), access.api_key.clone());
        let api = api.map_err(|error| OPEN.rejected("setup").caused_by(error))?;
        let body = api.call(call).await?.ok_or_else(|| OPEN.rejected("no-call"))?;
        let read = retell::read_resource(&body, Utc::now());
        let urls = read.ok().and_then(|read| read.event.facts.recording_urls).unwrap_or_default();
        let url = urls.first().ok_or_else(|| OPEN.rejected("no-source"))?;
        self.open_link(url, Provider::Retell, None).await
    }

    /// Follows redirects by hand, so that each address is checked and the proof goes to the first
    /// only.
    async fn follow(
        &self,
        first: Url,
        mut proof: Option<Proof<'_>>,
    ) -> Result<OpenRecording, ProviderError> {
        let mut url = first;
        for _ in 0..=MAX_REDIRECTS {
            url = self.localised(url);
            let response = self.get(&url, proof.take()).await?;
            if !response.status().is_redirection() {
                return self.accept(&url, response);
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next.ok_or_else(|| OPEN.rejected("redirect"))?;
        }
        Err(OPEN.rejected("too-many-redirects"))
    }

    /// With another base URL than the provider's own, all of the provider is there: a test never
    /// leaves the machine.
    fn localised(&self, url: Url) -> Url {
        let hosts = [("vapi.ai", &self.vapi), ("twilio.com", &self.twilio)];
        let of = |host: &str, domain: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let host = url.host_str().unwrap_or_default();
        match hosts.into_iter().find(|(domain, _)| of(host, domain)) {
            Some((_, base)) if !base.is_default && self.egress.allows_loopback() => {
                let mut local = http::under(&base.url, &[]);
                local.set_path(&format!("{}{}", local.path().trim_end_matches('/'), url.path()));
                local.set_query(url.query());
                local
            }
            _ => url,
        }
    }

    /// Whether this is a test setup's own place on this machine.
    fn is_local(&self, url: &Url) -> bool {
        let bases = [&self.vapi, &self.retell, &self.twilio];
        self.egress.allows_loopback() && bases.iter().any(|base| base.url.origin() == url.origin())
    }

    async fn get(&self, url: &Url, proof: Option<Proof<'_>>) -> Result<Response, ProviderError> {
        // Only what carries our proof was built by us, or leads to the configured place; any other
        // link is a stranger's word.
        if proof.is_none() && !self.is_local(url) {
            return match timeout(self.idle_timeout, self.guarded.get(url)).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(failure)) if failure.code() == Code::Blocked => {
                    Err(OPEN.rejected("blocked").caused_by(failure))
                }
                Ok(Err(failure)) => Err(unavailable(OPEN, None).caused_by(failure)),
                Err(elapsed) => Err(unavailable(OPEN, None).caused_by(elapsed)),
            };
        }
        let request = self.trusted.get(url.clone()).timeout(DOWNLOAD_TIMEOUT);
        let request = match proof {
            None => request,
            Some(Proof::Bearer(key)) => request.bearer_auth(key.expose_secret()),
            Some(Proof::Basic(access)) => {
                request.basic_auth(&access.account, Some(access.api_key.expose_secret()))
            }
        };
        match timeout(self.idle_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
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
