//! Customers' endpoints: made, changed, given new secrets, tested and deleted.
//!
//! A change grows the endpoint's version and stands in the audit log, or did not happen. Changes by
//! people wait for each other, one organization's at a time; rows are locked in the order of whoever
//! attempts deliveries: deliveries by id, then their endpoint.

mod change;
mod create;
mod delete;
mod endpoint;
mod resend;
mod rotate;
mod test_event;
mod update;

pub use crate::audit::Changer;
pub use create::{Created, MAX_ENDPOINTS, NewEndpoint, create};
pub use delete::delete;
pub use endpoint::{DeliveryOrder, Endpoint, get, page};
pub use resend::{Resent, resend};
pub use rotate::{Rotation, rotate};
pub use test_event::{TestSent, Tested, test};
pub use update::{Changed, Changes, update};
