//! What the partitions of a group say together where some of them are unknown, and what lag events alone tell.

use std::collections::{BTreeMap, HashSet};

use super::{LagBoard, LagRow, ToldLag};

impl LagRow {
    /// How much is unread is not known. A log that is known to be empty holds nothing, also without a position.
    #[must_use]
    pub fn unknown(&self) -> bool {
        let empty = self.committed.get().is_none() && self.start.get().is_some() && self.start == self.end;
        self.lag_messages().is_none() && !empty
    }
}

/// A sum or a maximum of the partitions that are known, beside others that are not where `unknown`: a zero of the
/// known ones says nothing of all. Anything else is the least that it can be.
#[must_use]
pub fn beside_unknown<T: PartialEq + Default>(known: Option<T>, unknown: bool) -> Option<T> {
    known.filter(|value| !unknown || *value != T::default())
}

impl ToldLag {
    /// Messages that it says are unread.
    #[must_use]
    pub fn unread(&self) -> Option<u64> {
        self.end?.checked_sub(self.committed?)
    }
}

impl LagBoard {
    /// The newest lag event of each cluster, group, stream and partition. Whichever cluster an event was read from,
    /// it is about the one that it names.
    #[must_use]
    pub fn told(&self) -> BTreeMap<(&str, &str, &str, u32), &ToldLag> {
        let mut newest: BTreeMap<(&str, &str, &str, u32), &ToldLag> = BTreeMap::new();
        for told in self.clusters.iter().flat_map(|c| &c.told) {
            let kept = newest.entry((&told.cluster, &told.group, &told.stream, told.partition)).or_insert(told);
            if kept.at < told.at {
                *kept = told;
            }
        }
        newest
    }

    /// Those of them about partitions of groups that no cluster is asked about, in order of their names.
    #[must_use]
    pub fn only_told(&self) -> Vec<&ToldLag> {
        let mut newest = self.told();
        let groups: HashSet<(&str, &str)> = newest.keys().map(|k| (k.0, k.1)).collect();
        for cluster in &self.clusters {
            for group in cluster.groups.iter().filter(|g| groups.contains(&(&*cluster.cluster, &*g.group))) {
                for row in &group.rows {
                    newest.remove(&(&*cluster.cluster, &*group.group, &*row.stream, row.partition));
                }
            }
        }
        newest.into_values().collect()
    }
}
