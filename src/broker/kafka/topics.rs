//! Which topics there are: listed where patterns need it, described by name, and who came, grew or went.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::absent::Absent;
use super::ask::QUESTION;
use super::discover::openings;
use super::drain::Gone;
use super::ffi::{self, Client, Code, ConfigsOf, Fault, TopicFound, TopicOf};
use super::read::Reader;
use super::slot::{Phase, Slot, Stream};
use crate::decode::Decoder;
use crate::model::{Input, SourceKey, SourceState, Start, Timestamp};

/// How often topics are looked for.
const DISCOVER: Duration = Duration::from_secs(10);
/// The same while a stream that is named does not exist: it may be about to be made, by its first record perhaps.
const AWAIT: Duration = Duration::from_secs(2);
/// Shortest pause between two questions for topics, also in a hurry.
const HURRY: Duration = Duration::from_millis(500);
/// Time to list all topics of the cluster, on a thread of its own.
const LIST: Duration = Duration::from_secs(10);
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
    /// When topics were listed for the first time.
    first_listed: Option<Instant>,
    listing: Option<Receiver<Listing>>,
    list_due: Instant,
    found: HashMap<String, TopicFound>,
    /// Whether the broker assigns record times; absent = not asked yet.
    append_time: HashMap<String, bool>,
    configs_asked: bool,
    absent: Absent,
    /// When the newest listing was asked for, when the last one that was answered, and streams that came since, with
    /// the time of the last listing without them.
    listed_at: Option<Timestamp>,
    listed_before: Option<Timestamp>,
    came: HashMap<String, Timestamp>,
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
            first_listed: None,
            listing: None,
            list_due: now,
            found: HashMap::new(),
            append_time: HashMap::new(),
            configs_asked: false,
            absent: Absent::default(),
            listed_at: None,
            listed_before: None,
            came: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// Something happened that topics may explain.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = self.due.min(self.asked.map_or(now, |asked| asked + HURRY).max(now));
    }

    /// True where a question that was asked after `at` has been answered.
    pub(super) fn told_since(&self, at: Instant) -> bool {
        self.told > Some(at)
    }

    /// Where a stream begins on first sight. What was only not listed may have been hidden from us.
    fn first_start(&self, name: &str, start: Start) -> Start {
        match (self.absent.first_start(name, start), self.came.get(name)) {
            (Start::Latest, Some(unlisted)) => Start::At(*unlisted),
            (start, _) => start,
        }
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
    /// All topics of the cluster, where patterns need them. The only blocking question, hence a thread of its own.
    pub(super) fn list_topics(&mut self, now: Instant) {
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
                        self.topics.came.retain(|name, _| names.contains(name));
                        for name in names.iter().filter(|name| !self.topics.listed.contains(*name)) {
                            let before = self.topics.listed_before;
                            self.topics.came.extend(before.map(|at| (name.clone(), at)));
                        }
                        self.topics.listed = names;
                        self.topics.hurry(now);
                    }
                    self.topics.listed_before = self.topics.listed_at;
                    if self.topics.first_listed.is_none() {
                        self.topics.first_listed = Some(now);
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
            self.topics.listed_at = Some((self.context.now)());
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

    /// True once all topics that are wanted have been described, and have their slots.
    pub(super) fn all_found(&self) -> bool {
        let nothing = || self.topics.listed.is_empty() && self.wanted.exact().next().is_none();
        let told = match (self.wanted.has_patterns(), self.topics.first_listed) {
            (false, _) => self.topics.told.is_some(),
            (true, None) => false,
            (true, Some(at)) => self.topics.told_since(at) || nothing(),
        };
        let mut found = self.topics.found.keys().filter(|name| self.wanted.find(name).is_some());
        told && found.all(|name| self.streams.contains_key(name))
    }

    pub(super) fn ask_topics(&mut self, now: Instant) {
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
                    self.topics.absent.found(&name);
                    self.topics.found.insert(name, found);
                }
                Err(fault) if matches!(fault.code, Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                    if !self.topics.absent.missed(&name, (self.context.now)()) {
                        self.topics.hurry(now + HURRY);
                        continue;
                    }
                    self.topics.notes.push(format!("no such stream: {name}"));
                    self.topics.hurry(now + AWAIT);
                    if self.streams.contains_key(&name) {
                        self.gone(&name)?;
                    }
                }
                Err(fault) => {
                    self.topics.notes.push(format!("stream {name}: {}", fault.words));
                    self.topics.hurry(now + HURRY * 4);
                }
            }
        }
        let (wanted, streams) = (&self.wanted, &self.streams);
        self.topics.absent.retain(|name| streams.contains_key(name) || wanted.exact().any(|exact| exact == name));
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

    pub(super) fn configs_told(&mut self, configs: Result<ConfigsOf, Fault>, now: Instant) -> Result<(), Gone> {
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
            let start = self.topics.first_start(&name, spec.start);
            let (role, append_time) = (spec.role, *append_time);
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
        // Also those that nothing more is known of yet: nobody has caught up before they are read.
        let wanted = self.topics.found.keys().filter(|name| self.wanted.find(name).is_some());
        let names: BTreeSet<String> = self.streams.keys().chain(wanted).cloned().collect();
        self.health.found(Some(&cluster_id), names.into_iter().collect(), &self.topics.notes);
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
}

fn list(client: &Client) -> Listing {
    let metadata = client.fetch_metadata(None, LIST).map_err(|error| error.to_string())?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}
