//! What every test stands on: shared servers, and a world of its own for each test.

pub(crate) mod answers;
pub(crate) mod audit;
pub(crate) mod books;
pub(crate) mod calls;
pub(crate) mod held;
pub(crate) mod history;
pub(crate) mod nemesis;
pub(crate) mod permuted;
pub(crate) mod plans;
pub(crate) mod rows;
pub(crate) mod serves;
mod shared;
pub(crate) mod signed;
pub(crate) mod tcp_proxy;
pub(crate) mod wait;
pub(crate) mod world;

pub(crate) use shared::{folder, places, servers_are_installed};
pub(crate) use world::{Options, World, connect};
