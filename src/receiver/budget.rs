//! How much memory the bodies of requests in progress may take together.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use bytes::BytesMut;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All bodies in progress together, in KiB: 25 of the largest, or 12,000 usual ones.
const MAX_KIB: usize = 256 * 1024;
/// A body that waits longer for memory is refused, so that those who hold some can finish.
const PATIENCE: Duration = Duration::from_secs(2);
/// From the first byte to the last. Providers send theirs in well under a second.
const BODY_TIMEOUT: Duration = Duration::from_secs(6);

/// Memory for bodies. Taken as bytes arrive: what a header announces costs nothing.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    kib: Arc<Semaphore>,
}

/// A body, and the memory that it holds until it is dropped.
#[derive(Debug)]
pub(super) struct HeldBody {
    pub(super) bytes: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { kib: Arc::new(Semaphore::new(MAX_KIB)) }
    }
}

impl Budget {
    /// Reads a whole body of at most `max` bytes.
    ///
    /// # Errors
    /// 413 when it is longer, 408 when it is too slow, 503 when too many are under way, 400 when
    /// the connection breaks off.
    pub(super) async fn read(&self, body: Body, max: usize) -> Result<HeldBody, StatusCode> {
        tokio::time::timeout(BODY_TIMEOUT, self.collect(body, max))
            .await
            .unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
    }

    async fn collect(&self, body: Body, max: usize) -> Result<HeldBody, StatusCode> {
        if http_body::Body::size_hint(&body).lower() > max as u64 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut chunks = body.into_data_stream();
        let mut memory: Option<OwnedSemaphorePermit> = None;
        let mut whole = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
            if whole.len() + chunk.len() > max {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            let held = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = (whole.len() + chunk.len()).div_ceil(1024);
            if wanted > held {
                let more = self.take(wanted - held).await?;
                match &mut memory {
                    Some(memory) => memory.merge(more),
                    None => memory = Some(more),
                }
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(HeldBody { bytes: whole.freeze(), _memory: memory })
    }

    async fn take(&self, kib: usize) -> Result<OwnedSemaphorePermit, StatusCode> {
        let kib = u32::try_from(kib).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let taken = tokio::time::timeout(PATIENCE, self.kib.clone().acquire_many_owned(kib)).await;
        taken.ok().and_then(Result::ok).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use futures::stream;

    use super::*;

    fn chunked(chunk: &'static [u8], times: usize) -> Body {
        let chunks = (0..times).map(move |_| Ok::<_, std::io::Error>(chunk));
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_has_a_longest_length_announced_or_not() {
        let budget = Budget::default();
        let read = budget.read(Body::from("12345"), 5).await.unwrap();
        assert_eq!(read.bytes, "12345");
        for body in [Body::from("123456"), chunked(b"123", 2)] {
            assert_eq!(budget.read(body, 5).await.unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        }
        drop(read);
        assert_eq!(budget.kib.available_permits(), MAX_KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_given_back_and_its_lack_is_503() {
        let budget = Budget { kib: Arc::new(Semaphore::new(8)) };
        let first = budget.read(chunked(&[b'x'; 1000], 8), 10_000).await.unwrap();
        let refused = budget.read(Body::from("x".repeat(2000)), 10_000).await;
        assert_eq!(refused.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(budget.read(Body::from("x".repeat(2000)), 10_000).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_for_ever_is_408() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = Budget::default().read(never, 10).await;
        assert_eq!(refused.unwrap_err(), StatusCode::REQUEST_TIMEOUT);
    }
}
