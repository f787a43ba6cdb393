//! How the bytes of an input become what a stranger sends.
//!
//! Inputs are made of readable parts, so that a saved one explains itself and can be written by
//! hand: a provider's body begins behind its first byte, a request looks like one of HTTP.

#![forbid(unsafe_code)]

pub mod request;

use chrono::{DateTime, Utc};
use contract::call::{Origin, Provider};

/// A body, and how it reached us.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Whose wire format it is.
    pub provider: Provider,
    /// Whether the provider sent it or was asked for it.
    pub origin: Origin,
    /// The body as it arrived.
    pub body: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// The first byte chooses: `0`, `1` and `2` are webhooks of Vapi, Retell and Twilio; `3`, `4`
    /// and `5` their calls as a sweep finds them.
    pub fn of(input: &'a [u8]) -> Option<Self> {
        let (choice, body) = input.split_first()?;
        let choice = usize::from(*choice);
        let providers = Provider::ALL;
        let origin = [Origin::Webhook, Origin::Sweep][choice / providers.len() % 2];
        Some(Self { provider: providers[choice % providers.len()], origin, body })
    }
}

/// A time of receipt: shortly after the calls of the fixtures.
pub const fn received_at() -> DateTime<Utc> {
    // 2026-11-20 15:02:17 UTC.
    match DateTime::from_timestamp(1_795_186_937, 0) {
        Some(time) => time,
        None => DateTime::UNIX_EPOCH,
    }
}
