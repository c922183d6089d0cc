//! Tables of cases: the verdict as a function, and what surveys add up to. Here: a broker as a survey tells it.

use std::sync::Arc;

use super::*;
use crate::model::{
    Committed, GroupFacts, GroupPhase, GroupProtocol, MemberFacts, PartitionFacts, Survey, TimedPosition, Timestamp,
    TopicFacts,
};
use crate::snapshot::{AgeMethod, GroupView, LagCluster, LagState, ToldLag};

mod properties;
mod stories;
mod surveys;
mod verdicts;

/// Name, id, begins and ends.
type Log = (&'static str, &'static str, Vec<(u64, u64)>);

/// A broker as a survey tells it: topics by (name, id, ends), groups as they are.
struct Facts {
    at: i64,
    topics: Vec<Log>,
    groups: Vec<GroupFacts>,
    faults: Vec<String>,
}

impl Facts {
    fn new(ends: &[(u64, u64)]) -> Self {
        Self { at: 0, topics: vec![("orders", "one", ends.to_vec())], groups: Vec::new(), faults: Vec::new() }
    }

    /// A group with one member that has the partitions `assigned`, and positions by partition.
    fn group(&mut self, name: &str, assigned: &[u32], committed: &[(u32, u64)]) -> &mut GroupFacts {
        let member = MemberFacts {
            client_id: "c1".into(),
            host: "/h".into(),
            assigned: assigned.iter().map(|p| (0, *p)).collect(),
        };
        self.groups.retain(|g| &*g.name != name);
        self.groups.push(GroupFacts {
            name: name.into(),
            protocol: GroupProtocol::Classic,
            phase: if assigned.is_empty() { GroupPhase::Empty } else { GroupPhase::Stable },
            members: Some(if assigned.is_empty() { Vec::new() } else { vec![member] }),
            committed: Some(
                committed.iter().map(|(p, n)| Committed { partition: *p, next: *n, ..Committed::default() }).collect(),
            ),
            ..GroupFacts::default()
        });
        self.groups.last_mut().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000 + self.at)
    }

    /// The survey `seconds` later.
    fn poll(&mut self, board: &mut Board, seconds: i64) -> Arc<LagCluster> {
        self.at += seconds;
        let partition = |(start, end): &(u64, u64)| PartitionFacts {
            start: Some(*start),
            end: Some(*end),
            leader: Some(1),
            replicas: 3,
            in_sync: 3,
            ..PartitionFacts::default()
        };
        let topic = |(name, id, ends): &(&str, &str, Vec<(u64, u64)>)| TopicFacts {
            name: (*name).into(),
            id: (*id).into(),
            append_time: Some(true),
            partitions: ends.iter().map(partition).collect(),
            ..TopicFacts::default()
        };
        board.absorb(&Survey {
            began: self.now(),
            ended: self.now(),
            answered: true,
            topics: self.topics.iter().map(topic).collect(),
            groups: self.groups.clone(),
            faults: self.faults.clone(),
            ..Survey::default()
        });
        board.view(self.now())
    }
}

fn board(groups: usize, rows: usize) -> Board {
    Board::new(BoardConfig { cluster: "main".into(), kind: "kafka", groups, rows, read_records: false })
}

fn states(group: &GroupView) -> Vec<(u32, &'static str)> {
    group.rows.iter().map(|r| (r.partition, r.state.name())).collect()
}
