//! `postcall dev` from an empty folder: ready, used, stopped, killed and started again.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use postcall::dev::DevState;

use crate::harness::{folder, servers_are_installed, wait::until};

fn dev(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("dev.log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_postcall"))
        .args(["dev", "--listen", "127.0.0.1:0"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

async fn ready(folder: &Path) -> DevState {
    until("dev is ready", Duration::from_secs(60), || async {
        DevState::read(&folder.join(".postcall")).ok().flatten()
    })
    .await
}

fn postcall(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_postcall"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn processed(folder: &Path, provider_call_id: &str) {
    until("the call is processed", Duration::from_secs(30), || async {
        let list = ["calls", "list", "-o", "jsonl", "--provider-call-id", provider_call_id];
        postcall(folder, &list).contains("\"close\"").then_some(())
    })
    .await;
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success());
}

fn alive(pid: u32) -> bool {
    // A zombie waits for its parent and does nothing any more.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_starts_stops_and_goes_on_after_a_kill() {
    // Whoever starts the shared servers installs what is missing, which takes minutes.
    servers_are_installed();
    let folder = folder("dev");
    let mut child = dev(&folder);
    let state = ready(&folder).await;
    let call = postcall(&folder, &["trigger", "vapi.end-of-call-report"]);
    processed(&folder, &call).await;

    signal("KILL", child.id());
    child.wait().unwrap();
    let mut child = dev(&folder);
    until("the second start is ready", Duration::from_secs(60), || async {
        let again = DevState::read(&folder.join(".postcall")).ok().flatten()?;
        (again.pids["dev"] != state.pids["dev"]).then_some(())
    })
    .await;
    let again = ready(&folder).await;
    assert_eq!(again.demo.organization_id, state.demo.organization_id);
    processed(&folder, &call).await;
    let second = postcall(&folder, &["trigger", "vapi.end-of-call-report"]);
    processed(&folder, &second).await;

    signal("TERM", child.id());
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    for (name, pid) in again.pids.iter().chain(&state.pids) {
        assert!(!alive(*pid), "{name} still runs");
    }
    assert!(!folder.join(".postcall/dev.json").exists(), "nothing is ready any more");
}
