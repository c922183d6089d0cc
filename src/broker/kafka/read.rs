//! The reader: one thread, one client, every partition of the cluster's streams.
//!
//! ```text
//! survey (what is there? where do logs stand?) --> slots: Resolving -> Opened -> Reading <-> Lost
//! partition queues --wake--> ready --order--> drain --> Input::{Batch, Tail, State, Gap} --> engine
//! ```
//! Nothing in the loop waits for a broker: questions are answered by a queue, and the only thing
//! that blocks is the bounded channel to the engine.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::ask::Rounds;
use super::client::KafkaConfig;
use super::cut::Cut;
use super::discover::Wanted;
use super::drain::{self, Gone};
use super::ffi::{self, Answer, Client, Code, Fault, Queue, Room};
use super::health::Health;
use super::order::{self, Turn};
use super::slot::{Phase, Slot, Stream};
use super::topics::Topics;
use crate::broker::{Read, ReadContext, ReadError};
use crate::decode::{BATCH_EVENTS, BatchBuilder};
use crate::model::{Input, SourceState};

/// Longest sleep where nothing wakes us: bounds how late a request to stop is seen.
const NAP: Duration = Duration::from_millis(50);
/// Sleep while partitions ahead wait for those behind.
const WAIT: Duration = Duration::from_millis(2);
/// After a wake-up, records gather this long: one batch instead of many small ones.
const GATHER: Duration = Duration::from_millis(2);
/// A loop that was held up this long by the engine has heard nothing from the brokers, which is not their fault.
const HELD_UP: Duration = Duration::from_secs(1);
/// How long a client may take to end before we leave it to a thread of its own.
const GOODBYE: Duration = Duration::from_millis(300);
/// Events of the client handled in one go.
const CLIENT_EVENTS: usize = 64;

/// Reads streams of one Kafka cluster. Joins no group, commits nothing.
pub struct KafkaRead {
    config: KafkaConfig,
}

impl KafkaRead {
    /// A reader of the cluster that `config` reaches.
    #[must_use]
    pub fn new(config: KafkaConfig) -> Self {
        Self { config }
    }
}

impl Read for KafkaRead {
    fn run(self: Box<Self>, context: ReadContext) -> Result<(), ReadError> {
        let cluster = context.cluster.to_string();
        let refuse = |detail| ReadError::Config { cluster: cluster.clone(), detail };
        self.config.check().map_err(refuse)?;
        let mut reader = Reader::new(self.config, context).map_err(refuse)?;
        if reader.run().is_err() {
            tracing::debug!(cluster, "the engine is gone, the reader ends");
        }
        reader.close();
        Ok(())
    }
}

/// Which queues have something; called from threads of the client library.
pub(super) struct Wakes {
    ready: Mutex<Vec<usize>>,
    thread: thread::Thread,
}

impl Wakes {
    /// Slot `slot` has something. An answer has no slot.
    pub(super) fn wake(&self, slot: Option<usize>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).extend(slot);
        self.thread.unpark();
    }
}

/// See the module.
pub(super) struct Reader {
    pub(super) config: KafkaConfig,
    pub(super) context: ReadContext,
    pub(super) wanted: Wanted,
    pub(super) health: Health,
    pub(super) wakes: Arc<Wakes>,
    /// By number; a partition that is gone leaves its place empty.
    pub(super) slots: Vec<Option<Box<Slot>>>,
    pub(super) streams: HashMap<String, Arc<Stream>>,
    pub(super) topics: Topics,
    pub(super) rounds: Rounds,
    /// Partitions that the client's bounds were made for.
    pub(super) capacity: usize,
    pub(super) answers: Queue,
    pub(super) client: Client,
    pub(super) surveyed: Option<Instant>,
    /// The engine was told that all partitions are open.
    pub(super) announced: bool,
    ready: Vec<usize>,
    room: Room,
    builder: BatchBuilder,
}

impl Reader {
    fn new(config: KafkaConfig, context: ReadContext) -> Result<Self, String> {
        let wanted = Wanted::new(&context.streams)?;
        let now = Instant::now();
        let wakes = Arc::new(Wakes { ready: Mutex::default(), thread: thread::current() });
        let capacity = 1;
        let client = config.reader(capacity, unique(&context))?;
        let answers = answers(&client, &wakes);
        let health = Health::new(context.health.clone(), context.now, now);
        Ok(Self {
            topics: Topics::new(now),
            config,
            context,
            wanted,
            health,
            wakes,
            slots: Vec::new(),
            streams: HashMap::new(),
            rounds: Rounds::default(),
            capacity,
            answers,
            client,
            surveyed: None,
            announced: false,
            ready: Vec::new(),
            room: Room::new(BATCH_EVENTS),
            builder: BatchBuilder::new(),
        })
    }

    fn run(&mut self) -> Result<(), Gone> {
        let mut before = Instant::now();
        while !self.context.stop.is_set() {
            let now = Instant::now();
            if now.duration_since(before) > HELD_UP {
                self.slots.iter_mut().flatten().for_each(|slot| slot.heard = now);
            }
            before = now;
            self.listen(now)?;
            self.survey(now)?;
            self.gather_ready();
            match self.turn(now) {
                Turn::Take(index) => self.read(index, now)?,
                Turn::Wait => thread::park_timeout(WAIT),
                Turn::Idle => {
                    thread::park_timeout(NAP);
                    if !self.wakes.ready.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                        thread::sleep(GATHER);
                    }
                }
            }
        }
        Ok(())
    }

    /// What the client and the brokers have to say.
    fn listen(&mut self, now: Instant) -> Result<(), Gone> {
        for _ in 0..CLIENT_EVENTS {
            match self.client.poll(Duration::ZERO) {
                None => break,
                // Partitions have queues of their own; a message here was fetched before its queue was taken out.
                Some(Ok(_)) => tracing::warn!("a record came by the common queue"),
                Some(Err(error)) => tracing::trace!(%error, "kafka client"),
            }
        }
        if self.client.context().take_all_down() {
            let words = self.client.context().last_words();
            self.health.failed(now, &words.unwrap_or_else(|| "all brokers are down".into()));
        }
        while let Some((token, answer)) = self.answers.answer(Duration::ZERO) {
            match answer {
                Answer::Offsets(offsets) => {
                    if let Some(told) = self.rounds.answer(token, offsets) {
                        self.told(told, now)?;
                    }
                }
                Answer::Topics(topics) => self.topics_told(topics, now)?,
                Answer::Configs(configs) => self.configs_told(configs, now)?,
                Answer::Groups(_) | Answer::Members(_) | Answer::Committed(_) => {} // a reader asks for none
            }
        }
        Ok(())
    }

    fn gather_ready(&mut self) {
        let mut woken = self.wakes.ready.lock().unwrap_or_else(PoisonError::into_inner);
        for index in woken.drain(..) {
            if let Some(Some(slot)) = self.slots.get_mut(index)
                && !slot.ready
                && slot.queue.is_some()
            {
                slot.ready = true;
                self.ready.push(index);
            }
        }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        let slots = &self.slots;
        self.ready.retain(|index| slots[*index].as_ref().is_some_and(|slot| slot.ready));
        let ready = self.ready.iter().filter_map(|index| Some((*index, slots[*index].as_ref()?.standing(now))));
        order::turn(ready, || {
            let awaited = slots.iter().flatten().filter(|slot| slot.is_awaited(now));
            awaited.map(|slot| slot.frontier.unwrap_or(i64::MIN)).min()
        })
    }

    /// Takes what one partition has, at most one batch.
    fn read(&mut self, index: usize, now: Instant) -> Result<(), Gone> {
        let Some(slot) = self.slots[index].as_deref_mut() else { return Ok(()) };
        let Some(queue) = slot.queue.take() else { return Ok(()) };
        let messages = queue.take(&mut self.room);
        slot.ready = messages.len() == BATCH_EVENTS;
        let read = messages.len();
        let fault = drain::drain(slot, &mut self.builder, &messages, &self.client, &self.context, now)?;
        drop(messages);
        slot.queue = Some(queue);
        if let Some(fault) = fault {
            return self.lose(index, fault, now);
        }
        if read > 0 {
            self.health.answered(now);
        }
        Ok(())
    }

    /// Ends reading of a partition after an error; the survey finds out what happened to its log.
    fn lose(&mut self, index: usize, fault: Fault, now: Instant) -> Result<(), Gone> {
        let Some(slot) = self.slots[index].as_deref_mut() else { return Ok(()) };
        tracing::debug!(stream = %slot.source.stream, partition = slot.partition, fault.words, "reading ended");
        slot.lose(now);
        self.topics.hurry(now);
        if let Err(fault) = ffi::unassign(&self.client, &[(Arc::clone(&slot.stream.topic), slot.partition)]) {
            tracing::warn!(fault.words, "a partition could not be left");
        }
        if fault.code == Code::AutoOffsetReset {
            slot.cut = Cut::said(&fault.words);
            return Ok(()); // a lost position is a gap or a new topic, not a failure
        }
        self.unreachable(index, fault.words, true)
    }

    /// Says once that a partition cannot be read.
    pub(super) fn unreachable(&mut self, index: usize, words: String, by_fetch: bool) -> Result<(), Gone> {
        let Some(slot) = self.slots[index].as_deref_mut() else { return Ok(()) };
        if slot.unreachable.as_ref().is_some_and(|(said, _)| *said == words) {
            return Ok(());
        }
        slot.unreachable = Some((words.clone(), by_fetch));
        let state = SourceState::Unreachable(words);
        self.context.out.send(Input::State(Arc::clone(&slot.source), state, (self.context.now)()))
    }

    /// Replaces the client by one whose bounds fit `partitions`; reading goes on where it was.
    pub(super) fn relink(&mut self, partitions: usize) -> Result<(), String> {
        let capacity = partitions.next_power_of_two();
        let client = self.config.reader(capacity, unique(&self.context))?;
        self.rounds.forget();
        self.topics.forget();
        for slot in self.slots.iter_mut().flatten() {
            (slot.queue, slot.ready) = (None, false);
            if slot.phase == Phase::Reading {
                slot.phase = Phase::Opened;
            }
        }
        self.answers = answers(&client, &self.wakes);
        (self.capacity, self.client) = (capacity, {
            drop(retire(std::mem::replace(&mut self.client, client.clone())));
            client
        });
        Ok(())
    }

    /// Queues first, then the client; a client that hangs is left to its own thread.
    fn close(mut self) {
        for slot in self.slots.iter_mut().flatten() {
            slot.queue = None;
        }
        drop(self.answers);
        let ended = retire(self.client);
        if ended.recv_timeout(GOODBYE).is_err() {
            tracing::debug!("the client ends in the background");
        }
    }
}

/// Drops a client on a thread of its own: closing waits for its threads, which may wait for a broker.
fn retire(client: Client) -> Receiver<()> {
    let (done, ended) = sync_channel(1);
    let drop_it = move || {
        drop(client);
        let _nobody_may_wait = done.send(());
    };
    if let Err(error) = thread::Builder::new().name("kafka-close".into()).spawn(drop_it) {
        tracing::debug!(%error, "closed on the reader's thread");
    }
    ended
}

fn answers(client: &Client, wakes: &Arc<Wakes>) -> Queue {
    let wakes = Arc::clone(wakes);
    Queue::of_answers(client, Box::new(move || wakes.wake(None)))
}

/// Part of the name that no group has: nobody may ever commit under it.
fn unique(context: &ReadContext) -> u64 {
    let at = (context.now)().0.cast_unsigned();
    at.rotate_left(20) ^ u64::from(std::process::id())
}
