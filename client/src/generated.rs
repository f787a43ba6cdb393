//! What is made from `openapi.json` by `cargo run -p client-generator`.
//!
//! A test compares it with the document. Its lines are as long as the document's words.

#[rustfmt::skip]
pub mod models;
#[rustfmt::skip]
mod operations;
