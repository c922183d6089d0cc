//! What the reader asks of the brokers: which topics there are, where their logs stand, who is gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::ask::{QUESTION, Subject, Told, Wish};
use super::discover::{Begin, openings};
use super::drain::{self, Gone};
use super::ffi::{self, Client, Code, ConfigOf, Fault, Queue, TopicFound, TopicOf};
use super::read::Reader;
use super::slot::{CONFIRM, LOOK_AT_START, Phase, SILENT, Slot, Stream};
use crate::decode::Decoder;
use crate::model::{Input, SourceKey, SourceState, Start};

/// How often topics are looked for.
const DISCOVER: Duration = Duration::from_secs(10);
/// Shortest pause between two questions for topics, also in a hurry.
const HURRY: Duration = Duration::from_millis(500);
/// How often the survey looks what is due.
const EVERY: Duration = Duration::from_millis(20);
/// Time to list all topics of the cluster, on a thread of its own.
const LIST: Duration = Duration::from_secs(10);
/// Answers in a row that must say that a topic does not exist before it is gone: a broker that just started may not know yet.
const GONE_AFTER: u32 = 2;
/// Tokens of the two questions that are not rounds.
const TOPICS: usize = 1;
const CONFIGS: usize = 2;

type Listing = Result<Vec<String>, String>;

/// What is known of topics.
pub(super) struct Topics {
    due: Instant,
    asked: Option<Instant>,
    /// When the answered question was asked.
    told: Option<Instant>,
    cluster_id: Option<String>,
    listed: Vec<String>,
    listing: Option<Receiver<Listing>>,
    list_due: Instant,
    found: HashMap<String, TopicFound>,
    /// Whether the broker assigns record times; absent = not asked yet.
    append_time: HashMap<String, bool>,
    configs_asked: bool,
    absent: HashMap<String, u32>,
    notes: Vec<String>,
}

impl Topics {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: now,
            asked: None,
            told: None,
            cluster_id: None,
            listed: Vec::new(),
            listing: None,
            list_due: now,
            found: HashMap::new(),
            append_time: HashMap::new(),
            configs_asked: false,
            absent: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// Something happened that topics may explain.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = self.due.min(self.asked.map_or(now, |asked| asked + HURRY).max(now));
    }

    /// The queue of the answers is gone.
    pub(super) fn forget(&mut self) {
        (self.asked, self.configs_asked) = (None, false);
    }
}

fn c_name(name: &str) -> Option<Arc<CStr>> {
    CString::new(name).ok().map(Arc::from)
}

impl Reader {
    /// Asks what is due, and notices what did not come.
    pub(super) fn survey(&mut self, now: Instant) -> Result<(), Gone> {
        if self.surveyed.is_some_and(|at| now.duration_since(at) < EVERY) {
            return Ok(());
        }
        self.surveyed = Some(now);
        self.list_topics(now);
        self.ask_topics(now);
        self.ask_offsets(now);
        self.begin_reading(now);
        self.notice_silence(now)
    }

    /// All topics of the cluster, where patterns need them. The only blocking question, hence a thread of its own.
    fn list_topics(&mut self, now: Instant) {
        if !self.wanted.has_patterns() {
            return;
        }
        if let Some(listing) = &self.topics.listing {
            match listing.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(Ok(names)) => {
                    self.health.answered(now);
                    let mut names: Vec<String> = names.into_iter().filter(|n| self.wanted.find(n).is_some()).collect();
                    names.sort();
                    names.truncate(self.context.limits.streams);
                    if names != self.topics.listed {
                        self.topics.listed = names;
                        self.topics.hurry(now);
                    }
                }
                Ok(Err(words)) => self.health.failed(now, &words),
                Err(TryRecvError::Disconnected) => {}
            }
            self.topics.listing = None;
        }
        if now >= self.topics.list_due {
            self.topics.list_due = now + DISCOVER;
            let (send, receive) = sync_channel(1);
            let (client, wakes) = (Arc::clone(&self.client), Arc::clone(&self.wakes));
            let list = move || {
                drop(send.send(list(&client)));
                wakes.wake(None);
            };
            if thread::Builder::new().name("kafka-list".into()).spawn(list).is_ok() {
                self.topics.listing = Some(receive);
            }
        }
    }

    fn ask_topics(&mut self, now: Instant) {
        let under_way = self.topics.asked.is_some_and(|at| self.topics.told < Some(at) && now < at + 2 * QUESTION);
        if now < self.topics.due || under_way {
            return;
        }
        let exact = self.wanted.exact().map(str::to_owned);
        let names: BTreeSet<String> =
            exact.chain(self.topics.listed.iter().cloned()).chain(self.streams.keys().cloned()).collect();
        let names: Vec<Arc<CStr>> = names.iter().filter_map(|name| c_name(name)).collect();
        self.topics.due = now + DISCOVER;
        if !names.is_empty() {
            self.topics.asked = Some(now);
            self.answers.ask_topics(&names, false, QUESTION, TOPICS);
        }
    }

    pub(super) fn topics_told(&mut self, topics: Result<Vec<TopicOf>, Fault>, now: Instant) -> Result<(), Gone> {
        let asked = self.topics.asked.take();
        let topics = match topics {
            Ok(topics) => topics,
            Err(fault) => {
                self.topics.due = now + HURRY;
                self.fail(&fault, now);
                return Ok(());
            }
        };
        self.topics.told = asked;
        self.topics.cluster_id =
            self.topics.cluster_id.take().or_else(|| self.client.client().fetch_cluster_id(Duration::ZERO));
        self.health.answered(now);
        self.topics.notes.clear();
        self.topics.found.clear();
        for TopicOf { name, found } in topics {
            match found {
                Ok(found) if found.internal && !self.wanted.exact().any(|exact| exact == name) => {}
                Ok(found) => {
                    self.topics.absent.remove(&name);
                    self.topics.found.insert(name, found);
                }
                Err(fault) if matches!(fault.code, Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                    self.topics.notes.push(format!("no such stream: {name}"));
                    let absent = self.topics.absent.entry(name.clone()).or_default();
                    *absent += 1;
                    if self.streams.contains_key(&name) {
                        if *absent >= GONE_AFTER {
                            self.gone(&name)?;
                        } else {
                            self.topics.hurry(now);
                        }
                    }
                }
                Err(fault) => {
                    self.topics.notes.push(format!("stream {name}: {}", fault.words));
                    self.topics.hurry(now + HURRY * 4);
                }
            }
        }
        self.topics.absent.retain(|name, _| self.streams.contains_key(name));
        let unknown: Vec<Arc<CStr>> = self
            .topics
            .found
            .keys()
            .filter(|name| !self.topics.append_time.contains_key(*name))
            .filter_map(|name| c_name(name))
            .collect();
        if !unknown.is_empty() && !self.topics.configs_asked {
            self.topics.configs_asked = true;
            self.answers.ask_configs(&unknown, QUESTION, CONFIGS);
        }
        self.settle(now)
    }

    pub(super) fn configs_told(
        &mut self,
        configs: Result<Vec<(String, Result<ConfigOf, Fault>)>, Fault>,
        now: Instant,
    ) -> Result<(), Gone> {
        self.topics.configs_asked = false;
        match configs {
            // Without the right to read it, CreateTime is assumed: that is right for either, if less sharp.
            Ok(configs) => self
                .topics
                .append_time
                .extend(configs.into_iter().map(|(name, of)| (name, of.is_ok_and(|of| of.append_time)))),
            Err(fault) => {
                self.fail(&fault, now);
                self.topics.hurry(now);
            }
        }
        self.settle(now)
    }

    /// Makes slots of what was found.
    fn settle(&mut self, now: Instant) -> Result<(), Gone> {
        let Some(cluster_id) = self.topics.cluster_id.clone() else {
            self.topics.hurry(now);
            return Ok(());
        };
        let positions = Arc::clone(&self.context.positions.borrow());
        let mut found: Vec<(String, TopicFound)> = self.topics.found.clone().into_iter().collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, topic) in found {
            let (Some(spec), Some(append_time)) = (self.wanted.find(&name), self.topics.append_time.get(&name)) else {
                continue;
            };
            let (role, start, append_time) = (spec.role, spec.start, *append_time);
            let incarnation = format!("{cluster_id}/{}", if topic.id.is_empty() { &name } else { &topic.id });
            let stream = match self.streams.get(&name) {
                Some(stream) if stream.incarnation == incarnation => Arc::clone(stream),
                known => {
                    let Some(c_name) = c_name(&name) else { continue };
                    let decoder = Decoder::new(&spec.format, &self.context.limits, &name);
                    let made_anew = known.is_some();
                    let stream = Arc::new(Stream { incarnation, topic: c_name, decoder, role, append_time });
                    if made_anew {
                        tracing::warn!(stream = name, "the topic was made anew: it is read from its beginning");
                        self.gone(&name)?;
                    }
                    self.streams.insert(name.clone(), Arc::clone(&stream));
                    stream
                }
            };
            let slots = self.slots.iter().flatten().filter(|s| *s.source.stream == *name);
            let open: Vec<(u32, u32)> = slots.map(|s| (s.source.partition, s.source.generation)).collect();
            let partitions = u32::try_from(topic.partitions).unwrap_or(0);
            let cluster = Arc::clone(&self.context.cluster);
            for opening in openings(&positions, (&cluster, &name, &stream.incarnation), &open, partitions, start) {
                let source = Arc::new(SourceKey {
                    cluster: Arc::clone(&cluster),
                    stream: name.as_str().into(),
                    generation: opening.generation,
                    partition: opening.partition,
                });
                self.slots.push(Some(Box::new(Slot::new(source, Arc::clone(&stream), opening.begin, now))));
            }
        }
        self.health.found(Some(&cluster_id), self.streams.keys().cloned().collect(), &self.topics.notes);
        Ok(())
    }

    /// The topic no longer exists, or another one has its name.
    fn gone(&mut self, name: &str) -> Result<(), Gone> {
        self.streams.remove(name);
        self.topics.append_time.remove(name);
        let at = (self.context.now)();
        let mut left = Vec::new();
        for place in &mut self.slots {
            if let Some(mut slot) = place.take_if(|slot| *slot.source.stream == *name) {
                if slot.queue.take().is_some() {
                    left.push((Arc::clone(&slot.stream.topic), slot.partition));
                }
                if !matches!(slot.phase, Phase::Resolving(_)) {
                    self.context.out.send(Input::State(slot.source, SourceState::Gone, at))?;
                }
            }
        }
        if !left.is_empty()
            && let Err(fault) = ffi::unassign(&self.client, &left)
        {
            tracing::warn!(fault.words, stream = name, "partitions could not be left");
        }
        Ok(())
    }

    fn ask_offsets(&mut self, now: Instant) {
        for troubled in [false, true] {
            if !self.rounds.may_ask(troubled, now) {
                continue;
            }
            let slots = self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_deref()?)));
            let subjects: Vec<Subject> = slots
                .filter(|(_, slot)| slot.troubled == troubled)
                .filter_map(|(index, slot)| {
                    let wish = self.wish(slot, now)?;
                    Some(Subject {
                        slot: index,
                        topic: Arc::clone(&slot.stream.topic),
                        partition: slot.partition,
                        wish,
                    })
                })
                .collect();
            self.rounds.ask(&self.answers, troubled, &subjects, now);
        }
    }

    fn wish(&self, slot: &Slot, now: Instant) -> Option<Wish> {
        let both = Wish { begin: true, end: true, time: None };
        let older = |at: Option<Instant>, than| at.is_none_or(|at| now.duration_since(at) >= than);
        match slot.phase {
            Phase::Resolving(Begin::First(Start::At(time))) => {
                Some(Wish { time: Some(time.0.div_euclid(1_000)), ..both })
            }
            Phase::Resolving(_) => Some(both),
            Phase::Opened => None,
            // Only once topics were looked at again: another topic may have this name now.
            Phase::Lost => (now >= slot.retry_at && self.topics.told > Some(slot.lost_at)).then_some(both),
            Phase::Reading => {
                let silent = older(Some(slot.heard), CONFIRM) && older(slot.end_confirmed, CONFIRM);
                let begin = older(slot.start_seen, LOOK_AT_START);
                (silent || begin).then_some(Wish { begin, end: true, time: None })
            }
        }
    }

    pub(super) fn told(&mut self, told: Told, now: Instant) -> Result<(), Gone> {
        let Told { asked_at, mut stands, fault } = told;
        stands.sort_by_key(|(index, _)| *index); // openings were made in the order in which they must be sent
        if let Some(fault) = &fault {
            self.fail(fault, now);
        }
        let answered = stands.iter().any(|(_, stand)| stand.bounds().is_some() || matches!(stand.end, Some(Ok(_))));
        if answered {
            self.health.answered(now);
        } else if let Some(fault) = stands.iter().find_map(|(_, stand)| stand.fault()) {
            self.fail(&fault.clone(), now);
        }
        let at = (self.context.now)();
        for (index, stand) in stands {
            let Some(slot) = self.slots[index].as_deref_mut() else { continue };
            slot.troubled = stand.fault().is_some() || fault.is_some();
            let words = || stand.fault().or(fault.as_ref()).map(|fault| fault.words.clone());
            match slot.phase {
                Phase::Resolving(begin) => {
                    if let Some(open) = slot.open(begin, &stand, at) {
                        self.context.out.send(Input::Open(open))?;
                    }
                }
                Phase::Lost => match stand.bounds() {
                    Some((begin, end)) => self.regain(index, begin, end)?,
                    None => {
                        if let Some(words) = words() {
                            self.unreachable(index, words, false)?;
                        }
                    }
                },
                Phase::Reading => {
                    if let Some(Ok(begin)) = stand.begin {
                        slot.start_seen = Some(now);
                        slot.log_start = slot.log_start.max(u64::try_from(begin).unwrap_or(0));
                    }
                    let Some(Ok(end)) = stand.end else { continue };
                    let end = u64::try_from(end).unwrap_or(0);
                    if end < slot.next && slot.heard < asked_at {
                        self.topics.hurry(now);
                    }
                    slot.heard = now;
                    if slot.unreachable.take_if(|(_, by_fetch)| !*by_fetch).is_some() {
                        let state = if end == slot.next { SourceState::AtEnd } else { SourceState::Reading };
                        self.context.out.send(Input::State(Arc::clone(&slot.source), state, at))?;
                    }
                    if end == slot.next && slot.unreachable.is_none() {
                        drain::tail(slot, &self.context, end, at, now)?;
                    }
                }
                Phase::Opened => {}
            }
        }
        Ok(())
    }

    /// Goes on reading a log after its position was lost.
    fn regain(&mut self, index: usize, begin: u64, end: u64) -> Result<(), Gone> {
        let Some(slot) = self.slots[index].as_deref_mut() else { return Ok(()) };
        let SourceKey { stream, partition, .. } = &*slot.source;
        let to = if begin > slot.next {
            tracing::warn!(%stream, partition, from = slot.next, to = begin, "records expired before they were read");
            Some((slot.next, begin))
        } else if end < slot.next {
            tracing::warn!(%stream, partition, next = slot.next, end, "the log was cut: reading goes on at its end");
            Some((end, end))
        } else {
            None
        };
        (slot.log_start, slot.leader_epoch, slot.phase) = (begin, -1, Phase::Opened);
        if let Some((from, to)) = to {
            slot.next = to;
            self.context.out.send(Input::Gap(Arc::clone(&slot.source), from, to, (self.context.now)()))?;
        }
        Ok(())
    }

    /// Assigns partitions whose opening is durable.
    fn begin_reading(&mut self, now: Instant) {
        if !self.slots.iter().flatten().any(|slot| slot.phase == Phase::Opened) {
            return;
        }
        let positions = Arc::clone(&self.context.positions.borrow_and_update());
        let durable: HashSet<(&str, u32, &str)> = positions
            .sources
            .iter()
            .filter(|s| s.key.cluster == self.context.cluster)
            .map(|s| (&*s.key.stream, s.key.partition, s.incarnation.as_str()))
            .collect();
        let is_durable = |slot: &Slot| {
            durable.contains(&(&*slot.source.stream, slot.source.partition, slot.stream.incarnation.as_str()))
        };
        let begins = |slot: &Slot| slot.phase == Phase::Opened && is_durable(slot);
        if !self.slots.iter().flatten().any(|slot| begins(slot)) {
            return;
        }
        let wanted = self.slots.iter().flatten().count();
        if wanted > self.capacity
            && let Err(words) = self.relink(wanted)
        {
            tracing::warn!(words, "the client could not be replaced by one for more partitions");
        }
        let mut assigned = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot.as_deref_mut().filter(|slot| begins(slot)) else { continue };
            let wakes = Arc::clone(&self.wakes);
            let wake = Box::new(move || wakes.wake(Some(index)));
            slot.queue = Queue::of_partition(&self.client, &slot.stream.topic, slot.partition, wake);
            if slot.queue.is_none() {
                continue;
            }
            (slot.phase, slot.heard, slot.delivered, slot.ready) = (Phase::Reading, now, now, false);
            let next = i64::try_from(slot.next).unwrap_or(i64::MAX);
            assigned.push((Arc::clone(&slot.stream.topic), slot.partition, next, slot.leader_epoch));
            self.wakes.wake(Some(index)); // what came before the queue had its wake function
        }
        if let Err(fault) = ffi::assign(&self.client, &assigned) {
            tracing::warn!(fault.words, "partitions could not be assigned");
        }
    }

    fn notice_silence(&mut self, now: Instant) -> Result<(), Gone> {
        let silent = |slot: &Slot| slot.phase == Phase::Reading && now.duration_since(slot.heard) >= SILENT;
        if !self.slots.iter().flatten().any(|slot| silent(slot) && slot.unreachable.is_none()) {
            return Ok(());
        }
        let words = self.client.context().last_words().unwrap_or_else(|| "no answer".into());
        for index in 0..self.slots.len() {
            if self.slots[index].as_deref().is_some_and(|slot| silent(slot) && slot.unreachable.is_none()) {
                self.unreachable(index, words.clone(), false)?;
            }
        }
        Ok(())
    }

    fn fail(&mut self, fault: &Fault, now: Instant) {
        let words = self.client.context().last_words();
        self.health.failed(now, words.as_deref().unwrap_or(&fault.words));
    }
}

fn list(client: &Client) -> Listing {
    let metadata = client.fetch_metadata(None, LIST).map_err(|error| error.to_string())?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}
