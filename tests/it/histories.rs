//! Every recorded history replays: changed workflow code must not break what runs.
//!
//! `postcall histories save WORKFLOW_ID tests/histories/<workflow>/<case>.bin` records one.

mod record;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use prost::Message;
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::history::v1::{History, history_event::Attributes};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use workflows::{
    BillingCycle, BillingSweep, CallProcessing, EndpointNotice, LogRetention, MeterErrorReport,
    Onboarding, PartitionMaintenance, ProviderSweep, UsageAggregation, UsageAlert,
    UsageReconciliation, WebhookDelivery, WebhookRecovery,
};

/// Where workers say which workflows they run.
const REGISTRATION: &str = include_str!("../../src/worker/registration.rs");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories")
}

/// Every workflow that a worker runs.
fn options() -> WorkflowReplayerOptions {
    WorkflowReplayerOptions::new()
        .register_workflow::<BillingCycle>()
        .unwrap()
        .register_workflow::<BillingSweep>()
        .unwrap()
        .register_workflow::<CallProcessing>()
        .unwrap()
        .register_workflow::<EndpointNotice>()
        .unwrap()
        .register_workflow::<LogRetention>()
        .unwrap()
        .register_workflow::<MeterErrorReport>()
        .unwrap()
        .register_workflow::<Onboarding>()
        .unwrap()
        .register_workflow::<PartitionMaintenance>()
        .unwrap()
        .register_workflow::<ProviderSweep>()
        .unwrap()
        .register_workflow::<UsageAggregation>()
        .unwrap()
        .register_workflow::<UsageAlert>()
        .unwrap()
        .register_workflow::<UsageReconciliation>()
        .unwrap()
        .register_workflow::<WebhookDelivery>()
        .unwrap()
        .register_workflow::<WebhookRecovery>()
        .unwrap()
        .build()
}

fn history_in(file: &Path) -> History {
    History::decode(std::fs::read(file).unwrap().as_slice()).unwrap()
}

/// The type of the workflow whose history it is.
fn workflow_of(history: &History) -> String {
    let first = history.events.first().and_then(|event| event.attributes.clone());
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = first else {
        panic!("a history begins with the start of its workflow");
    };
    started.workflow_type.unwrap().name
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_history_replays() {
    for file in recorded(&root()) {
        let replayer = WorkflowReplayer::new(options()).unwrap();
        let replayed = replayer.replay_workflow(WorkflowHistory::from(history_in(&file))).await;
        if let Err(error) = replayed {
            panic!("{} does not replay: {error}", file.display());
        }
    }
}

#[test]
fn every_workflow_that_a_worker_runs_has_a_recorded_history() {
    let words = REGISTRATION.split(".register_workflow::<").skip(1);
    let registered: BTreeSet<String> =
        words.filter_map(|rest| Some(rest.split_once('>')?.0.to_owned())).collect();
    assert!(registered.contains("BillingCycle"), "{registered:?}");
    let mut found = BTreeSet::new();
    for file in recorded(&root()) {
        let workflow = workflow_of(&history_in(&file));
        let folder = file.parent().and_then(Path::file_name).unwrap();
        assert_eq!(workflow.as_str(), folder, "{}", file.display());
        found.insert(workflow);
    }
    assert_eq!(found, registered, "recorded histories, and what a worker runs");
}

#[test]
fn no_recorded_history_holds_an_address_or_a_number_of_a_person() {
    assert!(holds_address(b"to owner@example.com") && !holds_address(b"worker-1@localhost"));
    assert!(holds_number(b"to +14155552671") && !holds_number(b"+1"));
    for file in recorded(&root()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!holds_address(&bytes) && !holds_number(&bytes), "{}", file.display());
    }
}

/// Whether there is a name, an `@` and a domain with a dot.
fn holds_address(bytes: &[u8]) -> bool {
    let signs = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'@');
    signs.map(|(at, _)| bytes.split_at(at)).any(|(name, domain)| {
        let host = domain[1..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-');
        let rest = &domain[1 + host.count()..];
        let is_domain = rest.len() > 1 && rest[0] == b'.' && rest[1].is_ascii_alphabetic();
        is_domain && name.last().is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// Whether there is a `+` and at least eight digits.
fn holds_number(bytes: &[u8]) -> bool {
    let mut after = bytes.split(|byte| *byte == b'+').skip(1);
    after.any(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count() >= 8)
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
