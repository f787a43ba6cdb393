//! What the writer asks of the disk, and the folder that the segments lie in.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt},
    path::Path,
};

/// The operations that a full or a dying disk refuses. Tests put a disk in place that refuses them.
pub(super) trait Disk: Send + 'static {
    /// Writes all bytes at this offset.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Returns when the file's data and length are on disk.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Cuts the file to this length in bytes.
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;
}

/// The disk that there is.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}

/// Makes the folder, for this user only, with those above it that are missing. One that is there
/// stays as it is.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|path| is_missing(path)).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // A folder is on disk when its name in the one above it is.
    missing.iter().filter_map(|made| made.parent()).try_for_each(sync_folder)
}

/// Whether others than its owner may list, change or enter the folder.
pub(super) fn is_open_to_others(folder: &Path) -> io::Result<bool> {
    Ok(folder.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Returns when the names of the folder's files are on disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // The parent of a relative path of one part is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

fn is_missing(path: &Path) -> bool {
    !path.as_os_str().is_empty() && !path.exists()
}
