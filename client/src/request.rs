//! A request that is ready to be sent: awaiting it sends it.

use std::{fmt, marker::PhantomData, time::Duration};

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    answer::{Answer, ETag},
    call::Call,
    error::Error,
};

/// What can be said of a request, by what it does.
pub mod mode {
    /// Reads one thing.
    #[derive(Debug)]
    pub enum Read {}
    /// Reads a list that comes as a whole.
    #[derive(Debug)]
    pub enum Rows {}
    /// Reads a list that comes in pages.
    #[derive(Debug)]
    pub enum Pages {}
    /// A POST: done once for each `Idempotency-Key`.
    #[derive(Debug)]
    pub enum Post {}
    /// Another change.
    #[derive(Debug)]
    pub enum Change {}
    /// A change that can be bound to a version.
    #[derive(Debug)]
    pub enum Guarded {}
    /// Reads bytes.
    #[derive(Debug)]
    pub enum Bytes {}
    /// Listens to events.
    #[derive(Debug)]
    pub enum Live {}

    /// The answer is JSON, or nothing.
    pub trait Json: sealed::Sealed {}
    /// The answer is a list, which can be exported.
    pub trait List: Json {}

    impl Json for Read {}
    impl Json for Rows {}
    impl Json for Pages {}
    impl Json for Post {}
    impl Json for Change {}
    impl Json for Guarded {}
    impl List for Rows {}
    impl List for Pages {}

    mod sealed {
        pub trait Sealed {}
        impl Sealed for super::Read {}
        impl Sealed for super::Rows {}
        impl Sealed for super::Pages {}
        impl Sealed for super::Post {}
        impl Sealed for super::Change {}
        impl Sealed for super::Guarded {}
    }
}

/// A request that is answered by a `T`. Nothing is sent before it is awaited.
#[must_use = "a request is sent when it is awaited"]
pub struct Request<T, M> {
    pub(crate) call: Call,
    kind: PhantomData<fn() -> (T, M)>,
}

impl<T, M> Request<T, M> {
    pub(crate) fn new(call: Call) -> Self {
        Self { call, kind: PhantomData }
    }

    /// The organization that is meant, with the token of a member of several.
    pub fn organization(mut self, id: Uuid) -> Self {
        self.call.organization = Some(id);
        self
    }

    /// How long an attempt may take, in place of the client's timeout. Also of what is read in
    /// pieces, which else may take as long as it likes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }
}

impl<T> Request<T, mode::Post> {
    /// 1 to 255 printable characters. The same request with the same key is done once within 24
    /// hours. Default: a key of chance, which makes this request safe to retry, and no other the
    /// same.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.call.idempotency_key = Some(key.into());
        self
    }
}

impl<T> Request<T, mode::Guarded> {
    /// Only where it still has this version: the `version` of what was read, or its [`ETag`]. Else
    /// the answer is a problem of the kind `PreconditionFailed`.
    pub fn if_match(mut self, version: impl Into<ETag>) -> Self {
        self.call.if_match = Some(version.into());
        self
    }
}

impl<T, M> Request<T, M>
where
    T: DeserializeOwned + Send + 'static,
    M: mode::Json,
{
    /// Sends it: the answer with what its headers say.
    ///
    /// # Errors
    ///
    /// [`Error`] says which, and whether it may succeed later.
    pub async fn answer(self) -> Result<Answer<T>, Error> {
        self.call.answer().await
    }
}

impl<T, M> IntoFuture for Request<T, M>
where
    T: DeserializeOwned + Send + 'static,
    M: mode::Json,
{
    type Output = Result<T, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let call = self.call;
        Box::pin(async move { Ok(call.answer().await?.value) })
    }
}

impl<T, M> Clone for Request<T, M> {
    fn clone(&self) -> Self {
        Self::new(self.call.clone())
    }
}

/// Bodies and queries may hold secrets and names.
impl<T, M> fmt::Debug for Request<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.call.operation).finish()
    }
}
