//! The clients, against the real API.

mod rust;

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::harness::World;

/// A copy of the TypeScript client, where npm may write, at its place beside the document.
fn typescript(world: &World) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = world.folder.join("clients/typescript");
    for part in ["src", "test"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
        for file in std::fs::read_dir(root.join("clients/typescript").join(part)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(part).join(file.file_name())).unwrap();
        }
    }
    for file in ["package.json", "package-lock.json", "tsconfig.json", ".npmrc"] {
        std::fs::copy(root.join("clients/typescript").join(file), folder.join(file)).unwrap();
    }
    std::fs::copy(root.join("openapi.json"), world.folder.join("openapi.json")).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_is_that_of_the_document_and_works() {
    let world = World::start().await;
    world.call_of_today().await;
    let folder = typescript(&world);
    for line in [
        "npm ci --no-audit --no-fund",
        "npm run -s check",
        "npm run -s test",
        "npm run -s against-a-server",
    ] {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(&folder)
            .env("POSTCALL_API_URL", &world.api_url)
            .env("POSTCALL_API_KEY", &world.demo.api_key)
            .output()
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{line}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}
