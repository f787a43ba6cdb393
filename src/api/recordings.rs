//! `/v1/calls/{id}/recording`: the audio of a call, streamed from object storage.

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::ids::CallId;
use serde::Serialize;
use store::reads::recordings as reads;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    ApiState,
    auth::{Caller, Scope},
    extract::Id,
    problem::Problem,
};

/// Media type of what the provider gave no trustworthy one for.
const SOME_BYTES: &str = "application/octet-stream";

/// The route of recordings.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The audio of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recording {
    /// `pending`, `stored` or `failed`.
    #[schema(example = "stored")]
    status: String,
    /// Its key in object storage, once stored.
    path: Option<String>,
    /// Its media type.
    #[schema(example = "audio/wav")]
    content_type: Option<String>,
    /// Its size in bytes.
    bytes: Option<u64>,
    /// Its SHA-256 in hex.
    sha256: Option<String>,
    /// Where this API gives it out, once stored.
    url: String,
}

impl Recording {
    pub(super) fn of(call: CallId, recording: reads::Recording) -> Self {
        Self {
            status: recording.status,
            path: recording.path,
            content_type: recording.content_type,
            bytes: recording.bytes,
            sha256: recording.sha256,
            url: format!("/v1/calls/{call}/recording"),
        }
    }
}

/// Download a call's recording
///
/// The audio as the provider gave it, streamed from storage. 404 until it is stored.
#[utoipa::path(get, path = "/v1/calls/{id}/recording", operation_id = "get_call_recording",
    tag = "calls",
    params(("id" = Uuid, Path, description = "The call")), responses(
    (status = 200, description = "The audio", content(
        (String = "audio/*"), (String = "video/*"), (String = "application/octet-stream"))),
    (status = 400, response = Problem),
    (status = 404, response = Problem)))]
async fn show(
    caller: Caller,
    State(api): State<ApiState>,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let missing = || Problem::not_found("stored recording");
    let found = reads::get(&api.db, organization, id).await?.ok_or_else(missing)?;
    let path = found.path.as_deref().filter(|_| found.status == "stored").ok_or_else(missing)?;
    let bytes = api.objects.size(path).await?.ok_or_else(missing)?;
    let audio = api.objects.read(path).await?;
    let mut response = (StatusCode::OK, Body::from_stream(audio)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, bytes.into());
    let extension = path.rsplit_once('.').map_or("bin", |(_, extension)| extension);
    for (name, value) in [
        (header::CONTENT_TYPE, media_type(found.content_type.as_deref()).to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{id}.{extension}\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::ETAG, format!("\"{}\"", found.sha256.unwrap_or_default())),
    ] {
        // A provider's media type may hold what no header can: then the header stays away.
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// Providers choose the media type; one that browsers run as a page would run as ours.
fn media_type(given: Option<&str>) -> &str {
    given
        .filter(|given| given.starts_with("audio/") || given.starts_with("video/"))
        .unwrap_or(SOME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_and_pictures_keep_their_media_type() {
        assert_eq!(media_type(Some("audio/wav")), "audio/wav");
        assert_eq!(media_type(Some("text/html")), SOME_BYTES);
        assert_eq!(media_type(None), SOME_BYTES);
    }
}
