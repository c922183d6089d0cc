//! A reader under test with an engine that only keeps books, and the writing side of the tests (the client library's own).

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use streamgauge::broker::kafka::{KafkaConfig, KafkaRead};
use streamgauge::broker::{ClusterHealth, DecodeSample, Read as _, ReadContext, Stop};
use streamgauge::decode::Spares;
use streamgauge::model::{
    Event, Format, Input, Positions, Role, SourceKey, SourceOpen, SourcePosition, SourceState, Start, StreamName,
    StreamSpec, Timestamp,
};
use tokio::sync::watch;

/// Longer than any wait of a correct reader.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// What must not wait for anybody has come to its end long before.
pub const AT_ONCE: Duration = Duration::from_secs(10);

/// What was said of one partition (stream, generation, partition).
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub opened: Option<SourceOpen>,
    pub events: Vec<Event>,
    pub next: u64,
    pub tail: Option<(u64, u64)>,
    pub tails: usize,
    pub gaps: Vec<(u64, u64)>,
    /// Where it was cut, and whether that is known.
    pub cuts: Vec<(u64, bool)>,
    pub state: Option<SourceState>,
    pub states: Vec<SourceState>,
}

pub type Key = (String, u32, u32);

#[derive(Default)]
struct Shared {
    books: Mutex<BTreeMap<Key, Books>>,
    changed: Condvar,
}

/// Seconds of record time between the partitions after each batch, while all of them are being read.
fn apart(books: &BTreeMap<Key, Books>) -> Option<i64> {
    let reached = |b: &Books| b.events.last().and_then(|e| e.record_time);
    let reading: Vec<i64> = books.values().map(|b| Some(reached(b)?.second())).collect::<Option<_>>()?;
    Some(reading.iter().max()? - reading.iter().min()?)
}

/// A reader on a thread, an engine on another.
pub struct Rig {
    shared: Arc<Shared>,
    stop: Stop,
    reader: Option<JoinHandle<()>>,
    engine: Option<JoinHandle<()>>,
    pub health: watch::Receiver<ClusterHealth>,
    pub positions: watch::Receiver<Arc<Positions>>,
    pub samples: std::sync::mpsc::Receiver<DecodeSample>,
    /// See [`apart`].
    pub apart: Arc<Mutex<Vec<i64>>>,
}

pub fn wall() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

pub fn stream(name: StreamName, start: Start) -> StreamSpec {
    StreamSpec { cluster: "main".into(), name, role: Role::Events, start, format: Format::Auto }
}

pub fn exact(name: &str, start: Start) -> Vec<StreamSpec> {
    vec![stream(StreamName::Exact(name.to_owned()), start)]
}

impl Rig {
    /// Reads `streams` from the stored `positions` on. `durable`: positions become durable as soon as they are said.
    pub fn start(address: &str, streams: Vec<StreamSpec>, positions: Positions) -> Self {
        Self::start_with(address, streams, positions, true)
    }

    pub fn start_with(address: &str, streams: Vec<StreamSpec>, positions: Positions, durable: bool) -> Self {
        let config = KafkaConfig { bootstrap_servers: address.to_owned(), ..KafkaConfig::default() };
        Self::start_as(config, streams, positions, durable)
    }

    /// The same with a client that has to say who it is.
    pub fn start_as(config: KafkaConfig, streams: Vec<StreamSpec>, positions: Positions, durable: bool) -> Self {
        let (out, input) = sync_channel(8);
        let (samples_in, samples) = sync_channel(1_000);
        let (health_in, health) = watch::channel(ClusterHealth::default());
        let stored = Arc::new(positions);
        let (positions_in, positions) = watch::channel(Arc::clone(&stored));
        let stop = Stop::default();
        let context = ReadContext {
            cluster: "main".into(),
            streams,
            limits: Arc::default(),
            positions: positions.clone(),
            out,
            spares: Spares::default(),
            samples: samples_in,
            health: health_in,
            stop: stop.clone(),
            now: wall,
        };
        let reader =
            thread::spawn(move || Box::new(KafkaRead::new(config)).run(context).expect("a configuration that works"));
        let shared = Arc::new(Shared::default());
        let kept = Arc::clone(&shared);
        let distances = Arc::new(Mutex::new(Vec::new()));
        let measured = Arc::clone(&distances);
        let engine = thread::spawn(move || {
            let mut durable_positions = (*stored).clone();
            while let Ok(input) = input.recv() {
                let touched = matches!(input, Input::Open(_) | Input::Batch(_) | Input::Gap(..) | Input::Cut(_));
                let mut books = kept.books.lock().unwrap();
                apply(&mut books, &mut durable_positions, input);
                measured.lock().unwrap().extend(apart(&books));
                drop(books);
                kept.changed.notify_all();
                if touched && durable {
                    positions_in.send_replace(Arc::new(durable_positions.clone()));
                }
            }
        });
        Self { shared, stop, reader: Some(reader), engine: Some(engine), health, positions, samples, apart: distances }
    }

    /// The engine takes nothing while the guard lives: the channel fills and the reader waits.
    pub fn hold(&self) -> MutexGuard<'_, BTreeMap<Key, Books>> {
        self.shared.books.lock().unwrap()
    }

    pub fn books(&self) -> BTreeMap<Key, Books> {
        self.shared.books.lock().unwrap().clone()
    }

    /// Waits until the books say so; on a deadline, fails with what they say instead.
    pub fn until(&self, what: &str, holds: impl Fn(&BTreeMap<Key, Books>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut books = self.shared.books.lock().unwrap();
        while !holds(&books) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let brief: Vec<_> = books
                    .iter()
                    .map(|(k, b)| (k, b.events.len(), b.next, b.tail, &b.gaps, &b.cuts, &b.states))
                    .collect();
                let health = self.health.borrow().clone();
                panic!("not within {PATIENCE:?}: {what}; books: {brief:?}; {health:?}");
            }
            books = self.shared.changed.wait_timeout(books, left.min(Duration::from_millis(100))).unwrap().0;
        }
    }

    /// Waits until every one of `partitions` partitions of a stream stood at the given ends.
    pub fn until_ends(&self, name: &str, generation: u32, ends: &[u64]) {
        self.until(&format!("{name}: ends {ends:?}"), |books| {
            ends.iter().enumerate().all(|(partition, end)| {
                let key = (name.to_owned(), generation, u32::try_from(partition).unwrap());
                books.get(&key).is_some_and(|b| b.tail == Some((*end, *end)))
            })
        });
    }

    pub fn events(&self, name: &str) -> usize {
        self.books().iter().filter(|(key, _)| key.0 == name).map(|(_, b)| b.events.len()).sum()
    }

    /// Stops the reader; returns how long it took and the durable positions.
    pub fn stop(mut self) -> (Duration, Positions) {
        let asked = Instant::now();
        self.stop.set();
        self.reader.take().unwrap().join().unwrap();
        let took = asked.elapsed();
        self.engine.take().unwrap().join().unwrap();
        let positions = (**self.positions.borrow()).clone();
        (took, positions)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.set();
    }
}

fn apply(books: &mut BTreeMap<Key, Books>, positions: &mut Positions, input: Input) {
    let name = |key: &SourceKey| (key.stream.to_string(), key.generation, key.partition);
    let mut stored = |key: &SourceKey, next: u64, epoch: i32| {
        if let Some(at) = positions.sources.iter_mut().find(|s| s.key == *key) {
            (at.next, at.leader_epoch) = (next, epoch);
        }
    };
    match input {
        Input::Open(open) => {
            let key = (*open.source).clone();
            let mine = books.entry(name(&key)).or_default();
            mine.next = open.next.max(open.log_start);
            if open.log_start > open.next {
                mine.gaps.push((open.next, open.log_start));
            }
            if !positions.sources.iter().any(|s| s.key == key) {
                positions.sources.push(SourcePosition {
                    key,
                    incarnation: open.incarnation.clone(),
                    next: open.next,
                    leader_epoch: -1,
                    began: open.began,
                });
            }
            mine.opened = Some(open);
        }
        Input::Batch(batch) => {
            let mine = books.get_mut(&name(&batch.source)).expect("a batch after its Open");
            assert_eq!(batch.from, mine.next, "batches follow one another without a hole");
            assert!(batch.to > batch.from, "a batch covers something");
            assert!(batch.events.len() <= 600, "batches are bounded");
            assert!(batch.events.iter().all(|e| (batch.from..batch.to).contains(&e.position)));
            mine.next = batch.to;
            if let Some(last) = batch.events.last() {
                stored(&batch.source, last.position + 1, batch.leader_epoch);
            }
            mine.events.extend(batch.events);
        }
        Input::Tail(tail) => {
            let mine = books.get_mut(&name(&tail.source)).expect("a tail after its Open");
            assert_eq!(tail.next, mine.next, "a tail says where we are");
            (mine.tail, mine.tails) = (Some((tail.next, tail.end)), mine.tails + 1);
        }
        Input::Gap(source, from, to, _) => {
            let mine = books.get_mut(&name(&source)).expect("a gap after its Open");
            mine.gaps.push((from, to));
            mine.next = to;
            stored(&source, to, -1);
        }
        Input::Cut(cut) => {
            let mine = books.get_mut(&name(&cut.source)).expect("a cut after its Open");
            mine.cuts.push((cut.next, cut.known));
            mine.next = cut.next;
            stored(&cut.source, cut.next, -1);
        }
        Input::State(source, state, _) => {
            let mine = books.get_mut(&name(&source)).expect("a state after its Open");
            mine.state = Some(state.clone());
            mine.states.push(state);
        }
        Input::Announced(_) | Input::Tick(_) | Input::Checkpoint | Input::Asked => {}
    }
}

/// The writing side.
pub struct Hand {
    admin: AdminClient<DefaultClientContext>,
    pub address: String,
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Hand {
    pub fn new(address: &str) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
        Self { admin, address: address.to_owned() }
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        self.create_with(topic, partitions, &[]);
    }

    pub fn create_with(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            new = new.set(key, value);
        }
        let made = wait(self.admin.create_topics([&new], &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// A topic whose partitions lie on these nodes, the leader first.
    pub fn create_on(&self, topic: &str, nodes: &[&[i32]], config: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, i32::try_from(nodes.len()).unwrap(), TopicReplication::Variable(nodes));
        for (key, value) in config {
            new = new.set(key, value);
        }
        let made = wait(self.admin.create_topics([&new], &AdminOptions::new())).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// False while a topic of this name is still being deleted.
    pub fn try_create(&self, topic: &str, partitions: i32) -> bool {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        wait(self.admin.create_topics([&new], &AdminOptions::new())).unwrap().iter().all(Result::is_ok)
    }

    /// Positions taken in the first `partitions` partitions.
    pub fn written(&self, topic: &str, partitions: i32) -> u64 {
        let end = |p| self.admin.inner().fetch_watermarks(topic, p, PATIENCE).unwrap().1;
        (0..partitions).map(|p| end(p).unsigned_abs()).sum()
    }

    pub fn delete(&self, topic: &str) {
        let gone = wait(self.admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
        gone.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    pub fn grow(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let grown = wait(self.admin.create_partitions([&new], &AdminOptions::new())).unwrap();
        grown.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// Moves the log's first position to `before`.
    pub fn expire(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let done = wait(self.admin.delete_records(&list, &AdminOptions::new())).unwrap();
        done.elements().into_iter().for_each(|element| element.error().unwrap());
    }

    pub fn producer(&self, more: &[(&str, &str)]) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("message.max.bytes", "11000000");
        for (key, value) in more {
            config.set(*key, *value);
        }
        config.create().unwrap()
    }

    /// Appends `count` small events to a partition (`None`: spread).
    pub fn send(&self, topic: &str, partition: Option<i32>, count: usize) {
        let producer = self.producer(&[("linger.ms", "5")]);
        fill(&producer, topic, partition, count);
        producer.flush(PATIENCE).unwrap();
    }

    /// Appends `count` small events to a partition in one transaction of its own; its marker lies behind them.
    pub fn commit(&self, topic: &str, transactional_id: &str, count: usize) {
        let producer = self.producer(&[("transactional.id", transactional_id)]);
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        fill(&producer, topic, Some(0), count);
        producer.commit_transaction(PATIENCE).unwrap();
    }
}

pub fn fill(producer: &BaseProducer, topic: &str, partition: Option<i32>, count: usize) {
    for number in 0..count {
        let payload = format!(r#"{{"id":"{topic}-{partition:?}-{number}","transaction_id":"t{number}","stage":"s"}}"#);
        let key = number.to_string();
        let mut record = BaseRecord::to(topic).key(&key).payload(&payload);
        record.partition = partition;
        while let Err((_, again)) = producer.send(record) {
            record = again;
            producer.poll(Duration::from_millis(10));
        }
    }
}
