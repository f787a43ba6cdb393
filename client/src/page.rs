//! Lists that come in pages.

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::Error,
    request::{Request, mode},
};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on it.
    pub data: Vec<T>,
    /// Where the next page begins, with the same filters; none on the last.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

impl<T: DeserializeOwned + Send + 'static> Request<Page<T>, mode::Pages> {
    /// This page and all that follow it. The next one is asked for when it is polled for; the
    /// stream ends with the first error.
    pub fn pages(self) -> BoxStream<'static, Result<Page<T>, Error>> {
        let pages = stream::try_unfold(Some(self.call), |call| async move {
            let Some(call) = call else { return Ok(None) };
            let page: Page<T> = call.clone().answer().await?.value;
            let next = page.next_cursor.clone().map(|cursor| call.with("cursor", Some(cursor)));
            Ok(Some((page, next)))
        });
        pages.boxed()
    }

    /// What is on this page and on all that follow it.
    pub fn items(self) -> BoxStream<'static, Result<T, Error>> {
        let pages = self.pages().map_ok(|page| stream::iter(page.data).map(Ok));
        pages.try_flatten().boxed()
    }
}
