//! Groups of the log: who consumes what, and how far. Positions are durable; that a consumer lives is not.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Shared, held};
use crate::broker::{Commit, MoveError};
use crate::model::{Committed, GroupFacts, GroupPhase, GroupProtocol, MICROS_PER_SECOND, MemberFacts, Timestamp};
use crate::store::{GroupPosition, GroupStore, StoreError};

/// A consumer that was silent for so long has left its group.
const LEFT: i64 = 10 * MICROS_PER_SECOND;
/// Groups; a program that makes up names must not fill the memory.
const GROUPS: usize = 10_000;
/// Positions of one group.
const POSITIONS: usize = 10_000;

/// All groups of one log.
pub(super) struct Groups {
    store: GroupStore,
    all: Mutex<BTreeMap<Arc<str>, Group>>,
    /// How many movers were made under each name: the newest is the one that may go on.
    movers: Mutex<HashMap<String, u64>>,
}

#[derive(Default)]
struct Group {
    /// By stream and partition: incarnation, next position, time of the commit.
    positions: BTreeMap<(Arc<str>, u32), (String, u64, Timestamp)>,
    /// Its consumers by client id: when each was heard of last.
    heard: BTreeMap<Arc<str>, Timestamp>,
}

impl Groups {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let store = GroupStore::open(path)?;
        let mut all: BTreeMap<Arc<str>, Group> = BTreeMap::new();
        for p in store.load()? {
            let group = all.entry(p.group.as_str().into()).or_default();
            group.positions.insert((p.stream.as_str().into(), p.partition), (p.incarnation, p.next, p.at));
        }
        Ok(Self { store, all: Mutex::new(all), movers: Mutex::default() })
    }

    pub(super) fn store(&self) -> &GroupStore {
        &self.store
    }

    /// A new mover of that name; all before it are fenced.
    pub(super) fn enter(&self, name: &str) -> u64 {
        let mut movers = held(&self.movers);
        let count = movers.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// True while no newer mover of that name was made.
    pub(super) fn is_newest(&self, name: &str, number: u64) -> bool {
        held(&self.movers).get(name) == Some(&number)
    }

    /// Positions of a group on the present incarnation of a stream.
    pub(super) fn progress(&self, group: &str, stream: &str, incarnation: &str) -> Vec<(u32, u64)> {
        let all = held(&self.all);
        let Some(group) = all.get(group) else { return Vec::new() };
        let of = group.positions.iter().filter(|((s, _), (i, ..))| **s == *stream && *i == incarnation);
        of.map(|((_, partition), (_, next, _))| (*partition, *next)).collect()
    }

    /// Commits, durable when it returns. `client`: the consumer that is alive; none for a tool that commits and goes.
    pub(super) fn commit(
        &self,
        client: Option<&str>,
        positions: Vec<GroupPosition>,
        step: Option<&str>,
    ) -> Result<(), MoveError> {
        {
            let all = held(&self.all);
            let full = |p: &GroupPosition| match all.get(p.group.as_str()) {
                None => all.len() >= GROUPS,
                Some(group) => {
                    let known = group.positions.contains_key(&(p.stream.as_str().into(), p.partition));
                    !known && group.positions.len() >= POSITIONS
                }
            };
            if positions.iter().any(full) {
                let words = format!("at most {GROUPS} groups with {POSITIONS} positions each are kept");
                return Err(MoveError::Refused(words));
            }
        }
        self.store.commit(&positions, step).map_err(|error| MoveError::Unavailable(error.to_string()))?;
        let mut all = held(&self.all);
        for p in positions {
            let group = all.entry(p.group.as_str().into()).or_default();
            group.positions.insert((p.stream.as_str().into(), p.partition), (p.incarnation, p.next, p.at));
            if let Some(client) = client {
                group.heard.insert(client.into(), p.at);
            }
        }
        Ok(())
    }

    /// What a survey says of every group; `topic` is the index of a stream. A position on an earlier incarnation is
    /// told as it was committed: that it lies in a log which is gone is for the reader of the survey to see.
    pub(super) fn facts(&self, now: Timestamp, topic: impl Fn(&str) -> Option<u32>) -> Vec<GroupFacts> {
        let mut all = held(&self.all);
        let facts = all.iter_mut().map(|(name, group)| {
            group.heard.retain(|_, at| now.since(*at) < LEFT);
            let committed: Vec<Committed> = group
                .positions
                .iter()
                .filter_map(|((stream, partition), (_, next, at))| {
                    let (next, committed_at) = (*next, Some(*at));
                    Some(Committed { topic: topic(stream)?, partition: *partition, next, committed_at })
                })
                .collect();
            let assigned: Vec<_> = committed.iter().map(|c| (c.topic, c.partition)).collect();
            // One consumer per group has all of it: that is how consumers of this log work.
            let members = group.heard.keys().map(|client| MemberFacts {
                client_id: Arc::clone(client),
                host: "in this process".into(),
                assigned: assigned.clone(),
            });
            let members: Vec<_> = members.collect();
            GroupFacts {
                name: Arc::clone(name),
                protocol: GroupProtocol::Embedded,
                phase: if members.is_empty() { GroupPhase::Empty } else { GroupPhase::Stable },
                members: Some(members),
                committed: Some(committed),
                committed_at: now,
                fault: String::new(),
            }
        });
        facts.collect()
    }
}

/// Commits for those who consume the log within this process.
pub(super) struct Committer(pub(super) Arc<Shared>);

impl Commit for Committer {
    fn commit(&mut self, group: &str, client: &str, positions: &[(Arc<str>, u32, u64)]) -> Result<(), MoveError> {
        let at = (self.0.now)();
        let rows = positions.iter().map(|(stream, partition, next)| {
            let found = self.0.stream(stream).ok_or_else(|| MoveError::Refused(format!("no stream {stream}")))?;
            Ok(GroupPosition {
                group: group.to_owned(),
                stream: stream.to_string(),
                partition: *partition,
                incarnation: found.incarnation.clone(),
                next: *next,
                at,
            })
        });
        let rows = rows.collect::<Result<Vec<_>, MoveError>>()?;
        self.0.groups.commit(Some(client), rows, None)
    }
}
