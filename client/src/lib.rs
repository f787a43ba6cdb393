//! A typed client of postcall's HTTP API.
//!
//! Types and operations are made from `openapi.json`; what is by hand is what a document cannot
//! say: retries, pages, exports, live events, and secrets that no log shows.
//!
//! ```no_run
//! use futures::TryStreamExt;
//! use postcall_client::{
//!     Client, Error,
//!     models::{CallStatus, CreateAssistant, ListCallsQuery, Provider, UpdateAssistant},
//! };
//!
//! # async fn example() -> Result<(), Error> {
//! let client = Client::new("http://127.0.0.1:8080", "vx_…")?;
//!
//! // A POST carries an Idempotency-Key, so it is done once, however often it is sent.
//! let new = CreateAssistant::new(Provider::Vapi).name("Front desk");
//! let made = client.create_assistant(&new).await?;
//!
//! // Only where nobody else changed it meanwhile.
//! let change = UpdateAssistant::new().name("Reception");
//! let now = client.update_assistant(made.id, &change).if_match(made.version).await?;
//!
//! // Pages follow one another by themselves.
//! let query = ListCallsQuery::new().status(CallStatus::Completed).assistant_id(now.id);
//! let mut calls = client.list_calls(query.clone()).items();
//! while let Some(call) = calls.try_next().await? {
//!     println!("{} {:?} s", call.id, call.duration_seconds);
//! }
//!
//! // An export goes on by itself where a connection breaks; `cursor` is for another day.
//! let mut rows = client.list_calls(query).export().rows();
//! while let Some(row) = rows.try_next().await? {
//!     println!("{} {:?}", row.value.id, row.cursor);
//! }
//!
//! // What is refused says why.
//! match client.get_assistant(made.id).await {
//!     Err(Error::Problem { problem, .. }) => println!("{:?}: {problem}", problem.kind),
//!     other => println!("{}", other?.name),
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod builder;
mod call;
mod client;
mod download;
mod error;
mod events;
mod export;
mod generated;
mod lines;
mod page;
mod patch;
mod problem;
mod query;
mod request;
mod retries;
mod secret;
mod words;

pub use self::{
    answer::{Answer, ETag},
    builder::ClientBuilder,
    client::Client,
    download::Download,
    error::Error,
    events::StreamEvent,
    export::{Export, ExportRow, Listing, Row},
    generated::models,
    page::Page,
    patch::Patch,
    problem::{FieldError, Problem, ProblemKind},
    request::{Request, mode},
    retries::Retries,
};
