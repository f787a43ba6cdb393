//! New organizations, and how far the onboarding of each has come.
//!
//! A new organization is written by the owner of the schema, on the command line. The steps after it
//! are the worker's: each locks the onboarding's row, does nothing if it was done before, and writes
//! itself down there in the transaction of its effect.

mod create;
mod customer;
mod first_key;
mod furnish;
mod list;
mod steps;

pub use create::{NewOrganization, NotCreated, create};
pub use customer::{CustomerStep, begin_customer, link_customer};
pub use first_key::{FirstKey, reveal};
pub use furnish::furnish;
pub use list::{Listed, MOST_LISTED, list};
pub use steps::{Ended, Guest, Part, end, guest, note};
