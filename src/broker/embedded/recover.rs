//! Opening and looking: which streams are there, and where each partition ends. Nothing acknowledged is cut off.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::frame::{Frame, HEADER, MAGIC};
use super::partition::{Partition, Segment, Stream, View, seed};
use super::{Cut, append, disk, write};
use crate::model::Timestamp;
use crate::store::StoreError;

/// Bytes that can have been written without fsync: one group of appends. A broken tail beyond it is no torn tail.
const TORN_BYTES: u64 = (append::GROUP_BYTES + 2 * write::FRAME_BYTES) as u64;
/// Places looked at for a sound frame behind a broken one; more means that the bytes are hostile: refused.
const PLACES: usize = 10_000;

type Streams = BTreeMap<Arc<str>, Arc<Stream>>;

/// What becomes of the bytes behind the last sound frame of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// They are cut off, if they can be what a dying process left: the log is ours.
    Cut,
    /// They are checked in the same way and left where they are: nobody has the log.
    Check,
    /// They are being written by the process that has the log. It may also take old segments away.
    Ignore,
}

/// All streams of the log, and the torn tails, which were cut off if `rest` says so.
pub(super) fn streams(dir: &Path, rest: Rest) -> Result<(Streams, Vec<Cut>), StoreError> {
    let (mut streams, mut cuts) = (Streams::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(disk::io(dir))? {
        let entry = entry.map_err(disk::io(dir))?;
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        let name: Arc<str> = entry.file_name().to_string_lossy().into();
        if let Some(stream) = stream(&path, Arc::clone(&name), rest, &mut cuts)? {
            streams.insert(name, Arc::new(stream));
        }
    }
    Ok((streams, cuts))
}

/// One stream; `None` for one whose making was interrupted before anything was written to it.
fn stream(dir: &Path, name: Arc<str>, rest: Rest, cuts: &mut Vec<Cut>) -> Result<Option<Stream>, StoreError> {
    let mut bases: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(disk::io(dir))? {
        let entry = entry.map_err(disk::io(dir))?;
        if let Some((partition, base)) = disk::segment_name(&entry.file_name().to_string_lossy()) {
            bases.entry(partition).or_default().push(base);
        }
    }
    let Some(description) = disk::Description::read(dir)? else {
        return if bases.is_empty() { Ok(None) } else { Err(disk::damaged(dir, "it has segments and no description")) };
    };
    if let Some(extra) = bases.keys().find(|p| **p >= description.partitions) {
        let detail = format!("it has a partition {extra}, its description says {} partitions", description.partitions);
        return Err(disk::damaged(dir, detail));
    }
    let partitions = (0..description.partitions).map(|number| {
        let mut bases = bases.remove(&number).unwrap_or_default();
        bases.sort_unstable();
        let view = view(dir, number, &bases, seed(&description.incarnation, number), rest, cuts)?;
        Ok(Arc::new(Partition::new(dir.to_owned(), number, &description.incarnation, view)))
    });
    let partitions = partitions.collect::<Result<_, StoreError>>()?;
    Ok(Some(Stream { name, incarnation: description.incarnation, partitions }))
}

/// Where a partition begins and ends. The newest segment is checked as a whole, older ones by the cursor that reads them.
fn view(
    dir: &Path,
    number: u32,
    bases: &[u64],
    seed: u64,
    rest: Rest,
    cuts: &mut Vec<Cut>,
) -> Result<View, StoreError> {
    let mut view = View::default();
    for (i, base) in bases.iter().enumerate() {
        let path = disk::segment_path(dir, number, *base);
        let newest = i + 1 == bases.len();
        let file = match OpenOptions::new().read(true).write(rest == Rest::Cut).open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && rest == Rest::Ignore => continue, // it expired just now
            opened => opened.map_err(disk::io(&path))?,
        };
        let mut bytes = Vec::new();
        let looked_at = if newest { u64::MAX } else { HEADER as u64 };
        (&file).take(looked_at).read_to_end(&mut bytes).map_err(disk::io(&path))?;
        let length = file.metadata().map_err(disk::io(&path))?.len();
        if !newest {
            let first = Frame::peek(&bytes).filter(|f| f.base == *base);
            let first = first.ok_or_else(|| disk::damaged(&path, "no frame begins at byte 0"))?;
            view.segments.push_back(Segment { base: *base, bytes: length, began: first.append_time });
            continue;
        }
        let scan = Scan::of(&bytes, *base, seed);
        let torn = length.saturating_sub(scan.sound as u64);
        if torn > 0 && rest != Rest::Ignore {
            scan.check_torn(&bytes, seed).map_err(|detail| disk::damaged(&path, detail))?;
            if rest == Rest::Cut {
                file.set_len(scan.sound as u64).and_then(|()| file.sync_all()).map_err(disk::io(&path))?;
            }
            cuts.push(Cut { path, bytes: torn, next: scan.next });
        }
        view.segments.push_back(Segment { base: *base, bytes: scan.sound as u64, began: scan.began });
        view.end = scan.next;
        view.last_append = scan.last_append;
    }
    if view.last_append.is_none() {
        // The newest segment is still empty: the one before it says at least when it began.
        view.last_append = view.segments.iter().rev().map(|s| s.began).find(|t| *t != Timestamp::default());
    }
    Ok(view)
}

/// The sound beginning of a segment.
struct Scan {
    sound: usize,
    next: u64,
    began: Timestamp,
    last_append: Option<Timestamp>,
}

impl Scan {
    fn of(bytes: &[u8], base: u64, seed: u64) -> Self {
        let mut scan = Self { sound: 0, next: base, began: Timestamp::default(), last_append: None };
        while let Some(frame) = Frame::read(&bytes[scan.sound..], seed).filter(|f| f.base == scan.next) {
            if scan.sound == 0 {
                scan.began = frame.append_time;
            }
            scan.sound += frame.bytes();
            scan.next = frame.end();
            scan.last_append = Some(frame.append_time);
        }
        scan
    }

    /// Whether what follows the sound beginning can be what a dying process left, else what is wrong.
    fn check_torn(&self, bytes: &[u8], seed: u64) -> Result<(), String> {
        let broken = self.sound;
        let torn = (bytes.len() - broken) as u64;
        if torn > TORN_BYTES {
            return Err(format!(
                "byte {broken} begins no sound frame and {torn} bytes follow: more than was ever unwritten"
            ));
        }
        let places = (broken + 1..bytes.len()).filter(|at| bytes[*at..].starts_with(&MAGIC));
        for (i, at) in places.enumerate() {
            let proof = Frame::read(&bytes[at..], seed).filter(|frame| frame.durable > broken as u64);
            if proof.is_some() || i >= PLACES {
                return Err(format!(
                    "byte {broken} begins no sound frame, though it was durable when byte {at} was written; restore the file or move the stream's directory away"
                ));
            }
        }
        Ok(())
    }
}
