//! Answers that are bytes: audio, and tables as comma-separated values.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use reqwest::{Response, header::CONTENT_TYPE};

use crate::{
    call,
    error::Error,
    request::{Request, mode},
};

/// An answer of bytes, of which the beginning has come.
pub struct Download {
    operation: &'static str,
    response: Response,
}

impl Download {
    /// The media type.
    pub fn content_type(&self) -> Option<&str> {
        self.response.headers().get(CONTENT_TYPE)?.to_str().ok()
    }

    /// Length in bytes, where it is known beforehand.
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The bytes as they come.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, Error>> {
        let operation = self.operation;
        let bytes = self.response.bytes_stream();
        bytes.map_err(move |error| Error::transport(operation, error)).boxed()
    }

    /// All bytes, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`Error::Transport`] where the answer breaks off, [`Error::TooLarge`] where there are more.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        call::read(self.operation, &mut self.response, limit).await
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("operation", &self.operation)
            .field("content_type", &self.content_type())
            .field("content_length", &self.content_length())
            .finish()
    }
}

impl IntoFuture for Request<Download, mode::Bytes> {
    type Output = Result<Download, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let call = self.call;
        Box::pin(async move {
            let response = call.open().await?;
            Ok(Download { operation: call.operation, response })
        })
    }
}
