//! A real Kafka, a real producer, the real binary, and SIGKILL.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use streamgauge::model::{Kind, Timestamp};

use crate::counters::Letters;
use crate::kafka::Broker;
use crate::lives::{Lives, PATIENCE};
use crate::scrape::{Scraper, promtool};
use crate::support::generate::EPOCH;
use crate::support::oracle::Oracle;
use crate::support::process::until;
use crate::support::record::{Partition, Record, Seen, Workload};
use crate::support::wire;
use crate::verdict;
use crate::world::{self, Course};

/// Events of transactions; with what else lies in the topics, a little more than a million records.
const EVENTS: usize = 1_050_000;
/// Seconds of the world, and how many of them have passed before the first process starts.
const SPAN: i64 = 1_800;
const PAST: i64 = 900;
/// Seconds of the world after that in one second of the test.
const FASTER: i64 = 15;
/// Seconds until everything of the past is written: where it takes longer, the rest comes a little late.
const BEFORE: i64 = 10;
const KILLS: usize = 32;
/// The broker sets the record times of this topic; producers set those of the others.
const APPEND_TIME: &str = "shipping";
/// Where its records went in the past: the broker knows no past.
const BEFORE_THAT: &str = "payments";

/// A record of nobody's.
const BEAT: &[u8] = b"beat";

type Producer = ThreadedProducer<DefaultProducerContext>;

/// The whole test.
pub fn run(seed: u64, libs: &Path) {
    let began = Instant::now();
    let broker = Broker::start(libs);
    let wanted = world::Wanted { events: EVENTS, span: SPAN, skew: true, partitions: 7 };
    let mut world = world::draw(seed, &wanted);
    take_apart(&mut world.partitions);
    let present = world::wall().plus(BEFORE * 1_000_000);
    world::bring(&mut world, &Course { past: PAST, present, faster: FASTER });
    let world = Arc::new(world);
    let total: u64 = world.partitions.iter().map(|p| p.records.len() as u64).sum();
    assert!((1_000_000..=1_200_000).contains(&total), "{total} records");
    create(&broker.address, &world.partitions);
    let mut letters = Letters::prepare(&broker.address);
    println!("{total} records in {} partitions, drawn after {:.1?}", world.partitions.len(), began.elapsed());

    let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let producer = {
        let (address, world) = (broker.address.clone(), Arc::clone(&world));
        let (written, stop) = (Arc::clone(&written), Arc::clone(&stop));
        std::thread::spawn(move || produce(&address, &world, present, &written, &stop))
    };
    let past = world.partitions.iter().flat_map(|p| &p.records).filter(|r| r.visible <= present).count() as u64;
    until("the past", PATIENCE, || (written.load(Ordering::Relaxed) >= past).then_some(()));
    let dir = tempfile::tempdir().expect("a directory");
    let mut lives = Lives::begin(dir.path(), &config(&broker.address, &world), seed);
    let scraper = Scraper::start(lives.address.clone());
    letters.begin(&lives, seed);
    lives.kill_at_any_moment(KILLS, total, &|| written.load(Ordering::Relaxed), true);
    lives.wait("everything written", || (written.load(Ordering::Relaxed) == total).then_some(()));
    // Everything is settled 10 s of watermark after its end.
    lives.until_settled(world::wall().plus(12_000_000).0);
    stop.store(true, Ordering::Release);
    producer.join().expect("the producer");
    lives.until_settled(0);
    let counted = letters.end(&lives);

    let seen = read_back(&broker.address, &world);
    let oracle = Oracle::new(&world.flows, &seen, 3_600);
    let mut found = verdict::Shown::take(&lives).compare(&oracle);
    let (kills, behind, slowest) = (lives.kills, lives.behind, lives.slowest_start);
    let report = scraper.stop();
    found.extend(report.complaints);
    lives.terminate();
    println!(
        "kafka: {total} records, {kills} kills ({behind} with records unread), slowest start {slowest:.1?}, {} scrapes of \
         {} series, {counted:?}, {:.0?}",
        report.scrapes,
        report.series,
        began.elapsed()
    );
    assert!(found.is_empty(), "seed {seed}, {} differences:\n{}", found.len(), verdict::brief(&found));
    promtool(&report.page);
}

/// Tells the broker whose record times are whose.
fn take_apart(partitions: &mut [Partition]) {
    let past = |r: &Record| r.visible <= Timestamp::from_seconds(EPOCH + PAST);
    let mut moved = Vec::new();
    for partition in partitions.iter_mut() {
        partition.append_time = &*partition.key.stream == APPEND_TIME;
        if partition.append_time {
            let live = partition.records.partition_point(past);
            moved.extend(partition.records.drain(..live));
        }
    }
    let mut others: Vec<_> = partitions.iter_mut().filter(|p| &*p.key.stream == BEFORE_THAT).collect();
    let count = others.len();
    moved.into_iter().enumerate().for_each(|(n, record)| others[n % count].records.push(record));
    others.iter_mut().for_each(|p| p.records.sort_by_key(|r| r.visible));
}

fn config(address: &str, world: &Workload) -> String {
    let mut out = format!("[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"{address}\"\n\n");
    out += "[lag]\ninterval = \"1s\"\n\n";
    for partition in world.partitions.iter().filter(|p| p.key.partition == 0) {
        world::stream_toml(&mut out, &partition.key.stream, partition.role);
    }
    world::flows_toml(&mut out, &world.flows);
    out
}

fn create(address: &str, partitions: &[Partition]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address).create().expect("a client");
    let count = |stream: &str| partitions.iter().filter(|p| &*p.key.stream == stream).count();
    let firsts = partitions.iter().filter(|p| p.key.partition == 0);
    let topics: Vec<NewTopic<'_>> = firsts
        .map(|p| {
            let kind = if p.append_time { "LogAppendTime" } else { "CreateTime" };
            NewTopic::new(&p.key.stream, count(&p.key.stream) as i32, TopicReplication::Fixed(1))
                .set("message.timestamp.type", kind)
                .set("message.timestamp.after.max.ms", "86400000") // one producer's clock is 3 h ahead
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).expect("topics");
    made.into_iter().for_each(|topic| drop(topic.expect("a topic")));
}

/// Writes the past as fast as it can, then each record at its time, then a beat now and then until it is stopped:
/// where records came late, the watermark of a partition that fell silent would wait for more such.
fn produce(address: &str, world: &Workload, present: Timestamp, written: &AtomicU64, stop: &AtomicBool) {
    let producer: Producer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true") // once and in order: the offset of a record is its number
        .set("linger.ms", "5")
        .create()
        .expect("a producer");
    for (n, (p, i)) in world::in_order(&world.partitions).into_iter().enumerate() {
        let (partition, record) = (&world.partitions[p], &world.partitions[p].records[i]);
        let ahead = Duration::from_micros(record.visible.since(world::wall()).max(0).cast_unsigned());
        if record.visible > present && ahead > Duration::from_millis(5) {
            std::thread::sleep(ahead);
        }
        send(&producer, partition, record, wire::payload(record).as_deref());
        written.store(n as u64 + 1, Ordering::Relaxed);
    }
    while !stop.load(Ordering::Acquire) {
        let now = Record { record_time: Some(world::wall()), ..Record::default() };
        world.partitions.iter().for_each(|p| send(&producer, p, &now, Some(BEAT)));
        std::thread::sleep(Duration::from_millis(50));
    }
    producer.flush(PATIENCE).expect("all acknowledged");
}

fn send(producer: &Producer, partition: &Partition, record: &Record, payload: Option<&[u8]>) {
    let mut message = BaseRecord::to(&partition.key.stream)
        .partition(partition.key.partition.cast_signed())
        .timestamp(record.record_time.expect("set for every record").0 / 1_000)
        .key(&record.transaction);
    message.payload = payload;
    while let Err((error, again)) = producer.send(message) {
        let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
        assert!(full, "{record:?}: {error}");
        std::thread::sleep(Duration::from_millis(1));
        message = again;
    }
}

/// What lies in the topics, by a consumer of our own: payloads as written, record times as the broker has them.
fn read_back(address: &str, world: &Workload) -> Vec<Seen> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for p in &world.partitions {
        let number = p.key.partition.cast_signed();
        list.add_partition_offset(&p.key.stream, number, Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("assigned");
    let mut seen: Vec<Seen> = world.partitions.iter().map(Partition::read_whole).collect();
    let end =
        |s: &Seen| consumer.fetch_watermarks(&s.key.stream, s.key.partition.cast_signed(), PATIENCE).expect("an end").1;
    for _ in 0..seen.iter().map(end).sum() {
        let message = consumer.poll(PATIENCE).expect("records are left").expect("a record");
        let of =
            |s: &&mut Seen| &*s.key.stream == message.topic() && s.key.partition.cast_signed() == message.partition();
        let source = seen.iter_mut().find(of).expect("a partition that was written");
        let place = format!("{}-{}@{}", message.topic(), message.partition(), message.offset());
        let (position, payload) = (message.offset().cast_unsigned(), message.payload());
        let time = Timestamp::from_millis(message.timestamp().to_millis().expect("a record time"));
        let Some(record) = source.records.get_mut(position as usize) else {
            assert_eq!((payload, position as usize), (Some(BEAT), source.records.len()), "{place}");
            source.records.push(Record { position, record_time: Some(time), kind: Kind::Opaque, ..Record::default() });
            continue;
        };
        assert_eq!(payload, wire::payload(record).as_deref(), "{place}");
        assert!(source.append_time || record.record_time == Some(time), "{place}: {time:?} for {record:?}");
        record.record_time = Some(time);
    }
    seen
}
