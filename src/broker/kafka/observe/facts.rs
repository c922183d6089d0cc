//! What is known of groups and topics between two surveys. Pure: answers go in, a [`Survey`] comes out.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::Instant;

use crate::broker::kafka::ffi::{CommittedOf, ConfigOf, MembersOf, TopicFound};
use crate::model::{
    Committed, GroupFacts, GroupPhase, GroupProtocol, MemberFacts, PartitionFacts, Survey, Timestamp, TopicFacts,
};

/// Partitions of one topic that are believed on a group's word alone; a cluster's own word has no such bound.
const BELIEVED: u32 = 100_000;

/// Why a share group has no lag.
const SHARE: &str = "a share group: its start positions are kept by the broker, but this client cannot ask for them";

/// A topic with what is needed to ask about it.
pub(super) struct Topic {
    pub facts: TopicFacts,
    pub c_name: Arc<CStr>,
    /// Watched although no group names it.
    pub wanted: bool,
}

/// A group with what is needed to ask about it.
pub(super) struct Group {
    pub facts: GroupFacts,
    pub c_name: Arc<CStr>,
    /// When its members were learned, and its state then.
    pub described: Option<(Instant, GroupPhase)>,
    /// Seen in the newest listing.
    pub listed: bool,
}

/// Everything that is known.
#[derive(Default)]
pub(super) struct Facts {
    pub topics: Vec<Topic>,
    index: HashMap<Arc<str>, u32>,
    pub groups: BTreeMap<Arc<str>, Group>,
}

/// A name for librdkafka; none of a broker's has a NUL.
pub(super) fn c_name(name: &str) -> Option<Arc<CStr>> {
    CString::new(name).ok().map(Arc::from)
}

fn number(partition: i32) -> Option<u32> {
    u32::try_from(partition).ok()
}

impl Facts {
    /// The number of a topic, which lasts until [`Facts::compact`].
    pub(super) fn intern(&mut self, name: &str) -> Option<u32> {
        if let Some(known) = self.index.get(name) {
            return Some(*known);
        }
        let number = u32::try_from(self.topics.len()).ok()?;
        let c_name = c_name(name)?;
        let name: Arc<str> = name.into();
        self.index.insert(Arc::clone(&name), number);
        let facts = TopicFacts { name, ..TopicFacts::default() };
        self.topics.push(Topic { facts, c_name, wanted: false });
        Some(number)
    }

    /// The topic of that name.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut Topic> {
        let number = *self.index.get(name)?;
        self.topics.get_mut(number as usize)
    }

    /// A group of the newest listing.
    pub(super) fn list(&mut self, name: &str, protocol: GroupProtocol, phase: GroupPhase) {
        if let Some(group) = self.groups.get_mut(name) {
            (group.facts.protocol, group.facts.phase, group.listed) = (protocol, phase, true);
            return;
        }
        let Some(c_name) = c_name(name) else { return };
        let name: Arc<str> = name.into();
        let facts = GroupFacts { name: Arc::clone(&name), protocol, phase, ..GroupFacts::default() };
        self.groups.insert(name, Group { facts, c_name, described: None, listed: true });
    }

    /// Takes a group's committed positions.
    pub(super) fn commit(&mut self, group: &str, of: CommittedOf, at: Timestamp) {
        let mut rows = Vec::with_capacity(of.topics.iter().map(|(_, rows)| rows.len()).sum());
        for (name, positions) in of.topics {
            let Some(topic) = self.intern(&name) else { continue };
            rows.extend(positions.into_iter().filter_map(|(partition, next)| {
                Some(Committed {
                    topic,
                    partition: number(partition)?,
                    next: u64::try_from(next).ok()?,
                    committed_at: None,
                })
            }));
        }
        if let Some(group) = self.groups.get_mut(group) {
            (group.facts.committed, group.facts.committed_at) = (Some(rows), at);
            group.facts.fault = of.fault.map(|fault| fault.words).unwrap_or_default();
            if group.facts.protocol == GroupProtocol::Share {
                if group.facts.committed.as_ref().is_some_and(Vec::is_empty) {
                    group.facts.committed = None;
                    group.facts.fault = SHARE.to_owned();
                } else {
                    group.facts.protocol = GroupProtocol::Unknown; // of Kafka Streams: it commits
                }
            }
        }
    }

    /// Takes who is in a group.
    pub(super) fn describe(&mut self, of: MembersOf, now: Instant) {
        let members = match of.members {
            Ok(members) => members,
            Err(fault) => {
                if let Some(group) = self.groups.get_mut(&*of.group) {
                    (group.facts.members, group.described) = (None, None);
                    group.facts.fault = format!("members: {}", fault.words);
                }
                return;
            }
        };
        let mut facts = Vec::with_capacity(members.len());
        for member in members {
            let mut assigned = Vec::new();
            for (name, partitions) in &member.assigned {
                let Some(topic) = self.intern(name) else { continue };
                assigned.extend(partitions.iter().filter_map(|p| Some((topic, number(*p)?))));
            }
            facts.push(MemberFacts { client_id: member.client_id.into(), host: member.host.into(), assigned });
        }
        if let Some(group) = self.groups.get_mut(&*of.group) {
            (group.facts.members, group.described) = (Some(facts), Some((now, group.facts.phase)));
        }
    }

    /// Takes what a topic is; a topic made anew begins without any knowledge.
    pub(super) fn found(&mut self, name: &str, found: Result<TopicFound, String>) {
        let Some(topic) = self.find(name) else { return };
        let facts = &mut topic.facts;
        let found = match found {
            Ok(found) => found,
            Err(words) => {
                facts.id.clear();
                facts.partitions.clear();
                (facts.append_time, facts.compacted, facts.dead_letters) = (None, None, false);
                facts.record_bytes = None;
                tracing::debug!(stream = name, words, "topic");
                return;
            }
        };
        if facts.id != found.id {
            facts.partitions.clear();
            facts.id = found.id;
        }
        facts.partitions.resize(usize::try_from(found.partitions).unwrap_or(0), PartitionFacts::default());
        for brokers in found.brokers {
            let place = usize::try_from(brokers.partition).unwrap_or(usize::MAX);
            let Some(partition) = facts.partitions.get_mut(place) else { continue };
            (partition.leader, partition.preferred) = (brokers.leader, brokers.preferred);
            (partition.replicas, partition.in_sync) = (brokers.replicas, brokers.in_sync);
            partition.fault = if brokers.leader.is_some() { String::new() } else { "no leader".to_owned() };
        }
    }

    /// Takes how a topic is configured.
    pub(super) fn configured(&mut self, name: &str, of: &ConfigOf) {
        let Some(topic) = self.find(name) else { return };
        topic.facts.append_time = Some(of.append_time);
        topic.facts.compacted = Some(of.cleanup.contains("compact"));
        topic.facts.dead_letters = of.dead_letters;
        topic.facts.record_bytes = of.batch_bytes;
    }

    /// Places for partitions that groups name and topics do not have: an answer of its own.
    pub(super) fn complete(&mut self) {
        let mut highest: Vec<Option<u32>> = vec![None; self.topics.len()];
        for group in self.groups.values() {
            let committed = group.facts.committed.iter().flatten().map(|row| (row.topic, row.partition));
            let assigned = group.facts.members.iter().flatten().flat_map(|m| m.assigned.iter().copied());
            for (topic, partition) in committed.chain(assigned).filter(|(_, p)| *p < BELIEVED) {
                let most = &mut highest[topic as usize];
                *most = (*most).max(Some(partition));
            }
        }
        for (topic, highest) in self.topics.iter_mut().zip(highest) {
            let known = topic.facts.partitions.len();
            let most = highest.map_or(0, |partition| partition as usize + 1);
            let words = if known == 0 { "no such topic, or no right to describe it" } else { "no such partition" };
            for _ in known..most {
                topic.facts.partitions.push(PartitionFacts { fault: words.to_owned(), ..PartitionFacts::default() });
            }
        }
    }

    /// Forgets topics that nobody names any more.
    pub(super) fn compact(&mut self) {
        let mut used: Vec<bool> = self.topics.iter().map(|topic| topic.wanted).collect();
        for group in self.groups.values() {
            group.facts.committed.iter().flatten().for_each(|row| used[row.topic as usize] = true);
            let members = group.facts.members.iter().flatten();
            members.flat_map(|m| &m.assigned).for_each(|(topic, _)| used[*topic as usize] = true);
        }
        if used.iter().all(|used| *used) {
            return;
        }
        let mut place = vec![0; used.len()];
        let mut next = 0;
        for (place, used) in place.iter_mut().zip(&used) {
            *place = next;
            next += u32::from(*used);
        }
        let mut keep = used.iter();
        self.topics.retain(|_| keep.next().copied().unwrap_or(false));
        self.index = (0..).zip(&self.topics).map(|(number, topic)| (Arc::clone(&topic.facts.name), number)).collect();
        for group in self.groups.values_mut() {
            group.facts.committed.iter_mut().flatten().for_each(|row| row.topic = place[row.topic as usize]);
            let members = group.facts.members.iter_mut().flatten();
            members.flat_map(|m| &mut m.assigned).for_each(|(topic, _)| *topic = place[*topic as usize]);
        }
    }

    /// All that is known now; groups are left out, by name, beyond `rows` committed positions.
    pub(super) fn survey(&self, rows: usize) -> Survey {
        let (mut survey, mut left) = (Survey::default(), rows);
        survey.topics = self.topics.iter().map(|topic| topic.facts.clone()).collect();
        for group in self.groups.values() {
            let own = group.facts.committed.as_ref().map_or(0, Vec::len);
            if own > left {
                survey.groups_dropped += 1;
                continue;
            }
            left -= own;
            survey.groups.push(group.facts.clone());
        }
        survey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(rows: &[(&str, i32, i64)]) -> CommittedOf {
        let topics = rows.iter().map(|(topic, p, next)| ((*topic).to_owned(), vec![(*p, *next)])).collect();
        CommittedOf { topics, fault: None }
    }

    fn found(id: &str, partitions: i32) -> TopicFound {
        TopicFound { id: id.into(), internal: false, partitions, leaderless: vec![], brokers: vec![], may: None }
    }

    fn two_groups() -> Facts {
        let mut facts = Facts::default();
        for (name, rows) in [("a", [("x", 0, 5), ("y", 1, 6)]), ("b", [("y", 0, 7), ("z", 2, 8)])] {
            facts.list(name, GroupProtocol::Classic, GroupPhase::Empty);
            facts.commit(name, committed(&rows), Timestamp(1));
        }
        facts
    }

    #[test]
    fn topics_that_nobody_names_go_and_rows_still_name_theirs() {
        let mut facts = two_groups();
        facts.groups.remove("a");
        facts.compact();
        let survey = facts.survey(10);
        let names: Vec<&str> = survey.topics.iter().map(|t| &*t.name).collect();
        assert_eq!(names, ["y", "z"]);
        let rows = survey.groups[0].committed.as_ref().unwrap();
        let rows: Vec<_> = rows.iter().map(|r| (names[r.topic as usize], r.partition, r.next)).collect();
        assert_eq!(rows, [("y", 0, 7), ("z", 2, 8)]);
        assert_eq!(facts.intern("z"), Some(1));
        assert_eq!(facts.intern("new"), Some(2));
    }

    #[test]
    fn a_topic_made_anew_begins_without_knowledge_and_what_it_lacks_has_a_reason() {
        let mut facts = two_groups();
        facts.found("y", Ok(found("first", 2)));
        facts.find("y").unwrap().facts.partitions[1].end = Some(9);
        facts.found("y", Ok(found("first", 2)));
        assert_eq!(facts.find("y").unwrap().facts.partitions[1].end, Some(9), "the same topic");
        facts.found("y", Ok(found("second", 1)));
        facts.found("z", Err("unknown topic".into()));
        facts.complete();
        let partitions = |facts: &mut Facts, name: &str| facts.find(name).unwrap().facts.partitions.clone();
        let y = partitions(&mut facts, "y");
        assert_eq!((y.len(), y[0].end, y[1].end, &*y[1].fault), (2, None, None, "no such partition"));
        let z = partitions(&mut facts, "z");
        assert_eq!(z.len(), 3);
        assert!(z.iter().all(|p| p.end.is_none() && p.fault.contains("no such topic")));
    }

    #[test]
    fn beyond_the_bound_groups_are_left_out_and_counted() {
        let survey = two_groups().survey(3);
        assert_eq!((survey.groups.len(), survey.groups_dropped, &*survey.groups[0].name), (1, 1, "a"));
    }

    #[test]
    fn a_share_group_has_no_lag_and_a_group_of_streams_has() {
        let mut facts = Facts::default();
        for name in ["share", "streams"] {
            facts.list(name, GroupProtocol::Share, GroupPhase::Unknown);
        }
        facts.commit("share", CommittedOf::default(), Timestamp(1));
        facts.commit("streams", committed(&[("x", 0, 1)]), Timestamp(1));
        let of = |name: &str| &facts.groups[name].facts;
        assert!(of("share").committed.is_none() && of("share").fault == SHARE);
        assert_eq!(of("share").protocol, GroupProtocol::Share);
        assert_eq!((of("streams").protocol, of("streams").fault.as_str()), (GroupProtocol::Unknown, ""));
    }

    #[test]
    fn a_configuration_says_what_a_topic_takes() {
        let mut facts = two_groups();
        let of = ConfigOf { cleanup: "compact,delete".into(), dead_letters: true, ..ConfigOf::default() };
        facts.configured("x", &of);
        let x = &facts.find("x").unwrap().facts;
        assert_eq!((x.append_time, x.compacted, x.dead_letters), (Some(false), Some(true), true));
    }
}
