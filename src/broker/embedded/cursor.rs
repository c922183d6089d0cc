//! Walks a partition record by record, from a position to the durable end, through its segments.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::{Frame, HEADER, RecordView};
use super::partition::{Partition, Segment};
use crate::model::Timestamp;

/// Bytes read at once: few system calls, and little memory per partition.
const CHUNK: usize = 128 << 10;

/// Why a cursor cannot go on. It stays where it is; the next call tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    /// The file is not what was written.
    #[error(
        "{path} is damaged at byte {offset}: {what}; restore the file, or move the stream's directory away to begin anew"
    )]
    Damaged { path: PathBuf, offset: u64, what: &'static str },
    /// The records expired: look at the log start.
    #[error("the records expired")]
    Expired,
    /// The disk said no.
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// A place in a partition.
pub(super) struct Cursor {
    partition: Arc<Partition>,
    next: u64,
    open: Option<Open>,
}

/// The segment that it stands in.
struct Open {
    file: File,
    segment: Segment,
    buffer: Vec<u8>,
    /// Byte of the file where the buffer begins.
    start: u64,
    /// Where the next frame begins in the buffer.
    at: usize,
    /// The frame that it stands in.
    inside: Option<Inside>,
}

#[derive(Clone, Copy)]
struct Inside {
    frame: Frame,
    /// Where the next record begins in the buffer.
    at: usize,
    position: u64,
}

impl Cursor {
    pub(super) fn new(partition: Arc<Partition>, next: u64) -> Self {
        Self { partition, next, open: None }
    }

    /// Position of the record that comes next.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Goes to a later position.
    pub(super) fn skip_to(&mut self, position: u64) {
        if position > self.next {
            self.next = position;
            self.open = None;
        }
    }

    /// Gives back its buffer and its file, while nothing is to be read.
    pub(super) fn rest(&mut self) {
        if let Some(open) = &mut self.open
            && open.inside.is_none()
        {
            open.start += open.at as u64;
            (open.at, open.buffer) = (0, Vec::new());
        }
    }

    /// The next record; `None` at the durable end.
    pub(super) fn record(&mut self) -> Result<Option<RecordView<'_>>, Stuck> {
        loop {
            match self.open.as_ref().and_then(|open| open.inside) {
                Some(inside) if inside.position < inside.frame.end() => break,
                _ if !self.enter_frame(None)? => return Ok(None),
                _ => {}
            }
        }
        let Some((open, inside)) = self.open.as_mut().and_then(|o| o.inside.map(|i| (o, i))) else { return Ok(None) };
        let place = open.start + inside.at as u64;
        let read = RecordView::read(&open.buffer[inside.at..open.at], inside.position, &inside.frame);
        let Some((record, bytes)) = read else {
            let path = self.partition.segment_path(open.segment.base);
            return Err(Stuck::Damaged { path, offset: place, what: "a record that its frame does not hold" });
        };
        open.inside = Some(Inside { at: inside.at + bytes, position: inside.position + 1, ..inside });
        self.next = inside.position + 1;
        Ok(Some(record))
    }

    /// The first position whose record time is at or after `time`; the end where there is none.
    pub(super) fn find(mut self, time: Timestamp) -> Result<u64, Stuck> {
        loop {
            if !self.enter_frame(Some(time))? {
                return Ok(self.next);
            }
            let end = self.open.as_ref().and_then(|o| o.inside).map_or(self.next, |i| i.frame.end());
            while self.next < end {
                match self.record()? {
                    Some(record) if record.record_time >= time => return Ok(record.position),
                    _ => {}
                }
            }
        }
    }

    /// Stands before the record `next`, in its frame; false at the durable end. With `from`, frames whose
    /// records are all earlier are passed over.
    fn enter_frame(&mut self, from: Option<Timestamp>) -> Result<bool, Stuck> {
        loop {
            let Some(open) = &mut self.open else {
                if !self.open_segment()? {
                    return Ok(false);
                }
                continue;
            };
            open.inside = None;
            let Some(frame) = open.frame(&self.partition)? else {
                if !self.leave_segment()? {
                    return Ok(false);
                }
                continue;
            };
            let body = open.at + HEADER;
            let place = open.start + open.at as u64;
            open.at += frame.bytes();
            if frame.end() <= self.next {
                continue;
            }
            if from.is_some_and(|time| frame.max_time < time) {
                self.next = frame.end();
                continue;
            }
            let inside = Inside { frame, at: body, position: frame.base };
            let at = (frame.base <= self.next).then(|| open.pass(inside, self.next)).flatten();
            let Some(inside) = at else {
                let path = self.partition.segment_path(open.segment.base);
                return Err(Stuck::Damaged { path, offset: place, what: "positions are missing" });
            };
            open.inside = Some(inside);
            return Ok(true);
        }
    }

    fn open_segment(&mut self) -> Result<bool, Stuck> {
        let found = {
            let view = self.partition.view();
            if self.next < view.log_start() {
                return Err(Stuck::Expired);
            }
            if self.next >= view.end { None } else { view.segment_of(self.next) }
        };
        let Some((segment, _)) = found else { return Ok(false) };
        let path = self.partition.segment_path(segment.base);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.vanished(path, error)),
            Err(error) => return Err(Stuck::Io { path, error }),
        };
        self.open = Some(Open { file, segment, buffer: Vec::new(), start: 0, at: 0, inside: None });
        Ok(true)
    }

    /// A file that is not there: expired between the look and the opening, or removed by somebody else.
    fn vanished(&self, path: PathBuf, error: io::Error) -> Stuck {
        if self.next < self.partition.view().log_start() { Stuck::Expired } else { Stuck::Io { path, error } }
    }

    /// At the end of what was durable when the segment was looked at: more of it, the next segment, or false.
    fn leave_segment(&mut self) -> Result<bool, Stuck> {
        let Some(open) = &mut self.open else { return Ok(true) };
        let (segment, after) = {
            let view = self.partition.view();
            match view.segment_of(open.segment.base) {
                Some((segment, after)) if segment.base == open.segment.base => (segment, after),
                // It expired while we were reading it: its file is still open, so nothing was lost so far.
                _ => (open.segment, Some(self.next)),
            }
        };
        if segment.bytes > open.segment.bytes {
            open.segment = segment;
            return Ok(true);
        }
        match after {
            None => Ok(false),
            Some(base) if base == self.next => {
                self.open = None;
                self.open_segment()
            }
            Some(_) => {
                let path = self.partition.segment_path(segment.base);
                Err(Stuck::Damaged { path, offset: segment.bytes, what: "the segment ends before the next one begins" })
            }
        }
    }
}

impl Open {
    /// The whole frame at `at`, read and checked; `None` at the end of the durable bytes.
    fn frame(&mut self, partition: &Partition) -> Result<Option<Frame>, Stuck> {
        let place = self.start + self.at as u64;
        let left = (self.segment.bytes - place) as usize;
        if left == 0 {
            return Ok(None);
        }
        let path = || partition.segment_path(self.segment.base);
        let damaged = || Stuck::Damaged { path: path(), offset: place, what: "no sound frame begins here" };
        if left < HEADER {
            return Err(damaged());
        }
        let mut wanted = HEADER;
        loop {
            if self.buffer.len() - self.at < wanted {
                self.buffer.drain(..self.at);
                (self.start, self.at) = (place, 0);
                let (have, all) = (self.buffer.len(), wanted.max(CHUNK).min(left));
                self.buffer.resize(all, 0);
                let read = self.file.read_exact_at(&mut self.buffer[have..], place + have as u64);
                if let Err(error) = read {
                    self.buffer.truncate(have);
                    return Err(Stuck::Io { path: path(), error });
                }
            }
            let frame = Frame::peek(&self.buffer[self.at..]).filter(|f| f.bytes() <= left).ok_or_else(damaged)?;
            if wanted == frame.bytes() || self.buffer.len() - self.at >= frame.bytes() {
                let sound = Frame::read(&self.buffer[self.at..], partition.seed);
                return sound.map(Some).ok_or_else(damaged);
            }
            wanted = frame.bytes();
        }
    }

    /// Passes over the records before `next`.
    fn pass(&self, mut inside: Inside, next: u64) -> Option<Inside> {
        while inside.position < next {
            let (_, bytes) = RecordView::read(&self.buffer[inside.at..self.at], inside.position, &inside.frame)?;
            (inside.at, inside.position) = (inside.at + bytes, inside.position + 1);
        }
        Some(inside)
    }
}
