//! Durable bytes as they pass between the engine, which knows their meaning, and the store, which does not.

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
    /// Blobs to write, each key once.
    pub puts: Vec<(BlobKey, Vec<u8>)>,
    /// Blobs to remove.
    pub deletes: Vec<BlobKey>,
}
