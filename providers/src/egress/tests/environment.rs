use std::{env, process::Command};

use hyper::StatusCode;

use super::{client, post};
use crate::{
    canned::{Reply, serve},
    egress::Egress,
    http,
};

const CHILD: &str = "egress::tests::environment::in_an_environment_with_proxies";

/// The environment of a process cannot be changed while threads run, so another one is started.
#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_are_never_used() {
    let trap = serve([Reply::Json(200, "{}".into())]).await;
    let mut child = Command::new(env::current_exe().expect("this test"));
    child.args([CHILD, "--exact", "--ignored", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &trap.url).env(name.to_lowercase(), &trap.url);
    }
    // CGI sets HTTP_PROXY from a header, so clients distrust it where this is there.
    child.env_remove("REQUEST_METHOD").env_remove("NO_PROXY").env_remove("no_proxy");
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("runs");
    let output = output.expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(trap.connections(), 1, "that of a client that does look at the environment");
}

#[tokio::test]
#[ignore = "run by proxies_of_the_environment_are_never_used"]
async fn in_an_environment_with_proxies() {
    let server = serve([Reply::Json(201, "{}".into())]).await;
    assert_eq!(post(&client(&Egress::new(true)), &server.url).await, Ok(StatusCode::CREATED));
    let api = http::client(http::TOTAL_TIMEOUT).expect("client").get(&server.url).send().await;
    assert_eq!(api.expect("answer").status(), 201);
    assert_eq!(server.connections(), 2);
    let obeying = reqwest::Client::new().get(&server.url).send().await.expect("answer");
    assert_eq!(obeying.status(), 200, "the proxy's answer");
    assert_eq!(server.connections(), 2);
}
