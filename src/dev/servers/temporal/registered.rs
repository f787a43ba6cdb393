//! Namespaces and search attributes of a Temporal database that is there already.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Temporal;
use crate::dev::servers::error::ServerError;
use crate::dev::servers::tool;

/// What the server's database has; kept beside it, because the server reads its own options for
/// this only when a namespace is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Registered {
    pub(super) namespaces: Vec<String>,
    pub(super) search_attributes: Vec<String>,
}

impl Temporal {
    /// Adds what a database of an earlier version of ours lacks.
    pub(super) async fn register_missing(&self) -> Result<(), ServerError> {
        for namespace in &self.registered.namespaces {
            let list = ["operator", "search-attribute", "list", "--output", "json"];
            let listed = tool::run("listing search attributes", self.client(namespace, &list));
            let missing = missing_attributes(&listed.await?, &self.registered.search_attributes);
            if missing.is_empty() {
                continue;
            }
            let mut create = self.client(namespace, &["operator", "search-attribute", "create"]);
            for name in missing {
                create.args(["--name", name, "--type", "Keyword"]);
            }
            tool::run("creating search attributes", create).await?;
        }
        Ok(())
    }

    pub(super) fn registered_file(&self) -> PathBuf {
        self.folder.join("registered.json")
    }

    /// What the database of an earlier start has; none where there was no such start.
    pub(super) fn known(&self) -> Option<Registered> {
        if self.in_memory || !self.database().exists() {
            return None;
        }
        serde_json::from_slice(&fs::read(self.registered_file()).ok()?).ok()
    }

    pub(super) fn remember(&self) -> Result<(), ServerError> {
        let (file, text) = (self.registered_file(), serde_json::json!(self.registered));
        let new = file.with_extension("new");
        fs::write(&new, text.to_string()).map_err(ServerError::file("write", &new))?;
        fs::rename(&new, &file).map_err(ServerError::file("replace", file))
    }
}

/// Those of `wanted` that `temporal operator search-attribute list --output json` does not show.
fn missing_attributes<'a>(listed: &str, wanted: &'a [String]) -> Vec<&'a str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed {
        #[serde(default)]
        custom_attributes: std::collections::HashMap<String, serde_json::Value>,
    }
    let known =
        serde_json::from_str::<Listed>(listed).map(|l| l.custom_attributes).unwrap_or_default();
    wanted.iter().map(String::as_str).filter(|name| !known.contains_key(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_attributes_are_created() {
        let listed = r#"{"customAttributes": {"Old": "INDEXED_VALUE_TYPE_KEYWORD"},
            "systemAttributes": {"RunId": "INDEXED_VALUE_TYPE_KEYWORD"}}"#;
        let wanted = ["Old".to_owned(), "New".to_owned()];
        assert_eq!(missing_attributes(listed, &wanted), ["New"]);
        assert_eq!(missing_attributes("{}", &wanted), ["Old", "New"]);
    }
}
