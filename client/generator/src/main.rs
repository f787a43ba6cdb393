//! Makes `client/src/generated/` from `openapi.json`: `cargo run -p client-generator`.
//!
//! With `--check` it writes nothing, and fails where a file is not what the document says; a test
//! does the same. What the document says in a way that cannot be typed is an error that says where.
//! It is a crate of its own, so that it runs also where what it made last does not compile.

mod document;
mod fields;
mod json;
mod models;
mod names;
mod operations;
mod setters;
mod text;
mod types;

#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use document::Document;

fn main() -> ExitCode {
    let is_check = std::env::args().any(|argument| argument == "--check");
    match run(is_check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(is_check: bool) -> Result<(), String> {
    for (path, text) in files()? {
        if is_check {
            let found = fs::read_to_string(&path).unwrap_or_default();
            if found != text {
                return Err(format!("{} is not what openapi.json says", path.display()));
            }
        } else {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// What the files of `src/generated/` must hold.
fn files() -> Result<Vec<(PathBuf, String)>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../../openapi.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let document = Document::read(&text)?;
    let folder = root.join("../src/generated");
    Ok(vec![
        (folder.join("models.rs"), models::written(&document)?),
        (folder.join("operations.rs"), operations::written(&document)?),
    ])
}
