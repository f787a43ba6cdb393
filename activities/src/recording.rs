//! The audio, from the provider to object storage.
#![expect(missing_docs, reason = "the markers that activities makes have none")]

use std::{collections::BTreeMap, sync::Arc};

use contract::{
    call::Provider, calls::CallRef, failure::INVALID, ids::OrganizationId,
    recording::ArchivedRecording,
};
use providers::{
    error::ProviderError,
    recording::{Access, RecordingSource},
};
use store::{
    Database,
    credentials::{self, ApiAccess, ApiAccount},
    objects::{CopyError, Objects, recording_path},
    recordings,
    sealing::Sealer,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::{
    failure::{failure, of_provider, of_store},
    faults::Faults,
    heartbeat::beating,
};

/// What the recording step needs.
#[derive(Debug, Clone)]
pub struct RecordingActivities {
    /// Where the recording's metadata lies.
    pub db: Database,
    /// Opens the organizations' secrets.
    pub sealer: Sealer,
    /// The installation's own accounts, for organizations without.
    pub fallbacks: BTreeMap<Provider, Access>,
    /// Where the audio comes from.
    pub source: RecordingSource,
    /// Where it goes.
    pub objects: Objects,
    /// Where a test may strike.
    pub faults: Faults,
}

#[activities]
impl RecordingActivities {
    /// Copies the audio from the provider to object storage.
    ///
    /// The object's key is fixed by the call, so a repeated copy replaces the same object.
    #[activity(definition = contract::recording::Archive)]
    pub async fn archive(
        self: Arc<Self>,
        ctx: ActivityContext,
        call: CallRef,
    ) -> Result<ArchivedRecording, ActivityError> {
        beating(&ctx, self.copy(call)).await
    }
}

impl RecordingActivities {
    async fn copy(&self, call: CallRef) -> Result<ArchivedRecording, ActivityError> {
        self.faults.point("recording.before").await?;
        let recording = recordings::get(&self.db, call).await.map_err(|e| of_store(&e))?;
        let Some(recording) = recording else {
            return Err(failure(INVALID, "the call has no recording".to_owned(), false, None));
        };
        if let Some(stored) = recording.stored {
            return Ok(stored);
        }
        let (provider, id) = (recording.provider, &recording.provider_call_id);
        let access = self.access(call.organization_id, provider).await?;
        let open = self.source.open(provider, id, &recording.urls, access.as_ref());
        let open = open.await.map_err(|error| of_provider(&error))?;
        let path = recording_path(call, open.extension);
        let written = self.objects.write::<ProviderError>(&path, open.stream).await;
        let written = written.map_err(|error| match error {
            CopyError::Source(error) => of_provider(&error),
            CopyError::Storage(error) => of_store(&error),
        })?;
        self.faults.point("recording.written").await?;
        let archived =
            ArchivedRecording { bytes: written.bytes, sha256: hex::encode(written.sha256) };
        recordings::stored(&self.db, call, &path, open.content_type.as_deref(), &archived)
            .await
            .map_err(|error| of_store(&error))?;
        self.faults.point("recording.after").await?;
        Ok(archived)
    }

    /// How the provider's API is asked for the audio, where it may be.
    async fn access(
        &self,
        organization: OrganizationId,
        provider: Provider,
    ) -> Result<Option<Access>, ActivityError> {
        let own = credentials::api_access(&self.db, &self.sealer, organization, provider)
            .await
            .map_err(|error| of_store(&error))?;
        Ok(chosen(own, self.fallbacks.get(&provider)))
    }
}

/// The organization's own account. The installation's opens the recordings of all who share it, and
/// whoever signs with a secret of their own could name any of them: it is only for those without.
fn chosen(own: ApiAccess, shared: Option<&Access>) -> Option<Access> {
    match own {
        ApiAccess::Own(ApiAccount { api_key, settings }) => {
            let account = settings["account_sid"].as_str().unwrap_or_default().to_owned();
            Some(Access { account, api_key })
        }
        ApiAccess::Closed => None,
        ApiAccess::Unset => shared.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn chosen_of(own: ApiAccess) -> Option<(String, String)> {
        let shared = Access { account: "AC0".to_owned(), api_key: "shared key".into() };
        let access = chosen(own, Some(&shared))?;
        Some((access.account, access.api_key.expose_secret().to_owned()))
    }

    #[test]
    fn the_installations_account_is_for_organizations_without_credentials_only() {
        let settings = json!({ "account_sid": "AC1" });
        let own = ApiAccess::Own(ApiAccount { api_key: "own key".into(), settings });
        assert_eq!(chosen_of(own), Some(("AC1".to_owned(), "own key".to_owned())));
        assert_eq!(chosen_of(ApiAccess::Closed), None);
        let shared = ("AC0".to_owned(), "shared key".to_owned());
        assert_eq!(chosen_of(ApiAccess::Unset), Some(shared));
        assert!(chosen(ApiAccess::Unset, None).is_none());
    }
}
