//! One partition as everybody sees it: which positions are there, in which files, durable up to where.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use xxhash_rust::xxh3::xxh3_64;

use super::append::Appender;
use super::{disk, held};
use crate::model::{MICROS_PER_SECOND, Timestamp};

/// One stream.
pub(super) struct Stream {
    pub name: Arc<str>,
    pub incarnation: String,
    pub partitions: Vec<Arc<Partition>>,
}

/// One partition of a stream.
pub(super) struct Partition {
    pub number: u32,
    pub dir: PathBuf,
    /// Frames are checked with it: those of another partition or incarnation do not pass.
    pub seed: u64,
    view: Mutex<View>,
    /// The writer thread's own; a lock only because the partition is shared.
    pub appender: Mutex<Appender>,
}

/// What is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Oldest first; the last one is being written.
    pub segments: VecDeque<Segment>,
    /// Next position to be acknowledged.
    pub end: u64,
    /// Record time of records that are being written and cannot be read yet.
    pub writing: Option<Timestamp>,
    /// When records that bring their own time were last appended, and the latest of these times; also when the
    /// stream was made, and no time. Ended by the first records without.
    pub backdated: Option<(Timestamp, Option<Timestamp>)>,
    /// When the newest record was appended.
    pub last_append: Option<Timestamp>,
}

/// One segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its first position.
    pub base: u64,
    /// Durable bytes.
    pub bytes: u64,
    /// When its first frame was appended.
    pub began: Timestamp,
}

/// How long after backdated records, or after a stream was made, more of them are expected, in microseconds:
/// history comes in many appends.
const BACKDATING: i64 = 3 * MICROS_PER_SECOND;

impl View {
    /// A time, at most `now`, before which no record can appear any more. `now` was read before the view was:
    /// records that are being written hold it back, and so does history that may go on. `None`: not to be told.
    pub(super) fn settled(&self, now: Timestamp) -> Option<Timestamp> {
        let written = self.writing.map_or(now, |time| now.min(time.plus(-1)));
        match self.backdated {
            Some((at, time)) if (0..BACKDATING).contains(&now.since(at)) => time.map(|time| written.min(time)),
            _ => Some(written),
        }
    }

    /// First position that is still there.
    pub(super) fn log_start(&self) -> u64 {
        self.segments.front().map_or(self.end, |s| s.base)
    }

    /// The segment that holds `position`, and the base of the one after it.
    pub(super) fn segment_of(&self, position: u64) -> Option<(Segment, Option<u64>)> {
        let after = self.segments.partition_point(|s| s.base <= position);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        Some((*segment, self.segments.get(after).map(|s| s.base)))
    }
}

impl Partition {
    pub(super) fn new(dir: PathBuf, number: u32, incarnation: &str, view: View) -> Self {
        let appender = Mutex::new(Appender::new(&view));
        Self { number, dir, seed: seed(incarnation, number), view: Mutex::new(view), appender }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        held(&self.view)
    }

    pub(super) fn segment_path(&self, base: u64) -> PathBuf {
        disk::segment_path(&self.dir, self.number, base)
    }
}

pub(super) fn seed(incarnation: &str, partition: u32) -> u64 {
    xxh3_64(format!("{incarnation}/{partition}").as_bytes())
}
