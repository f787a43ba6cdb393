//! What this process let through, in sliding windows like those in Redis.
//!
//! Not `governor`'s: its cells fill up steadily, so a window may hold a full burst and all that came
//! back meanwhile, twice the limit.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use store::rate_limits::{Limit, PARTS, Taken, Usage};

/// Windows remembered, of some 100 bytes each; beyond that those that hold nothing are forgotten, and
/// new ones not remembered.
const MOST: usize = 50_000;
/// Between two looks for those that hold nothing, which go through all.
const FORGET_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Windows {
    start: Instant,
    room: Mutex<Room>,
}

struct Room {
    windows: HashMap<String, Window>,
    forgot_at: Option<Instant>,
}

/// Requests by part of the window, oldest first.
#[derive(Default)]
struct Window {
    parts: VecDeque<(u64, u32)>,
    width: u64,
}

impl Default for Windows {
    fn default() -> Self {
        let room = Room { windows: HashMap::new(), forgot_at: None };
        Self { start: Instant::now(), room: Mutex::new(room) }
    }
}

impl Windows {
    /// Takes one of each limit, if one of each is left.
    pub(super) fn take(&self, limits: &[Limit], now: Instant) -> Taken {
        let mut room = self.room();
        let at = self.milliseconds(now);
        let usages: Vec<Usage> = limits.iter().map(|limit| room.usage(limit, at)).collect();
        let taken = limits.iter().zip(&usages).all(|(limit, usage)| usage.used < limit.most);
        if taken {
            for limit in limits {
                room.add(limit, at, now);
            }
        }
        Taken { taken, usages }
    }

    /// Gives back what was taken at that time.
    pub(super) fn give_back(&self, limits: &[Limit], now: Instant) {
        let mut room = self.room();
        let at = self.milliseconds(now);
        for limit in limits {
            if let Some(window) = room.windows.get_mut(&limit.key) {
                window.give_back(at / width(limit));
            }
        }
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn usage(&mut self, limit: &Limit, now: u64) -> Usage {
        let width = width(limit);
        let nothing = Usage { used: 0, back_in: Duration::from_millis(width * (PARTS + 1)) };
        let Some(window) = self.windows.get_mut(&limit.key) else { return nothing };
        window.forget_aged(now);
        let Some((oldest, _)) = window.parts.front() else { return nothing };
        let used = window.parts.iter().map(|(_, requests)| requests).sum();
        let back_at = (oldest + PARTS + 1) * width;
        Usage { used, back_in: Duration::from_millis(back_at.saturating_sub(now)) }
    }

    fn add(&mut self, limit: &Limit, at: u64, now: Instant) {
        if self.windows.len() >= MOST && !self.windows.contains_key(&limit.key) {
            self.forget_quiet(at, now);
            if self.windows.len() >= MOST {
                return;
            }
        }
        let window = self.windows.entry(limit.key.clone()).or_default();
        window.width = width(limit);
        let part = at / window.width;
        match window.parts.back_mut() {
            Some((newest, requests)) if *newest >= part => *requests += 1,
            _ => window.parts.push_back((part, 1)),
        }
    }

    fn forget_quiet(&mut self, at: u64, now: Instant) {
        if self.forgot_at.is_some_and(|forgot| now.duration_since(forgot) < FORGET_EVERY) {
            return;
        }
        self.forgot_at = Some(now);
        self.windows.retain(|_, window| {
            window.forget_aged(at);
            !window.parts.is_empty()
        });
    }
}

impl Window {
    /// From the part that it was counted in: that one, or a newer one where somebody else was faster.
    fn give_back(&mut self, part: u64) {
        let counted = self.parts.iter_mut().find(|(at, requests)| *at >= part && *requests > 0);
        if let Some((_, requests)) = counted {
            *requests -= 1;
        }
    }

    /// A part counts until all of it lies before the window.
    fn forget_aged(&mut self, now: u64) {
        let part = now / self.width.max(1);
        while self.parts.front().is_some_and(|(at, _)| at + PARTS < part) {
            self.parts.pop_front();
        }
    }
}

/// Milliseconds of a part.
fn width(limit: &Limit) -> u64 {
    (limit.window.as_secs() * 1000 / PARTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(key: &str, most: u32) -> Limit {
        Limit { key: key.to_owned(), most, window: Duration::from_secs(60) }
    }

    #[test]
    fn no_window_ever_holds_more_than_the_limit() {
        let (windows, start) = (Windows::default(), Instant::now());
        let limits = [limit("a", 100)];
        let mut taken: VecDeque<u64> = VecDeque::new();
        let mut all = 0;
        // Bursts, steady trickles and pauses, over five minutes.
        for step in 0_u64..30_000 {
            let at = step * 10;
            if (step / 700) % 3 == 2 {
                continue;
            }
            let now = start + Duration::from_millis(at);
            if windows.take(&limits, now).taken {
                taken.push_back(at);
                all += 1;
            }
            while taken.front().is_some_and(|first| first + 60_000 <= at) {
                taken.pop_front();
            }
            assert!(taken.len() <= 100, "{} at {at}", taken.len());
        }
        assert!(all > 400, "what was used comes back: {all}");
    }

    #[test]
    fn all_limits_are_taken_or_none_and_may_be_given_back() {
        let (windows, now) = (Windows::default(), Instant::now());
        let (narrow, wide) = ([limit("narrow", 1)], [limit("wide", 2)]);
        let both = [narrow[0].clone(), wide[0].clone()];
        assert!(windows.take(&both, now).taken);
        let refused = windows.take(&both, now);
        assert!(!refused.taken);
        assert_eq!((refused.usages[0].used, refused.usages[1].used), (1, 1));
        assert!(windows.take(&wide, now).taken, "nothing was taken of the other");
        assert!(!windows.take(&wide, now).taken);
        windows.give_back(&both, now);
        assert!(windows.take(&both, now).taken);
        let back_in = windows.take(&narrow, now).usages[0].back_in;
        assert!(!windows.take(&narrow, now + back_in - Duration::from_millis(2)).taken);
        assert!(windows.take(&narrow, now + back_in).taken);
    }

    #[test]
    fn memory_is_bounded_and_quiet_windows_make_room() {
        let (windows, start) = (Windows::default(), Instant::now());
        for number in 0..MOST {
            windows.take(&[limit(&number.to_string(), 1)], start);
        }
        let late = [limit("late", 1)];
        assert!(windows.take(&late, start).taken);
        assert!(windows.take(&late, start).taken, "there was no room to remember it");
        let later = start + Duration::from_secs(120);
        assert!(windows.take(&late, later).taken);
        assert!(!windows.take(&late, later).taken);
        assert_eq!(windows.room().windows.len(), 1);
    }
}
