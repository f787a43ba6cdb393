//! The data folder: where everything of the servers lies, and whose it is.
//!
//! `logs/NAME.log`, `run/lock`, `run/NAME.pid`, `run/ports.json`, `run/postgres.password`, and one
//! folder of data per server.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::account::Launcher;
use super::error::ServerError;

/// Where PostgreSQL's data goes when its account cannot enter the data folder (`/root/...`).
/// Unlike `/tmp` it survives a restart of the machine.
const OUTSIDE: &str = "/var/tmp";

/// A lock that was given up can still be held for moments: by a child process that another thread
/// has forked and that has not yet become its program, at which point it lets go of our files.
const LOCK_LIMIT: Duration = Duration::from_millis(500);
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Bytes of randomness in PostgreSQL's password.
const PASSWORD_BYTES: usize = 24;

/// The data folder, locked for this process.
#[derive(Debug)]
pub(super) struct DataFolder {
    root: PathBuf,
    /// The lock ends with the file, whatever ends the process.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where needed and locks it.
    pub(super) async fn open(path: &Path) -> Result<Self, ServerError> {
        if fs::metadata(path).is_ok_and(|data| !data.is_dir()) {
            return Err(ServerError::NotAFolder { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(ServerError::file("create", path))?;
        // The servers run elsewhere, so a relative path would be another one for them.
        let root = path.canonicalize().map_err(ServerError::file("resolve", path))?;
        for name in ["logs", "run"] {
            make_folder(&root.join(name))?;
        }
        let lock = lock(&root).await?;
        Ok(Self { root, _lock: lock })
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    pub(super) fn pid_file(&self, name: &str) -> PathBuf {
        self.run_file(&format!("{name}.pid"))
    }

    pub(super) fn run_file(&self, name: &str) -> PathBuf {
        self.root.join("run").join(name)
    }

    /// Where one server's data is, or would be.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of one server's data, made when it is not there.
    pub(super) fn data_of(&self, name: &str) -> Result<PathBuf, ServerError> {
        let folder = self.path_of(name);
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Where PostgreSQL's data goes. Outside of the data folder when its account could not reach
    /// it there; a note in `run/postgres.place` says so.
    pub(super) fn postgres_place(&self, launcher: &Launcher) -> Result<PathBuf, ServerError> {
        if launcher.can_enter(&self.root) {
            return self.data_of("postgres");
        }
        let outside = self.outside();
        make_outside(&outside)?;
        let place = outside.join("postgres");
        make_folder(&place)?;
        let note = self.run_file("postgres.place");
        let text = format!("{}\n", place.display());
        fs::write(&note, text).map_err(ServerError::file("write", note))?;
        Ok(place)
    }

    /// The places where PostgreSQL's data may be, before it is known as whom it runs.
    pub(super) fn postgres_places(&self) -> [PathBuf; 2] {
        [self.path_of("postgres"), self.outside().join("postgres")]
    }

    fn outside(&self) -> PathBuf {
        let hash = hex::encode(Sha256::digest(self.root.as_os_str().as_encoded_bytes()));
        Path::new(OUTSIDE).join(format!("postcall-{}", &hash[..16]))
    }

    fn password_file(&self) -> PathBuf {
        self.run_file("postgres.password")
    }

    /// PostgreSQL's password; a new one only while there is no data that knows the old one.
    pub(super) fn password(&self, place: &Path, fresh: bool) -> Result<SecretString, ServerError> {
        let file = self.password_file();
        match fs::read_to_string(&file) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned().into()),
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(ServerError::File { operation: "read", path: file, source });
            }
            _ if !fresh => return Err(ServerError::PasswordLost { place: place.to_owned(), file }),
            _ => {}
        }
        let mut bytes = [0; PASSWORD_BYTES];
        getrandom::fill(&mut bytes).map_err(ServerError::Random)?;
        let password = SecretString::from(hex::encode(bytes));
        write_secret(&file, &password)?;
        Ok(password)
    }

    /// Removes what the servers left; anything else in the data folder stays.
    pub(super) fn remove(self) -> Result<(), ServerError> {
        let outside = self.outside();
        let inside = ["postgres", "redis", "temporal", "logs", "run"];
        for folder in inside.map(|name| self.path_of(name)).iter().chain([&outside]) {
            remove_folder(folder)?;
        }
        Ok(())
    }
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(super) fn remove_folder(folder: &Path) -> Result<(), ServerError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ServerError::file("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove_file(file: &Path) -> Result<(), ServerError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ServerError::file("remove", file)(error))
        }
        _ => Ok(()),
    }
}

/// Writes a secret that only its owner can read. Through a new file, so that a crash leaves
/// either none or all of it.
pub(super) fn write_secret(file: &Path, secret: &SecretString) -> Result<(), ServerError> {
    let new = file.with_extension("new");
    remove_file(&new)?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let mut output = opened.map_err(ServerError::file("create", &new))?;
    let written = output.write_all(secret.expose_secret().as_bytes());
    written.and_then(|()| output.sync_all()).map_err(ServerError::file("write", &new))?;
    fs::rename(&new, file).map_err(ServerError::file("replace", file))
}

fn make_folder(folder: &Path) -> Result<(), ServerError> {
    fs::create_dir_all(folder).map_err(ServerError::file("create", folder))
}

/// Everybody may write in `/var/tmp`, so a folder that somebody else made is not used.
fn make_outside(folder: &Path) -> Result<(), ServerError> {
    match DirBuilder::new().mode(0o711).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(ServerError::file("create", folder)(error));
        }
        _ => {}
    }
    let data = fs::symlink_metadata(folder).map_err(ServerError::file("read", folder))?;
    // Only root drops to another account, so only root comes here.
    if data.is_dir() && data.uid() == 0 {
        Ok(())
    } else {
        Err(ServerError::ForeignFolder { path: folder.to_owned() })
    }
}

async fn lock(root: &Path) -> Result<File, ServerError> {
    let path = root.join("run/lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(ServerError::file("open", &path))?;
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(LOCK_AGAIN).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(ServerError::InUse { folder: root.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(ServerError::file("lock", path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_is_no_data_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataFolder::open(file.path()).await.unwrap_err();
        assert!(matches!(error, ServerError::NotAFolder { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_folder_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).await.unwrap();
        let error = DataFolder::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, ServerError::InUse { .. }), "{error}");
        drop(first);
        DataFolder::open(folder.path()).await.unwrap();
    }

    #[tokio::test]
    async fn the_password_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).await.unwrap();
        let place = folder.path().join("postgres");
        let lost = data.password(&place, false).unwrap_err();
        assert!(matches!(lost, ServerError::PasswordLost { .. }), "{lost}");
        let first = data.password(&place, true).unwrap();
        assert_eq!(first.expose_secret().len(), 2 * PASSWORD_BYTES);
        let again = data.password(&place, false).unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        let mode = fs::metadata(data.password_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
