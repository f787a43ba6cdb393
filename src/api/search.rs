//! `/v1/search/transcripts`: full-text search.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc, serde::ts_microseconds};
use contract::ids::CallId;
use serde::{Deserialize, Serialize};
use store::reads::{
    Place,
    search::{self as reads, MARK_END, MARK_START, RankedPlace},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    ApiState,
    auth::{Caller, Scope},
    cursor,
    extract::{Parameters, limit, range, text},
    html,
    problem::Problem,
    timestamp::Timestamp,
};

const DEFAULT_LIMIT: u16 = 20;
/// A snippet is cut from the whole transcript, so pages are smaller than those of plain lists.
const MAX_LIMIT: u16 = 250;
const DEFAULT_DAYS: i64 = 30;
/// Bytes of a search: long enough for sentences.
const LONGEST_SEARCH: usize = 500;

/// The route of the search.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(search))
}

/// What to find.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words that must all occur; also `"a phrase"`, `or`, and `-without`.
    #[param(example = "invoice -paid", min_length = 1, max_length = 500)]
    q: String,
    /// Only calls created at this time or later. Default: 30 days before `to` or now.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only calls created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Matches in a page.
    #[param(minimum = 1, maximum = 250, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before, with the same search and times.
    cursor: Option<String>,
}

/// A page of matches, best first.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatchesPage {
    /// The matches.
    data: Vec<Match>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A transcript that was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Match {
    /// The call.
    #[schema(value_type = Uuid)]
    call_id: CallId,
    /// When the call began to exist.
    created_at: Timestamp,
    /// How well it fits, from 0; comparable within one search only.
    rank: f32,
    /// Where it fits: HTML text, escaped but for `<mark>` around the found words.
    #[schema(example = "about the <mark>invoice</mark> of May")]
    snippet: String,
    /// The provider's summary.
    summary: Option<String>,
}

/// Where a page of matches ended, with the range, for the default one moves on.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(with = "ts_microseconds")]
    from: DateTime<Utc>,
    #[serde(with = "ts_microseconds")]
    to: DateTime<Utc>,
    rank: f32,
    #[serde(with = "ts_microseconds")]
    at: DateTime<Utc>,
    id: Uuid,
}

/// Search transcripts
///
/// Full-text search, best match first, of the last 30 days where no time is given. Of more than
/// 5,000 matches in the range the newest are ranked.
#[utoipa::path(get, path = "/v1/search/transcripts", operation_id = "search_transcripts",
    tag = "calls", params(SearchQuery), responses(
    (status = 200, description = "A page of matches", body = MatchesPage),
    (status = 400, response = Problem)))]
async fn search(
    caller: Caller,
    State(api): State<ApiState>,
    Parameters(asked): Parameters<SearchQuery>,
) -> Result<Json<MatchesPage>, Problem> {
    let organization = caller.may(Scope::ReadCalls)?;
    let limit = limit(asked.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let words = asked.q.trim();
    text("q", words, LONGEST_SEARCH)?;
    let (mut from, mut to) = range(asked.from, asked.to, DEFAULT_DAYS, Utc::now())?;
    let list = format!("search {organization} {words:?} {:?} {:?}", asked.from, asked.to);
    let mut after = None;
    if let Some(text) = &asked.cursor {
        let position: Position = cursor::open(&api.cursor_key, &list, text)?;
        (from, to) = (position.from, position.to);
        let place = Place { at: position.at, id: position.id };
        after = Some(RankedPlace { rank: position.rank, place });
    }
    let search = reads::Search { words, from, to, after };
    let page = reads::page(&api.db, organization, &search, limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.and_then(|last| {
        let (rank, at, id) = (last.rank, last.created_at, last.call_id.0);
        cursor::seal(&api.cursor_key, &list, &Position { from, to, rank, at, id })
    });
    let data = page.items.into_iter().map(|found| Match {
        call_id: found.call_id,
        created_at: Timestamp(found.created_at),
        rank: found.rank,
        snippet: marked(&found.snippet),
        summary: found.summary,
    });
    Ok(Json(MatchesPage { data: data.collect(), next_cursor }))
}

/// HTML of a snippet: nothing that was said on a call is markup, only our marks are.
fn marked(snippet: &str) -> String {
    html::escape(snippet).replace(MARK_START, "<mark>").replace(MARK_END, "</mark>")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_never_markup() {
        let snippet = format!("<script> & {MARK_START}word{MARK_END} \"x\"");
        let expected = "&lt;script&gt; &amp; <mark>word</mark> &quot;x&quot;";
        assert_eq!(marked(&snippet), expected);
    }

    #[test]
    fn a_rank_survives_the_cursor() {
        let rank = 0.060_792_71_f32;
        let json = serde_json::to_string(&rank).unwrap();
        assert_eq!(serde_json::from_str::<f32>(&json).unwrap().to_bits(), rank.to_bits());
    }
}
