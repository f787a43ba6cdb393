//! Every recorded history replays: changed workflow code must not break what runs.
//!
//! `postcall histories save WORKFLOW_ID tests/histories/<workflow>/<case>.bin` records one.

use std::path::{Path, PathBuf};

use prost::Message;
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::history::v1::History;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use workflows::{CallProcessing, PartitionMaintenance, ProviderSweep, WebhookDelivery};

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_history_replays() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let files = recorded(&root);
    for workflow in ["CallProcessing", "ProviderSweep", "WebhookDelivery"] {
        let recorded = files.iter().filter(|file| file.starts_with(root.join(workflow))).count();
        assert!(recorded > 0, "no recorded history of {workflow}");
    }
    for file in files {
        let options = WorkflowReplayerOptions::new()
            .register_workflow::<CallProcessing>()
            .unwrap()
            .register_workflow::<WebhookDelivery>()
            .unwrap()
            .register_workflow::<PartitionMaintenance>()
            .unwrap()
            .register_workflow::<ProviderSweep>()
            .unwrap()
            .build();
        let history = History::decode(std::fs::read(&file).unwrap().as_slice()).unwrap();
        let replayer = WorkflowReplayer::new(options).unwrap();
        let replayed = replayer.replay_workflow(WorkflowHistory::from(history)).await;
        if let Err(error) = replayed {
            panic!("{} does not replay: {error}", file.display());
        }
    }
}

fn recorded(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(recorded(&path));
        } else if path.extension().is_some_and(|extension| extension == "bin") {
            files.push(path);
        }
    }
    files
}
