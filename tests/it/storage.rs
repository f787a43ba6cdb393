//! Recordings on a real S3 server, and large ones.

use std::net::SocketAddr;

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use serde_json::json;

use crate::harness::{
    Options, World,
    calls::{fresh_id, report_with, step},
    folder,
};

/// More than one part of a multipart upload.
const LARGE: u64 = 20 * 1024 * 1024;

async fn s3(root: &std::path::Path) -> SocketAddr {
    let files = s3s_fs::FileSystem::new(root).expect("a file system");
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single("test-key", "test-secret"));
    let service = service.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_go_to_s3_in_one_part_or_many() {
    let root = folder("s3");
    std::fs::create_dir_all(root.join("recordings")).unwrap();
    let address = s3(&root).await;
    let environment = vec![
        ("POSTCALL_STORAGE_URL", "s3://recordings/calls".to_owned()),
        ("AWS_ENDPOINT", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test-key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test-secret".to_owned()),
    ];
    let world = World::with(Options { environment, ..Options::default() }).await;
    let large = format!("{}/vapi/large.wav?bytes={LARGE}", world.fakes.url());
    for (url, at_least) in [(None, 1000), (Some(large), LARGE)] {
        let id = fresh_id();
        let fields = match url {
            Some(url) => json!({ "artifact": {}, "recordingUrl": url }),
            None => json!({}),
        };
        assert_eq!(world.post(report_with(&id, &fields)).await, 200);
        let call = world.closed(&id).await;
        assert_eq!(step(&call, "recording")["status"], "completed", "{call}");
        let path = call["recording"]["path"].as_str().unwrap();
        let object = std::fs::metadata(root.join("recordings/calls").join(path)).unwrap();
        assert!(object.len() >= at_least, "{} bytes", object.len());
        assert_eq!(call["recording"]["bytes"], json!(object.len()));
        let audio = format!("{}/v1/calls/{}/recording", world.api_url, world.call_id(&id));
        let audio = world.http.get(audio).bearer_auth(&world.demo.api_key).send().await.unwrap();
        assert_eq!(audio.bytes().await.unwrap().len() as u64, object.len());
    }
}
