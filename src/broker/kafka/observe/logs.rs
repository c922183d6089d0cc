//! Which topics there are, how they are configured, where their logs stand.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::KafkaObserve;
use super::facts::c_name;
use super::link::{Kind, left};
use crate::broker::kafka::ffi::{Answer, BEGIN, Code, ConfigOf, ConfigsOf, END, Fault, OffsetOf};
use crate::model::Timestamp;

/// Partitions in one question: librdkafka searches its answers from the front, so that the cost grows by the square.
pub(super) const CHUNK: usize = 500;
/// Topics in one question, for the same reason.
const TOPICS: usize = 250;
/// How often all topics of the cluster are listed; it also keeps librdkafka's knowledge of leaders.
const LIST: Duration = Duration::from_secs(30);
/// Configurations are asked for again after this.
const CONFIG_AGE: Duration = Duration::from_secs(600);
/// Topics asked for their configuration per survey, and in one question.
const CONFIGS: (usize, usize) = (1_000, 100);
/// Topics of the cluster that are looked through for dead letters.
const LOOKED_AT: usize = 100_000;

/// What is remembered of logs between surveys.
#[derive(Default)]
pub(super) struct Logs {
    listed_at: Option<Instant>,
    listed: Vec<Arc<str>>,
    /// Brokers, as of the newest listing.
    pub(super) brokers: Option<u32>,
    configs: HashMap<Arc<str>, (Instant, Option<ConfigOf>)>,
}

impl Logs {
    /// All topics are to be listed anew: something moved.
    pub(super) fn relist(&mut self) {
        self.listed_at = None;
    }
}

impl KafkaObserve {
    /// All topics of the cluster, from time to time; what was known stays where it is not answered.
    pub(super) fn list_topics(&mut self, until: Instant, faults: &mut Vec<String>) {
        let Some(link) = &self.link else { return };
        if self.logs.listed_at.is_none_or(|at| at.elapsed() >= LIST) {
            match link.client().fetch_metadata(None, left(until)) {
                Ok(metadata) => {
                    self.logs.listed_at = Some(Instant::now());
                    self.logs.brokers = u32::try_from(metadata.brokers().len()).ok();
                    if metadata.topics().len() > LOOKED_AT {
                        faults.push(format!("more than {LOOKED_AT} topics: the rest is not searched for dead letters"));
                    }
                    self.logs.listed = metadata.topics().iter().take(LOOKED_AT).map(|t| t.name().into()).collect();
                    let there: BTreeSet<&str> = self.logs.listed.iter().map(|name| &**name).collect();
                    self.logs.configs.retain(|name, _| there.contains(&**name));
                }
                Err(error) => faults.push(format!("topics: {error}")),
            }
        }
        let watched: Vec<Arc<str>> = self
            .logs
            .listed
            .iter()
            .filter(|name| {
                let letters =
                    self.logs.configs.get(*name).and_then(|(_, of)| of.as_ref()).is_some_and(|c| c.dead_letters);
                letters || (self.watched)(name)
            })
            .cloned()
            .collect();
        self.facts.topics.iter_mut().for_each(|topic| topic.wanted = false);
        for name in watched {
            self.facts.intern(&name);
            if let Some(topic) = self.facts.find(&name) {
                topic.wanted = true;
            }
        }
    }

    /// What the watched topics are, and how some are configured.
    pub(super) fn ask_topics(&mut self, until: Instant, faults: &mut Vec<String>) {
        let now = Instant::now();
        let configs = self.configs_due(now);
        let Some(link) = &self.link else { return };
        let names: Vec<Arc<CStr>> = self.facts.topics.iter().map(|topic| Arc::clone(&topic.c_name)).collect();
        let mut missing = 0;
        for (index, names) in names.chunks(TOPICS).enumerate() {
            link.queue.ask_topics(names, false, left(until), link.token(Kind::Topics, index));
            missing += 1;
        }
        for (index, names) in configs.chunks(CONFIGS.1).enumerate() {
            link.queue.ask_configs(names, left(until), link.token(Kind::Configs, index));
            missing += 1;
        }
        let mut told = BTreeSet::new();
        let missing = link.gather(missing, until, |_, _, answer| match answer {
            Answer::Topics(Ok(topics)) => {
                for topic in topics {
                    let unknown = |f: &Fault| matches!(f.code, Code::UnknownTopicOrPartition | Code::UnknownTopic);
                    match topic.found {
                        Ok(found) => self.facts.found(&topic.name, Ok(found)),
                        Err(fault) if unknown(&fault) => self.facts.found(&topic.name, Err(fault.words)),
                        Err(fault) => drop(told.insert(format!("stream {}: {}", topic.name, fault.words))),
                    }
                }
            }
            Answer::Configs(Ok(configs)) => take_configs(&mut self.logs, configs, now),
            Answer::Topics(Err(fault)) => drop(told.insert(format!("topics: {}", fault.words))),
            Answer::Configs(Err(fault)) => drop(told.insert(format!("configurations: {}", fault.words))),
            _ => {}
        });
        if missing > 0 {
            told.insert("topics: no answer in time".to_owned());
        }
        faults.extend(told);
        let compressed = self.config.compresses();
        for (name, (_, of)) in &self.logs.configs {
            if let Some(of) = of {
                let batch_bytes = of.batch_bytes.filter(|_| !compressed);
                self.facts.configured(name, &ConfigOf { batch_bytes, ..of.clone() });
            }
        }
    }

    /// Topics whose configuration is to be asked for now: first those that are shown.
    fn configs_due(&self, now: Instant) -> Vec<Arc<CStr>> {
        let due =
            |name: &Arc<str>| self.logs.configs.get(name).is_none_or(|(at, _)| now.duration_since(*at) >= CONFIG_AGE);
        let shown = self.facts.topics.iter().map(|topic| &topic.facts.name);
        let mut seen = BTreeSet::new();
        let all = shown.chain(&self.logs.listed).filter(|name| due(name) && seen.insert(Arc::clone(name)));
        all.take(CONFIGS.0).filter_map(|name| c_name(name)).collect()
    }

    /// Where the logs of all watched topics stand: begin, stable end, end, asked in this order, so that they are in order.
    pub(super) fn ask_logs(&mut self, until: Instant, faults: &mut Vec<String>) {
        let mut all: Vec<(Arc<CStr>, i32)> = Vec::new();
        for topic in &self.facts.topics {
            let led = topic.facts.partitions.iter().zip(0..).filter(|(partition, _)| partition.leader.is_some());
            all.extend(led.map(|(_, number)| (Arc::clone(&topic.c_name), number)));
        }
        let Some(link) = &self.link else { return };
        let mut missing = 0;
        for (index, chunk) in all.chunks(CHUNK).enumerate() {
            let ask =
                |what| -> Vec<_> { chunk.iter().map(|(name, number)| (Arc::clone(name), *number, what)).collect() };
            link.queue.ask_offsets(&ask(BEGIN), left(until), link.token(Kind::Begin, index));
            link.queue.ask_offsets(&ask(END), left(until), link.token(Kind::Stable, index));
            link.queue.ask_high(&ask(END), left(until), link.token(Kind::End, index));
            missing += 3;
        }
        let (mut moved, mut told) = (false, BTreeSet::new());
        let (facts, now) = (&mut self.facts, self.now);
        let mut unanswered: Vec<u8> = vec![3; all.len().div_ceil(CHUNK)];
        let missing = link.gather(missing, until, |kind, index, answer| {
            if let Some(questions) = unanswered.get_mut(index) {
                *questions -= 1;
            }
            match answer {
                Answer::Offsets(Ok(offsets)) => {
                    let at = now();
                    for of in offsets {
                        moved |= of.offset.is_err();
                        if let Some(topic) = facts.find(&of.topic) {
                            place(&mut topic.facts.partitions, kind, &of, at);
                        }
                    }
                }
                Answer::Offsets(Err(fault)) => {
                    moved = true;
                    told.insert(format!("logs: {}", fault.words));
                }
                _ => {}
            }
        });
        if missing > 0 {
            moved = true;
            told.insert("logs: no answer in time".to_owned());
            let silent = all.chunks(CHUNK).zip(unanswered).filter(|(_, questions)| *questions > 0);
            for (name, number) in silent.flat_map(|(chunk, _)| chunk) {
                let topic = name.to_str().ok().and_then(|name| facts.find(name));
                if let Some(partition) = topic.and_then(|t| t.facts.partitions.get_mut(usize::try_from(*number).ok()?))
                {
                    partition.fault = "no answer in time".to_owned();
                }
            }
        }
        if moved {
            self.logs.relist();
        }
        faults.extend(told);
    }
}

fn take_configs(logs: &mut Logs, configs: ConfigsOf, now: Instant) {
    for (name, of) in configs {
        // Without the right to see it, it stays unknown.
        logs.configs.insert(name.into(), (now, of.ok()));
    }
}

/// Puts one answer in its place.
fn place(partitions: &mut [crate::model::PartitionFacts], kind: Kind, of: &OffsetOf, at: Timestamp) {
    let Some(partition) = usize::try_from(of.partition).ok().and_then(|number| partitions.get_mut(number)) else {
        return;
    };
    let position = match &of.offset {
        Ok(position) => u64::try_from(*position).ok(),
        Err(fault) => {
            partition.fault.clone_from(&fault.words);
            return;
        }
    };
    match kind {
        Kind::Begin => partition.start = position,
        Kind::Stable => partition.stable_end = position,
        _ => (partition.end, partition.at) = (position, at),
    }
}
