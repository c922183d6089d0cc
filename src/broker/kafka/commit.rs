//! Commits for the demo's consumers, through a client per group that joins nothing.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{KafkaConfig, without_value};
use crate::broker::{Commit, MoveError};

/// Groups at once: each has a client with its threads and connections.
const GROUPS: usize = 16;

/// Commits positions of groups that have no members.
pub struct KafkaCommit {
    config: KafkaConfig,
    clients: HashMap<String, BaseConsumer>,
}

impl KafkaCommit {
    /// Commits to this cluster.
    #[must_use]
    pub fn new(config: KafkaConfig) -> Self {
        Self { config, clients: HashMap::new() }
    }
}

impl Commit for KafkaCommit {
    fn commit(&mut self, group: &str, client: &str, positions: &[(Arc<str>, u32, u64)]) -> Result<(), MoveError> {
        if !self.clients.contains_key(group) {
            if self.clients.len() >= GROUPS {
                return Err(MoveError::Refused(format!("at most {GROUPS} groups commit through us")));
            }
            let made = self.config.committer(group, client).create();
            let made: BaseConsumer = made.map_err(|error| MoveError::Refused(without_value(&error)))?;
            self.clients.insert(group.to_owned(), made);
        }
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (stream, partition, next) in positions {
            let number = |n: u64| i64::try_from(n).map_err(|_| MoveError::Refused(format!("position {n}")));
            let partition = i32::try_from(*partition).map_err(|e| MoveError::Refused(e.to_string()))?;
            list.add_partition_offset(stream, partition, Offset::Offset(number(*next)?))
                .map_err(|error| MoveError::Refused(error.to_string()))?;
        }
        let unavailable = |error: rdkafka::error::KafkaError| MoveError::Unavailable(error.to_string());
        self.clients[group].commit(&list, CommitMode::Sync).map_err(unavailable)
    }
}
