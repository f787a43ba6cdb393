//! Typed ids: parsed once at the edge, never two bare strings side by side.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::Provider;

/// Namespace of the name-based ids: changing it would give every call a second identity.
const CALL_NAMESPACE: Uuid = Uuid::from_u128(0x8c1f_6f0e_52c4_5f0b_9a35_0d6b_7a4d_1c55);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id! {
    /// A tenant: the customer organization that owns every row.
    OrganizationId
}
id! {
    /// A bulk of deliveries that is made again.
    RecoveryId
}
id! {
    /// A call, the same from every event of that call: see [`CallId::derive`].
    CallId
}
id! {
    /// One stored provider event.
    InboxId
}
id! {
    /// A customer's webhook endpoint.
    EndpointId
}
id! {
    /// One event on its way to one endpoint.
    DeliveryId
}

id! {
    /// One billing period of an organization.
    PeriodId
}
id! {
    /// A share of the included minutes that was used up.
    AlertId
}

impl OrganizationId {
    /// That of all examples.
    pub(crate) const fn example() -> Self {
        Self(Uuid::from_u128(0x019a_a13f_2c10_7e61_b5d4_8a6e_1f42_c903))
    }
}

impl PeriodId {
    /// That of all examples.
    pub(crate) const fn example() -> Self {
        Self(Uuid::from_u128(0x2f6c_83d1_7b0e_4a9d_a6c5_30f1_58e2_d94b))
    }
}

impl CallId {
    /// The id of a provider's call within an organization.
    ///
    /// UUIDv5 of (organization, provider, provider call id): every event gives the same id without
    /// a look-up, and no tenant can collide with another's.
    ///
    /// ```
    /// use contract::{call::Provider, ids::{CallId, OrganizationId}};
    /// let organization = OrganizationId(uuid::Uuid::nil());
    /// let id = CallId::derive(organization, Provider::Vapi, "019aa141");
    /// assert_eq!(id, CallId::derive(organization, Provider::Vapi, "019aa141"));
    /// assert_ne!(id, CallId::derive(organization, Provider::Retell, "019aa141"));
    /// ```
    pub fn derive(
        organization: OrganizationId,
        provider: Provider,
        provider_call_id: &str,
    ) -> Self {
        let name = format!("{organization}/{provider}/{provider_call_id}");
        Self(Uuid::new_v5(&CALL_NAMESPACE, name.as_bytes()))
    }
}
