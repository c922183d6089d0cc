//! Messages that were lost to retention, over restarts: what was counted is stored with how far it was counted, so
//! that what expires while nobody watches is counted once by whoever watches next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::board::{Board, Topic};
use super::group::Group;

/// After so many complete surveys a group that was stored and is not there is gone.
const COMPLETE: u8 = 2;

/// A partition of a group that was watched: its number, what it lost, up to where that was counted.
type Watched = (u32, u64, u64);

/// What is stored of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredLoss {
    /// Lost by the group, also on streams that are gone.
    lost: u64,
    /// The group is gone; should it come back, it goes on from here.
    #[serde(default)]
    gone: bool,
    /// Stream, identity of its log, partitions in order.
    streams: Vec<(String, String, Vec<Watched>)>,
}

impl StoredLoss {
    fn of(group: &Group, topics: &[Topic]) -> Self {
        let mut streams: BTreeMap<u32, Vec<Watched>> = BTreeMap::new();
        for row in &group.rows {
            streams.entry(row.topic).or_default().push((row.partition, row.lost, row.lost_upto));
        }
        let named = streams.into_iter().map(|(place, mut rows)| {
            rows.sort_unstable();
            let topic = &topics[place as usize];
            (topic.name.to_string(), topic.id.clone(), rows)
        });
        let mut streams: Vec<_> = named.collect();
        // What was not seen again yet stays stored as it was.
        for (name, id, unseen) in group.before.iter().flat_map(|before| &before.streams) {
            match streams.iter_mut().find(|(known, ..)| known == name) {
                None => streams.push((name.clone(), id.clone(), unseen.clone())),
                Some((_, same, rows)) if same == id => {
                    rows.extend(unseen);
                    rows.sort_unstable();
                    rows.dedup_by_key(|(partition, ..)| *partition);
                }
                Some(_) => {}
            }
        }
        Self { lost: group.lost, gone: false, streams }
    }

    /// Hands out, once, what a partition lost and up to where; `None`: it was not watched, or as part of another log.
    pub(super) fn take_partition(&mut self, topic: &Topic, partition: u32) -> Option<(u64, u64)> {
        let (_, id, rows) = self.streams.iter_mut().find(|(name, ..)| **name == *topic.name)?;
        let same = id.is_empty() || topic.id.is_empty() || *id == topic.id;
        let at = rows.binary_search_by_key(&partition, |(number, ..)| *number).ok()?;
        let (_, lost, upto) = rows.remove(at);
        same.then_some((lost, upto))
    }
}

/// The groups that are not on the board, and which are to be stored anew.
#[derive(Debug, Default)]
pub(super) struct Losses {
    before: HashMap<Arc<str>, StoredLoss>,
    pub changed: BTreeSet<Arc<str>>,
    complete: u8,
}

impl Losses {
    /// A group that is seen for the first time, or again.
    pub fn claim(&mut self, name: &str) -> Group {
        let before = self.before.remove(name);
        Group { lost: before.as_ref().map_or(0, |b| b.lost), before: before.map(Box::new), ..Group::default() }
    }

    /// A group leaves. One that lost nothing is forgotten; of the others at most `most` are remembered.
    pub fn leave(&mut self, name: &Arc<str>, group: &Group, most: usize) {
        // One that a bound leaves out, survey by survey, is stored once.
        let stored = match &group.before {
            Some(before) => before.gone && before.lost == group.lost,
            None => group.lost == 0 && group.rows.iter().all(|row| row.polls <= 1),
        };
        if group.lost > 0 && self.before.len() < most {
            let gone = StoredLoss { lost: group.lost, gone: true, streams: Vec::new() };
            self.before.insert(Arc::clone(name), gone);
        }
        if !stored {
            self.changed.insert(Arc::clone(name));
        }
    }

    /// A survey left nothing out: what it did not name, twice, is gone.
    pub fn complete(&mut self) {
        if self.complete >= COMPLETE {
            return;
        }
        self.complete += 1;
        if self.complete == COMPLETE {
            for (name, loss) in self.before.iter_mut().filter(|(_, loss)| !loss.gone) {
                (loss.gone, loss.streams) = (true, Vec::new());
                self.changed.insert(Arc::clone(name));
            }
            self.before.retain(|_, loss| loss.lost > 0);
        }
    }
}

impl Board {
    /// Goes on from what was stored, before the first survey; how many rows were damaged and left out.
    pub fn restore_losses(&mut self, rows: impl IntoIterator<Item = (String, Vec<u8>)>) -> usize {
        let mut damaged = 0;
        for (name, bytes) in rows {
            match serde_json::from_slice(&bytes) {
                Ok(loss) => drop(self.losses.before.insert(name.into(), loss)),
                Err(_) => damaged += 1,
            }
        }
        damaged
    }

    /// Lost messages by group, in order of names.
    #[must_use]
    pub fn losses(&self) -> Vec<(Arc<str>, u64)> {
        let stored =
            self.losses.before.iter().filter(|(_, loss)| !loss.gone).map(|(n, loss)| (Arc::clone(n), loss.lost));
        let mut all: Vec<_> = self.groups.iter().map(|(n, g)| (Arc::clone(n), g.lost)).chain(stored).collect();
        all.sort_unstable();
        all
    }

    /// What has to be stored for [`Board::losses`] to be durable: group and bytes; no bytes: it is removed.
    /// Hand them back with [`Board::losses_not_stored`] where that failed.
    #[must_use]
    pub fn changed_losses(&mut self) -> Vec<(Arc<str>, Vec<u8>)> {
        let changed = std::mem::take(&mut self.losses.changed);
        let stored = changed.into_iter().map(|name| {
            let loss = match self.groups.get(&name) {
                Some(group) => Some(StoredLoss::of(group, &self.topics)),
                None => self.losses.before.get(&name).cloned(),
            };
            let bytes = loss.and_then(|loss| serde_json::to_vec(&loss).ok()).unwrap_or_default();
            (name, bytes)
        });
        stored.collect()
    }

    /// These were not stored.
    pub fn losses_not_stored(&mut self, rows: Vec<(Arc<str>, Vec<u8>)>) {
        self.losses.changed.extend(rows.into_iter().map(|(name, _)| name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::BoardConfig;
    use super::*;
    use crate::model::{Committed, GroupFacts, PartitionFacts, Survey, Timestamp, TopicFacts};

    fn board() -> Board {
        Board::new(BoardConfig { groups: 10, rows: 100, ..BoardConfig::default() })
    }

    /// A group at 5 on a log that begins at `start`.
    fn survey(second: i64, id: &str, start: u64, groups: &[&str]) -> Survey {
        let partition = PartitionFacts { start: Some(start), end: Some(1_000), ..PartitionFacts::default() };
        let topic =
            TopicFacts { name: "s".into(), id: id.into(), partitions: vec![partition], ..TopicFacts::default() };
        let committed = || vec![Committed { topic: 0, partition: 0, next: 5, committed_at: None }];
        let group =
            |name: &&str| GroupFacts { name: (*name).into(), committed: Some(committed()), ..GroupFacts::default() };
        let ended = Timestamp::from_seconds(second);
        let groups = groups.iter().map(group).collect();
        Survey { began: ended, ended, answered: true, topics: vec![topic], groups, ..Survey::default() }
    }

    fn restarted(board: &mut Board, stored: &mut HashMap<Arc<str>, Vec<u8>>) -> Board {
        for (name, bytes) in board.changed_losses() {
            if bytes.is_empty() { drop(stored.remove(&name)) } else { drop(stored.insert(name, bytes)) }
        }
        let mut after = self::board();
        assert_eq!(after.restore_losses(stored.iter().map(|(n, b)| (n.to_string(), b.clone()))), 0);
        after
    }

    fn of(board: &Board, group: &str) -> Option<u64> {
        board.losses().into_iter().find(|(name, _)| **name == *group).map(|(_, lost)| lost)
    }

    #[test]
    fn what_expires_while_nobody_watches_is_counted_once() {
        let mut stored = HashMap::new();
        let mut first = board();
        first.absorb(&survey(0, "a", 3, &["g", "h"]));
        first.absorb(&survey(5, "a", 15, &["g", "h"]));
        assert_eq!(of(&first, "g"), Some(10));
        let mut second = restarted(&mut first, &mut stored);
        assert_eq!(of(&second, "g"), Some(10), "before the first survey");
        second.absorb(&survey(60, "a", 25, &["g", "new"]));
        assert_eq!((of(&second, "g"), of(&second, "new")), (Some(20), Some(0)), "new: before the first look");
        assert_eq!(of(&second, "h"), Some(10), "one survey may have missed it");
        second.absorb(&survey(65, "a", 25, &["g", "new"]));
        assert_eq!((of(&second, "g"), of(&second, "h")), (Some(20), None));
        assert_eq!(second.view(Timestamp::from_seconds(65)).groups[0].lost_messages, 20);

        // A group that was gone goes on; a topic made anew is not what was watched.
        let mut third = restarted(&mut second, &mut stored);
        third.absorb(&survey(70, "b", 500, &["g", "h"]));
        assert_eq!((of(&third, "g"), of(&third, "h")), (Some(20), Some(10)));
        third.absorb(&survey(75, "b", 501, &["g", "h"]));
        assert_eq!((of(&third, "g"), of(&third, "h")), (Some(21), Some(11)));
    }

    #[test]
    fn what_could_not_be_stored_is_handed_out_again() {
        let mut board = board();
        board.absorb(&survey(0, "a", 0, &["g"]));
        let rows = board.changed_losses();
        assert!(rows.len() == 1 && board.changed_losses().is_empty());
        board.losses_not_stored(rows.clone());
        assert_eq!(board.changed_losses(), rows);
        assert_eq!(board.restore_losses([("g".to_owned(), b"no".to_vec())]), 1);
    }
}
