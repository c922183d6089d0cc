//! The state of one cluster's lag: logs with their time indexes, groups with their rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::arrivals::Arrivals;
use super::group::Group;
use super::index::{Look, SAMPLES, TimeIndex};
use super::loss::Losses;
use super::push::Pushes;
use super::stored::StoredIndex;
use crate::model::{TimedPosition, Timestamp, TopicFacts};
use crate::snapshot::{PartitionTrouble, ToldLag};

/// Topics known at the same time; further ones are left out and counted.
pub const TOPICS: usize = 100_000;
/// Highest partition number plus one, per topic; beyond, partitions are left out and counted.
pub const PARTITIONS: usize = 100_000;
/// Samples in all indexes together: about 10 MB.
const INDEX_SAMPLES: usize = 400_000;

/// What a board is made with.
#[derive(Clone, Debug, Default)]
pub struct BoardConfig {
    /// Cluster by name.
    pub cluster: String,
    /// `kafka` or `embedded`.
    pub kind: &'static str,
    /// Groups watched; further ones (by name) are counted as dropped.
    pub groups: usize,
    /// Rows watched; groups that do not fit are counted as dropped.
    pub rows: usize,
    /// The record at a committed position may be read.
    pub read_records: bool,
}

/// Everything known about the groups of one cluster.
#[derive(Debug)]
pub struct Board {
    pub(super) config: BoardConfig,
    /// Times in rows are tenths of a second since then.
    pub(super) epoch: Option<Timestamp>,
    /// Of the newest answered survey, as a time of rows.
    pub(super) tick: u32,
    /// Of the one before.
    pub(super) last_tick: u32,
    pub(super) as_of: Option<Timestamp>,
    pub(super) answering: bool,
    pub(super) cycle_seconds: Option<f64>,
    pub(super) brokers: Option<u32>,
    pub(super) faults: Vec<String>,
    pub(super) topics: Vec<Topic>,
    pub(super) by_name: HashMap<Arc<str>, u32>,
    /// Place of each topic in the order of names.
    pub(super) rank: Vec<u32>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) losses: Losses,
    pub(super) pushes: Pushes,
    /// Indexes from the store whose topic was not seen yet.
    pub(super) stored: HashMap<(String, u32), StoredIndex>,
    /// Committed positions that the store calls those of an earlier log, by group, topic and partition.
    pub(super) stale: HashMap<(String, u32, u32), u64>,
    /// Of the store, whose topics are gone.
    pub(super) unclaimed: Vec<StoredIndex>,
    /// Topics as the newest survey found them.
    pub(super) facts: Arc<Vec<TopicFacts>>,
    pub(super) troubles: Vec<PartitionTrouble>,
    pub(super) told: Vec<ToldLag>,
    pub(super) dropped: u64,
}

/// A topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    pub name: Arc<str>,
    pub id: String,
    pub append_time: Option<bool>,
    /// A transaction was seen, or a read passed over positions that hold no record.
    pub transactional: bool,
    pub parts: Vec<Part>,
}

/// A partition.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub start: Option<u64>,
    pub stable_end: Option<u64>,
    pub end: Option<u64>,
    /// The ends as they were last known, also while they are not.
    pub last_end: Option<u64>,
    pub last_stable: Option<u64>,
    /// When the end was last seen to move, as a time of rows.
    pub end_moved: u32,
    pub stable_moved: u32,
    /// It moved between the newest two surveys.
    pub flowing: bool,
    pub index: TimeIndex,
    /// When the log grew, where it carries transactions.
    pub arrivals: Arrivals,
    /// Positions that groups wait at, ascending.
    pub targets: Vec<u64>,
    /// The question on its way.
    pub asked: Option<Timestamp>,
    /// Not asked again before this time of rows: the last question told nothing new.
    pub rests_until: u32,
    /// Not read again before this time of rows: the last read was not answered, perhaps for want of the right.
    pub unread_until: u32,
    /// The index changed since it was stored.
    pub dirty: bool,
}

impl Topic {
    pub fn look(&self, part: &Part, now: Timestamp) -> Look {
        Look {
            end: part.reach().unwrap_or(0),
            now,
            ascending: self.append_time == Some(true),
            markers: self.transactional,
            flowing: part.flowing,
        }
    }
}

impl Part {
    /// Behind the last record that can be read.
    pub fn reach(&self) -> Option<u64> {
        self.stable_end.or(self.end)
    }
}

impl Board {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(config: BoardConfig) -> Self {
        Self {
            config,
            epoch: None,
            tick: 0,
            last_tick: 0,
            as_of: None,
            answering: false,
            cycle_seconds: None,
            brokers: None,
            faults: Vec::new(),
            topics: Vec::new(),
            by_name: HashMap::new(),
            rank: Vec::new(),
            groups: BTreeMap::new(),
            losses: Losses::default(),
            pushes: Pushes::default(),
            stored: HashMap::new(),
            stale: HashMap::new(),
            unclaimed: Vec::new(),
            facts: Arc::default(),
            troubles: Vec::new(),
            told: Vec::new(),
            dropped: 0,
        }
    }

    /// A time of rows.
    pub(super) fn tick_of(&self, at: Timestamp) -> u32 {
        let since = self.epoch.map_or(0, |e| at.since(e));
        u32::try_from((since / 100_000).max(0)).unwrap_or(super::group::NEVER - 1)
    }

    /// Takes one exact (position, record time) that somebody read anyway. Unknown streams are ignored: nobody waits there.
    pub fn learn(&mut self, stream: &str, partition: u32, record: TimedPosition, now: Timestamp) {
        if let Some(part) = self.part_mut(stream, partition) {
            part.dirty |= part.index.read(record.position, record, now);
        }
    }

    pub(super) fn part_mut(&mut self, stream: &str, partition: u32) -> Option<&mut Part> {
        let topic = *self.by_name.get(stream)?;
        self.topics[topic as usize].parts.get_mut(partition as usize)
    }

    /// Lag events of others, newest per group, stream and partition.
    pub fn told(&mut self, told: Vec<ToldLag>) {
        self.told = told;
    }

    /// Whether the newest survey was answered.
    #[must_use]
    pub const fn answering(&self) -> bool {
        self.answering
    }

    /// Bounds all indexes: a share of the whole for each partition.
    pub(super) fn shrink_indexes(&mut self, now: Timestamp) {
        let parts = self.topics.iter().map(|t| t.parts.len()).sum::<usize>().max(1);
        let most = (INDEX_SAMPLES / parts).clamp(SAMPLES.0, SAMPLES.1);
        for part in self.topics.iter_mut().flat_map(|t| &mut t.parts) {
            if part.index.len() > most {
                part.index.shrink(most, &part.targets, now);
            }
        }
    }
}
