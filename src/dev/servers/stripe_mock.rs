//! Stripe's official mock server: checks requests against the OpenAPI document of Stripe's API, and
//! remembers nothing. Only a test wants it, so it is none of [`super::Servers`].

use std::path::{Path, PathBuf};

use super::error::{MissingServer, MissingServers, ServerError};
use super::find::SearchPlaces;
use super::go::GoProgram;
use super::install::{self, Progress};

/// Its OpenAPI document is that of API version 2026-08-26.dahlia.
const STRIPE_MOCK: GoProgram = GoProgram {
    what: "stripe-mock",
    package: "github.com/stripe/stripe-mock",
    version: "v0.203.0",
};

/// The program, installed first where it is missing and `install` is set.
///
/// # Errors
/// [`ServerError::Missing`] with the command that installs it, or what `go install` said.
pub async fn stripe_mock(
    places: &SearchPlaces,
    install: bool,
    log: &Path,
    progress: Progress<'_>,
) -> Result<PathBuf, ServerError> {
    let find = || places.program(&["stripe-mock"]);
    if let Some(found) = find() {
        return Ok(found);
    }
    let missing = || {
        let (what, command) = (STRIPE_MOCK.what, STRIPE_MOCK.command(places));
        ServerError::Missing(MissingServers(vec![MissingServer { what, command }]))
    };
    if !install {
        return Err(missing());
    }
    let Some(go) = places.program(&["go"]) else {
        let reason = format!("go is not on this machine; {}", STRIPE_MOCK.command(places));
        return Err(ServerError::Install { what: STRIPE_MOCK.what, reason, log: log.to_owned() });
    };
    let _lock = install::lock_cache(&places.cache_dir).await?;
    // Another process may have installed it while we waited for the lock.
    if find().is_none() {
        progress("building stripe-mock with go install");
        STRIPE_MOCK.install(go, places, log).await?;
    }
    find().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn without_go_it_is_said_how_to_get_it() {
        let root = tempfile::tempdir().unwrap();
        let places = SearchPlaces {
            path: None,
            home: None,
            gopath: None,
            cache_dir: root.path().join("cache"),
            root: root.path().to_owned(),
        };
        let log = root.path().join("install.log");
        let command = "go install github.com/stripe/stripe-mock@v0.203.0";
        for (install, part) in [(false, "--install"), (true, "go is not on this machine")] {
            let error = stripe_mock(&places, install, &log, &|_| {}).await.unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(command), "{error}");
        }
    }
}
