//! What can go wrong with the servers on this machine.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A server could not be found, installed, started or used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// One or more servers are not installed. The text lists all of them with their commands.
    #[error("{0}")]
    Missing(MissingServers),
    /// An installer ended badly or is itself missing.
    #[error("cannot install {what}: {reason}; all of its output is in {log}", log = log.display())]
    Install {
        /// What was to be installed.
        what: &'static str,
        /// How the installer ended, with the last lines of its output.
        reason: String,
        /// Where all its output went.
        log: PathBuf,
    },
    /// The data folder belongs to a running process.
    #[error(
        "the data folder {folder} is in use by another running process; \
         stop that one, or choose another folder with --data-dir",
        folder = folder.display()
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// The data folder is something else than a folder.
    #[error(
        "the data folder {path} exists and is not a folder; choose another with --data-dir",
        path = path.display()
    )]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
    },
    /// A file or folder could not be read, written or removed.
    #[error("cannot {operation} {path}", path = path.display())]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot run {program}", program = program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A tool such as `createdb` ran and failed, or took too long.
    #[error("{what} failed ({ending}): {output}")]
    Tool {
        /// What the tool was to do.
        what: &'static str,
        /// Its exit status or its time limit.
        ending: String,
        /// The end of what it printed.
        output: String,
    },
    /// A server ended before it was ready.
    #[error("{name} ended early ({status}); it said in {log}:\n{output}", log = log.display())]
    DiedEarly {
        /// Which server.
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The first and last lines of this start in its log.
        output: String,
    },
    /// A server runs but does not answer.
    #[error(
        "{name} was not ready within {seconds} s; it said in {log}:\n{output}",
        log = log.display()
    )]
    NotReady {
        /// Which server.
        name: &'static str,
        /// The limit, in seconds.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The first and last lines of this start in its log.
        output: String,
    },
    /// Something is asked of a server that must be stopped for it.
    #[error("{name} is running; stop it first")]
    Running {
        /// Which server.
        name: &'static str,
    },
    /// The data was written by another major version than those installed.
    #[error(
        "{place} holds data of PostgreSQL {data}, but only {installed} is installed; \
         install PostgreSQL {data}, or remove that folder to start empty",
        place = place.display()
    )]
    OtherVersion {
        /// The folder of the data.
        place: PathBuf,
        /// Major version that wrote the data.
        data: u32,
        /// Major version that was found.
        installed: u32,
    },
    /// The password of existing data is gone.
    #[error(
        "{place} holds PostgreSQL data, but its password file {file} is gone; \
         put it back, or remove that folder to start empty",
        place = place.display(), file = file.display()
    )]
    PasswordLost {
        /// The folder of the data.
        place: PathBuf,
        /// Where the password should be.
        file: PathBuf,
    },
    /// PostgreSQL refuses root, and there is no way to become somebody else.
    #[error(
        "PostgreSQL refuses to run as root, and {reason}; run as an ordinary user, \
         or install util-linux (setpriv)"
    )]
    CannotDropRoot {
        /// What is missing.
        reason: &'static str,
    },
    /// Another owner's folder lies where PostgreSQL's data should go.
    #[error("{path} exists and is not ours; remove it", path = path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// No free port was found.
    #[error("no free TCP port between {from} and {to} on 127.0.0.1")]
    NoFreePort {
        /// First port that was tried.
        from: u16,
        /// Last port that was tried.
        to: u16,
    },
    /// The system gave no random bytes.
    #[error("the system's random source failed")]
    Random(#[source] getrandom::Error),
}

impl ServerError {
    /// Whether the same again, with nothing changed by anyone, may succeed.
    #[must_use]
    pub fn trying_again_may_help(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::NotReady { .. } | Self::Install { .. } => true,
            Self::Tool { .. } => true,
            other => other.is_port_conflict(),
        }
    }

    /// Whether somebody took a port between our look and the server's own bind.
    pub(super) fn is_port_conflict(&self) -> bool {
        let Self::DiedEarly { output, .. } = self else { return false };
        output.to_ascii_lowercase().contains("address already in use")
    }

    pub(super) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}

/// Servers that are not installed, each with the command that installs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingServers(pub Vec<MissingServer>);

/// One server that is not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingServer {
    /// What it is and what of it is looked for.
    pub what: &'static str,
    /// The exact command that installs it on this machine.
    pub command: String,
}

impl std::fmt::Display for MissingServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "not installed on this machine:")?;
        for missing in &self.0 {
            writeln!(f, "  {}\n      {}", missing.what, missing.command)?;
        }
        write!(f, "--install (or POSTCALL_INSTALL=1 for the tests) does this for you")
    }
}
