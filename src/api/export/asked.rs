//! What a request asks for: a page of a list, or all of it in some form.

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    http::{Method, Uri, request::Parts},
};
use url::form_urlencoded;

use super::{
    lists::{List, Lists},
    rows::{Form, Format},
};
use crate::api::problem::Problem;

const FORMAT: &str = "format";
const COLUMNS: &str = "columns";
/// Nothing that a list shows is older.
const BEGINNING: &str = "1970-01-01T00:00:00Z";

pub(super) enum Asked {
    /// As without an export; the list judges the rest.
    Page(Request),
    All(Pages),
}

/// All pages of a list.
pub(super) struct Pages {
    pub(super) parts: Parts,
    pub(super) form: Form,
    list: List,
    query: Vec<(String, String)>,
    /// Where the next one begins.
    pub(super) cursor: Option<String>,
}

/// What is asked for.
pub(super) fn read(lists: &Lists, request: Request) -> Result<Asked, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let is_get = request.method() == Method::GET;
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let list = route.filter(|_| is_get).and_then(|route| lists.get(route));
    let Some(list) = list.filter(|_| query.contains(FORMAT) || query.contains(COLUMNS)) else {
        return Ok(Asked::Page(request));
    };
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    let (ours, mut query): (Vec<_>, Vec<_>) =
        pairs.partition(|(name, _)| name == FORMAT || name == COLUMNS);
    let one = |wanted: &str| {
        let mut values = ours.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::query(wanted, "may be given only once")),
            (value, None) => Ok(value),
        }
    };
    let (format, columns) = (one(FORMAT)?, one(COLUMNS)?);
    let format = match format.map(String::as_str) {
        None | Some("json") => None,
        Some("csv") => Some(Format::Csv),
        Some("jsonl") => Some(Format::JsonLines),
        Some(_) => return Err(Problem::query(FORMAT, "must be json, csv or jsonl")),
    };
    let (mut parts, body) = request.into_parts();
    let Some(format) = format else {
        if columns.is_some() {
            return Err(Problem::query(COLUMNS, "goes with format=csv or format=jsonl"));
        }
        set_query(&mut parts, &query)?;
        return Ok(Asked::Page(Request::from_parts(parts, body)));
    };
    let form = Form::new(format, columns.map(String::as_str), &list.columns)?;
    // All of it, not what a page shows where nothing is said. Also with a cursor, which is good for the
    // filters that it was given out for.
    if list.has_range && !query.iter().any(|(name, _)| name == "from") {
        query.push(("from".to_owned(), BEGINNING.to_owned()));
    }
    let cursor = query.iter().find(|(name, _)| name == "cursor").map(|(_, value)| value.clone());
    // All rows follow: how many come at a time is ours to say.
    query.retain(|(name, _)| name != "cursor" && name != "limit");
    Ok(Asked::All(Pages { parts, form, list: list.clone(), query, cursor }))
}

impl Pages {
    /// A request for the page, of so many rows at most.
    pub(super) fn request(&self, rows: u16) -> Result<Request, Problem> {
        let mut parts = self.parts.clone();
        let mut query = self.query.clone();
        query.extend(self.cursor.clone().map(|cursor| ("cursor".to_owned(), cursor)));
        if self.list.is_paged {
            query.push(("limit".to_owned(), rows.to_string()));
        }
        set_query(&mut parts, &query)?;
        Ok(Request::from_parts(parts, Body::empty()))
    }

    /// Name of the file.
    pub(super) fn file(&self) -> String {
        format!("{}.{}", self.list.file, self.form.extension())
    }
}

/// Escaped anew, a query may be longer than a URI can be.
fn set_query(parts: &mut Parts, query: &[(String, String)]) -> Result<(), Problem> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let path = parts.uri.path();
    let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let too_long = || Problem::query("", "the query is too long");
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(path.parse().map_err(|_| too_long())?);
    parts.uri = Uri::from_parts(uri).map_err(|_| too_long())?;
    Ok(())
}
