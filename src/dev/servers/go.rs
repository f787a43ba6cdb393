//! Programs that are built by `go install` into our own folder.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::ServerError;
use super::find::SearchPlaces;
use super::install;

/// A program of a Go module.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoProgram {
    /// What people call it.
    pub(super) what: &'static str,
    /// Its package.
    pub(super) package: &'static str,
    /// Which version of it is built.
    pub(super) version: &'static str,
}

impl GoProgram {
    /// What a person types to get it into our cache.
    pub(super) fn command(&self, places: &SearchPlaces) -> String {
        let Self { package, version, .. } = self;
        format!("GOBIN={} go install {package}@{version}", places.cache_dir.display())
    }

    /// Builds it with `go`.
    pub(super) async fn install(
        &self,
        go: PathBuf,
        places: &SearchPlaces,
        log: &Path,
    ) -> Result<(), ServerError> {
        let mut command = Command::new(go);
        command.arg("install").arg(format!("{}@{}", self.package, self.version));
        // None of them needs C (Temporal's SQLite is Go too), so they must not need a C compiler.
        command.env("GOBIN", &places.cache_dir).env("CGO_ENABLED", "0");
        // The modules have no vendor folder and no workspace, whatever the caller's settings say.
        command.env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
        install::run(self.what, command, log).await
    }
}
