//! A real Kafka, a real producer, the real binary, and SIGKILL.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use streamgauge::model::{Role, Timestamp};

use crate::kafka::Broker;
use crate::lives::{Lives, PATIENCE};
use crate::scrape::{Scraper, promtool};
use crate::support::oracle::Oracle;
use crate::support::record::{Partition, Seen, Workload};
use crate::support::wire;
use crate::{verdict, world};

/// Events of transactions; with what else lies in the topics, a little more than a million records.
const EVENTS: usize = 1_050_000;
/// Seconds that the records are spread over; the last of them is now.
const SPAN: i64 = 1_500;
/// Seconds that writing takes; the last ones are written as they happen.
const WRITING: i64 = 60;
/// Records per second at most, while the past is written.
const RATE: u64 = 25_000;
const KILLS: usize = 32;
/// The broker sets the record times of this topic; producers set those of the others.
const APPEND_TIME: &str = "shipping";

/// The whole test.
pub fn run(seed: u64, libs: &Path) {
    let began = Instant::now();
    let broker = Broker::start(libs);
    let wanted = world::Wanted { events: EVENTS, span: SPAN, skew: true, partitions: 7 };
    let mut world = world::draw(seed, &wanted, world::wall().plus((WRITING + 5) * 1_000_000));
    for partition in &mut world.partitions {
        partition.append_time = &*partition.key.stream == APPEND_TIME;
    }
    let world = Arc::new(world);
    let total: u64 = world.partitions.iter().map(|p| p.records.len() as u64).sum();
    assert!((1_000_000..=1_200_000).contains(&total), "{total} records");
    create(&broker.address, &world.partitions);
    println!("{total} records in {} partitions, drawn after {:.1?}", world.partitions.len(), began.elapsed());

    let dir = tempfile::tempdir().expect("a directory");
    let mut lives = Lives::begin(dir.path(), &config(&broker.address, &world), seed);
    let scraper = Scraper::start(lives.address.clone());
    let written = Arc::new(AtomicU64::new(0));
    let producer = {
        let (address, world, written) = (broker.address.clone(), Arc::clone(&world), Arc::clone(&written));
        std::thread::spawn(move || produce(&address, &world, &written))
    };
    lives.kill_at_any_moment(KILLS, total, &|| written.load(Ordering::Relaxed), true);
    producer.join().expect("the producer");
    // Everything is settled 10 s of watermark after its end.
    lives.until_settled(world::wall().plus(12_000_000).0);

    let seen = read_back(&broker.address, &world);
    let oracle = Oracle::new(&world.flows, &seen, 3_600);
    let mut found = verdict::Shown::take(&lives).compare(&oracle);
    let (kills, behind, slowest) = (lives.kills, lives.behind, lives.slowest_start);
    let report = scraper.stop();
    found.extend(report.complaints);
    lives.terminate();
    println!(
        "kafka: {total} records, {kills} kills ({behind} with records unread), slowest start {slowest:.1?}, {} scrapes of \
         {} series ({} with a series missing), {:.0?}",
        report.scrapes,
        report.series,
        report.gaps,
        began.elapsed()
    );
    assert!(found.is_empty(), "seed {seed}, {} differences:\n{}", found.len(), verdict::brief(&found));
    promtool(&report.page);
}

fn config(address: &str, world: &Workload) -> String {
    let mut out = format!("[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"{address}\"\n\n");
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

/// Writes the world: the past at [`RATE`], then each record at its time.
fn produce(address: &str, world: &Workload, written: &AtomicU64) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true") // once and in order: the offset of a record is its number
        .set("linger.ms", "5")
        .create()
        .expect("a producer");
    let began = Instant::now();
    for (n, (p, i)) in world::in_order(&world.partitions).into_iter().enumerate() {
        let (partition, record) = (&world.partitions[p], &world.partitions[p].records[i]);
        let by_rate = Duration::from_micros(n as u64 * 1_000_000 / RATE);
        let ahead = by_rate.saturating_sub(began.elapsed());
        let ahead = ahead.max(Duration::from_micros(record.visible.since(world::wall()).max(0).cast_unsigned()));
        if ahead > Duration::from_millis(5) {
            std::thread::sleep(ahead);
        }
        let payload = wire::payload(record);
        let mut message = BaseRecord::to(&partition.key.stream)
            .partition(partition.key.partition.cast_signed())
            .timestamp(record.record_time.expect("set for every record").0 / 1_000)
            .key(&record.transaction);
        message.payload = payload.as_ref();
        while let Err((error, again)) = producer.send(message) {
            let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            assert!(full, "record {n}: {error}");
            std::thread::sleep(Duration::from_millis(1));
            message = again;
        }
        written.store(n as u64 + 1, Ordering::Relaxed);
    }
    producer.flush(PATIENCE).expect("all acknowledged");
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
    let mut left: usize = seen.iter().map(|s| s.records.len()).sum();
    while left > 0 {
        let message = consumer.poll(PATIENCE).expect("records are left").expect("a record");
        let of =
            |s: &&mut Seen| &*s.key.stream == message.topic() && s.key.partition.cast_signed() == message.partition();
        let source = seen.iter_mut().find(of).expect("a partition that was written");
        let place = format!("{}-{}@{}", message.topic(), message.partition(), message.offset());
        let record = source.records.get_mut(message.offset() as usize).unwrap_or_else(|| panic!("{place}: not ours"));
        assert_eq!(message.payload().map(<[u8]>::to_vec), wire::payload(record), "{place}");
        let time = Timestamp::from_millis(message.timestamp().to_millis().expect("a record time"));
        assert!(source.append_time || record.record_time == Some(time), "{place}: {time:?} for {record:?}");
        record.record_time = Some(time);
        left -= 1;
    }
    assert!(seen.iter().all(|s| s.role == Role::Dlq || s.role == Role::Events));
    seen
}
