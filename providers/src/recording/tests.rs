use super::*;
use crate::canned::{Canned, Reply, serve};

const CALL: &str = "019aa141";
const MAX: u64 = 10_000;

fn source(base: &str) -> RecordingSource {
    let bases = Bases { vapi: base, retell: base, twilio: base };
    let source = RecordingSource::new(Egress::new(true), bases, MAX).expect("client");
    RecordingSource { idle_timeout: Duration::from_millis(300), ..source }
}

fn access() -> Access {
    Access { account: "AC1".to_owned(), api_key: "vapi-key".into() }
}

fn audio(body: &[u8]) -> Reply {
    Reply::With(200, "content-type: audio/mpeg\r\n".into(), body.to_vec())
}

async fn open(
    server: &Canned,
    urls: &[&str],
) -> Result<(OpenRecording, Vec<String>), ProviderError> {
    let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
    let recording = source(&server.url).open(Provider::Vapi, CALL, &urls, Some(&access())).await?;
    Ok((recording, server.requests()))
}

async fn read(recording: OpenRecording) -> Result<Vec<u8>, ProviderError> {
    let mut audio = Vec::new();
    let mut stream = recording.stream;
    while let Some(chunk) = stream.next().await {
        audio.extend_from_slice(&chunk?);
    }
    Ok(audio)
}

fn error(result: Result<(OpenRecording, Vec<String>), ProviderError>) -> ProviderError {
    match result {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn vapis_storage_is_read_from_the_configured_base_without_the_key() {
    let server = serve([audio(b"RIFF")]).await;
    let (recording, requests) =
        open(&server, &["https://storage.vapi.ai/x-mono.wav?token=1"]).await.expect("opened");
    assert!(requests[0].starts_with("GET /x-mono.wav?token=1 HTTP/1.1"));
    assert!(!requests[0].contains("authorization"));
    assert_eq!((recording.extension, recording.length), ("mp3", Some(4)));
    assert_eq!(recording.content_type.as_deref(), Some("audio/mpeg"));
    assert_eq!(read(recording).await.expect("audio"), b"RIFF");
}

#[tokio::test]
async fn when_the_links_fail_the_api_is_asked_and_the_key_stays_there() {
    let elsewhere = serve([audio(b"ID3")]).await;
    let gone = Reply::Json(403, "{}".into());
    let moved = Reply::Redirect(format!("{}/signed.mp3", elsewhere.url));
    let server = serve([gone, moved]).await;
    let (recording, requests) =
        open(&server, &["nonsense", "https://storage.vapi.ai/old.wav"]).await.expect("opened");
    assert!(requests[1].starts_with("GET /call/019aa141/mono-recording HTTP/1.1"));
    assert!(requests[1].contains("authorization: Bearer vapi-key"));
    assert!(!elsewhere.requests()[0].contains("authorization"));
    assert_eq!(read(recording).await.expect("audio"), b"ID3");
}

#[tokio::test]
async fn other_providers_have_only_their_links() {
    let server = serve([audio(b"x")]).await;
    let none = source(&server.url).open(Provider::Retell, CALL, &[], None).await.err();
    let kind = none.expect("nothing to open").kind;
    assert_eq!(kind, ErrorKind::Rejected { code: "no-source".into() });
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn redirects_end_and_each_is_checked() {
    let looping = serve([Reply::Redirect("/again".into())]).await;
    let kind = error(open(&looping, &[]).await).kind;
    assert_eq!(kind, ErrorKind::Rejected { code: "too-many-redirects".into() });
    assert_eq!(looping.requests().len(), 1 + MAX_REDIRECTS);
    for inside in ["https://169.254.169.254/latest", "http://10.0.0.1/", "file:///etc/passwd"] {
        let server = serve([Reply::Redirect(inside.into())]).await;
        let kind = error(open(&server, &[]).await).kind;
        assert_eq!(kind, ErrorKind::Rejected { code: "blocked".into() }, "{inside}");
    }
}

#[tokio::test]
async fn links_are_guarded_where_loopback_is_not_allowed() {
    let server = serve([audio(b"x")]).await;
    let strict = RecordingSource::new(Egress::new(false), DEFAULT_BASES, MAX).expect("client");
    let local = server.url.replace("127.0.0.1", "localhost").replace("http:", "https:");
    for url in [server.url.clone(), local, "https://user@example.com/".into()] {
        let error = strict.open(Provider::Vapi, CALL, &[url], None).await.err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Rejected { code: "blocked".into() });
        assert!(!format!("{error:?}").contains("127.0.0.1"));
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn refusals_say_whether_waiting_helps() {
    for (reply, can_retry) in [
        (Reply::Json(404, String::new()), true),
        (Reply::Json(429, String::new()), true),
        (Reply::Json(500, String::new()), true),
        (Reply::Json(401, String::new()), false),
        (Reply::Json(410, String::new()), false),
        (Reply::With(200, "content-type: text/html; charset=x\r\n".into(), b"<html>".into()), true),
        (Reply::Json(200, "{}".into()), true),
        (Reply::With(206, String::new(), b"x".into()), true),
        (Reply::With(200, String::new(), vec![0; 10_001]), false),
        (Reply::Hang, true),
        (Reply::Cut, true),
    ] {
        let described = format!("{reply:?}").chars().take(60).collect::<String>();
        let server = serve([reply]).await;
        assert_eq!(error(open(&server, &[]).await).can_retry(), can_retry, "{described}");
    }
}

#[tokio::test]
async fn hope_outweighs_a_refusal() {
    let server = serve([Reply::Json(404, String::new()), Reply::Json(403, String::new())]).await;
    let failure = error(open(&server, &["https://storage.vapi.ai/new.wav"]).await);
    assert_eq!(failure.to_string(), "recording.open: unavailable (http 404)");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_breaks_while_streaming_is_an_error() {
    for (reply, can_retry) in [
        (Reply::Endless, false),
        (Reply::Short(b"RIFF".to_vec()), true),
        (Reply::With(200, String::new(), Vec::new()), true),
        (Reply::Stall(b"RIFF".to_vec()), true),
    ] {
        let described = format!("{reply:?}");
        let server = serve([reply]).await;
        let (recording, _) = open(&server, &[]).await.expect("opened");
        let error = read(recording).await.expect_err(&described);
        assert_eq!(error.can_retry(), can_retry, "{described}");
    }
}

#[test]
fn extensions_come_from_the_type_then_the_path() {
    let url = |path: &str| Url::parse(&format!("https://x.example/{path}")).expect("a URL");
    for (media, path, expected) in [
        ("audio/x-wav", "a.mp3", "wav"),
        ("application/octet-stream", "a.MP3", "mp3"),
        ("", "a.b/c.ogg", "ogg"),
        ("binary/octet-stream", "a.exe", "wav"),
        ("", "mono-recording", "wav"),
    ] {
        assert_eq!(extension(media, &url(path)), expected, "{media} {path}");
    }
    assert_eq!(media_type("Audio/WAV; codec=1"), "audio/wav");
}

#[tokio::test]
async fn twilios_links_are_opened_as_the_account_and_no_others() {
    let server = serve([audio(b"RIFF"), audio(b"RIFF")]).await;
    let open = async |url: &str| {
        let urls = [url.to_owned()];
        source(&server.url).open(Provider::Twilio, "CA1", &urls, Some(&access())).await
    };
    let path = "/2010-04-01/Accounts/AC1/Recordings/RE1.wav";
    assert!(open(&format!("https://api.twilio.com{path}")).await.is_ok());
    assert!(open("http://10.0.0.1/RE1.wav").await.is_err());
    let elsewhere = serve([audio(b"RIFF")]).await;
    assert!(open(&format!("{}/RE1.wav", elsewhere.url)).await.is_ok());
    let requests = server.requests();
    assert!(requests[0].starts_with(&format!("GET {path} HTTP/1.1")));
    assert!(requests[0].contains("authorization: Basic QUMxOnZhcGkta2V5"), "AC1:vapi-key");
    assert!(!elsewhere.requests()[0].contains("authorization"));
}

#[tokio::test]
async fn retell_is_asked_for_a_fresh_link_when_the_old_one_expired() {
    let audio_server = serve([audio(b"RIFF")]).await;
    let fixture = include_str!("../../../tests/fixtures/retell/call_analyzed.json");
    let mut call: serde_json::Value = serde_json::from_str(fixture).expect("JSON");
    call["call"]["recording_url"] = format!("{}/fresh.wav", audio_server.url).into();
    call["call"]["call_id"] = "call_1".into();
    let expired = Reply::Json(403, "{}".into());
    let server = serve([expired, Reply::Json(200, call["call"].to_string())]).await;
    let urls = [format!("{}/old.wav", server.url)];
    let opened = source(&server.url).open(Provider::Retell, "call_1", &urls, Some(&access())).await;
    assert_eq!(read(opened.expect("opened")).await.expect("audio"), b"RIFF");
    assert!(server.requests()[1].starts_with("GET /v2/get-call/call_1 "));
    assert!(!audio_server.requests()[0].contains("authorization"));
}
