//! Values as they stand in a query or a path.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use uuid::Uuid;

/// Parameters of a query, in the order of the document.
pub(crate) type Pairs = Vec<(&'static str, String)>;

/// How a value is written.
pub(crate) trait Text {
    fn text(&self) -> String;
}

/// Adds a parameter where there is a value.
pub(crate) fn add<T: Text>(pairs: &mut Pairs, name: &'static str, value: Option<T>) {
    pairs.extend(value.map(|value| (name, value.text())));
}

macro_rules! displayed {
    ($($type:ty),+) => {
        $(impl Text for $type {
            fn text(&self) -> String {
                self.to_string()
            }
        })+
    };
}

displayed!(bool, i32, i64, u32, u64, NaiveDate, String, Uuid);

impl Text for DateTime<Utc> {
    /// RFC 3339, with as many digits as there are and without a plus, which a query would have to
    /// escape.
    fn text(&self) -> String {
        self.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}
