//! What somebody may do, and so what keys he may make.

/// The word for every scope, those of later releases among them.
pub const ALL: &str = "*";

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// Everything.
    All,
    /// Only this.
    Some(Vec<String>),
}

impl Scopes {
    /// As `api_keys.scopes` has them: none given means everything, as in keys from before there were
    /// scopes.
    pub fn of(given: Vec<String>) -> Self {
        let all = given.is_empty() || given.iter().any(|scope| scope == ALL);
        if all { Self::All } else { Self::Some(given) }
    }

    /// Whether they include one.
    pub fn include(&self, scope: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(scopes) => scopes.iter().any(|has| has == scope),
        }
    }

    /// The first of `others` that these lack.
    pub fn lack<'a>(&self, others: &'a Self) -> Option<&'a str> {
        match (self, others) {
            (Self::All, _) => None,
            (Self::Some(_), Self::All) => Some(ALL),
            (Self::Some(_), Self::Some(others)) => {
                others.iter().map(String::as_str).find(|other| !self.include(other))
            }
        }
    }

    /// As lists show them and the database keeps them.
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::All => vec![ALL.to_owned()],
            Self::Some(scopes) => scopes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(names: &[&str]) -> Scopes {
        Scopes::of(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn nobody_gives_what_he_lacks() {
        let (all, some) = (scopes(&[]), scopes(&["calls:read", "usage:read"]));
        assert_eq!(all, scopes(&["*"]));
        assert_eq!(all.lack(&some), None);
        assert_eq!(some.lack(&all), Some("*"));
        assert_eq!(some.lack(&scopes(&["usage:read"])), None);
        assert_eq!(some.lack(&scopes(&["usage:read", "webhooks:write"])), Some("webhooks:write"));
        assert!(all.include("anything") && some.include("calls:read"));
        assert!(!some.include("webhooks:write"));
    }
}
