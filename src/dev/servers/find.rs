//! Where the servers' programs are on this machine.
//!
//! Looked for in this order: PATH, the usual places of the systems, our own cache. Nothing of the
//! environment is read here: the caller passes it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{MissingServer, MissingServers};
use super::install;

/// The schema uses what came with this major version (`UNIQUE NULLS NOT DISTINCT`).
const OLDEST_POSTGRES: u32 = 15;

/// What is needed of PostgreSQL, all from one folder so that the versions agree.
const POSTGRES_PROGRAMS: [&str; 4] = ["postgres", "initdb", "psql", "createdb"];

/// What the search depends on, as values.
#[derive(Debug, Clone)]
pub struct SearchPlaces {
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// The home folder, for `go/bin` in it.
    pub home: Option<PathBuf>,
    /// The value of `GOPATH`: folders whose `bin` is searched.
    pub gopath: Option<OsString>,
    /// Our own folder of programs, which `install` fills (`~/.cache/postcall/bin`).
    pub cache_dir: PathBuf,
    /// The folder under which `usr` and `opt` lie: `/`, except in tests.
    pub root: PathBuf,
}

impl SearchPlaces {
    fn path_folders(&self) -> impl Iterator<Item = PathBuf> {
        let folders: Vec<_> =
            self.path.iter().flat_map(|path| std::env::split_paths(path)).collect();
        folders.into_iter().filter(|folder| folder.is_absolute())
    }

    /// Folders with programs outside of PATH.
    fn usual_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![
            self.root.join("usr/local/bin"),
            self.root.join("usr/bin"),
            self.root.join("opt/homebrew/bin"),
            self.root.join("home/linuxbrew/.linuxbrew/bin"),
            self.root.join("usr/local/go/bin"),
        ];
        folders.extend(
            self.gopath
                .iter()
                .flat_map(|gopath| std::env::split_paths(gopath).collect::<Vec<_>>())
                .map(|folder| folder.join("bin")),
        );
        folders.extend(self.home.iter().map(|home| home.join("go/bin")));
        folders
    }

    /// Folders of PostgreSQL installations, which systems keep outside of PATH; newest first.
    fn postgres_folders(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for (parent, prefix) in [
            ("usr/lib/postgresql", ""),
            ("usr", "pgsql-"),
            ("opt/homebrew/opt", "postgresql@"),
            ("usr/local/opt", "postgresql@"),
            ("home/linuxbrew/.linuxbrew/opt", "postgresql@"),
        ] {
            let Ok(entries) = fs::read_dir(self.root.join(parent)) else { continue };
            found.extend(entries.flatten().filter_map(|entry| {
                let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            }));
        }
        found.sort_by_key(|(version, _): &(u32, PathBuf)| std::cmp::Reverse(*version));
        found.into_iter().map(|(_, folder)| folder).collect()
    }

    /// The first program of one of these names: PATH, usual places, cache.
    pub(super) fn program(&self, names: &[&str]) -> Option<PathBuf> {
        let folders = self
            .path_folders()
            .chain(self.usual_folders())
            .chain([self.cache_dir.clone()])
            .collect::<Vec<_>>();
        names.iter().find_map(|name| {
            folders.iter().map(|folder| folder.join(name)).find(|file| is_program(file))
        })
    }

    /// An installation of PostgreSQL, of the major version `wanted` if there is one.
    fn postgres(&self, wanted: Option<u32>) -> Option<PostgresPrograms> {
        let usual = self.postgres_folders().into_iter().chain(self.usual_folders());
        let mut found: Vec<PostgresPrograms> = Vec::new();
        for folder in self.path_folders().chain(usual) {
            // A link on PATH leads to the folder in which the other programs are.
            let Ok(postgres) = folder.join("postgres").canonicalize() else { continue };
            let Some(folder) = postgres.parent() else { continue };
            if found.iter().any(|programs| programs.folder == folder) {
                continue;
            }
            found.extend(PostgresPrograms::in_folder(folder));
        }
        let place = found.iter().position(|programs| Some(programs.major) == wanted).unwrap_or(0);
        (!found.is_empty()).then(|| found.swap_remove(place))
    }
}

/// The programs of one PostgreSQL installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PostgresPrograms {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl PostgresPrograms {
    fn in_folder(folder: &Path) -> Option<Self> {
        if !POSTGRES_PROGRAMS.iter().all(|name| is_program(&folder.join(name))) {
            return None;
        }
        let mut version = Command::new(folder.join("postgres"));
        version.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
        let printed = version.output().ok()?.stdout;
        let major = major_version(&String::from_utf8_lossy(&printed))?;
        (major >= OLDEST_POSTGRES).then(|| Self { folder: folder.to_owned(), major })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Reads `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`, `... 18beta1`.
fn major_version(printed: &str) -> Option<u32> {
    let number = printed.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// All programs that are needed.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) postgres: PostgresPrograms,
    pub(super) redis: PathBuf,
    pub(super) temporal: PathBuf,
}

/// What was found; the rest is missing.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) postgres: Option<PostgresPrograms>,
    pub(super) redis: Option<PathBuf>,
    pub(super) temporal: Option<PathBuf>,
}

impl Found {
    /// Looks everywhere; `data_version` is the major version of existing PostgreSQL data.
    pub(super) fn look(places: &SearchPlaces, data_version: Option<u32>) -> Self {
        Self {
            postgres: places.postgres(data_version),
            // Distributions that dropped Redis after its change of licence ship Valkey, which
            // speaks the same protocol and takes the same options.
            redis: places.program(&["redis-server", "valkey-server"]),
            temporal: places.program(&["temporal"]),
        }
    }

    /// The programs, or a list of all that is missing.
    pub(super) fn complete(self, places: &SearchPlaces) -> Result<Programs, MissingServers> {
        let installer = install::Installer::of(places);
        let mut missing = Vec::new();
        if self.postgres.is_none() {
            missing.push(MissingServer {
                what: "PostgreSQL 15 or newer (postgres, initdb, psql, createdb)",
                command: installer.postgres_command(),
            });
        }
        if self.redis.is_none() {
            missing.push(MissingServer {
                what: "Redis (redis-server)",
                command: installer.redis_command(),
            });
        }
        if self.temporal.is_none() {
            missing.push(MissingServer {
                what: "Temporal CLI (temporal)",
                command: install::temporal_command(places),
            });
        }
        match (self.postgres, self.redis, self.temporal) {
            (Some(postgres), Some(redis), Some(temporal)) => {
                Ok(Programs { postgres, redis, temporal })
            }
            _ => Err(MissingServers(missing)),
        }
    }
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Written by another process: a file that this one still has open for writing while another
    /// test forks cannot be executed ("text file busy").
    fn program(file: &Path, text: &str) {
        let script =
            r#"mkdir -p "${1%/*}" && printf '#!/bin/sh\n%s\n' "$2" >"$1" && chmod 755 "$1""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(file).arg(text);
        assert!(shell.status().unwrap().success());
    }

    fn install_postgres(folder: &Path, version: &str) {
        for name in POSTGRES_PROGRAMS {
            program(&folder.join(name), &format!("echo 'postgres (PostgreSQL) {version}'"));
        }
    }

    fn places(root: &Path) -> SearchPlaces {
        SearchPlaces {
            path: None,
            home: Some(root.join("home/me")),
            gopath: None,
            cache_dir: root.join("cache"),
            root: root.to_owned(),
        }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn an_empty_machine_lacks_everything_and_says_how_to_get_it() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path());
        let missing = Found::look(&places, None).complete(&places).unwrap_err();
        assert_eq!(missing.0.len(), 3);
        let text = missing.to_string();
        for part in ["PostgreSQL 15", "redis-server", "Temporal CLI", "--install"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn the_newest_postgres_wins_unless_the_data_wants_another() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("usr/lib/postgresql");
        for version in ["9.6", "14", "15", "17"] {
            install_postgres(&base.join(version).join("bin"), &format!("{version}.1"));
        }
        let places = places(root.path());
        assert_eq!(places.postgres(None).unwrap().major, 17);
        assert_eq!(places.postgres(Some(15)).unwrap().major, 15);
        assert_eq!(places.postgres(Some(14)).unwrap().major, 17);
    }

    #[test]
    fn a_link_on_path_leads_to_the_whole_installation() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap().join("somewhere/bin");
        install_postgres(&real, "16.2");
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(real.join("postgres"), bin.join("postgres")).unwrap();
        let places = SearchPlaces { path: Some(bin.into()), ..places(root.path()) };
        assert_eq!(places.postgres(None).unwrap().folder, real);
    }

    #[test]
    fn path_comes_before_usual_places_and_the_cache_comes_last() {
        let root = tempfile::tempdir().unwrap();
        let places = places(root.path());
        program(&root.path().join("cache/temporal"), "");
        assert_eq!(places.program(&["temporal"]), Some(root.path().join("cache/temporal")));
        program(&root.path().join("home/me/go/bin/temporal"), "");
        let home = root.path().join("home/me/go/bin/temporal");
        assert_eq!(places.program(&["temporal"]), Some(home));
        program(&root.path().join("x/temporal"), "");
        let path = Some(root.path().join("x").into());
        let places = SearchPlaces { path, ..places };
        assert_eq!(places.program(&["temporal"]), Some(root.path().join("x/temporal")));
    }
}
