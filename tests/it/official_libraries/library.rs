//! An official library: installed into our cache where it is missing, and run with the code of the docs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use postcall::config::ClientConfig;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::Case;
use crate::harness::places;

/// A library and how to use it.
#[derive(Clone, Copy)]
pub(super) struct Library {
    /// Of its folder.
    pub(super) name: &'static str,
    /// Version and registry are those of the command that installs it.
    version: &'static str,
    /// Run one after the other in the folder of the cache.
    install: &'static [&'static [&'static str]],
    /// The language of the block in the docs, and the file it becomes.
    shown: (&'static str, &'static str),
    /// Runs the code of the docs on every case.
    driver: (&'static str, &'static str),
    /// What runs the driver; from the folder of the cache where it has a slash.
    program: &'static str,
}

/// npm's `standardwebhooks`.
pub(super) const JAVASCRIPT: Library = Library {
    name: "standardwebhooks-javascript",
    version: "1.1.1",
    install: &[&[
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        ".",
        "standardwebhooks@1.1.1",
    ]],
    shown: ("js", "verified.mjs"),
    driver: (
        "check.mjs",
        r#"import { readFileSync } from "node:fs";
import { verified } from "./verified.mjs";
const answer = ({ headers, body, secret }) => {
  try { return { type: verified(Buffer.from(body), headers, secret).type }; }
  catch (error) { return { refused: String(error) }; }
};
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(answer)));
"#,
    ),
    program: "node",
};

/// PyPI's `standardwebhooks`.
pub(super) const PYTHON: Library = Library {
    name: "standardwebhooks-python",
    version: "1.1.0",
    install: &[
        &["python3", "-m", "venv", "venv"],
        &["venv/bin/python", "-m", "pip", "install", "-q", "standardwebhooks==1.1.0"],
    ],
    shown: ("python", "verified.py"),
    driver: (
        "check.py",
        r#"import json, sys
from verified import verified
from standardwebhooks.webhooks import WebhookVerificationError
def answer(case):
    try:
        return {"type": verified(case["body"].encode(), case["headers"], case["secret"])["type"]}
    except WebhookVerificationError as error:
        return {"refused": str(error)}
print(json.dumps([answer(case) for case in json.load(sys.stdin)]))
"#,
    ),
    program: "venv/bin/python",
};

impl Library {
    /// What it says of each case, in order.
    pub(super) async fn verify(self, folder: &Path, docs: &str, cases: &[Case]) -> Vec<Value> {
        let installed = self.installed().await;
        fs::create_dir_all(folder).expect("folder");
        let (language, file) = self.shown;
        fs::write(folder.join(file), block(docs, language)).expect("the code of the docs");
        fs::write(folder.join(self.driver.0), self.driver.1).expect("the driver");
        // Where Node looks for what is imported.
        std::os::unix::fs::symlink(installed.join("node_modules"), folder.join("node_modules"))
            .expect("a link");
        let cases: Vec<Value> = cases
            .iter()
            .map(
                |case| json!({ "headers": case.headers, "body": case.body, "secret": case.secret }),
            )
            .collect();
        let output = self.run(&installed, folder, json!(cases).to_string()).await;
        serde_json::from_slice(&output).expect("answers")
    }

    async fn run(self, installed: &Path, folder: &Path, input: String) -> Vec<u8> {
        let program = match self.program.contains('/') {
            true => installed.join(self.program),
            false => PathBuf::from(self.program),
        };
        let mut command = Command::new(program);
        command.arg(self.driver.0).current_dir(folder).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let mut stdin = child.stdin.take().expect("its input");
        tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
        let output = child.wait_with_output().await.expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", self.name);
        output.stdout
    }

    /// Its folder in our cache, made where it is missing and may be installed.
    async fn installed(self) -> PathBuf {
        let cache = places().cache_dir.with_file_name("libraries");
        fs::create_dir_all(&cache).expect("the cache");
        let folder = cache.join(format!("{}-{}", self.name, self.version));
        let lock = cache.join(format!("{}.lock", self.name));
        // Held until we return: two runs at a time must not install into one folder.
        let lock = tokio::task::spawn_blocking(|| {
            let file = File::create(lock).expect("the lock");
            file.lock().map(|()| file)
        });
        let _lock = lock.await.expect("it does not panic").expect("the lock");
        let ready = folder.join("ready");
        if ready.exists() {
            return folder;
        }
        let client = ClientConfig::from_env().expect("environment");
        let commands = self.install.iter().map(|words| words.join(" "));
        let commands = commands.collect::<Vec<_>>().join(" && ");
        assert!(
            client.install,
            "{} is missing: set POSTCALL_INSTALL=1, or do this in {}, and make a file `ready` there: \
             {commands}",
            self.name,
            folder.display()
        );
        fs::create_dir_all(&folder).expect("folder");
        for words in self.install {
            let output = Command::new(words[0]).args(&words[1..]).current_dir(&folder).output();
            let output = output.await.unwrap_or_else(|error| panic!("{}: {error}", words[0]));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{words:?}: {said}");
        }
        fs::write(&ready, self.version).expect("the mark");
        folder
    }
}

/// The first block of code in this language.
fn block<'a>(docs: &'a str, language: &str) -> &'a str {
    let (_, after) = docs.split_once(&format!("\n```{language}\n")).expect("a block of code");
    after.split_once("\n```").expect("its end").0
}
