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
    credentials::{self, ApiAccess},
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

    /// The organization's own access to the provider's API, else the installation's.
    async fn access(
        &self,
        organization: OrganizationId,
        provider: Provider,
    ) -> Result<Option<Access>, ActivityError> {
        let own = credentials::api_access(&self.db, &self.sealer, organization, provider)
            .await
            .map_err(|error| of_store(&error))?;
        Ok(match own {
            Some(ApiAccess { api_key, settings }) => {
                let account = settings["account_sid"].as_str().unwrap_or_default().to_owned();
                Some(Access { account, api_key })
            }
            None => self.fallbacks.get(&provider).cloned(),
        })
    }
}
