//! All changes since the last checkpoint, as blobs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{BlobKey, Changes};

use super::flow::Flow;
use super::overflow::Overflow;
use super::{Checkpoint, Engine, blob};

/// The one blob that says how to read the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Format of all blobs.
    pub format: u32,
    /// Seed of the id hashes.
    pub seed: u64,
    /// What most flows have forgotten: see [`Flow::forgotten`].
    pub low: Option<i64>,
    /// Last tick.
    pub now: i64,
    /// Checkpoints so far.
    pub checkpoints: u64,
    /// What went because of bounds.
    pub overflow: Overflow,
    /// A defect of ours, in words.
    pub books_error: Option<String>,
}

/// What flows have forgotten that began while the past of a stream was read: by flow, where it is not `Meta::low`. Stored
/// behind the [`Meta`]; versions before this one did not know it.
pub type Forgotten = Vec<(u16, Option<i64>)>;

impl Engine {
    /// All changes since the last checkpoint. Hand checkpoints to the store in order and leave none out.
    pub fn checkpoint(&mut self) -> Checkpoint {
        let durable = self.durable();
        self.gather_overflow();
        let mut changes = Changes::default();
        let seen = || self.flows.iter().enumerate().filter(|(_, f)| !f.state.streams.is_empty());
        let low = seen().map(|(_, f)| f.forgotten).max().flatten();
        let others: Forgotten =
            seen().filter(|(_, f)| f.forgotten != low).map(|(number, f)| (number as u16, f.forgotten)).collect();
        let meta = Meta {
            format: blob::FORMAT,
            seed: self.seed,
            low,
            now: self.now.0,
            checkpoints: self.checkpoints,
            overflow: self.overflow.clone(),
            books_error: self.books_error.clone(),
        };
        put(&mut changes, blob::META, 0, blob::encode(&(meta, others)));
        for (number, source) in self.sources.iter_mut().enumerate() {
            if std::mem::take(&mut source.unsaved) {
                put(&mut changes, blob::SOURCES, number as u64, source.encode());
            }
        }
        for (number, stream) in self.streams.iter_mut().enumerate() {
            if std::mem::take(&mut stream.unsaved) {
                put(&mut changes, blob::STREAMS, number as u64, blob::encode(&stream.state));
            }
            stream.save(|minute, bytes| keep(&mut changes, blob::MINUTES, blob::number(number as u16, minute), bytes));
        }
        for (number, flow) in self.flows.iter_mut().enumerate() {
            flow.save(number as u16, &mut changes);
        }
        self.table.save(|page, bytes| keep(&mut changes, blob::PAGES, u64::from(page), bytes));
        self.table.save_ids(|slot, id| {
            keep(&mut changes, blob::LONG_IDS, u64::from(slot), id.map(|i| i.as_bytes().to_vec()));
        });
        self.dedup.save(&mut changes);
        self.copies.save(&mut changes);
        self.stones.save(&mut changes);
        Checkpoint { changes, positions: self.positions(), durable }
    }
}

impl Flow {
    fn save(&mut self, owner: u16, changes: &mut Changes) {
        if std::mem::take(&mut self.unsaved) {
            put(changes, blob::FLOWS, u64::from(owner), blob::encode(&self.state));
        }
        self.seconds.save(|at, second| {
            let bytes = second.map(|s| blob::encode(&(&s.counts, s.cells())));
            keep(changes, blob::SECONDS, blob::number(owner, at), bytes);
        });
        self.points.save(|step, chunk, points| {
            let kind = if step == 10 { blob::POINTS_10S } else { blob::POINTS_1M };
            keep(changes, kind, blob::number(owner, chunk), points.map(|p| blob::encode(&p)));
        });
    }
}

fn put(changes: &mut Changes, kind: u8, number: u64, bytes: impl Into<Bytes>) {
    changes.puts.push((BlobKey { kind, number }, bytes.into()));
}

/// Writes a blob, or removes it.
fn keep(changes: &mut Changes, kind: u8, number: u64, bytes: Option<impl Into<Bytes>>) {
    match bytes {
        Some(bytes) => put(changes, kind, number, bytes),
        None => changes.deletes.push(BlobKey { kind, number }),
    }
}
