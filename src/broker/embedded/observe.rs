//! The log as a watcher of groups sees it. Everything is answered from memory or from our own files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::cursor::{Cursor, Stuck};
use super::frame::RecordView;
use super::partition::Partition;
use crate::broker::{Observe, RawRecord, Stretch};
use crate::model::{PartitionFacts, Survey, TimeQuestion, TimedPosition, Timestamp, TopicFacts};

/// Earlier answers kept per partition, from which later searches begin.
const ANCHORS: usize = 64;

/// Watches one log.
pub(super) struct Observer {
    shared: Arc<Shared>,
    /// By stream and partition: a time that was asked for, and the first position not older than it.
    anchors: HashMap<(Arc<str>, u32), BTreeMap<Timestamp, u64>>,
}

impl Observer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, anchors: HashMap::new() }
    }

    fn partition(&self, stream: &str, partition: u32) -> Option<Arc<Partition>> {
        self.shared.stream(stream)?.partitions.get(partition as usize).cloned()
    }

    /// The first record not older than the time asked for. Records before an anchor are older than the anchor's time.
    fn find(&mut self, question: &TimeQuestion) -> Option<TimedPosition> {
        let partition = self.partition(&question.stream, question.partition)?;
        let anchors = self.anchors.entry((Arc::clone(&question.stream), question.partition)).or_default();
        let known = anchors.range(..=question.time).next_back().map_or(0, |(_, position)| *position);
        let start = known.max(partition.view().log_start());
        let position = Cursor::new(Arc::clone(&partition), start).find(question.time).ok()?;
        let mut cursor = Cursor::new(partition, position);
        let time = cursor.record().ok()??.record_time;
        if anchors.len() >= ANCHORS {
            anchors.pop_first();
        }
        anchors.insert(question.time, position);
        Some(TimedPosition { position, time })
    }
}

impl Observe for Observer {
    fn survey(&mut self, _deadline: Duration) -> Survey {
        let began = (self.shared.now)();
        let streams = self.shared.streams();
        let index: HashMap<&str, u32> = (0..).zip(&streams).map(|(i, s)| (&*s.name, i)).collect();
        // Committed positions first: then no lag is negative because an end was read too early.
        let groups = self.shared.groups.facts(began, |stream| index.get(stream).copied());
        let at = (self.shared.now)();
        let partition = |p: &Arc<Partition>| {
            let view = p.view();
            let (start, end) = (Some(view.log_start()), Some(view.end));
            PartitionFacts {
                start,
                stable_end: end,
                end,
                at,
                leader: Some(0),
                preferred: Some(0),
                replicas: 1,
                in_sync: 1,
                ..Default::default()
            }
        };
        let topics = streams.iter().map(|s| TopicFacts {
            name: Arc::clone(&s.name),
            id: s.incarnation.clone(),
            append_time: Some(true),
            compacted: None, // its logs are cut at their beginning, never within
            dead_letters: false,
            record_bytes: u64::try_from(self.shared.options.record_bytes).ok(),
            partitions: s.partitions.iter().map(partition).collect(),
        });
        let topics = topics.collect();
        Survey { began, ended: (self.shared.now)(), answered: true, topics, groups, ..Survey::default() }
    }

    fn positions_at(&mut self, questions: &[TimeQuestion], _deadline: Duration) -> Vec<Option<TimedPosition>> {
        questions.iter().map(|question| self.find(question)).collect()
    }

    fn first_records(&mut self, at: &[(Arc<str>, u32, u64)], _: Duration) -> Vec<Option<Option<TimedPosition>>> {
        let first = |(stream, number, from): &(Arc<str>, u32, u64)| {
            let partition = self.partition(stream, *number)?;
            let from = (*from).max(partition.view().log_start());
            let mut cursor = Cursor::new(partition, from);
            let record = cursor.record().ok()?;
            Some(record.map(|r| TimedPosition { position: r.position, time: r.record_time }))
        };
        at.iter().map(first).collect()
    }

    fn records(
        &mut self,
        stream: &str,
        partition: u32,
        from: u64,
        count: usize,
        bytes: usize,
        _deadline: Duration,
    ) -> Result<Stretch, String> {
        let found = self.partition(stream, partition);
        let found = found.ok_or_else(|| format!("the embedded log has no partition {partition} of {stream:?}"))?;
        let from = from.max(found.view().log_start());
        let mut cursor = Cursor::new(found, from);
        let (mut records, mut left) = (Vec::new(), bytes);
        let mut at_end = false;
        // The first record comes whatever its size: a reader must not stand still before a large one.
        while records.len() < count && (left > 0 || records.is_empty()) {
            match cursor.record() {
                Ok(Some(record)) => {
                    let raw = raw(stream, partition, &record);
                    left = left.saturating_sub(raw.payload.as_ref().map_or(0, Vec::len) + 64);
                    records.push(raw);
                }
                Ok(None) => {
                    at_end = true;
                    break;
                }
                Err(Stuck::Expired) if records.is_empty() => return Err("the records expired meanwhile".to_owned()),
                Err(stuck) => return Err(stuck.to_string()),
            }
        }
        Ok(Stretch { records, next: cursor.next(), at_end })
    }
}

/// A record with bytes of its own.
pub(super) fn raw(stream: &str, partition: u32, record: &RecordView<'_>) -> RawRecord {
    RawRecord {
        at: (stream.to_owned(), partition, record.position),
        key: record.key.map(<[u8]>::to_vec),
        payload: record.payload.map(<[u8]>::to_vec),
        headers: record.headers().map(|(name, value)| (name.to_vec(), Some(value.to_vec()))).collect(),
        record_time: Some(record.record_time),
    }
}
