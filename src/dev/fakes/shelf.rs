//! Resources that a provider has made and lists: calls and messages.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

/// How many are kept; the oldest go first.
const MOST: usize = 20_000;

/// Resources by id, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: HashMap<String, Value>,
    order: VecDeque<String>,
}

impl Shelf {
    /// Puts a resource there, or in the place of an earlier state of it.
    pub(super) fn put(&self, id: &str, resource: Value) {
        let mut kept = self.lock();
        if kept.by_id.insert(id.to_owned(), resource).is_none() {
            kept.order.push_back(id.to_owned());
        }
        if kept.order.len() > MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_id.remove(&oldest);
        }
    }

    /// Puts back what an effect of an earlier run made.
    pub(super) fn put_back(&self, id_field: &str, made: Option<&Value>) {
        if let Some(made) = made
            && let Some(id) = made.get(id_field).and_then(Value::as_str)
        {
            self.put(id, made.clone());
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Value> {
        self.lock().by_id.get(id).cloned()
    }

    /// A page of those wanted, and whether there are more: newest first by `made`, those of one time
    /// in the reverse order in which they came, and those without a time last.
    pub(super) fn newest(
        &self,
        wanted: impl Fn(&Value) -> bool,
        made: impl Fn(&Value) -> Option<i64>,
        skip: usize,
        take: usize,
    ) -> (Vec<Value>, bool) {
        let kept = self.lock();
        let latest_first = kept.order.iter().rev().filter_map(|id| kept.by_id.get(id));
        let mut matching: Vec<&Value> = latest_first.filter(|resource| wanted(resource)).collect();
        matching.sort_by_cached_key(|resource| Reverse(made(resource)));
        let page: Vec<Value> = matching.iter().skip(skip).take(take).copied().cloned().collect();
        let more = matching.len() > skip.saturating_add(page.len());
        (page, more)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
