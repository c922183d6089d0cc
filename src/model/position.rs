//! Where we stand in each partition. The positions are ours; group offsets are never read back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One partition of one generation of a stream. Its order is the canonical order of ties.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceKey {
    /// Name of the cluster in our configuration.
    pub cluster: Arc<str>,
    /// Topic, stream key or JetStream stream.
    pub stream: Arc<str>,
    /// Counts how often a stream of this name was made anew, from 0.
    pub generation: u32,
    /// Partition number; 0 where the broker has none.
    pub partition: u32,
}

/// How reading of a partition began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Began {
    /// At the log's beginning: every transaction is seen from its first event.
    Beginning,
    /// In the middle of a running log (`latest` or a time): transactions that began before are `joined`.
    Middle(Timestamp),
}

/// The position of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Which partition.
    pub key: SourceKey,
    /// Identity of this generation at the broker: `cluster id/topic id` of Kafka, creation id of the embedded log.
    pub incarnation: String,
    /// The position to go on at. Where the leader epoch is known it lies right behind the last record read: holes after
    /// it (markers of transactions, say) have no epoch of their own and are passed again.
    pub next: u64,
    /// Leader epoch of the record before `next`; -1 unknown.
    pub leader_epoch: i32,
    /// How reading began.
    pub began: Began,
}

/// All positions as of one durable checkpoint. Newest wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// One per partition ever opened.
    pub sources: Vec<SourcePosition>,
}

impl Positions {
    /// The position of a partition in the generation that `incarnation` names.
    #[must_use]
    pub fn find(&self, cluster: &str, stream: &str, partition: u32, incarnation: &str) -> Option<&SourcePosition> {
        self.sources.iter().find(|s| {
            &*s.key.cluster == cluster
                && &*s.key.stream == stream
                && s.key.partition == partition
                && s.incarnation == incarnation
        })
    }

    /// The newest generation of a stream that we know, and its incarnation.
    #[must_use]
    pub fn newest_generation(&self, cluster: &str, stream: &str) -> Option<(u32, &str)> {
        self.sources
            .iter()
            .filter(|s| &*s.key.cluster == cluster && &*s.key.stream == stream)
            .max_by_key(|s| s.key.generation)
            .map(|s| (s.key.generation, s.incarnation.as_str()))
    }
}
