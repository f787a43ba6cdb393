//! New data for a PostgreSQL server.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use super::{INITDB, Postgres, USER};
use crate::dev::servers::error::ServerError;
use crate::dev::servers::process::{Process, Signal, Start};
use crate::dev::servers::{folder, tool};

/// Linux has the first, macOS the second, every system the last (in which only ASCII letters
/// have upper and lower case).
const LOCALES: [&str; 3] = ["C.UTF-8", "en_US.UTF-8", "C"];

impl Postgres {
    /// Gives the folder to the account that PostgreSQL runs as.
    pub(super) async fn own_place(&self) -> Result<(), ServerError> {
        let Some(account) = &self.launcher.account else { return Ok(()) };
        let read = fs::metadata(&self.place).map_err(ServerError::file("read", &self.place))?;
        if read.uid() == account.uid {
            return Ok(());
        }
        let mut command = Command::new("chown");
        command.arg("-R").arg(format!("{}:{}", account.uid, account.gid)).arg(&self.place);
        tool::run("giving PostgreSQL its folder", command).await.map(drop)
    }

    /// Makes new data beside its place and moves it there, so that data is there whole or not
    /// at all.
    pub(super) async fn initialize(&self) -> Result<(), ServerError> {
        let new = self.place.join("data.new");
        let password_file = self.place.join("password");
        folder::write_secret(&password_file, &self.password)?;
        if let Some(account) = &self.launcher.account {
            chown(&password_file, Some(account.uid), Some(account.gid))
                .map_err(ServerError::file("change the owner of", &password_file))?;
        }
        let mut result = Ok(());
        for locale in LOCALES {
            folder::remove_folder(&new)?;
            result = self.initdb(&new, &password_file, locale).await;
            if result.is_ok() {
                break;
            }
        }
        folder::remove_file(&password_file)?;
        result?;
        fs::rename(&new, self.data()).map_err(ServerError::file("move", new))
    }

    async fn initdb(
        &self,
        data: &Path,
        password_file: &Path,
        locale: &str,
    ) -> Result<(), ServerError> {
        let quit = Signal::Terminate;
        let mut command = self.launcher.unprivileged(&self.programs.program(INITDB), quit);
        command.arg("-D").arg(data).args(["-U", USER, "--auth=scram-sha-256"]);
        command.args(["--encoding=UTF8", &format!("--locale={locale}")]);
        command.arg("--pwfile").arg(password_file).current_dir(&self.place);
        let [_, log] = self.logs.clone();
        let [_, pid_file] = self.pid_files.clone();
        let process = Process::start(Start { name: INITDB, command, log, pid_file, quit }).await?;
        let status = process.ended().await;
        if status.success() { Ok(()) } else { Err(process.died_early(status)) }
    }
}
