//! What a process remembers of its last looks into the queue.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
/// An endpoint that got so many at once has a backlog, and is served again after a moment: its claims are few
/// and large.
const BACKLOG: u32 = 8;
const REST: Duration = Duration::from_millis(5);
/// Beside others it is served by handfuls instead, so that these do not wait for many attempts that begin, and
/// end, at once. It gets so many a second, or one for so many times what a claim takes where that is more, and
/// twice as many for each minute that it waits longer.
const HANDFUL_REST: Duration = Duration::from_millis(20);
const HANDFULS: f64 = 300.0;
const CLAIMS_OF_ONE: f64 = 10.0;
const WAIT_DOUBLES: f64 = 60.0;
/// And no less than all others together, for these may be as busy: five for four of theirs.
const KEEPS_UP: f64 = 1.25;
/// What it may get is saved up for so long.
const SAVED: Duration = Duration::from_millis(100);
/// Where nothing has waited for so long, and it got no such many at once, it has no backlog any more.
const WAITS: TimeDelta = TimeDelta::milliseconds(100);
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
    /// What it may get until then beside others, it got.
    served_until: Instant,
    /// For how long the first of it was due when it was looked at. Seconds.
    waits: f64,
    ends: Instant,
}

impl Backlog {
    fn new(now: Instant) -> Self {
        Self { rests_until: now, served_until: now, waits: 0.0, ends: now + BACKLOG_ENDS }
    }

    /// Whether it was just served, and is not looked at for a moment.
    fn rests(&self, now: Instant) -> bool {
        self.rests_until > now
    }
}

/// What endpoints without a backlog get, in seconds; and how long claims take.
#[derive(Debug, Default)]
struct Claims {
    /// When the second at hand began.
    began: Option<Instant>,
    count: u32,
    /// The count of the second before it.
    before: u32,
    /// The mean of the last ones that took something.
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
        self.took = if self.took.is_zero() { took } else { (self.took * 7 + took) / 8 };
    }

    /// How many a second an endpoint gets that waits for so many seconds; nothing where it is alone.
    fn rate(&self, waits: f64) -> Option<f64> {
        let by_time = (CLAIMS_OF_ONE * self.took.as_secs_f64()).recip().min(1e6);
        let rate = HANDFULS.max(by_time) * (waits / WAIT_DOUBLES).exp2();
        (self.before > 0).then(|| rate.max(KEEPS_UP * f64::from(self.before)))
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
    /// But for these, which rest.
    pub(super) left_out: BTreeSet<Uuid>,
}

impl Looks {
    pub(super) fn begin(&mut self) -> Walk {
        let now = Instant::now();
        self.backlogs.retain(|_, backlog| backlog.ends > now);
        self.failed.retain(|_, until| *until > now);
        let is_for_all = self.whole_at.is_some_and(|at| at <= now);
        let is_whole = is_for_all || self.whole_at.is_none();
        // One with a backlog has the longest way to its front, which looks for others need not go. A whole walk
        // that is made now and then is for all: only it finds what was committed late behind a front.
        let resting = self.backlogs.iter().filter(|(_, backlog)| backlog.rests(now));
        let left_out: BTreeSet<Uuid> = resting.filter(|_| !is_for_all).map(|(id, _)| *id).collect();
        if is_whole {
            // Where one fails, by its time limit perhaps, the next looks begin at the fronts that are known.
            self.whole_at = Some(now + WHOLE_SELDOM);
        }
        let fronts = self.fronts.iter().filter(|(id, _)| !is_whole && !left_out.contains(*id));
        let (known, floors): (Vec<Uuid>, Vec<DateTime<Utc>>) =
            fronts.map(|(id, front)| (*id, *front - LATE_COMMIT)).unzip();
        let apart: BTreeSet<Uuid> = known.iter().chain(&left_out).copied().collect();
        let after = std::iter::once(Uuid::nil()).chain(apart.iter().copied()).collect();
        let before = apart.iter().copied().chain([Uuid::max()]).collect();
        Walk { is_whole, known, floors, after, before, left_out }
    }

    /// The whole queue was walked, in this time.
    pub(super) fn walked(&mut self, took: Duration) {
        let again = || Instant::now() + (took * WHOLE_SHARE).clamp(WHOLE, WHOLE_SELDOM);
        self.whole_at = (took > SLOW).then(again);
        if self.fronts.len() >= KNOWN {
            self.fronts.clear();
        }
    }

    /// A look at `now`, by Postgres' clock, has found the first that is due of these endpoints; some were
    /// left out of it.
    pub(super) fn learn(
        &mut self,
        found: impl Iterator<Item = (Uuid, DateTime<Utc>)>,
        left_out: &BTreeSet<Uuid>,
        now: DateTime<Utc>,
    ) {
        let looked_at = self.fronts.iter_mut().filter(|(id, _)| !left_out.contains(*id));
        looked_at.for_each(|(_, front)| *front = now);
        for (id, since) in found {
            let waits = now - since;
            if let Some(backlog) = self.backlogs.get_mut(&id).filter(|_| waits > WAITS) {
                backlog.waits = waits.as_seconds_f64();
                backlog.ends = Instant::now() + BACKLOG_ENDS;
            }
            if self.fronts.len() < KNOWN || self.fronts.contains_key(&id) {
                self.fronts.insert(id, since);
            }
        }
    }

    /// How many the endpoint may get now.
    pub(super) fn most(&self, endpoint: Uuid) -> u32 {
        let Some(backlog) = self.backlogs.get(&endpoint) else { return u32::MAX };
        let now = Instant::now();
        match self.claims.rate(backlog.waits) {
            _ if backlog.rests(now) => 0,
            None => u32::MAX,
            Some(rate) => {
                let saved = now.duration_since(backlog.served_until).min(SAVED);
                (saved.as_secs_f64() * rate) as u32
            }
        }
    }

    pub(super) fn has_backlog(&self, endpoint: Uuid) -> bool {
        self.backlogs.contains_key(&endpoint)
    }

    pub(super) fn rests(&self, endpoint: Uuid) -> bool {
        self.backlogs.get(&endpoint).is_some_and(|backlog| backlog.rests(Instant::now()))
    }

    /// When the first of those that rest may be served again.
    pub(super) fn rest_ends(&self) -> Option<Instant> {
        let now = Instant::now();
        let resting = self.backlogs.values().filter(|backlog| backlog.rests(now));
        resting.map(|backlog| backlog.rests_until).min()
    }

    pub(super) fn has_failed(&self, endpoint: Uuid) -> bool {
        self.failed.contains_key(&endpoint)
    }

    /// Deliveries of these endpoints were claimed, which took so long.
    pub(super) fn claimed(&mut self, endpoints: impl Iterator<Item = Uuid>, took: Duration) {
        let now = Instant::now();
        let mut counts: HashMap<Uuid, u32> = HashMap::new();
        endpoints.for_each(|id| *counts.entry(id).or_default() += 1);
        if counts.is_empty() {
            return;
        }
        let mut of_others = 0;
        for (id, count) in counts {
            if count >= BACKLOG {
                let backlog = self.backlogs.entry(id).or_insert_with(|| Backlog::new(now));
                backlog.ends = now + BACKLOG_ENDS;
            }
            match self.backlogs.get_mut(&id) {
                None => of_others += count,
                Some(backlog) => {
                    let rate = self.claims.rate(backlog.waits);
                    if rate.is_some() {
                        backlog.rests_until = now + HANDFUL_REST;
                    } else if count >= BACKLOG {
                        backlog.rests_until = now + REST;
                    }
                    backlog.served_until = rate.map_or(now, |rate| {
                        let saved = now.checked_sub(SAVED).unwrap_or(now);
                        backlog.served_until.max(saved)
                            + Duration::from_secs_f64(f64::from(count) / rate)
                    });
                }
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
            looks.learn([(id(5), Utc::now())].into_iter(), &BTreeSet::new(), Utc::now());
        }
    }

    #[test]
    fn after_a_slow_walk_looks_begin_at_the_fronts() {
        let mut looks = Looks::default();
        assert!(looks.begin().is_whole);
        looks.walked(Duration::from_millis(50));
        let (now, since) = (Utc::now(), Utc::now() - TimeDelta::seconds(9));
        looks.learn([(id(7), since), (id(5), since)].into_iter(), &BTreeSet::new(), now);
        let walk = looks.begin();
        assert!(!walk.is_whole);
        assert_eq!((walk.known, walk.floors), (vec![id(5), id(7)], vec![since - LATE_COMMIT; 2]));
        assert_eq!(walk.after, [Uuid::nil(), id(5), id(7)]);
        assert_eq!(walk.before, [id(5), id(7), Uuid::max()]);
        // Whoever has nothing due begins now, and is not forgotten.
        looks.learn([(id(7), since)].into_iter(), &BTreeSet::new(), now);
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

    /// A process whose last claims took so long, and in whose last second others got so many.
    fn looks(took_ms: u64, others: u32) -> Looks {
        let took = Duration::from_millis(took_ms);
        let claims = Claims { before: others, took, ..Claims::default() };
        Looks { claims, ..Looks::default() }
    }

    #[test]
    fn whoever_gets_much_rests() {
        let mut looks = Looks::default();
        looks.claimed([id(5); 8].into_iter().chain([id(7)]), Duration::ZERO);
        assert_eq!([looks.most(id(5)), looks.most(id(7))], [0, u32::MAX]);
        looks.backlogs.get_mut(&id(5)).unwrap().rests_until = Instant::now();
        assert_eq!(looks.most(id(5)), u32::MAX, "there is nobody else");
        looks.failed([id(7)]);
        assert!(looks.has_failed(id(7)) && !looks.has_failed(id(5)));
    }

    #[test]
    fn looks_leave_out_whoever_rests_and_do_not_lose_its_front() {
        let mut looks = Looks::default();
        looks.begin();
        looks.walked(Duration::from_millis(1));
        looks.claimed([id(5); 8].into_iter(), Duration::ZERO);
        let ends = Instant::now() + SECOND;
        looks.backlogs.get_mut(&id(5)).unwrap().rests_until = ends;
        assert!(looks.rests(id(5)) && !looks.rests(id(7)));
        assert_eq!(looks.rest_ends(), Some(ends));
        let walk = looks.begin();
        assert!(walk.is_whole && walk.left_out == BTreeSet::from([id(5)]));
        assert_eq!((walk.after, walk.before), (vec![Uuid::nil(), id(5)], vec![id(5), Uuid::max()]));
        // The same at the fronts.
        looks.walked(Duration::from_millis(50));
        let (now, since) = (Utc::now(), Utc::now() - TimeDelta::seconds(9));
        looks.learn([(id(5), since), (id(7), since)].into_iter(), &BTreeSet::new(), now);
        let walk = looks.begin();
        assert_eq!((walk.known, walk.after), (vec![id(7)], vec![Uuid::nil(), id(5), id(7)]));
        looks.learn([(id(9), now)].into_iter(), &walk.left_out, now);
        looks.backlogs.get_mut(&id(5)).unwrap().rests_until = Instant::now();
        assert_eq!(looks.rest_ends(), None);
        let walk = looks.begin();
        assert_eq!(walk.known, [id(5), id(7), id(9)]);
        assert_eq!(walk.floors, [since, now, now].map(|front| front - LATE_COMMIT));
        // A whole walk that is not made by each look is for all.
        looks.backlogs.get_mut(&id(5)).unwrap().rests_until = Instant::now() + SECOND;
        looks.whole_at = Some(Instant::now());
        let walk = looks.begin();
        assert!(walk.is_whole && walk.left_out.is_empty());
    }

    #[test]
    fn beside_others_whoever_has_a_backlog_gets_handfuls() {
        let mut looks = looks(2, 200);
        looks.claimed([id(5); 8].into_iter(), Duration::from_millis(2));
        assert_eq!([looks.most(id(5)), looks.most(id(7))], [0, u32::MAX]);
        let ago = |ms| Instant::now().checked_sub(Duration::from_millis(ms)).unwrap();
        let mut rested = |ms| {
            let backlog = looks.backlogs.get_mut(&id(5)).unwrap();
            (backlog.rests_until, backlog.served_until) = (ago(0), ago(ms));
            looks.most(id(5))
        };
        assert!((3..=4).contains(&rested(11)));
        assert!((30..=31).contains(&rested(100)) && (30..=31).contains(&rested(5000)));
        // What it gets beyond its rate it has to wait for.
        let now = Instant::now();
        looks.backlogs.get_mut(&id(5)).unwrap().served_until = now;
        looks.claimed([id(5); 30].into_iter(), Duration::from_millis(2));
        let ahead = looks.backlogs[&id(5)].served_until - now;
        assert!((99..=101).contains(&ahead.as_millis()), "{ahead:?}");
        assert_eq!(looks.most(id(5)), 0);
    }

    #[test]
    fn a_backlog_gets_more_the_longer_it_waits_and_no_less_than_the_others() {
        let rate = |took_ms, others, waits| looks(took_ms, others).claims.rate(waits);
        assert_eq!(rate(9, 0, 0.0), None);
        assert_eq!([rate(9, 1, 0.0), rate(9, 1, 60.0)], [Some(300.0), Some(600.0)]);
        assert_eq!(rate(9, 400, 0.0), Some(500.0));
        let claims = Claims { before: 1, took: Duration::from_micros(250), ..Claims::default() };
        assert_eq!(claims.rate(0.0), Some(400.0), "the database is quick");
    }

    #[test]
    fn a_backlog_ends_where_nothing_waits() {
        let mut looks = looks(2, 200);
        looks.claimed([id(5); 8].into_iter(), Duration::from_millis(2));
        let end = |looks: &mut Looks| {
            looks.backlogs.get_mut(&id(5)).unwrap().ends = Instant::now();
        };
        end(&mut looks);
        let now = Utc::now();
        looks.learn([(id(5), now - TimeDelta::seconds(60))].into_iter(), &BTreeSet::new(), now);
        looks.begin();
        assert_eq!(looks.backlogs[&id(5)].waits, 60.0);
        end(&mut looks);
        looks.claimed([id(5)].into_iter(), Duration::from_millis(2));
        looks.learn([(id(5), now)].into_iter(), &BTreeSet::new(), now);
        looks.begin();
        assert!(looks.backlogs.is_empty());
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
