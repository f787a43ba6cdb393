//! What was found lately, believed for a while or until it is heard that it changed.
//!
//! What was not found is not remembered: guesses would push the good ones out.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// More are not remembered: more than any process serves within the time that they are believed.
const MOST: usize = 10_000;

pub(super) struct Believed<K, V> {
    lasts: Duration,
    room: Mutex<Room<K, V>>,
}

struct Room<K, V> {
    found: HashMap<K, (Instant, Arc<V>)>,
    /// Counts what was heard of changes. What was read before one may be what was changed by it, so it
    /// is not remembered after.
    heard: u64,
}

impl<K: Hash + Eq, V> Believed<K, V> {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, room: Mutex::new(Room { found: HashMap::new(), heard: 0 }) }
    }

    /// What is believed, else what is found now.
    pub(super) async fn get_or<E, F>(
        &self,
        key: K,
        find: impl FnOnce() -> F,
    ) -> Result<Option<Arc<V>>, E>
    where
        F: Future<Output = Result<Option<V>, E>>,
    {
        let (believed, heard) = self.get(&key, Instant::now());
        if believed.is_some() {
            return Ok(believed);
        }
        let found = find().await?.map(Arc::new);
        if let Some(found) = &found {
            self.put(key, found.clone(), heard, Instant::now());
        }
        Ok(found)
    }

    /// Forgets what may have changed, and what is being read at this moment.
    pub(super) fn forget(&self, which: impl Fn(&K, &V) -> bool) {
        let mut room = self.room();
        room.heard += 1;
        room.found.retain(|key, (_, value)| !which(key, value));
    }

    fn get(&self, key: &K, now: Instant) -> (Option<Arc<V>>, u64) {
        let room = self.room();
        let found = room.found.get(key).filter(|(at, _)| now.duration_since(*at) < self.lasts);
        (found.map(|(_, value)| value.clone()), room.heard)
    }

    fn put(&self, key: K, value: Arc<V>, heard: u64, now: Instant) {
        let mut room = self.room();
        if room.heard != heard {
            return;
        }
        if room.found.len() >= MOST {
            room.found.retain(|_, (at, _)| now.duration_since(*at) < self.lasts);
        }
        if room.found.len() < MOST {
            room.found.insert(key, (now, value));
        }
    }

    fn room(&self) -> MutexGuard<'_, Room<K, V>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const LASTS: Duration = Duration::from_secs(5);

    #[test]
    fn what_was_found_is_believed_for_a_while_and_bounded_in_number() {
        let (believed, start) = (Believed::new(LASTS), Instant::now());
        for number in 0..=MOST {
            believed.put(number, Arc::new(number), 0, start);
        }
        assert!(believed.get(&0, start + Duration::from_secs(4)).0.is_some());
        assert!(believed.get(&0, start + LASTS).0.is_none());
        assert!(believed.get(&MOST, start).0.is_none());
        believed.put(MOST, Arc::new(MOST), 0, start + LASTS);
        assert!(believed.get(&MOST, start + LASTS).0.is_some());
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_believed_after_it() {
        let believed = Believed::new(LASTS);
        let read = || async {
            // It is revoked, and told so, between the reading and the remembering.
            believed.forget(|key: &u8, _| *key == 1);
            Ok::<_, Infallible>(Some("good"))
        };
        let answer = believed.get_or(1, read).await.unwrap();
        assert_eq!(answer.as_deref(), Some(&"good"), "this request began before");
        let read = || async { Ok::<_, Infallible>(None) };
        assert!(believed.get_or(1, read).await.unwrap().is_none(), "the next one asks anew");
    }

    #[tokio::test]
    async fn only_what_changed_is_forgotten() {
        let believed = Believed::new(LASTS);
        let found = |value| move || async move { Ok::<_, Infallible>(value) };
        believed.get_or(1, found(Some("a"))).await.unwrap();
        believed.get_or(2, found(Some("b"))).await.unwrap();
        believed.forget(|_, value| *value == "a");
        assert!(believed.get_or(1, found(None)).await.unwrap().is_none());
        assert_eq!(believed.get_or(2, found(None)).await.unwrap().as_deref(), Some(&"b"));
    }
}
