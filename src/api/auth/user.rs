//! Users who signed in with Supabase: their membership decides which organization they act in.

use axum::http::HeaderMap;
use contract::ids::OrganizationId;
use providers::supabase::tokens::Refused;
use store::memberships::Membership;

use super::Who;
use crate::api::{
    access::{Access, Token},
    problem::{Kind, Problem},
    rate_limits::{self, Tally},
};

/// Names the organization where a user belongs to several.
const ORGANIZATION: &str = "x-organization-id";

/// The organization that the user acts in, and as what. The request is counted then, where there is a
/// tally for it.
pub(super) async fn admitted(
    access: &Access,
    tally: Option<&Tally>,
    token: Token<'_>,
    headers: &HeaderMap,
) -> Result<(OrganizationId, Who), Problem> {
    let session = access.sessions().session(token).await.map_err(refused)?;
    let memberships = access.memberships(session.user).await?;
    let Membership { organization, role } = chosen(&memberships, wanted(headers)?)?;
    if let Some(tally) = tally {
        let who = rate_limits::Who::User(session.user);
        access.limits().caller(tally, who, None, organization).await?;
    }
    Ok((organization, Who::User { id: session.user, role }))
}

fn refused(refused: Refused) -> Problem {
    match refused {
        Refused::Invalid => Problem::new(Kind::Unauthenticated),
        Refused::Expired => {
            Problem::with_detail(Kind::Unauthenticated, "The token has expired: refresh it.")
        }
        Refused::Anonymous => {
            let detail = "The token is not of a user who signed in.";
            Problem::with_detail(Kind::Unauthenticated, detail)
        }
        Refused::Unavailable => Problem::new(Kind::Unavailable),
    }
}

/// The organization that a request names.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<OrganizationId>, Problem> {
    let Some(value) = headers.get(ORGANIZATION) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok()).map(OrganizationId);
    id.map(Some).ok_or_else(|| {
        Problem::with_detail(Kind::InvalidRequest, "The header X-Organization-Id must be a UUID.")
    })
}

/// Who asks for an organization that is not his learns no more than that.
fn chosen(
    memberships: &[Membership],
    wanted: Option<OrganizationId>,
) -> Result<Membership, Problem> {
    let forbidden = |detail| Problem::with_detail(Kind::Forbidden, detail);
    match (wanted, memberships) {
        (_, []) => Err(forbidden("The user belongs to no organization.")),
        (Some(wanted), _) => {
            let found = memberships.iter().find(|one| one.organization == wanted);
            found
                .copied()
                .ok_or_else(|| forbidden("The user does not belong to this organization."))
        }
        (None, [one]) => Ok(*one),
        (None, _) => Err(Problem::new(Kind::OrganizationNeeded)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use store::memberships::MemberRole;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn membership_decides_and_a_header_chooses() {
        let id = |number| OrganizationId(Uuid::from_u128(number));
        let membership = |number| Membership { organization: id(number), role: MemberRole::Member };
        let (one, two) = ([membership(1)], [membership(1), membership(2)]);
        let kind = |of: &[Membership], wanted| chosen(of, wanted).unwrap_err().kind();
        assert_eq!(chosen(&one, None).unwrap(), membership(1));
        assert_eq!(chosen(&two, Some(id(2))).unwrap(), membership(2));
        assert_eq!(kind(&two, None), Kind::OrganizationNeeded);
        assert_eq!(kind(&one, Some(id(2))), Kind::Forbidden);
        assert_eq!(kind(&[], None), Kind::Forbidden);
        assert_eq!(kind(&[], Some(id(1))), Kind::Forbidden);
    }

    #[test]
    fn the_header_must_be_an_id() {
        let headers = |value: &str| {
            HeaderMap::from_iter([(ORGANIZATION.parse().unwrap(), value.parse().unwrap())])
        };
        assert_eq!(wanted(&HeaderMap::new()).unwrap(), None);
        let id = Uuid::from_u128(7);
        assert_eq!(wanted(&headers(&id.to_string())).unwrap(), Some(OrganizationId(id)));
        assert!(wanted(&headers("acme")).is_err());
    }
}
