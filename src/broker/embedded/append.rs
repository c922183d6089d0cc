//! The writer's thread: takes appends in groups, writes them, one fsync per partition, then acknowledges.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::frame::{Frame, HEADER};
use super::partition::{Partition, Segment, View};
use super::write::{Append, Job};
use super::{Shared, disk, held, retain};
use crate::model::Timestamp;

/// Bytes after which a group is written though more appends wait: bounds how long one waits for its fsync.
pub(super) const GROUP_BYTES: usize = 8 << 20;
/// How often segments are checked for their age.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Runs until the queue is dropped and empty.
pub(super) fn run(shared: &Shared, jobs: &Receiver<Job>) {
    let mut kept_at = (shared.now)();
    loop {
        match jobs.recv_timeout(HOUSEKEEPING) {
            Ok(job) => write_group(shared, gather(shared, job, jobs)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = (shared.now)();
        if now.since(kept_at) >= HOUSEKEEPING.as_micros() as i64 {
            kept_at = now;
            for_all(shared, |partition| retain::expire(partition, &shared.options, now));
        }
    }
    for_all(shared, |partition| held(&partition.appender).mark(partition));
}

fn for_all(shared: &Shared, each: impl Fn(&Partition)) {
    shared.streams().iter().flat_map(|s| s.partitions.iter()).for_each(|partition| each(partition));
}

/// What waits, up to the bytes of a group.
fn gather(shared: &Shared, first: Job, jobs: &Receiver<Job>) -> Vec<Append> {
    let (mut group, mut bytes, mut next) = (Vec::new(), 0, Some(first));
    while let Some(job) = next.take() {
        match job {
            Job::Append(append) => {
                bytes += append.bytes.len();
                group.push(append);
            }
            Job::Make { stream, reply } => {
                // A caller that went away gets no answer; the stream is there all the same.
                let _ = reply.send(retain::make(shared, &stream));
            }
        }
        next = if bytes < GROUP_BYTES { jobs.try_recv().ok() } else { None };
    }
    group
}

fn write_group(shared: &Shared, mut group: Vec<Append>) {
    // Stable: within a partition the order of arrival stays.
    group.sort_by_key(|append| Arc::as_ptr(&append.partition).addr());
    for appends in group.chunk_by_mut(|a, b| Arc::ptr_eq(&a.partition, &b.partition)) {
        let partition = Arc::clone(&appends[0].partition);
        let mut first = held(&partition.appender).write(&partition, appends, shared);
        for append in appends {
            // A caller that went away gets no answer; its records are there all the same.
            let _ = append.reply.take().map(|reply| reply.send(first.clone()));
            first = first.map(|position| position + u64::from(append.count));
        }
    }
    shared.bell.ring();
}

/// The writing end of a partition.
#[derive(Debug, Default)]
pub(super) struct Appender {
    /// The newest segment, once it has been written to.
    file: Option<File>,
    segment: Option<Segment>,
    next: u64,
    last_time: Timestamp,
    /// True while the newest frame says of itself only that it was written, not that it was durable.
    unmarked: bool,
    /// Set once nobody can tell what the file holds; opening the log again finds out.
    failed: Option<String>,
}

impl Appender {
    pub(super) fn new(view: &View) -> Self {
        let last_time = view.last_append.unwrap_or_default();
        Self { segment: view.segments.back().copied(), next: view.end, last_time, ..Self::default() }
    }

    /// Writes the frames one after the other and makes them durable; the position of the first record.
    fn write(&mut self, partition: &Partition, appends: &mut [Append], shared: &Shared) -> Result<u64, String> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let time = {
            // Under the lock: whoever looks later than this sees that a record of this time is on its way.
            let mut view = partition.view();
            let time = (shared.now)().max(self.last_time);
            view.writing = Some(time);
            time
        };
        let (first, began) = (self.next, self.segment.map(|s| s.base));
        let written = self.roll(partition, time, shared).and_then(|()| self.put(partition, appends, time));
        {
            let mut view = partition.view();
            view.writing = None;
            if written.is_ok() {
                view.segments.back_mut().zip(self.segment).into_iter().for_each(|(seen, now)| *seen = now);
                (view.end, view.last_append) = (self.next, Some(time));
                let brought = appends.iter().filter_map(|append| append.max_time).max();
                view.backdated = brought.map(|brought| (time, Some(brought)));
            }
        }
        if began != self.segment.map(|s| s.base) {
            retain::expire(partition, &shared.options, time);
        }
        written.map(|()| first)
    }

    /// Begins a new segment where there is none, or where the newest is full or old.
    fn roll(&mut self, partition: &Partition, time: Timestamp, shared: &Shared) -> Result<(), String> {
        let old = shared.options.retain_age.as_micros() as i64 / 8;
        let room = |s: &Segment| s.bytes == 0 || (s.bytes < shared.options.segment_bytes && time.since(s.began) < old);
        let (base, fresh) = match self.segment.filter(room) {
            Some(_) if self.file.is_some() => return Ok(()),
            Some(segment) => (segment.base, false),
            None => (self.next, true),
        };
        let path = partition.segment_path(base);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.and_then(|file| if fresh { disk::sync_dir(&partition.dir).map(|()| file) } else { Ok(file) });
        self.file = Some(file.map_err(|error| format!("{}: {error}", path.display()))?);
        if fresh {
            let segment = Segment { base, bytes: 0, began: time };
            self.segment = Some(segment);
            partition.view().segments.push_back(segment);
        }
        Ok(())
    }

    fn put(&mut self, partition: &Partition, appends: &mut [Append], time: Timestamp) -> Result<(), String> {
        let (Some(file), Some(segment)) = (&self.file, &mut self.segment) else {
            return Err("no segment is open".into());
        };
        let (mut at, mut next) = (segment.bytes, self.next);
        let mut write = || {
            for append in appends.iter_mut() {
                let frame = Frame {
                    body: append.bytes.len() - HEADER,
                    base: next,
                    count: append.count,
                    append_time: time,
                    durable: segment.bytes,
                    max_time: append.max_time.map_or(time, |t| t.max(time)),
                };
                Frame::seal(&mut append.bytes, &frame, partition.seed);
                file.write_all_at(&append.bytes, at)?;
                (at, next) = (at + append.bytes.len() as u64, frame.end());
            }
            Ok(())
        };
        let words = |what: &str, error: std::io::Error| format!("{what} of partition {}: {error}", partition.number);
        if let Err(error) = write() {
            // A full disk, most likely: what was half written goes, so that the next append finds a sound end.
            if let Err(worse) = file.set_len(segment.bytes) {
                self.failed = Some(words("truncation after a failed write", worse));
            }
            return Err(words("write", error));
        }
        if let Err(error) = file.sync_data() {
            // After a failed fsync the system may have dropped the pages: only reading the file again can tell.
            let failed = words("fsync", error) + "; open the log again to recover";
            self.failed = Some(failed.clone());
            return Err(failed);
        }
        if segment.bytes == 0 {
            segment.began = time;
        }
        segment.bytes = at;
        (self.next, self.last_time, self.unmarked) = (next, time, true);
        Ok(())
    }

    /// On closing: a frame without records says that all before it was durable, so that damage to the last
    /// acknowledged records is told from a torn tail. It is a courtesy: failing to write it loses nothing.
    fn mark(&mut self, partition: &Partition) {
        let (Some(file), Some(segment)) = (&self.file, &self.segment) else { return };
        if !self.unmarked || self.failed.is_some() {
            return;
        }
        let mut bytes = [0; HEADER];
        let (base, append_time, durable) = (self.next, self.last_time, segment.bytes);
        let frame = Frame { body: 0, base, count: 0, append_time, durable, max_time: append_time };
        Frame::seal(&mut bytes, &frame, partition.seed);
        let marked = file.write_all_at(&bytes, segment.bytes).and_then(|()| file.sync_data());
        if let Err(error) = marked {
            tracing::warn!(%error, "the log was closed without its last mark");
        }
    }
}
