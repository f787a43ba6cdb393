//! Webhooks to customers: Standard Webhooks 1.0.0 signatures and one attempt at one delivery.
//!
//! [`WebhookSender::attempt`] sends a message once and says what came of it; when to try again is
//! for others to decide. [`verify()`] is the receiver's side, for tools that show customers how.

mod attempt;
mod headers;
mod sign;
mod verify;

pub use attempt::{
    AttemptResult, KEPT_HEADER_BYTES, KEPT_RESPONSE_BYTES, MASK, MAX_RESPONSE_BYTES, Message,
    WebhookSender,
};
pub use headers::{BadHeader, MAX_HEADERS, MAX_NAME_BYTES, MAX_VALUE_BYTES, check_headers};
pub use sign::{Unsignable, check_secret, new_secret, sign};
pub use verify::{Unverified, verify};

#[cfg(test)]
mod tests;
