//! Which groups there are, who is in them, what they committed.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::KafkaObserve;
use super::link::{Kind, left};
use crate::broker::kafka::ffi::{Answer, Client};
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

/// How often groups are looked for that librdkafka's listing leaves out: share groups and those of Kafka Streams.
const OTHERS: Duration = Duration::from_secs(60);
/// Time for that, on a thread of its own.
const OTHERS_WITHIN: Duration = Duration::from_secs(30);

/// What the listing of groups remembers.
#[derive(Default)]
pub(super) struct Listing {
    /// Groups of other kinds, by name.
    others: BTreeSet<String>,
    asked: Option<Instant>,
    pending: Option<Receiver<BTreeSet<String>>>,
}

/// Names of groups that the old listing knows and can say nothing of: it is the only one that names share groups.
fn nameless(client: &Client) -> Option<BTreeSet<String>> {
    let listed = client.fetch_group_list(None, OTHERS_WITHIN).ok()?;
    let unknown = listed.groups().iter().filter(|group| group.protocol_type().is_empty() && group.state() == "Dead");
    Some(unknown.map(|group| group.name().to_owned()).collect())
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
        self.look_for_others(found.groups.iter().map(|group| group.name.as_str()).collect());

        let mut groups: Vec<_> = found.groups.into_iter().filter(|group| self.names.wanted(&group.name)).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        let dropped = groups.len().saturating_sub(self.spec.groups);
        groups.truncate(self.spec.groups);
        self.facts.groups.values_mut().for_each(|group| group.listed = false);
        for group in groups {
            self.facts.list(&group.name, group.protocol, group.phase);
        }
        for name in &self.listing.others {
            if self.names.wanted(name) && self.facts.groups.len() < self.spec.groups {
                self.facts.list(name, GroupProtocol::Share, GroupPhase::Unknown);
            }
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

    /// Names of groups of other kinds; answered later, on a thread of its own.
    fn look_for_others(&mut self, listed: BTreeSet<&str>) {
        let answer = self.listing.pending.as_ref().map(Receiver::try_recv);
        match answer {
            Some(Err(TryRecvError::Empty)) => {}
            Some(Ok(names)) => {
                // One that was a consumer group a moment ago has been deleted meanwhile.
                let was =
                    |name: &str| self.facts.groups.get(name).is_some_and(|g| g.facts.protocol != GroupProtocol::Share);
                let names = names.into_iter().filter(|name| !was(name));
                self.listing.others = names.take(self.spec.groups).collect();
                self.listing.pending = None;
            }
            _ => self.listing.pending = None,
        }
        self.listing.others.retain(|name| !listed.contains(name.as_str()));
        let due = self.listing.asked.is_none_or(|at| at.elapsed() >= OTHERS) && self.listing.pending.is_none();
        let Some(link) = self.link.as_ref().filter(|_| due) else { return };
        self.listing.asked = Some(Instant::now());
        let (send, receive) = sync_channel(1);
        let client = Arc::clone(link.client());
        let look = move || {
            if let Some(names) = nameless(&client) {
                drop(send.send(names));
            }
        };
        if thread::Builder::new().name("kafka-groups".into()).spawn(look).is_ok() {
            self.listing.pending = Some(receive);
        }
    }

    /// Committed positions of all groups, and members of those whose turn it is.
    pub(super) fn ask_groups(&mut self, until: Instant, faults: &mut Vec<String>) {
        let members = self.turn(Instant::now());
        let groups: Vec<(Arc<str>, Arc<CStr>)> = self
            .facts
            .groups
            .iter()
            .filter(|(_, group)| group.listed)
            .map(|(name, group)| (Arc::clone(name), Arc::clone(&group.c_name)))
            .collect();
        let Some(link) = &self.link else { return };
        let mut under_way = 0;
        for (index, names) in members.chunks(TOGETHER).enumerate() {
            link.queue.ask_members(names, false, left(until), link.token(Kind::Members, index));
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
