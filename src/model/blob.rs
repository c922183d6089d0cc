//! Durable bytes as they pass between the engine, which knows their meaning, and the store, which does not.

use bytes::Bytes;

/// Key of one blob: a kind (the meaning is the caller's) and a number within the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobKey {
    /// Kind of blob.
    pub kind: u8,
    /// Number within the kind.
    pub number: u64,
}

/// All that changed since the last checkpoint: one durable transaction.
#[derive(Debug, Default)]
pub struct Changes {
    /// Blobs to write, each key once. Large ones share the engine's memory until it changes them.
    pub puts: Vec<(BlobKey, Bytes)>,
    /// Blobs to remove.
    pub deletes: Vec<BlobKey>,
}
