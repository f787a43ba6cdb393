//! Who asks: an API key, or a user with a token of Supabase, and the organization it is about.

mod key;
mod presented;
mod user;

use std::{net::IpAddr, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use contract::ids::OrganizationId;
use store::{
    audit::{Actor, Changer},
    keys::{ApiKey, Scopes},
    members::Owners,
    memberships::MemberRole,
};
use uuid::Uuid;

use self::presented::{Presented, presented};
use super::{
    ApiState,
    problem::{Kind, Problem},
    rate_limits::{ClientAddress, Tally},
};

/// What a route needs a key to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Calls, their transcripts, recordings and results.
    ReadCalls,
    /// Assistants.
    ReadAssistants,
    /// Assistants made, changed and deleted.
    WriteAssistants,
    /// Who changed what.
    ReadAuditLog,
    /// What is billed, was billed and will be.
    ReadBilling,
    /// Which credentials there are for providers.
    ReadCredentials,
    /// Setting, rotating and removing credentials for providers.
    WriteCredentials,
    /// What a dashboard shows at a glance.
    ReadDashboard,
    /// The live stream.
    ReadEvents,
    /// What providers said, as they said it.
    ReadInbox,
    /// Stored events read again, or never.
    WriteInbox,
    /// Who belongs to the organization.
    ReadMembers,
    /// Members added, changed and removed, and their names.
    WriteMembers,
    /// The organization and its settings.
    ReadOrganization,
    /// Name, time zone and settings of the organization.
    WriteOrganization,
    /// Phone numbers.
    ReadPhoneNumbers,
    /// Phone numbers made, changed and deleted.
    WritePhoneNumbers,
    /// What assistants can be made from.
    ReadTemplates,
    /// Minutes used.
    ReadUsage,
    /// Endpoints and attempts at them.
    ReadWebhooks,
    /// Endpoints made, changed, tested and deleted; deliveries made again.
    WriteWebhooks,
    /// API keys, but for what they are.
    ReadApiKeys,
    /// API keys made, changed, rotated and revoked.
    WriteApiKeys,
}

impl Scope {
    /// Every scope that a key can have.
    pub const ALL: &[Self] = &[
        Self::ReadCalls,
        Self::ReadAssistants,
        Self::WriteAssistants,
        Self::ReadAuditLog,
        Self::ReadBilling,
        Self::ReadCredentials,
        Self::WriteCredentials,
        Self::ReadDashboard,
        Self::ReadEvents,
        Self::ReadInbox,
        Self::WriteInbox,
        Self::ReadMembers,
        Self::WriteMembers,
        Self::ReadOrganization,
        Self::WriteOrganization,
        Self::ReadPhoneNumbers,
        Self::WritePhoneNumbers,
        Self::ReadTemplates,
        Self::ReadUsage,
        Self::ReadWebhooks,
        Self::WriteWebhooks,
        Self::ReadApiKeys,
        Self::WriteApiKeys,
    ];

    /// Whether it lets look, and change nothing.
    fn is_read(self) -> bool {
        self.as_str().ends_with(":read")
    }

    /// The scope in `api_keys.scopes`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadCalls => "calls:read",
            Self::ReadAssistants => "assistants:read",
            Self::WriteAssistants => "assistants:write",
            Self::ReadAuditLog => "audit-log:read",
            Self::ReadBilling => "billing:read",
            Self::ReadCredentials => "credentials:read",
            Self::WriteCredentials => "credentials:write",
            Self::ReadDashboard => "dashboard:read",
            Self::ReadEvents => "events:read",
            Self::ReadInbox => "inbox:read",
            Self::WriteInbox => "inbox:write",
            Self::ReadMembers => "members:read",
            Self::WriteMembers => "members:write",
            Self::ReadOrganization => "organization:read",
            Self::WriteOrganization => "organization:write",
            Self::ReadPhoneNumbers => "phone-numbers:read",
            Self::WritePhoneNumbers => "phone-numbers:write",
            Self::ReadTemplates => "templates:read",
            Self::ReadUsage => "usage:read",
            Self::ReadWebhooks => "webhooks:read",
            Self::WriteWebhooks => "webhooks:write",
            Self::ReadApiKeys => "api-keys:read",
            Self::WriteApiKeys => "api-keys:write",
        }
    }
}

/// The organization that asks. A handler can read nothing without one.
#[derive(Debug, Clone)]
pub struct Caller {
    organization: OrganizationId,
    who: Who,
    /// Where the request came from, as far as that can be told.
    address: Option<IpAddr>,
}

/// By what it was proved.
#[derive(Debug, Clone)]
enum Who {
    Key(Arc<ApiKey>),
    /// A member of the organization.
    User {
        id: Uuid,
        role: MemberRole,
    },
}

impl Caller {
    /// The organization, where the key or the member's role allows it.
    pub fn may(&self, scope: Scope) -> Result<OrganizationId, Problem> {
        let name = scope.as_str();
        let lacks = match &self.who {
            Who::Key(key) if key.scopes.include(name) => return Ok(self.organization),
            Who::Key(_) => format!("The key lacks the scope {name}."),
            Who::User { role: MemberRole::Owner | MemberRole::Admin, .. } => {
                return Ok(self.organization);
            }
            Who::User { .. } if scope.is_read() => return Ok(self.organization),
            Who::User { .. } => {
                format!("Members may only read; {name} is for owners and admins.")
            }
        };
        Err(Problem::with_detail(Kind::Forbidden, lacks))
    }

    /// What keys the caller may make: nobody gives what he lacks.
    pub(super) fn scopes(&self) -> Scopes {
        match &self.who {
            Who::Key(key) => key.scopes.clone(),
            Who::User { role: MemberRole::Owner | MemberRole::Admin, .. } => Scopes::All,
            Who::User { .. } => {
                let reads = Scope::ALL.iter().filter(|scope| scope.is_read());
                Scopes::of(reads.map(|scope| scope.as_str().to_owned()).collect())
            }
        }
    }

    /// Whether owners are in reach: of an owner, and of a key that may do everything, as the first one.
    pub(super) fn owners(&self) -> Owners {
        let is_above = match &self.who {
            Who::Key(key) => key.scopes == Scopes::All,
            Who::User { role, .. } => *role == MemberRole::Owner,
        };
        if is_above { Owners::Managed } else { Owners::OutOfReach }
    }

    /// The user, where it is one.
    pub(super) fn user(&self) -> Option<Uuid> {
        match &self.who {
            Who::Key(_) => None,
            Who::User { id, .. } => Some(*id),
        }
    }

    /// The organization, whatever the caller may do in it.
    pub(super) fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// Who asks: `api_key:{id}` or `user:{id}`.
    pub(super) fn name(&self) -> String {
        match &self.who {
            Who::Key(key) => format!("api_key:{}", key.id),
            Who::User { id, .. } => format!("user:{id}"),
        }
    }

    /// Who asks, and from where, as the audit log names it.
    pub fn actor(&self) -> Actor {
        Actor::new(self.name(), self.address)
    }

    /// The organization and who asks, for a change, where the key has the scope.
    pub fn changer(&self, scope: Scope) -> Result<Changer, Problem> {
        Ok(Changer { organization: self.may(scope)?, actor: self.actor() })
    }
}

/// Marks a request that is a further page of one that was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct FurtherPage;

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    /// Counts the request, once: who asks again gets the same answer.
    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let tally = parts.extensions.get::<Tally>().cloned().unwrap_or_default();
        let is_counted = parts.extensions.get::<FurtherPage>().is_some();
        let tally = (!is_counted).then_some(&tally);
        let presented = presented(&parts.headers).ok_or(Problem::new(Kind::Unauthenticated))?;
        let (organization, who) = match presented {
            Presented::Key(text) => {
                let wanted = user::wanted(&parts.headers)?;
                let key = key::admitted(&api.access, tally, text).await?;
                if wanted.is_some_and(|wanted| wanted != key.organization_id) {
                    let detail = "The key does not belong to this organization.";
                    return Err(Problem::with_detail(Kind::Forbidden, detail));
                }
                (key.organization_id, Who::Key(key))
            }
            Presented::Token(token) => {
                user::admitted(&api.access, tally, token, &parts.headers).await?
            }
        };
        let address = parts.extensions.get::<ClientAddress>().map(|client| client.0);
        let caller = Self { organization, who, address };
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn caller(who: Who) -> Caller {
        Caller { organization: OrganizationId(Uuid::nil()), who, address: None }
    }

    fn with_key(scopes: &[&str]) -> Caller {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        caller(Who::Key(Arc::new(ApiKey {
            id: Uuid::nil(),
            organization_id: OrganizationId(Uuid::nil()),
            scopes: Scopes::of(scopes),
            enabled: true,
            expires_at: None,
            replaced_until: None,
            rate_limit: None,
            usage_quota: None,
            usage_count: 0,
        })))
    }

    #[test]
    fn scopes_narrow_a_key() {
        assert!(with_key(&[]).may(Scope::ReadUsage).is_ok());
        assert!(with_key(&["usage:read"]).may(Scope::ReadUsage).is_ok());
        let refused = with_key(&["calls:read"]).may(Scope::ReadUsage).unwrap_err();
        assert_eq!(refused.kind(), Kind::Forbidden);
    }

    #[test]
    fn members_read_and_owners_and_admins_do_everything() {
        let user = |role| caller(Who::User { id: Uuid::nil(), role });
        for role in [MemberRole::Owner, MemberRole::Admin] {
            assert!(Scope::ALL.iter().all(|scope| user(role).may(*scope).is_ok()), "{role:?}");
            assert_eq!(user(role).scopes(), Scopes::All);
        }
        let member = user(MemberRole::Member);
        for scope in Scope::ALL {
            assert_eq!(member.may(*scope).is_ok(), scope.is_read(), "{scope:?}");
            assert_eq!(member.scopes().include(scope.as_str()), scope.is_read(), "{scope:?}");
        }
        assert_eq!(member.actor().name(), format!("user:{}", Uuid::nil()));
    }

    #[test]
    fn owners_are_in_reach_of_owners_and_of_keys_that_may_do_everything() {
        let user = |role| caller(Who::User { id: Uuid::nil(), role }).owners();
        assert_eq!(user(MemberRole::Owner), Owners::Managed);
        assert_eq!(user(MemberRole::Admin), Owners::OutOfReach);
        let every: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(with_key(&every).owners(), Owners::OutOfReach);
    }

    /// A variant that is not in the list could be given to nobody.
    #[test]
    fn every_scope_can_be_given() {
        let source = include_str!("auth.rs");
        let (_, names) = source.split_once("pub const fn as_str(self)").unwrap();
        let (names, _) = names.split_once("\n    }\n").unwrap();
        assert_eq!(names.matches("=> \"").count(), Scope::ALL.len());
    }

    #[test]
    fn every_scope_says_whether_it_reads_or_writes() {
        let mut names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        for name in &names {
            assert!(name.ends_with(":read") || name.ends_with(":write"), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Scope::ALL.len());
    }
}
