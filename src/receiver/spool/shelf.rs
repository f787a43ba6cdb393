//! The segments that this process holds, and how far each has been read back.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    header::{self, Salt},
    segment::{self, Name, Segment},
};

/// Records read back, oldest first. The same records come again until the batch is done.
#[derive(Clone)]
pub(crate) struct Batch {
    /// The records as they were appended. They may be taken out before the batch is done.
    pub(crate) records: Vec<Vec<u8>>,
    place: Place,
}

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: Name,
    /// Bytes from the start of the segment: of the batch, and of what comes after it.
    from: u64,
    next: u64,
    records: u64,
}

// Records are what providers said of people.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The writer's segment as far as it is acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    pub(super) name: Name,
    pub(super) salt: Salt,
    /// Bytes from the start of the segment; 0 until its header is there.
    pub(super) end: u64,
    pub(super) records: u64,
}

#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Live>,
    /// Oldest first.
    sealed: BTreeMap<Name, Sealed>,
    /// Done, but their files could not be deleted yet. Held, so that nobody replays them.
    spent: Vec<Arc<Segment>>,
    set_aside: u64,
}

#[derive(Debug)]
struct Sealed {
    segment: Arc<Segment>,
    /// Bytes that are done.
    position: u64,
    /// Records that are not.
    waiting: u64,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, state: Mutex::default() }
    }

    /// Records that are on disk and not done.
    pub(super) fn waiting(&self) -> u64 {
        let state = self.state();
        let live = state.live.map_or(0, |live| live.records);
        live + state.sealed.values().map(|sealed| sealed.waiting).sum::<u64>()
    }

    pub(super) fn bytes(&self) -> u64 {
        let state = self.state();
        let live = state.live.map_or(0, |live| live.end);
        live + state.sealed.values().map(|sealed| sealed.segment.end).sum::<u64>()
    }

    /// Segments found damaged, those that are set aside included.
    pub(super) fn damaged(&self) -> u64 {
        let state = self.state();
        let held = state.sealed.values().map(|sealed| &sealed.segment).chain(&state.spent);
        state.set_aside + held.filter(|segment| segment.is_damaged()).count() as u64
    }

    /// Whether the oldest record that waits is in the segment that is being written.
    pub(super) fn is_live_next(&self) -> bool {
        let state = self.state();
        let oldest = state.sealed.keys().next();
        state
            .live
            .is_some_and(|live| live.records > 0 && oldest.is_none_or(|oldest| live.name < *oldest))
    }

    /// What the writer has acknowledged, or is about to.
    pub(super) fn show(&self, live: Live) {
        self.state().live = Some(live);
    }

    /// Takes the writer's segment for reading. What lies behind its end was never acknowledged.
    pub(super) fn seal(&self, live: Live, file: File) {
        let segment = Segment::written(live.name, file, live.salt, live.end);
        self.state().live = None;
        self.put(segment, live.records);
    }

    fn put(&self, segment: Segment, waiting: u64) {
        let segment = Arc::new(segment);
        let mut state = self.state();
        if waiting > 0 {
            let position = header::BYTES;
            state.sealed.insert(segment.name, Sealed { segment, position, waiting });
        } else {
            state.spent.push(segment);
        }
    }

    /// Takes over the segments that no living process holds, and deletes what could not be deleted
    /// before. What goes wrong is logged and tried again the next time.
    pub(super) fn take_over(&self) {
        match segment::names(&self.folder) {
            Ok(names) => names.into_iter().for_each(|name| self.adopt(name)),
            Err(error) => tracing::error!(%error, "the folder of the spool cannot be listed"),
        }
        if let Err(error) = self.retire_spent() {
            tracing::error!(%error, "a replayed segment of the spool cannot be deleted");
        }
    }

    fn adopt(&self, name: Name) {
        match Segment::adopt(&self.folder, name) {
            Ok(Some((segment, records))) => {
                tracing::info!(segment = %name, records, "a segment of the spool was taken over");
                self.put(segment, records);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(segment = %name, %error, "a segment of the spool cannot be read");
            }
        }
    }

    /// The oldest records of the sealed segments: at least one if any waits, then no more than
    /// these bounds.
    pub(super) fn read(&self, max_records: usize, max_bytes: usize) -> io::Result<Option<Batch>> {
        while let Some((segment, position)) = self.oldest() {
            match read_segment(&segment, position, max_records, max_bytes) {
                Ok(Some(batch)) => return Ok(Some(batch)),
                Ok(None) => {
                    // It was whole when it was sealed.
                    segment.note_damage(position, segment.end);
                    self.spend(segment.name);
                    self.retire_spent()?;
                }
                Err(error) => {
                    // Others must not wait for it: it is put down, to be taken over again.
                    self.state().sealed.remove(&segment.name);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn oldest(&self) -> Option<(Arc<Segment>, u64)> {
        let state = self.state();
        let (_, sealed) = state.sealed.first_key_value()?;
        Some((Arc::clone(&sealed.segment), sealed.position))
    }

    /// Forgets a batch, and its segment with its last record. A second time does nothing.
    pub(super) fn done(&self, batch: &Batch) -> io::Result<()> {
        let place = batch.place;
        let mut state = self.state();
        let Some(sealed) = state.sealed.get_mut(&place.segment) else { return Ok(()) };
        if sealed.position != place.from {
            return Ok(());
        }
        sealed.position = place.next;
        sealed.waiting = sealed.waiting.saturating_sub(place.records);
        let is_spent = sealed.position >= sealed.segment.end;
        drop(state);
        if !is_spent {
            return Ok(());
        }
        self.spend(place.segment);
        self.retire_spent()
    }

    fn spend(&self, name: Name) {
        let mut state = self.state();
        if let Some(sealed) = state.sealed.remove(&name) {
            state.spent.push(sealed.segment);
        }
    }

    fn retire_spent(&self) -> io::Result<()> {
        let spent = std::mem::take(&mut self.state().spent);
        let mut outcome = Ok(());
        for segment in spent {
            let retired = segment.retire(&self.folder);
            let mut state = self.state();
            match retired {
                Ok(()) => state.set_aside += u64::from(segment.is_damaged()),
                Err(error) => {
                    state.spent.push(segment);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_segment(
    segment: &Segment,
    from: u64,
    max_records: usize,
    max_bytes: usize,
) -> io::Result<Option<Batch>> {
    let (mut records, mut next, mut bytes) = (Vec::new(), from, 0);
    while records.is_empty() || records.len() < max_records {
        let Some(record) = segment.read(next)? else { break };
        bytes += record.payload.len();
        if bytes > max_bytes && !records.is_empty() {
            break;
        }
        next = record.next;
        records.push(record.payload);
    }
    let place = Place { segment: segment.name, from, next, records: records.len() as u64 };
    Ok((!records.is_empty()).then_some(Batch { records, place }))
}
