//! From drafts to logs: partitions, positions with holes, and record times by whose clock writes them.

use streamgauge::model::{Kind, Timestamp};

use super::super::record::{Partition, Record, Workload, source};
use super::{Draft, EPOCH, Maker, SECOND};

impl Maker {
    /// Puts the drafts into their partitions, in the order in which they can be read.
    pub(super) fn finish(mut self) -> Workload {
        let (begins, ends) = (Timestamp((EPOCH - 10) * SECOND), self.drafts.iter().map(|d| d.written + d.delay).max());
        let ends = Timestamp(ends.unwrap_or(begins.0).max(begins.0));
        let changes = EPOCH * SECOND + self.rng.between(0, self.traits.span * SECOND);
        let (anew, grows) = (self.rng.below(3) as usize, self.rng.below(3) as usize);
        let mut partitions = Vec::new();
        for (s, stream) in self.streams.iter().enumerate() {
            let anew = self.traits.anew && s == anew;
            let more = u32::from(self.traits.grows && s == grows);
            for generation in 0..=u32::from(anew) {
                for p in 0..stream.partitions + more {
                    let grown = p == stream.partitions;
                    let created = if grown || generation > 0 { changes } else { begins.0 };
                    let first = generation == 0 && !grown;
                    partitions.push(Partition {
                        key: source(stream.name, generation, p),
                        incarnation: format!("{}/{generation}", stream.name),
                        role: stream.role,
                        append_time: stream.append_time,
                        created: Timestamp(created),
                        deleted: (anew && generation == 0).then_some(Timestamp(changes)),
                        latest: first && self.traits.latest && self.rng.chance(0.7),
                        records: Vec::new(),
                        expiry: Vec::new(),
                    });
                }
            }
        }
        let mut drafts = std::mem::take(&mut self.drafts);
        drafts.sort_by_key(|d| d.written + d.delay);
        for draft in drafts {
            let visible = draft.written + draft.delay;
            let name = self.streams[draft.stream].name;
            let fits = |p: &Partition| {
                &*p.key.stream == name && p.created.0 <= visible && p.deleted.is_none_or(|d| visible < d.0)
            };
            let homes: Vec<usize> = (0..partitions.len()).filter(|&i| fits(&partitions[i])).collect();
            let home = &mut partitions[homes[(draft.partition % homes.len() as u64) as usize]];
            self.append(home, &draft);
        }
        if self.traits.expiry {
            for partition in &mut partitions {
                if let (true, Some(last)) = (self.rng.chance(0.5), partition.records.last()) {
                    let at = self.rng.between(begins.0, last.visible.0.max(begins.0));
                    let before = partition.records.partition_point(|r| r.visible.0 < at - 20 * SECOND);
                    if let Some(first) = partition.records.get(before) {
                        partition.expiry.push((Timestamp(at), first.position));
                    }
                }
            }
        }
        let flows = self.kits.iter().filter_map(|k| k.spec.clone()).chain(self.newcomer).collect();
        Workload { flows, partitions, begins, ends }
    }

    fn append(&mut self, home: &mut Partition, draft: &Draft) {
        let hole = if self.rng.chance(0.1) { self.rng.below(5) } else { 0 };
        let mut record = draft.record.clone();
        record.position = home.records.last().map_or(hole, |r| r.position + 1 + hole);
        record.visible = Timestamp(draft.written + draft.delay);
        let millis = |micros: i64| Some(Timestamp(micros / 1_000 * 1_000));
        if home.append_time {
            record.record_time = millis(record.visible.0);
            if record.transaction.is_empty() && record.kind == Kind::Event && self.rng.chance(0.2) {
                record.record_time = millis(record.visible.0 - 7_200 * SECOND); // the broker's clock was set back
            }
        } else {
            let settled = home.records.len() > 8;
            let recent = home.records.iter().rev().take(20).next_back();
            let lively = recent.is_some_and(|r| r.visible.0 > draft.written - 60 * SECOND);
            record.record_time = millis(draft.written);
            if self.traits.skew && settled && self.rng.chance(0.3) {
                record.record_time = millis(draft.written - 300 * SECOND);
            } else if self.traits.skew && home.records.len() == 12 {
                // A clock of its own: nothing else is known of this producer.
                record = Record {
                    record_time: millis(draft.written + 3 * 3_600 * SECOND),
                    kind: Kind::Opaque,
                    position: record.position,
                    visible: record.visible,
                    ..Record::default()
                };
            } else if settled && lively && self.rng.chance(0.02) {
                record.record_time = None; // it is cut where the partition stands, which must not be long ago
            }
        }
        home.records.push(record);
    }
}
