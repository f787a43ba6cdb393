//! Full-text search in transcripts.

use chrono::{DateTime, Utc};
use contract::ids::{CallId, OrganizationId};
use sqlx::query;

use super::{Page, Place, one_more};
use crate::{Database, StoreError, database::commit, error::During};

/// Stands before a found word in a snippet. Of the private use area, and taken out of the text.
pub const MARK_START: char = '\u{E000}';
/// Stands behind a found word in a snippet.
pub const MARK_END: char = '\u{E001}';

/// Ranking reads the whole vector of each match: of a word that stands everywhere only the newest
/// transcripts are ranked.
const MAX_RANKED: i64 = 5_000;
/// Snippets are cut from the beginning of longer transcripts, in characters, as the index is.
const MAX_SNIPPET_SOURCE: i32 = 200_000;

/// A transcript that was found.
#[derive(Debug, Clone)]
pub struct Match {
    /// The call.
    pub call_id: CallId,
    /// Its partition.
    pub created_at: DateTime<Utc>,
    /// How well it fits, from 0.
    pub rank: f32,
    /// Where it fits: plain text with the found words between [`MARK_START`] and [`MARK_END`].
    pub snippet: String,
    /// The provider's summary.
    pub summary: Option<String>,
}

/// A place in the matches, which are ordered by rank, then time, then id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankedPlace {
    /// Rank of the match.
    pub rank: f32,
    /// Time and id of its call.
    pub place: Place,
}

/// What to find.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// Words, "phrases", `or` and `-not`, as `websearch_to_tsquery` takes them.
    pub words: &'a str,
    /// Calls created at this instant or later.
    pub from: DateTime<Utc>,
    /// Calls created before this instant.
    pub to: DateTime<Utc>,
    /// What follows this match; none for the best.
    pub after: Option<RankedPlace>,
}

/// A page of matches, best first.
pub async fn page(
    db: &Database,
    organization: OrganizationId,
    search: &Search<'_>,
    limit: u16,
) -> Result<Page<Match>, StoreError> {
    const OPERATION: &str = "reads.search.page";
    let start =
        RankedPlace { rank: f32::INFINITY, place: Place::before(DateTime::<Utc>::UNIX_EPOCH) };
    let after = search.after.unwrap_or(start);
    let options = format!(
        "StartSel={MARK_START}, StopSel={MARK_END}, MaxFragments=2, MinWords=8, MaxWords=24, \
         FragmentDelimiter=\" … \""
    );
    let mut tx = db.tenant(organization).await?;
    // Both dictionaries, as the index has both: stems of English, and exact words of anything.
    let rows = query!(
        r#"select m.call_id, m.call_created_at, m.rank as "rank!", t.summary,
             ts_headline('english',
                 translate(left(t.transcript_text, $10), $11, ''),
                 websearch_to_tsquery('english', $2) || websearch_to_tsquery('simple', $2),
                 $12) as "snippet!"
         from (select ranked.* from (
                   select call_id, call_created_at, ts_rank(search_vector,
                       websearch_to_tsquery('english', $2) || websearch_to_tsquery('simple', $2)
                   ) as rank
                   from (select call_id, call_created_at, search_vector from call_transcripts
                         where organization_id = $1
                           and call_created_at >= $3 and call_created_at < $4
                           and search_vector @@ (websearch_to_tsquery('english', $2)
                               || websearch_to_tsquery('simple', $2))
                         order by call_created_at desc, call_id desc limit $9) newest) ranked
               where (rank, call_created_at, call_id) < ($5::real, $6::timestamptz, $7::uuid)
               order by rank desc, call_created_at desc, call_id desc limit $8) m
         join call_transcripts t
             on t.call_id = m.call_id and t.call_created_at = m.call_created_at
         order by m.rank desc, m.call_created_at desc, m.call_id desc"#,
        organization.0,
        search.words,
        search.from,
        search.to,
        after.rank,
        after.place.at,
        after.place.id,
        one_more(limit),
        MAX_RANKED,
        MAX_SNIPPET_SOURCE,
        String::from_iter([MARK_START, MARK_END]),
        options,
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    commit(tx, OPERATION).await?;
    let matches = rows.into_iter().map(|row| Match {
        call_id: CallId(row.call_id),
        created_at: row.call_created_at,
        rank: row.rank,
        snippet: row.snippet,
        summary: row.summary,
    });
    Ok(Page::cut(matches.collect(), limit))
}
