//! Servers that all tests of this binary share; they end with the process.

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use contract::names::SEARCH_ATTRIBUTES;
use postcall::{
    config::ClientConfig,
    dev::{
        search_places,
        servers::{SearchPlaces, ServerOptions, Servers},
    },
};

/// Each test takes one: task queues, workflow ids and search attributes of its own.
const NAMESPACES: usize = 480;

/// What tests need of the shared servers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) servers: Servers,
    next: AtomicUsize,
}

impl Shared {
    /// A namespace that no other test uses, and a number for names.
    pub(crate) fn namespace(&self) -> (usize, String) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < NAMESPACES, "raise NAMESPACES: there are more tests than that");
        (number, name(number))
    }
}

fn name(number: usize) -> String {
    format!("it-{number}")
}

/// The shared servers, started by whoever asks first.
pub(crate) fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        // A runtime that outlives every test's own, for as long as the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("runtime");
            runtime.block_on(async {
                let options = options(folder("shared"), (0..NAMESPACES).map(name).collect());
                let servers = Servers::start(&options, &|line| eprintln!("servers: {line}")).await;
                sender.send(servers).expect("somebody waits");
                std::future::pending::<()>().await;
            });
        });
        let servers = receiver.recv().expect("servers").unwrap_or_else(|error| panic!("{error}"));
        Shared { servers, next: AtomicUsize::new(0) }
    })
}

/// Waits until the shared servers run.
pub(crate) fn servers_are_installed() {
    shared();
}

/// Options of servers in `data_dir`.
pub(crate) fn options(data_dir: PathBuf, namespaces: Vec<String>) -> ServerOptions {
    let client = ClientConfig::from_env().expect("environment");
    ServerOptions {
        data_dir,
        places: search_places(&client),
        install: client.install,
        namespaces,
        search_attributes: SEARCH_ATTRIBUTES.iter().map(|name| (*name).to_owned()).collect(),
        temporal_in_memory: false,
        temporal_settings: Vec::new(),
        temporal_sqlite_pragmas: vec!["journal_mode=WAL".to_owned()],
        preferred_ports: false,
    }
}

/// Where servers are looked for.
pub(crate) fn places() -> SearchPlaces {
    search_places(&ClientConfig::from_env().expect("environment"))
}

/// A fresh folder that other accounts may enter: Postgres refuses root.
pub(crate) fn folder(name: &str) -> PathBuf {
    static CLEANED: OnceLock<()> = OnceLock::new();
    let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    CLEANED.get_or_init(|| remove_left_behind(&root));
    let folder = root.join(std::process::id().to_string()).join(name);
    std::fs::create_dir_all(&folder).expect("folder for test data");
    folder
}

/// Folders of earlier runs, named after processes that are gone.
fn remove_left_behind(root: &std::path::Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_gone = name.parse::<u32>().is_ok_and(|pid| {
            cfg!(target_os = "linux") && !std::path::Path::new(&format!("/proc/{pid}")).exists()
        });
        if is_gone {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}
