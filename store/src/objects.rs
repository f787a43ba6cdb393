//! Object storage for recordings: a local folder or anything that speaks S3.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use contract::calls::CallRef;
use futures::{Stream, StreamExt};
use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    StoreError,
    error::{During, Problem},
};

/// Size of the parts that a large object is written in. S3 takes at most 10,000 of at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;

/// Where recordings are kept.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
}

/// An object as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// Why a copy stopped: the source or the storage.
#[derive(Debug, thiserror::Error)]
pub enum CopyError<E> {
    /// The stream that was copied failed.
    #[error(transparent)]
    Source(E),
    /// The object storage failed.
    #[error(transparent)]
    Storage(StoreError),
}

impl Objects {
    /// The storage at a `file:///folder` or `s3://bucket/prefix` URL.
    ///
    /// `options` are those of `object_store` for S3 (`aws_access_key_id`, `aws_endpoint`, …).
    pub fn new(url: &Url, options: HashMap<String, String>) -> Result<Self, StoreError> {
        const OPERATION: &str = "objects.new";
        if url.scheme() == "file" {
            let folder = url.to_file_path().map_err(|()| {
                let rule = "POSTCALL_STORAGE_URL: not a file:///folder".to_owned();
                StoreError::new(OPERATION, Problem::Invalid(rule))
            })?;
            std::fs::create_dir_all(&folder).map_err(|e| {
                let rule = format!("POSTCALL_STORAGE_URL: cannot make {}: {e}", folder.display());
                StoreError::new(OPERATION, Problem::Invalid(rule))
            })?;
            let store = LocalFileSystem::new_with_prefix(folder).during(OPERATION)?;
            return Ok(Self { store: Arc::new(store) });
        }
        let (store, prefix) = object_store::parse_url_opts(url, options).during(OPERATION)?;
        Ok(Self { store: Arc::new(PrefixStore::new(store, prefix)) })
    }

    /// Writes a stream to `path`, replacing what is there, and tells size and hash.
    ///
    /// Nothing shows at `path` until all of it is written; memory stays at a few parts.
    pub async fn write<E>(
        &self,
        path: &str,
        mut source: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Written, CopyError<E>> {
        const OPERATION: &str = "objects.write";
        let path = Path::from(path);
        let mut hash = Sha256::new();
        let mut bytes = 0_u64;
        let mut first = Vec::new();
        while first.len() < PART {
            let Some(chunk) = source.next().await else { break };
            let chunk = chunk.map_err(CopyError::Source)?;
            hash.update(&chunk);
            bytes += chunk.len() as u64;
            first.extend_from_slice(&chunk);
        }
        if first.len() < PART {
            // Most recordings are one part, and one part is one request.
            let put = self.store.put(&path, PutPayload::from(first)).await;
            put.during(OPERATION).map_err(CopyError::Storage)?;
            return Ok(Written { bytes, sha256: hash.finalize().into() });
        }
        let upload = self.store.put_multipart(&path).await;
        let upload = upload.during(OPERATION).map_err(CopyError::Storage)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        upload.write(&first);
        drop(first);
        while let Some(chunk) = source.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    // What was uploaded so far would be kept, unseen and paid for.
                    upload.abort().await.during(OPERATION).map_err(CopyError::Storage)?;
                    return Err(CopyError::Source(error));
                }
            };
            hash.update(&chunk);
            bytes += chunk.len() as u64;
            upload.wait_for_capacity(2).await.during(OPERATION).map_err(CopyError::Storage)?;
            upload.write(&chunk);
        }
        upload.finish().await.during(OPERATION).map_err(CopyError::Storage)?;
        Ok(Written { bytes, sha256: hash.finalize().into() })
    }

    /// Size of an object in bytes; none where there is no such object.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        match self.store.head(&Path::from(path)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).during("objects.size"),
        }
    }

    /// Reads an object as a stream.
    pub async fn read(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + use<>, StoreError> {
        const OPERATION: &str = "objects.read";
        let found = self.store.get(&Path::from(path)).await.during(OPERATION)?;
        Ok(found.into_stream().map(|chunk| chunk.during(OPERATION)))
    }
}

/// `{organization_id}/{year}/{month}/{call_id}.{extension}`, by the month of `created_at` in UTC.
pub fn recording_path(call: CallRef, extension: &str) -> String {
    let month = call.created_at.format("%Y/%m");
    format!("{}/{month}/{}.{extension}", call.organization_id, call.call_id)
}
