//! Which groups there are, who is in them, what they committed.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::KafkaObserve;
use super::link::{Kind, left};
use crate::broker::kafka::ffi::Answer;
use crate::model::{GroupPhase, GroupProtocol};

/// Questions for committed positions under way at once: enough to keep a broker busy, few enough to bound memory.
const UNDER_WAY: usize = 500;
/// Groups described per survey, at most; the longest ago first. A thousand live groups are known anew every fourth survey.
pub(super) const PORTION: usize = 250;
/// Groups in one question for members: librdkafka searches its answers from the front.
const TOGETHER: usize = 50;
/// Members are asked for again after this, and whenever the group's state changed.
const MEMBERS_AGE: Duration = Duration::from_secs(10);
/// Faults of single groups that are told; all are counted.
const TOLD: usize = 3;

/// What the listing of groups remembers.
#[derive(Default)]
pub(super) struct Listing {
    /// A listing was answered at least once.
    pub answered: bool,
}

impl KafkaObserve {
    /// Lists the groups; how many were left out. Groups of brokers that did not answer stay.
    pub(super) fn list_groups(&mut self, until: Instant, faults: &mut Vec<String>) -> Result<u64, String> {
        let link = self.link()?;
        link.queue.ask_groups(left(until), link.token(Kind::Groups, 0));
        let mut answer = None;
        link.gather(1, until, |_, _, of| answer = Some(of));
        let Some(Answer::Groups(found)) = answer else { return Err("no answer in time".to_owned()) };
        let found = found.map_err(|fault| fault.words)?;
        if found.groups.is_empty() && !found.faults.is_empty() {
            return Err(found.faults[0].words.clone());
        }
        let whole = found.faults.is_empty();
        faults.extend(found.faults.into_iter().map(|fault| format!("groups: {}", fault.words)));
        self.listing.answered = true;

        let mut groups: Vec<_> = found.groups.into_iter().filter(|group| self.wants(&group.name)).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        let dropped = groups.len().saturating_sub(self.spec.groups);
        groups.truncate(self.spec.groups);
        self.facts.groups.values_mut().for_each(|group| group.listed = false);
        for group in groups {
            self.facts.list(&group.name, group.protocol, group.phase);
        }
        if whole {
            self.facts.groups.retain(|_, group| group.listed);
        } else {
            for group in self.facts.groups.values_mut().filter(|group| !group.listed) {
                group.facts.fault = "not listed: its broker did not answer".to_owned();
            }
        }
        Ok(dropped as u64)
    }

    /// Committed positions of all groups, and members of those whose turn it is.
    pub(super) fn ask_groups(&mut self, until: Instant, faults: &mut Vec<String>) {
        let members = self.turn(Instant::now());
        let groups: Vec<(Arc<str>, Arc<CStr>)> = self
            .facts
            .groups
            .iter()
            .filter(|(_, group)| group.listed && group.facts.protocol != GroupProtocol::Share)
            .map(|(name, group)| (Arc::clone(name), Arc::clone(&group.c_name)))
            .collect();
        let Some(link) = &self.link else { return };
        let mut under_way = 0;
        for (index, names) in members.chunks(TOGETHER).enumerate() {
            link.queue.ask_members(names, left(until), link.token(Kind::Members, index));
            under_way += 1;
        }
        let (mut asked, mut told) = (0, BTreeSet::new());
        let mut silent: Vec<bool> = vec![true; groups.len()];
        loop {
            while under_way < UNDER_WAY && asked < groups.len() && Instant::now() < until {
                link.queue.ask_committed(&groups[asked].1, left(until), link.token(Kind::Committed, asked));
                (asked, under_way) = (asked + 1, under_way + 1);
            }
            if under_way == 0 {
                break;
            }
            let Some((_, index, answer)) = link.next(until) else { break };
            under_way -= 1;
            match answer {
                Answer::Members(Ok(all)) => {
                    all.into_iter().for_each(|of| self.facts.describe(of, Instant::now()));
                }
                Answer::Members(Err(fault)) => drop(told.insert(format!("members of groups: {}", fault.words))),
                Answer::Committed(of) => {
                    let Some((name, _)) = groups.get(index) else { continue };
                    silent[index] = false;
                    match of {
                        Ok(of) => self.facts.commit(name, of, (self.now)()),
                        Err(fault) => {
                            if let Some(group) = self.facts.groups.get_mut(name) {
                                group.facts.fault.clone_from(&fault.words);
                            }
                            if told.len() < TOLD {
                                told.insert(format!("group {name}: {}", fault.words));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        let late = silent.iter().filter(|silent| **silent).count();
        if late > 0 {
            told.insert(format!("{late} groups did not answer in time"));
            for ((name, _), _) in groups.iter().zip(silent).filter(|(_, silent)| *silent) {
                if let Some(group) = self.facts.groups.get_mut(name) {
                    group.facts.fault = "committed positions: no answer in time".to_owned();
                }
            }
        }
        faults.extend(told);
    }

    /// Groups whose members are to be asked for now; of groups without any it is known already.
    fn turn(&mut self, now: Instant) -> Vec<Arc<CStr>> {
        let mut due = Vec::new();
        for group in self.facts.groups.values_mut().filter(|group| group.listed) {
            let (phase, protocol) = (group.facts.phase, group.facts.protocol);
            if protocol == GroupProtocol::Share {
                continue;
            }
            if matches!(phase, GroupPhase::Empty | GroupPhase::Dead) || protocol == GroupProtocol::Simple {
                (group.facts.members, group.described) = (Some(Vec::new()), None);
                continue;
            }
            match group.described {
                Some((at, then)) if then == phase && now.duration_since(at) < MEMBERS_AGE => {}
                Some((_, then)) if then != phase => due.push((None, Arc::clone(&group.c_name))),
                at => due.push((at.map(|(at, _)| at), Arc::clone(&group.c_name))),
            }
        }
        due.sort_by_key(|(at, _)| *at); // never described, or changed, first
        due.truncate(PORTION);
        due.into_iter().map(|(_, name)| name).collect()
    }
}
