//! As whom the servers run, and how they die with us.
//!
//! PostgreSQL refuses root, so root drops to an unprivileged account for it. Both this and the
//! signal that a child gets when its parent dies are set by `setpriv` of util-linux, which then
//! becomes the server itself (`exec`), so that the process id stays.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ServerError;
use super::find::SearchPlaces;
use super::process::Signal;

/// Accounts for PostgreSQL under root, the first that exists.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// An account from `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Starts programs with a clean environment and the right account.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    setpriv: Option<PathBuf>,
    /// The account to drop to; none when we are not root.
    pub(super) account: Option<Account>,
    path: Option<OsString>,
}

impl Launcher {
    /// Looks at this machine and at who we are.
    pub(super) fn detect(places: &SearchPlaces) -> Result<Self, ServerError> {
        let setpriv = places.program(&["setpriv"]).filter(|program| understands_death(program));
        let account = if is_root() {
            if setpriv.is_none() {
                return Err(ServerError::CannotDropRoot { reason: "there is no setpriv" });
            }
            let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let found = ACCOUNTS.iter().find_map(|name| account_in(&accounts, name));
            let reason = "there is neither an account `postgres` nor `nobody`";
            Some(found.ok_or(ServerError::CannotDropRoot { reason })?)
        } else {
            None
        };
        Ok(Self { setpriv, account, path: places.path.clone() })
    }

    /// A command that runs as ourselves and gets `signal` when we die, where the system can.
    pub(super) fn command(&self, program: &Path, signal: Signal) -> Command {
        self.build(program, signal, None)
    }

    /// The same, but never as root.
    pub(super) fn unprivileged(&self, program: &Path, signal: Signal) -> Command {
        self.build(program, signal, self.account.as_ref())
    }

    /// Whether the unprivileged account can reach what is inside of `folder`.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        if self.account.is_none() {
            return true;
        }
        let mut command = self.unprivileged(Path::new("test"), Signal::Kill);
        command.arg("-x").arg(folder).stdin(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn build(&self, program: &Path, signal: Signal, account: Option<&Account>) -> Command {
        let mut command = match &self.setpriv {
            None => Command::new(program),
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                if let Some(account) = account {
                    command.arg(format!("--reuid={}", account.uid));
                    command.arg(format!("--regid={}", account.gid));
                    command.arg("--clear-groups");
                }
                command.arg(format!("--pdeathsig={}", signal.name())).arg("--").arg(program);
                command
            }
        };
        self.clean(&mut command);
        command
    }

    /// The environment of whoever started us must not steer the servers: `PGDATA`,
    /// `TEMPORAL_ADDRESS` and others would.
    pub(super) fn clean(&self, command: &mut Command) {
        command.env_clear().env("LC_ALL", "C");
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
    }
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    let printed = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    printed.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// BusyBox has a `setpriv` that knows no `--pdeathsig`.
fn understands_death(setpriv: &Path) -> bool {
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig=TERM", "--", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Reads one account out of the text of `/etc/passwd` (`name:x:uid:gid:...`).
fn account_in(accounts: &str, name: &str) -> Option<Account> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read() {
        let text = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var/lib:/bin/sh\n";
        assert_eq!(account_in(text, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(account_in(text, "post"), None);
        assert_eq!(account_in("postgres:x:many:104", "postgres"), None);
    }
}
