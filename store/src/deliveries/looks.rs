//! What a process remembers of its last looks into the queue.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A walk through the whole queue that takes longer is not made by each look, but so often, and for
/// a small part of the time only.
const SLOW: Duration = Duration::from_millis(3);
const WHOLE: Duration = Duration::from_secs(1);
const WHOLE_SELDOM: Duration = Duration::from_secs(10);
const WHOLE_SHARE: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);
/// Looks begin so long before a front: an event is written before it is committed.
const LATE_COMMIT: TimeDelta = TimeDelta::milliseconds(250);
/// Endpoints whose front is known; the others are walked as wholes.
const KNOWN: usize = 1000;
/// An endpoint that got so many at once has a backlog, and is served again after a moment: the looks
/// between have little to claim, and its own claims are few and large.
const BACKLOG: u32 = 8;
const REST: Duration = Duration::from_millis(20);
/// Beside others it is served by handfuls instead, so that these do not wait for many attempts that begin, and
/// end, at once: a delivery for twice the time of a claim, so that it gets less where the database is busy.
const HANDFUL_REST: Duration = Duration::from_millis(10);
const HANDFULS_A_SECOND: u32 = 100;
const CLAIMS_OF_ONE: u32 = 2;
/// An endpoint that has not got all it was allowed to get for so long has no backlog any more.
const BACKLOG_ENDS: Duration = Duration::from_secs(1);
/// Where a claim failed, the next is made so much later.
const FAILED: Duration = Duration::from_secs(2);

/// Where the queue of each endpoint begins, who has just got much, and whose claims fail.
///
/// What was taken lies before a front, and as long as any snapshot in the database is older, a walk
/// that begins there reads all of it again.
#[derive(Debug, Default)]
pub(super) struct Looks {
    fronts: BTreeMap<Uuid, DateTime<Utc>>,
    /// When the whole queue is walked again: what is committed late lies before a front, too.
    whole_at: Option<Instant>,
    backlogs: HashMap<Uuid, Backlog>,
    failed: HashMap<Uuid, Instant>,
    claims: Claims,
}

/// An endpoint with a backlog.
#[derive(Debug)]
struct Backlog {
    rests_until: Instant,
    ends: Instant,
}

/// What endpoints without a backlog get, in seconds; and how long claims take.
#[derive(Debug, Default)]
struct Claims {
    /// When the second at hand began.
    began: Option<Instant>,
    count: u32,
    /// The count of the second before it.
    before: u32,
    /// The mean of the last ones.
    took: Duration,
}

impl Claims {
    fn add(&mut self, count: u32, took: Duration, now: Instant) {
        let age = now.duration_since(*self.began.get_or_insert(now));
        if age >= SECOND {
            self.began = Some(now);
            let count = std::mem::take(&mut self.count);
            self.before = if age < SECOND * 2 { count } else { 0 };
        }
        self.count += count;
        self.took = (self.took * 7 + took) / 8;
    }

    /// How much an endpoint with a backlog gets at once, where there are others: no less than these together,
    /// for they may be as busy.
    fn handful(&self) -> Option<u32> {
        let of_time = HANDFUL_REST.as_micros() / (self.took * CLAIMS_OF_ONE).as_micros().max(1);
        let as_others = (self.before * 5).div_ceil(4 * HANDFULS_A_SECOND);
        (self.before > 0).then(|| as_others.max(u32::try_from(of_time).unwrap_or(u32::MAX)))
    }
}

/// Where a look walks, in the order of endpoints.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) is_whole: bool,
    /// Endpoints that are known, and from when on to look at each.
    pub(super) known: Vec<Uuid>,
    pub(super) floors: Vec<DateTime<Utc>>,
    /// All others lie after one of these and before the next.
    pub(super) after: Vec<Uuid>,
    pub(super) before: Vec<Uuid>,
}

impl Looks {
    pub(super) fn begin(&mut self) -> Walk {
        let now = Instant::now();
        self.backlogs.retain(|_, backlog| backlog.ends > now);
        self.failed.retain(|_, until| *until > now);
        let is_whole = self.whole_at.is_none_or(|at| at <= now);
        if is_whole {
            // Where one fails, by its time limit perhaps, the next looks begin at the fronts that are known.
            self.whole_at = Some(now + WHOLE_SELDOM);
        }
        let fronts = self.fronts.iter().filter(|_| !is_whole);
        let (known, floors): (Vec<Uuid>, Vec<DateTime<Utc>>) =
            fronts.map(|(id, front)| (*id, *front - LATE_COMMIT)).unzip();
        let after = std::iter::once(Uuid::nil()).chain(known.iter().copied()).collect();
        let before = known.iter().copied().chain([Uuid::max()]).collect();
        Walk { is_whole, known, floors, after, before }
    }

    /// The whole queue was walked, in this time.
    pub(super) fn walked(&mut self, took: Duration) {
        let again = || Instant::now() + (took * WHOLE_SHARE).clamp(WHOLE, WHOLE_SELDOM);
        self.whole_at = (took > SLOW).then(again);
        if self.fronts.len() >= KNOWN {
            self.fronts.clear();
        }
    }

    /// A look at `now`, by Postgres' clock, has found the first that is due of these endpoints.
    pub(super) fn learn(
        &mut self,
        found: impl Iterator<Item = (Uuid, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) {
        self.fronts.values_mut().for_each(|front| *front = now);
        for (id, since) in found {
            if self.fronts.len() < KNOWN || self.fronts.contains_key(&id) {
                self.fronts.insert(id, since);
            }
        }
    }

    pub(super) fn is_resting(&self, endpoint: Uuid) -> bool {
        self.backlogs.get(&endpoint).is_some_and(|backlog| backlog.rests_until > Instant::now())
    }

    /// How many the endpoint may get at once.
    pub(super) fn most(&self, endpoint: Uuid) -> u32 {
        let handful = self.claims.handful().filter(|_| self.backlogs.contains_key(&endpoint));
        handful.unwrap_or(u32::MAX)
    }

    pub(super) fn has_failed(&self, endpoint: Uuid) -> bool {
        self.failed.contains_key(&endpoint)
    }

    /// Deliveries of these endpoints were claimed, which took so long.
    pub(super) fn claimed(&mut self, endpoints: impl Iterator<Item = Uuid>, took: Duration) {
        let now = Instant::now();
        let mut counts: HashMap<Uuid, u32> = HashMap::new();
        endpoints.for_each(|id| *counts.entry(id).or_default() += 1);
        let rest = if self.claims.handful().is_some() { HANDFUL_REST } else { REST };
        let mut of_others = 0;
        for (id, count) in counts {
            if count >= self.most(id).min(BACKLOG) {
                let backlog = Backlog { rests_until: now + rest, ends: now + BACKLOG_ENDS };
                self.backlogs.insert(id, backlog);
            } else if !self.backlogs.contains_key(&id) {
                of_others += count;
            }
        }
        self.claims.add(of_others, took, now);
    }

    /// What was due for these was not claimed.
    pub(super) fn failed(&mut self, endpoints: impl IntoIterator<Item = Uuid>) {
        let until = Instant::now() + FAILED;
        self.failed.extend(endpoints.into_iter().map(|id| (id, until)));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test")]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_queue_that_is_walked_quickly_is_always_walked_as_a_whole() {
        let mut looks = Looks::default();
        for _ in 0..3 {
            let walk = looks.begin();
            assert!(walk.is_whole && walk.known.is_empty());
            assert_eq!((walk.after, walk.before), (vec![Uuid::nil()], vec![Uuid::max()]));
            looks.walked(Duration::from_millis(1));
            looks.learn([(id(5), Utc::now())].into_iter(), Utc::now());
        }
    }

    #[test]
    fn after_a_slow_walk_looks_begin_at_the_fronts() {
        let mut looks = Looks::default();
        assert!(looks.begin().is_whole);
        looks.walked(Duration::from_millis(50));
        let (now, since) = (Utc::now(), Utc::now() - TimeDelta::seconds(9));
        looks.learn([(id(7), since), (id(5), since)].into_iter(), now);
        let walk = looks.begin();
        assert!(!walk.is_whole);
        assert_eq!((walk.known, walk.floors), (vec![id(5), id(7)], vec![since - LATE_COMMIT; 2]));
        assert_eq!(walk.after, [Uuid::nil(), id(5), id(7)]);
        assert_eq!(walk.before, [id(5), id(7), Uuid::max()]);
        // Whoever has nothing due begins now, and is not forgotten.
        looks.learn([(id(7), since)].into_iter(), now);
        assert_eq!(looks.begin().floors, [now - LATE_COMMIT, since - LATE_COMMIT]);
    }

    #[test]
    fn a_whole_walk_that_fails_or_takes_for_ever_is_made_again_and_not_at_once() {
        let mut looks = Looks::default();
        assert!(looks.begin().is_whole && !looks.begin().is_whole);
        let soon = Instant::now() + WHOLE_SELDOM / 2;
        assert!(looks.whole_at.is_some_and(|at| at > soon), "it failed by its time limit");
        looks.walked(Duration::from_secs(14));
        let seldom = Instant::now() + WHOLE_SELDOM;
        assert!(looks.whole_at.is_some_and(|at| at <= seldom));
    }

    /// A process whose last claims took so long, and in whose last second this endpoint got so many.
    fn looks(took_ms: u64, others: u32) -> Looks {
        let took = Duration::from_millis(took_ms);
        let claims = Claims { before: others, took, ..Claims::default() };
        Looks { claims, ..Looks::default() }
    }

    #[test]
    fn whoever_gets_much_rests() {
        let mut looks = Looks::default();
        looks.claimed([id(5); 8].into_iter().chain([id(7)]), Duration::ZERO);
        assert!(looks.is_resting(id(5)) && !looks.is_resting(id(7)));
        assert_eq!(looks.most(id(5)), u32::MAX, "there is nobody else");
        looks.backlogs.get_mut(&id(5)).unwrap().rests_until = Instant::now();
        assert!(!looks.is_resting(id(5)));
        looks.failed([id(7)]);
        assert!(looks.has_failed(id(7)) && !looks.is_resting(id(7)) && !looks.has_failed(id(5)));
    }

    #[test]
    fn beside_others_whoever_has_a_backlog_gets_handfuls() {
        let mut looks = looks(1, 200);
        assert_eq!(looks.most(id(5)), u32::MAX);
        looks.claimed([id(5); 32].into_iter(), Duration::from_millis(1));
        assert_eq!([looks.most(id(5)), looks.most(id(7))], [5, u32::MAX]);
        let ends = looks.backlogs[&id(5)].ends;
        // Less than it might have got.
        looks.claimed([id(5); 4].into_iter(), Duration::from_millis(1));
        assert_eq!(looks.backlogs[&id(5)].ends, ends);
        looks.claimed([id(5); 5].into_iter(), Duration::from_millis(1));
        assert!(looks.backlogs[&id(5)].ends > ends && looks.is_resting(id(5)));
        looks.backlogs.get_mut(&id(5)).unwrap().ends = Instant::now();
        looks.begin();
        assert_eq!(looks.most(id(5)), u32::MAX);
    }

    #[test]
    fn a_handful_is_smaller_where_claims_take_long_and_not_less_than_others_get() {
        let handful = |took_ms, others| looks(took_ms, others).claims.handful();
        assert_eq!(handful(1, 0), None);
        assert_eq!(
            [handful(0, 10), handful(1, 10), handful(2, 10)].map(|h| h > Some(1)),
            [true; 3]
        );
        assert_eq!([handful(1, 10), handful(2, 10), handful(90, 10)], [Some(5), Some(2), Some(1)]);
        assert_eq!([handful(5, 400), handful(5, 1000)], [Some(5), Some(13)]);
    }

    #[test]
    fn what_others_get_is_counted_by_seconds_and_what_backlogs_get_is_not() {
        let start = Instant::now();
        let mut claims = Claims::default();
        claims.add(9, Duration::ZERO, start);
        claims.add(1, Duration::ZERO, start + SECOND);
        assert_eq!(claims.before, 9);
        claims.add(0, Duration::ZERO, start + SECOND * 3);
        assert_eq!(claims.before, 0, "that was long ago");
        let mut looks = looks(1, 200);
        looks.claimed([id(5); 8].into_iter().chain([id(7)]), Duration::ZERO);
        looks.claimed([id(5)].into_iter(), Duration::ZERO);
        assert_eq!(looks.claims.count, 1);
    }
}
