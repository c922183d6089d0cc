//! From the blobs of a store back to the engine that wrote them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::model::{BlobKey, Timestamp};

use super::checkpoint::{Forgotten, Meta};
use super::copies::Copy;
use super::flow::{Flow, State};
use super::page::flag;
use super::points::Stored;
use super::second::{Counts, Second};
use super::source::{MAX_SOURCES, Source};
use super::stream::{self, Stream};
use super::table::Table;
use super::{Engine, EngineConfig, blob};

/// Why stored state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Written by another version.
    #[error("the stored state has format {found}, this version reads {known}")]
    Format {
        /// Found.
        found: u32,
        /// Known.
        known: u32,
    },
    /// A blob is not what a checkpoint wrote.
    #[error("blob {number} of kind {kind} is damaged: {detail}")]
    Damaged {
        /// Kind of blob.
        kind: u8,
        /// Number within the kind.
        number: u64,
        /// What was found.
        detail: String,
    },
}

fn damaged(key: BlobKey, detail: impl Into<String>) -> RestoreError {
    RestoreError::Damaged { kind: key.kind, number: key.number, detail: detail.into() }
}

/// Takes the blobs of the store, in any order, and makes an engine of them.
#[derive(Debug)]
pub struct Restore {
    config: EngineConfig,
    blobs: BTreeMap<BlobKey, Vec<u8>>,
    /// Pages are most of the bytes: they go to their place at once.
    table: Table,
    error: Option<RestoreError>,
}

impl Restore {
    /// Nothing read yet.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self { config, blobs: BTreeMap::new(), table: Table::default(), error: None }
    }

    /// Takes one blob.
    pub fn blob(&mut self, key: BlobKey, bytes: &[u8]) {
        if key.kind != blob::PAGES {
            self.blobs.insert(key, bytes.to_vec());
        } else if u32::try_from(key.number).map(|page| self.table.restore_page(page, bytes)) != Ok(true) {
            self.error.get_or_insert(damaged(key, "not a page"));
        }
    }

    /// The engine as it was at the checkpoint; a fresh one where nothing was stored.
    ///
    /// # Errors
    /// [`RestoreError`] where the blobs are not those of one checkpoint, or of another version.
    pub fn finish(mut self) -> Result<Engine, RestoreError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let key = BlobKey { kind: blob::META, number: 0 };
        let Some(bytes) = self.blobs.get(&key) else {
            return match self.blobs.first_key_value() {
                None if self.table.len() == 0 => Ok(Engine::new(self.config)),
                _ => Err(damaged(key, "it is missing, but others are not")),
            };
        };
        // The format comes first, so that it can be read of any version.
        let (format, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|e| damaged(key, e.to_string()))?;
        if format != blob::FORMAT {
            return Err(RestoreError::Format { found: format, known: blob::FORMAT });
        }
        let (meta, rest): (Meta, _) = postcard::take_from_bytes(bytes).map_err(|e| damaged(key, e.to_string()))?;
        let others: Forgotten = if rest.is_empty() { Vec::new() } else { decode(key, rest)? };
        let specs = std::mem::take(&mut self.config.flows);
        let mut engine = Engine::new(EngineConfig { seed: meta.seed, ..self.config });
        engine.specs = specs;
        // Until the first tick: as little as any flow.
        engine.low = others.iter().map(|(_, forgotten)| *forgotten).chain([meta.low]).min().flatten();
        (engine.now, engine.checkpoints) = (Timestamp(meta.now), meta.checkpoints);
        (engine.overflow, engine.books_error) = (meta.overflow, meta.books_error);
        engine.dedup.advance(engine.low);
        engine.stones.advance(engine.low.map(|l| l.div_euclid(1_000_000)));
        engine.table = self.table;
        for (key, bytes) in &self.blobs {
            engine.take_blob(*key, bytes)?;
        }
        engine.flows.iter_mut().for_each(|flow| flow.forgotten = meta.low);
        for (number, forgotten) in others {
            let flow = engine.flows.get_mut(usize::from(number)).ok_or_else(|| damaged(key, "no such flow"))?;
            flow.forgotten = forgotten;
        }
        engine.resume()?;
        Ok(engine)
    }
}

fn decode<T: DeserializeOwned>(key: BlobKey, bytes: &[u8]) -> Result<T, RestoreError> {
    postcard::from_bytes(bytes).map_err(|e| damaged(key, e.to_string()))
}

impl Engine {
    /// One blob; they come in the order of their keys, so names are there before what refers to them.
    fn take_blob(&mut self, key: BlobKey, bytes: &[u8]) -> Result<(), RestoreError> {
        let (owner, time) = blob::parts(key.number);
        let no_flow = || damaged(key, "it belongs to no flow");
        match key.kind {
            blob::META => {}
            blob::SOURCES => {
                let source = Source::decode(bytes).map_err(|e| damaged(key, e.to_string()))?;
                if key.number != self.sources.iter().count() as u64 || key.number >= MAX_SOURCES as u64 {
                    return Err(damaged(key, "a partition before it is missing"));
                }
                self.sources.insert(source);
            }
            blob::STREAMS => {
                let state: stream::State = decode(key, bytes)?;
                let mut stream = Stream::with_state(state, self.seed);
                stream.unsaved = false;
                if u64::from(self.add_stream(stream)) != key.number {
                    return Err(damaged(key, "a stream before it is missing"));
                }
            }
            blob::FLOWS => {
                let state: State = decode(key, bytes)?;
                let mut flow = Flow::with_state(state, &self.limits, &self.series);
                flow.unsaved = false;
                if u64::from(self.push_flow(flow)) != key.number {
                    return Err(damaged(key, "a flow before it is missing"));
                }
            }
            blob::LONG_IDS => {
                let id = std::str::from_utf8(bytes).map_err(|e| damaged(key, e.to_string()))?;
                self.table.restore_id(key.number as u32, id);
            }
            blob::IDS => {
                if !self.dedup.restore(key.number, bytes) {
                    return Err(damaged(key, "not a chunk of ids"));
                }
            }
            blob::COPIES => {
                let copies: Vec<Copy> = decode(key, bytes)?;
                self.copies.restore(key.number, copies);
            }
            blob::TOMBSTONES | blob::LASTING => {
                if !self.stones.restore(key.kind, key.number, bytes) {
                    return Err(damaged(key, "not a chunk of tombstones"));
                }
            }
            blob::SECONDS => {
                let (counts, cells): (Counts, Vec<(u32, u32)>) = decode(key, bytes)?;
                let flow = self.flows.get_mut(usize::from(owner)).ok_or_else(no_flow)?;
                flow.seconds.restore(time, Second::restore(counts, cells));
            }
            blob::MINUTES => {
                let stream = self.streams.get_mut(usize::from(owner));
                stream.ok_or_else(|| damaged(key, "it belongs to no stream"))?.restore(time, bytes);
            }
            blob::POINTS_10S | blob::POINTS_1M => {
                let points: Vec<Stored> = decode(key, bytes)?;
                let flow = self.flows.get_mut(usize::from(owner)).ok_or_else(no_flow)?;
                flow.points.restore(if key.kind == blob::POINTS_10S { 10 } else { 60 }, points);
            }
            _ => return Err(damaged(key, "no such kind of blob")),
        }
        Ok(())
    }

    /// Makes all that is not stored because it follows from the rest.
    fn resume(&mut self) -> Result<(), RestoreError> {
        self.table.reindex();
        for stream in &mut self.streams {
            stream.resume();
        }
        for flow in &mut self.flows {
            flow.seconds.resume(flow.state.watermark.map(|w| w.div_euclid(1_000_000)));
            flow.points.resume(flow.seconds.floor());
        }
        let slots: Vec<u32> = self.table.transactions().collect();
        for slot in slots {
            let held = self.table.slot(slot);
            let (head, start) = (held.head, (held.records[0].cut(), held.head.key, slot));
            let Some(flow) = self.flows.get_mut(usize::from(head.flow)) else {
                let number = u64::from(slot) / super::page::SLOTS as u64;
                return Err(damaged(BlobKey { kind: blob::PAGES, number }, "a transaction belongs to no flow"));
            };
            flow.timers.entry(head.due).or_default().push(slot);
            if head.flags & flag::ENDED == 0 {
                flow.oldest.push(Reverse(start));
            }
            if head.flags & flag::STUCK != 0 {
                flow.stuck.insert(start);
            }
        }
        self.add_declared();
        for number in 0..self.flows.len() {
            self.name_streams(number as u16);
            self.reconfigure(number as u16);
        }
        Ok(())
    }

    /// Counts what a flow still holds by the configuration of today instead of the one it was counted by.
    fn reconfigure(&mut self, number: u16) {
        let declared = self.declared(&self.flows[usize::from(number)].state.name);
        if declared == self.flows[usize::from(number)].state.declared {
            return;
        }
        let of_flow = |s: &u32| self.table.slot(*s).head.flow == number;
        let slots: Vec<u32> = self.table.transactions().filter(of_flow).collect();
        slots.iter().for_each(|slot| self.uncount(*slot));
        let flow = &mut self.flows[usize::from(number)];
        flow.declare(declared);
        flow.oldest.clear();
        slots.into_iter().for_each(|slot| self.recount(slot));
    }
}
