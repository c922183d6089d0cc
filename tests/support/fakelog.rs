//! The log of a world as one could read it at a moment of world time. It keeps nothing: crashes do not touch it.

use streamgauge::model::Timestamp;

use super::record::{Partition, Record};

impl Partition {
    /// True while the topic exists.
    pub fn exists(&self, now: Timestamp) -> bool {
        self.created <= now && self.deleted.is_none_or(|d| now < d)
    }

    fn visible(&self, now: Timestamp) -> &[Record] {
        &self.records[..self.records.partition_point(|r| r.visible <= now)]
    }

    /// Last stable end. Some partitions end with a marker: beyond the last record there is one position more.
    pub fn end(&self, now: Timestamp) -> u64 {
        let visible = self.visible(now);
        let marker = visible.len() == self.records.len() && visible.len() % 3 == 1;
        visible.last().map_or(0, |r| r.position + 1 + u64::from(marker))
    }

    /// First position that the log still has.
    pub fn log_start(&self, now: Timestamp) -> u64 {
        self.expiry.iter().filter(|(at, _)| *at <= now).map(|(_, p)| *p).max().unwrap_or(0)
    }

    /// At most `limit` records from `next` on, and the position after what was covered.
    pub fn fetch(&self, now: Timestamp, next: u64, limit: usize) -> (&[Record], u64) {
        let visible = self.visible(now);
        let from = visible.partition_point(|r| r.position < next);
        let to = (from + limit).min(visible.len());
        let covered = if to == visible.len() { self.end(now) } else { visible[to].position };
        (&visible[from..to], covered.max(next))
    }
}
