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
/// Beside others it rests longer, so that these do not wait for it where all share one processor and one
/// database: as many times what its claim took as they get deliveries a second, up to this.
const REST_SHARE: u32 = 30;
const REST_LONGEST: Duration = Duration::from_millis(500);
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
    resting: HashMap<Uuid, Instant>,
    failed: HashMap<Uuid, Instant>,
    claims: Claims,
}

/// Claims by endpoint, in seconds.
#[derive(Debug, Default)]
struct Claims {
    /// When the second at hand began.
    began: Option<Instant>,
    counts: HashMap<Uuid, u32>,
    /// Those of the second before it.
    before: HashMap<Uuid, u32>,
}

impl Claims {
    fn add(&mut self, counts: &HashMap<Uuid, u32>, now: Instant) {
        let age = now.duration_since(*self.began.get_or_insert(now));
        if age >= SECOND {
            self.began = Some(now);
            let counts = std::mem::take(&mut self.counts);
            self.before = if age < SECOND * 2 { counts } else { HashMap::new() };
        }
        for (id, count) in counts {
            *self.counts.entry(*id).or_default() += count;
        }
    }

    /// How long an endpoint with a backlog rests after it got so many, which took so long. Not so long that it
    /// gets less than all others together, for those may be as busy.
    fn rest(&self, endpoint: Uuid, count: u32, took: Duration) -> Duration {
        let own = self.before.get(&endpoint).copied().unwrap_or(0);
        let others = self.before.values().sum::<u32>() - own;
        let keeps_up = SECOND * count * 4 / others.saturating_mul(5).max(1);
        (took * others.min(REST_SHARE)).min(keeps_up).clamp(REST, REST_LONGEST)
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
        self.resting.retain(|_, until| *until > now);
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
        self.resting.contains_key(&endpoint)
    }

    pub(super) fn has_failed(&self, endpoint: Uuid) -> bool {
        self.failed.contains_key(&endpoint)
    }

    /// Deliveries of these endpoints were claimed, which took so long.
    pub(super) fn claimed(&mut self, endpoints: impl Iterator<Item = Uuid>, took: Duration) {
        let now = Instant::now();
        let mut counts: HashMap<Uuid, u32> = HashMap::new();
        endpoints.for_each(|id| *counts.entry(id).or_default() += 1);
        self.claims.add(&counts, now);
        for (id, count) in counts.into_iter().filter(|(_, count)| *count >= BACKLOG) {
            self.resting.insert(id, now + self.claims.rest(id, count, took));
        }
    }

    /// What was due for these was not claimed.
    pub(super) fn failed(&mut self, endpoints: impl IntoIterator<Item = Uuid>) {
        let until = Instant::now() + FAILED;
        self.failed.extend(endpoints.into_iter().map(|id| (id, until)));
    }
}

#[cfg(test)]
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

    #[test]
    fn whoever_gets_much_rests() {
        let mut looks = Looks::default();
        looks.claimed([id(5); 8].into_iter().chain([id(7)]), Duration::ZERO);
        assert!(looks.is_resting(id(5)) && !looks.is_resting(id(7)));
        looks.resting.insert(id(5), Instant::now());
        looks.begin();
        assert!(!looks.is_resting(id(5)));
        looks.failed([id(7)]);
        assert!(looks.has_failed(id(7)) && !looks.is_resting(id(7)) && !looks.has_failed(id(5)));
    }

    #[test]
    fn whoever_has_a_backlog_leaves_room_to_others_and_keeps_up_with_them() {
        let (start, took) = (Instant::now(), Duration::from_millis(4));
        let rest = |counts: &[(u128, u32)]| {
            let mut claims = Claims::default();
            let counts = counts.iter().map(|(of, count)| (id(*of), *count)).collect();
            claims.add(&counts, start);
            claims.add(&HashMap::new(), start + SECOND);
            claims.rest(id(1), 32, took)
        };
        assert_eq!(rest(&[(1, 1000)]), REST, "there is nobody else");
        assert_eq!(rest(&[(1, 1000), (2, 10)]), took * 10);
        assert_eq!(rest(&[(1, 1000), (2, 100), (3, 100)]), took * REST_SHARE);
        assert_eq!(rest(&[(1, 400), (2, 400)]), Duration::from_millis(64), "500 a second");
        assert_eq!(rest(&[(1, 500), (2, 1000), (3, 1000)]), REST);
        let mut past = Claims { counts: HashMap::from([(id(2), 100)]), ..Claims::default() };
        past.began = Some(start);
        past.add(&HashMap::new(), start + SECOND * 2);
        assert_eq!(past.rest(id(1), 32, took), REST, "that was long ago");
        let slow = Claims { before: HashMap::from([(id(2), 9)]), ..Claims::default() };
        assert_eq!(slow.rest(id(1), 32, SECOND), REST_LONGEST);
    }
}
