//! `dev.json`: where everything is, written when all of it is ready.

use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The content of `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DevState {
    /// Where `serve` listens.
    pub api_url: String,
    /// Temporal, as host and port.
    pub temporal_address: String,
    /// The namespace in it.
    pub temporal_namespace: String,
    /// Its web UI.
    pub temporal_ui_url: String,
    /// Postgres, with its superuser.
    pub database_url: String,
    /// Redis.
    pub redis_url: String,
    /// Where recordings go.
    pub storage_url: String,
    /// The fake providers and their effect log.
    pub fakes_url: String,
    /// The demo organization.
    pub demo: Demo,
    /// Process ids by name, for measurements.
    pub pids: BTreeMap<String, u32>,
}

/// What a client of the demo organization needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Demo {
    /// Its id.
    pub organization_id: String,
    /// Its API key.
    pub api_key: String,
    /// What Vapi's webhooks send as `X-Vapi-Secret`.
    pub vapi_secret: String,
    /// What Retell's webhooks are signed with.
    pub retell_api_key: String,
    /// Twilio account.
    pub twilio_account_sid: String,
    /// What Twilio's webhooks are signed with.
    pub twilio_auth_token: String,
    /// What Stripe's webhooks are signed with.
    pub stripe_webhook_secret: String,
}

/// Where the state of a data folder lies.
pub(super) fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("dev.json")
}

impl DevState {
    /// Reads the state of a running `postcall dev`; none where none is ready.
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = file(data_dir);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
        let state = serde_json::from_str(&text);
        state.map(Some).with_context(|| format!("{} is damaged", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        // Renamed into place: who sees the file sees all of it.
        let draft = path.with_extension("json.new");
        let mut options = std::fs::OpenOptions::new();
        // Passwords and keys are in it.
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft).context("dev.json")?;
        file.write_all(&serde_json::to_vec_pretty(self)?).context("dev.json")?;
        std::fs::rename(&draft, path).context("dev.json")
    }

    pub(super) fn for_people(&self, data_dir: &Path) -> String {
        let folder = data_dir.display();
        format!(
            "\n  API            {}\n  docs           {}/docs\n  Temporal UI    {}\n  \
             fakes          {}/effects\n  Postgres       {}\n  Redis          {}\n  \
             recordings     {}\n  organization   {}\n  API key        {}\n\n  \
             Everything is in {folder}/dev.json, logs are in {folder}/logs.\n  \
             Try:  postcall trigger vapi.end-of-call-report\n  \
             Then: postcall calls list\n  Ctrl-C stops everything.\n\n",
            self.api_url,
            self.api_url,
            self.temporal_ui_url,
            self.fakes_url,
            self.database_url,
            self.redis_url,
            self.storage_url,
            self.demo.organization_id,
            self.demo.api_key,
        )
    }
}
