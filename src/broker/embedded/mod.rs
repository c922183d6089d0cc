//! The embedded log: a durable, partitioned log in the data directory, for life without a broker.
//!
//! ```text
//! <data_dir>/log/lock                         held while the log is open; says by whom
//! <data_dir>/log/groups.redb                  positions of groups, steps of movers
//! <data_dir>/log/<stream>/stream              incarnation and number of partitions, written once
//! <data_dir>/log/<stream>/0000-<base>.log     segments of partition 0, named by their first position
//! ```
//!
//! * One thread writes. Appends that wait together are written together and share one fsync per
//!   partition; an append is acknowledged, and can be read, only after it.
//! * Record times are assigned by that thread and never decrease within a partition, except where a
//!   caller brings its own (backdated traffic).
//! * On opening, a torn tail (what was being written when the process died, never acknowledged) is
//!   cut off and reported by [`EmbeddedLog::cuts`]. Damage elsewhere is refused, never cut.
//! * Old segments go by size and by age; a reader that was slower finds a gap and says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::broker::{Commit, Inspect, Move, Observe, Read, Write};
use crate::model::Timestamp;
use crate::store::StoreError;

mod append;
mod cursor;
mod disk;
mod frame;
mod groups;
mod inspect;
mod mover;
mod observe;
mod partition;
mod read;
mod recover;
mod retain;
mod source;
mod write;

use partition::Stream;

/// Bounds of the log, each with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Partitions of a stream made from now on. One: each more costs an fsync per group of appends, and one is fast enough.
    pub partitions: u32,
    /// Bytes after which a new segment begins; the unit of retention, and what opening has to check.
    pub segment_bytes: u64,
    /// Bytes kept per partition; beyond, the oldest segments go.
    pub retain_bytes: u64,
    /// Age beyond which a segment goes once a newer one has begun.
    pub retain_age: Duration,
    /// Bytes of one record, headers included: a payload of `limits.payload_bytes` and room for its headers.
    pub record_bytes: usize,
    /// Streams; each holds files open.
    pub streams: usize,
    /// Bytes of appends that wait for the writer; beyond, callers wait.
    pub queue_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            segment_bytes: 32 << 20,
            retain_bytes: 256 << 20,
            retain_age: Duration::from_secs(7 * 86_400),
            record_bytes: (1 << 20) + (64 << 10),
            streams: 200,
            queue_bytes: 32 << 20,
        }
    }
}

/// A torn tail that was cut off on opening: it had not been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub path: PathBuf,
    /// Bytes that were cut off.
    pub bytes: u64,
    /// The position that the next record there gets.
    pub next: u64,
}

/// An open log. Clones share it; it closes when the last clone and the last writer are gone.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    queue: Arc<write::Queue>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or makes an empty one. `now` is the wall clock that record times are taken from.
    ///
    /// # Errors
    /// `Locked` where another process holds it, `Damaged` where its files are not what was written,
    /// `Format` for files of a newer version, `Io` where the disk refuses.
    pub fn open(dir: &Path, options: LogOptions, now: fn() -> Timestamp) -> Result<Self, StoreError> {
        let lock = disk::lock(dir)?;
        let (streams, cuts) = recover::streams(dir, recover::Rest::Cut)?;
        for cut in &cuts {
            tracing::warn!(
                file = %cut.path.display(), bytes = cut.bytes, next = cut.next,
                "cut off a torn tail of the log: it was being written when the process ended, and was never acknowledged"
            );
        }
        let groups = groups::Groups::open(&dir.join("groups.redb"))?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            groups,
            options,
            now,
            cuts,
            streams: RwLock::new(streams),
            bell: Bell::default(),
            lock,
        });
        let queue = Arc::new(write::Queue::start(&shared)?);
        Ok(Self { shared, queue })
    }

    /// A reader of its own; any number may read at once.
    #[must_use]
    pub fn reader(&self) -> Box<dyn Read> {
        Box::new(read::Reader::new(Arc::clone(&self.shared)))
    }

    /// The writer; it makes streams at their first append. An append of nothing makes the stream too, so that streams
    /// which belong together are there together; where there are records, it says that their history is complete.
    #[must_use]
    pub fn writer(&self) -> Arc<dyn Write> {
        Arc::new(self.clone())
    }

    /// Looks at the log, as it is now, for `doctor` and `sample`.
    #[must_use]
    pub fn inspector(&self) -> Box<dyn Inspect> {
        Box::new(inspect::Inspector::of(&self.shared))
    }

    /// Looks at the log in `dir` without opening it: nothing is made, cut or locked against a running process, beside
    /// which it reads what has been written as a whole.
    ///
    /// # Errors
    /// As [`Self::open`], but never `Locked`.
    pub fn look(dir: &Path) -> Result<Box<dyn Inspect>, StoreError> {
        Ok(Box::new(inspect::Inspector::beside(dir)?))
    }

    /// Tells those who find the log held where its holder's pages are.
    pub fn announce(&self, pages: &str) {
        disk::sign(&self.shared.lock, &format!("process {}, pages at {pages}", std::process::id()));
    }

    /// Watches groups and streams.
    #[must_use]
    pub fn observer(&self) -> Box<dyn Observe> {
        Box::new(observe::Observer::new(Arc::clone(&self.shared)))
    }

    /// Commits positions of groups.
    #[must_use]
    pub fn committer(&self) -> Box<dyn Commit> {
        Box::new(groups::Committer(Arc::clone(&self.shared)))
    }

    /// Moves records under a name; whoever had the name before is fenced.
    ///
    /// # Errors
    /// In words: the system gives no runtime.
    pub fn mover(&self, name: &str) -> Result<Box<dyn Move>, String> {
        Ok(Box::new(mover::Mover::new(self.clone(), name)?))
    }

    /// Torn tails that were cut off on opening.
    #[must_use]
    pub fn cuts(&self) -> &[Cut] {
        &self.shared.cuts
    }

    /// When the newest record of any stream was appended; `None` while the log is empty.
    #[must_use]
    pub fn last_append(&self) -> Option<Timestamp> {
        let streams = self.shared.streams();
        let partitions = streams.iter().flat_map(|s| s.partitions.iter());
        partitions.filter_map(|p| p.view().last_append).max()
    }
}

/// What readers and the writer share.
struct Shared {
    dir: PathBuf,
    options: LogOptions,
    now: fn() -> Timestamp,
    cuts: Vec<Cut>,
    groups: groups::Groups,
    streams: RwLock<BTreeMap<Arc<str>, Arc<Stream>>>,
    bell: Bell,
    /// Locked while it is open.
    lock: File,
}

impl Shared {
    fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn count(&self) -> usize {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Wakes readers: rung after each group of appends and each new stream.
#[derive(Default)]
struct Bell {
    rung: Mutex<u64>,
    wake: Condvar,
}

impl Bell {
    fn ring(&self) {
        *held(&self.rung) += 1;
        self.wake.notify_all();
    }

    /// Waits until it has been rung more often than `seen`, at most for `timeout`; returns how often by now.
    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let rung = held(&self.rung);
        let waited = self.wake.wait_timeout_while(rung, timeout, |rung| *rung == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Locks; a panic elsewhere leaves these values whole (each is set by single assignments), so it does not spread.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
