//! The OpenAPI document, as others read it: a linter finds nothing in it, and a fuzzer that makes requests
//! of it finds no answer that it does not allow, and no 5xx.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::json;
use tokio::process::Command;

use crate::harness::{World, folder};

/// What is installed, and the versions that find what they find.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const HYPOTHESIS: &str = "hypothesis==6.170.17";
/// Keys that the fuzzer may revoke.
const SPARE_KEYS: usize = 3;

/// A copy of the tools' folder, where they may install.
fn tools(within: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = within.join("openapi");
    fs::create_dir_all(&tools).unwrap();
    for file in fs::read_dir(root.join(".ci/openapi")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), tools.join(file.file_name())).unwrap();
        }
    }
    fs::copy(root.join("openapi.json"), tools.join("openapi.json")).unwrap();
    tools
}

async fn runs(folder: &Path, line: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).envs(environment.iter().copied());
    let output = command.kill_on_drop(true).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{line}: {}{}", text(&output.stdout), text(&output.stderr));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linter_finds_nothing_in_the_document() {
    let tools = tools(&folder("openapi-lint"));
    runs(&tools, "npm ci --no-audit --no-fund", &[]).await;
    runs(&tools, "npx --no-install spectral lint openapi.json -F hint", &[]).await;
    // It finds what it looks for.
    let document = fs::read_to_string(tools.join("openapi.json")).unwrap();
    let wrong = document.replacen("\"operationId\": \"healthz\",", "", 1);
    assert_ne!(wrong, document);
    fs::write(tools.join("wrong.json"), wrong).unwrap();
    runs(&tools, "! npx --no-install spectral lint wrong.json -F hint", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fuzzer_finds_no_answer_that_the_document_does_not_allow() {
    let unlimited = [
        "POSTCALL_RATE_LIMIT_KEY_PER_HOUR",
        "POSTCALL_RATE_LIMIT_ORGANIZATION_PER_HOUR",
        "POSTCALL_RATE_LIMIT_ADDRESS_PER_MINUTE",
    ];
    let environment = unlimited.map(|name| (name, "10000000".to_owned())).to_vec();
    let world = World::serving(environment).await;
    let tools = tools(&world.folder);
    let install =
        format!("python3 -m venv venv && venv/bin/pip install -q {SCHEMATHESIS} {HYPOTHESIS}");
    runs(&tools, &install, &[]).await;
    let mut spare = String::new();
    for _ in 0..SPARE_KEYS {
        let (id, _) = world.made_key(&json!({"name": "Spare", "scopes": ["calls:read"]})).await;
        spare.push_str(&format!("\"{id}\"\n"));
    }
    fs::write(tools.join("spare-keys.txt"), spare).unwrap();
    let line = format!(
        "timeout 600 venv/bin/schemathesis --config-file schemathesis.toml run {}/openapi.json --no-color",
        world.api_url
    );
    let demo =
        [("API_KEY", &*world.demo.api_key), ("ORGANIZATION_ID", &*world.demo.organization_id)];
    let output = runs(&tools, &line, &demo).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" generated") && !said.contains(" failures"), "{said}");
    let log = world.log("serve");
    for word in ["\"level\":\"ERROR\"", "a request panicked", "already a transaction"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
}
