//! A store in memory, as durable as the harness wants it to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use streamgauge::engine::{Checkpoint, Engine, EngineConfig, Restore};
use streamgauge::model::Positions;
use streamgauge::snapshot::Durable;
use streamgauge::store::{BlobKey, Changes};

/// What a checkpoint handed out.
pub struct Handed {
    /// Bytes.
    pub changes: Changes,
    /// Positions as of the same moment.
    pub positions: Positions,
    /// What `/metrics` shows once this is durable.
    pub durable: Arc<Durable>,
}

impl From<Checkpoint> for Handed {
    fn from(c: Checkpoint) -> Self {
        Self { changes: c.changes, positions: c.positions, durable: c.durable }
    }
}

/// Blobs by key.
#[derive(Default)]
pub struct MemoryStore {
    /// The content.
    pub blobs: BTreeMap<BlobKey, Vec<u8>>,
}

impl MemoryStore {
    /// All of the changes.
    pub fn commit(&mut self, changes: &Changes) {
        for key in &changes.deletes {
            self.blobs.remove(key);
        }
        for (key, bytes) in &changes.puts {
            self.blobs.insert(*key, bytes.to_vec());
        }
    }

    /// An engine from what is stored.
    pub fn restore(&self, config: EngineConfig) -> Engine {
        let mut restore = Restore::new(config);
        self.blobs.iter().for_each(|(key, bytes)| restore.blob(*key, bytes));
        restore.finish().expect("what was committed can be restored")
    }
}
