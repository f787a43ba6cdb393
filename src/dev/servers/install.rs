//! Getting servers that are missing: apt-get, Homebrew, `go install`, Temporal's own archive.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::account;
use super::error::ServerError;
use super::find::{Found, Programs, SearchPlaces};
use super::go::GoProgram;
use super::log::Log;

const TEMPORAL: GoProgram = GoProgram {
    what: "the Temporal CLI",
    package: "github.com/temporalio/cli/cmd/temporal",
    // The newest that `go install` accepts: later ones carry a `replace` in their go.mod.
    version: "v1.5.1",
};

/// Building the Temporal CLI takes 4 minutes on two cores; the rest is for slow networks.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Says what is being done to whoever waits for it.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// The programs, installed first where they are missing and `install` is set.
///
/// # Errors
/// [`ServerError::Missing`] with the whole list, or what an installer said.
pub(super) async fn obtain(
    places: &SearchPlaces,
    data_version: Option<u32>,
    install: bool,
    log: &Path,
    progress: Progress<'_>,
) -> Result<Programs, ServerError> {
    let found = Found::look(places, data_version).complete(places);
    if found.is_ok() || !install {
        return found.map_err(ServerError::Missing);
    }
    let _lock = lock_cache(&places.cache_dir).await?;
    // Another process may have installed them while we waited for the lock.
    let found = Found::look(places, data_version);
    let installer = Installer::of(places);
    if found.postgres.is_none() {
        progress("installing PostgreSQL");
        installer.run("PostgreSQL", "postgresql", log).await?;
    }
    if found.redis.is_none() {
        progress("installing Redis");
        installer.run("Redis", installer.redis_package(), log).await?;
    }
    if found.temporal.is_none() {
        install_temporal(places, log, progress).await?;
    }
    Found::look(places, data_version).complete(places).map_err(ServerError::Missing)
}

/// One installation at a time on this machine; the lock ends with the file.
pub(super) async fn lock_cache(cache_dir: &Path) -> Result<File, ServerError> {
    fs::create_dir_all(cache_dir).map_err(ServerError::file("create", cache_dir))?;
    let path = cache_dir.join("install.lock");
    let file = File::create(&path).map_err(ServerError::file("create", &path))?;
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    let locked = locking.await.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
    locked.map_err(ServerError::file("lock", path))
}

/// The package manager of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installer {
    /// Debian, Ubuntu and their kin, with what makes us root: nothing, `sudo`, or no way.
    Apt { program: PathBuf, root: Root },
    /// Homebrew, on macOS or Linux.
    Homebrew { program: PathBuf },
    /// None that we know.
    Unknown,
}

/// How a command gets root's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    Already,
    Sudo(PathBuf),
    No,
}

/// Debian makes a cluster and starts it on port 5432 as soon as PostgreSQL is installed, unless
/// this says otherwise. It is taken away again: what the owner of the machine installs later is
/// not our business. A failing `update` (one broken source of many) need not stop the install.
const APT_SCRIPT: &str = r#"
folder=/etc/postgresql-common/createcluster.d
mkdir -p "$folder"
trap 'rm -f "$folder/postcall.conf"' EXIT
echo 'create_main_cluster = false' >"$folder/postcall.conf"
"$1" -q -o DPkg::Lock::Timeout=300 update || echo 'apt-get update failed, trying anyway'
"$1" -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$2"
"#;

impl Installer {
    /// Finds the package manager.
    pub(super) fn of(places: &SearchPlaces) -> Self {
        if let Some(program) = places.program(&["apt-get"]) {
            let root = match (account::is_root(), places.program(&["sudo"])) {
                (true, _) => Root::Already,
                (false, Some(sudo)) => Root::Sudo(sudo),
                (false, None) => Root::No,
            };
            return Self::Apt { program, root };
        }
        match places.program(&["brew"]) {
            Some(program) => Self::Homebrew { program },
            None => Self::Unknown,
        }
    }

    fn redis_package(&self) -> &'static str {
        if matches!(self, Self::Apt { .. }) { "redis-server" } else { "redis" }
    }

    /// What a person types to get PostgreSQL.
    pub(super) fn postgres_command(&self) -> String {
        self.command_for("postgresql")
    }

    /// What a person types to get Redis.
    pub(super) fn redis_command(&self) -> String {
        self.command_for(self.redis_package())
    }

    fn command_for(&self, package: &str) -> String {
        let apt = "apt-get install -y --no-install-recommends";
        match self {
            Self::Apt { root: Root::Already, .. } => format!("{apt} {package}"),
            Self::Apt { .. } => format!("sudo {apt} {package}"),
            Self::Homebrew { .. } => format!("brew install {package}"),
            Self::Unknown => {
                format!("install the package `{package}` with this system's package manager")
            }
        }
    }

    async fn run(&self, what: &'static str, package: &str, log: &Path) -> Result<(), ServerError> {
        let command = match self {
            Self::Apt { program, root } => {
                let mut command = match root {
                    Root::Already => Command::new("env"),
                    // -n: an answer instead of a question for a password that nobody sees.
                    Root::Sudo(sudo) => {
                        let mut command = Command::new(sudo);
                        command.args(["-n", "env"]);
                        command
                    }
                    Root::No => return Err(self.no_way(what, package, log)),
                };
                command.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-c", APT_SCRIPT, "sh"]);
                command.arg(program).arg(package);
                command
            }
            Self::Homebrew { program } => {
                let mut command = Command::new(program);
                command.args(["install", package]);
                command
            }
            Self::Unknown => return Err(self.no_way(what, package, log)),
        };
        run(what, command, log).await
    }

    fn no_way(&self, what: &'static str, package: &str, log: &Path) -> ServerError {
        let reason = match self {
            Self::Unknown => "neither apt-get nor brew is on this machine",
            _ => "this needs root, and there is no sudo",
        };
        let reason = format!("{reason}; {}", self.command_for(package));
        ServerError::Install { what, reason, log: log.to_owned() }
    }
}

/// What a person types to get the Temporal CLI into our cache.
pub(super) fn temporal_command(places: &SearchPlaces) -> String {
    if places.program(&["go"]).is_some() {
        TEMPORAL.command(places)
    } else {
        let (cache, archive) = (places.cache_dir.display(), temporal_archive());
        format!("mkdir -p {cache} && curl -fsSL '{archive}' | tar -xz -C {cache} temporal")
    }
}

/// Where Temporal publishes its builds (docs.temporal.io/cli).
fn temporal_archive() -> String {
    let platform = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let base = "https://temporal.download/cli/archive";
    format!("{base}/{}?platform={platform}&arch={arch}", TEMPORAL.version)
}

async fn install_temporal(
    places: &SearchPlaces,
    log: &Path,
    progress: Progress<'_>,
) -> Result<(), ServerError> {
    if let Some(go) = places.program(&["go"]) {
        progress("building the Temporal CLI with go install (about 4 minutes)");
        let Err(error) = TEMPORAL.install(go, places, log).await else { return Ok(()) };
        // For example a Go that is too old and may not fetch a newer one.
        tracing::warn!(%error, "go install failed, trying the archive");
        // Who has Go is helped more by what Go said.
        return download_temporal(places, log, progress).await.map_err(|_| error);
    }
    download_temporal(places, log, progress).await
}

async fn download_temporal(
    places: &SearchPlaces,
    log: &Path,
    progress: Progress<'_>,
) -> Result<(), ServerError> {
    progress("downloading the Temporal CLI");
    // Unpacked beside its place and moved, so that a broken download is never found as a program.
    let script = r#"set -e
trap 'rm -rf "$2/unpacking"' EXIT
mkdir -p "$2/unpacking"
curl -fsSL --retry 3 -o "$2/unpacking/archive" "$1"
tar -xzf "$2/unpacking/archive" -C "$2/unpacking" temporal
chmod 755 "$2/unpacking/temporal" && mv "$2/unpacking/temporal" "$2/temporal""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &temporal_archive()]).arg(&places.cache_dir);
    run(TEMPORAL.what, command, log).await
}

pub(super) async fn run(
    what: &'static str,
    mut command: Command,
    log: &Path,
) -> Result<(), ServerError> {
    let (file, part) = Log::open(log)?;
    let errors = file.try_clone().map_err(ServerError::file("open", log))?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors).kill_on_drop(true);
    let ending = match timeout(LIMIT, command.status()).await {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not done after {} minutes", LIMIT.as_secs() / 60),
    };
    let reason = format!("{ending}\n{}", part.tail());
    Err(ServerError::Install { what, reason, log: part.path() })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn commands_are_exact() {
        let apt = |root| Installer::Apt { program: "/usr/bin/apt-get".into(), root };
        assert_eq!(
            apt(Root::Already).redis_command(),
            "apt-get install -y --no-install-recommends redis-server"
        );
        assert_eq!(
            apt(Root::Sudo("/usr/bin/sudo".into())).postgres_command(),
            "sudo apt-get install -y --no-install-recommends postgresql"
        );
        let brew = Installer::Homebrew { program: "brew".into() };
        assert_eq!(brew.redis_command(), "brew install redis");
    }

    #[test]
    fn without_go_the_archive_is_named() {
        let root = tempfile::tempdir().unwrap();
        let places = SearchPlaces {
            path: None,
            home: None,
            gopath: None,
            cache_dir: "/cache".into(),
            root: root.path().to_owned(),
        };
        let command = temporal_command(&places);
        assert!(command.contains("temporal.download/cli/archive/v1.5.1?platform="), "{command}");
    }

    #[tokio::test]
    async fn a_failing_installer_shows_the_end_of_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such package >&2; exit 100"]);
        let log = folder.path().join("install.log");
        let error = run("Redis", command, &log).await.unwrap_err().to_string();
        assert!(error.contains("no such package") && error.contains("100"), "{error}");
    }
}
