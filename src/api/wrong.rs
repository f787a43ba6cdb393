//! Wrong fields of a body, gathered: each is named, all at once.

use super::problem::Problem;

/// Fields that are wrong.
#[derive(Default)]
pub(super) struct Wrong(Vec<(&'static str, String)>);

impl Wrong {
    /// What was checked; where it is wrong its default, which nobody uses.
    pub(super) fn unless<T: Default>(
        &mut self,
        field: &'static str,
        checked: Result<T, String>,
    ) -> T {
        checked.unwrap_or_else(|detail| {
            self.0.push((field, detail));
            T::default()
        })
    }

    /// The same for what may be left out.
    pub(super) fn given<T, U: Default>(
        &mut self,
        field: &'static str,
        given: Option<T>,
        check: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U> {
        given.map(|given| self.unless(field, check(given)))
    }

    /// The problem that names all of them, where there are some.
    pub(super) fn none(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::body(self.0)) }
    }
}
