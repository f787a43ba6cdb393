//! What a provider waits for is answered with a small object, and only where it is also stored.

#![no_main]

use contract::call::{Origin, Provider};
use fuzz::{Delivery, received_at};
use libfuzzer_sys::fuzz_target;
use providers::{incoming, retell, vapi};

/// Bytes of an answer to the smallest request.
const SMALLEST: usize = 200;
/// Bytes of an answer for each byte of the request: a tool call of `{"id":"a"},` is told in a
/// sentence that nobody serves it.
const GROWTH: usize = 10;

fuzz_target!(|input: &[u8]| {
    let Some(Delivery { provider, origin, body }) = Delivery::of(input) else { return };
    // The origin's place in the choice says whether an assistant is configured.
    let assistant = (origin == Origin::Sweep).then_some("019aa141-0000-7000-8000-000000000001");
    let reply = || match provider {
        Provider::Vapi => vapi::reply(body, assistant),
        Provider::Retell => retell::reply(body),
        Provider::Twilio => None,
    };
    let answer = reply();
    assert_eq!(answer, reply(), "answering is pure");
    let Some(answer) = answer else { return };
    assert!(answer.is_object());
    assert!(answer.to_string().len() <= SMALLEST + GROWTH * body.len(), "a bomb");
    let read = incoming::read(provider, Origin::Webhook, body, received_at());
    assert!(read.is_ok(), "answered and not stored: {read:?}");
});
