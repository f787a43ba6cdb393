//! Endpoints that a step or a workflow leaves to the queue, for it would wait for them too long.

use contract::ids::EndpointId;

/// Whom a step makes no attempt at just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// Everybody: too many steps wait for slow endpoints as it is.
    Everybody,
    /// These, at which many attempts are under way.
    Only(Vec<EndpointId>),
}

impl Busy {
    /// Whether the endpoint is left to the queue.
    pub fn holds(&self, endpoint: EndpointId) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(endpoints) => endpoints.contains(&endpoint),
        }
    }
}
