//! Letters are moved once, whatever happens to the mover: killed, fenced, refused, left without an answer.

use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use streamgauge::broker::kafka::{KafkaConfig, KafkaMove, KafkaObserve};
use streamgauge::broker::{Move as _, MoveError, NewRecord, Observe as _, Outgoing};
use streamgauge::model::LagSpec;

use crate::Test;
use crate::kafka::Broker;
use crate::rig::{Hand, PATIENCE, wall};

pub const TESTS: &[(&str, Test)] = &[
    ("move_killed_at_any_moment_moves_each_letter_once", killed),
    ("move_without_an_answer_moves_each_letter_once", unanswered),
    ("move_is_fenced_by_a_second_one_of_its_name", fenced),
    ("move_of_a_record_that_is_refused_leaves_nothing", refused),
];

/// Set for the process that is to be killed: the broker's address.
pub const CHILD: &str = "STREAMGAUGE_TEST_MOVE";
const NAME: &str = "redrive.kill-dlt";
const LETTERS: usize = 10_000;
/// Letters of one step.
const STEP: usize = 100;
const KILLS: usize = 25;

fn config(address: &str) -> KafkaConfig {
    KafkaConfig { bootstrap_servers: address.to_owned(), ..KafkaConfig::default() }
}

fn mover(address: &str, name: &str) -> KafkaMove {
    KafkaMove::new(config(address), name).unwrap()
}

fn letter(number: usize) -> Outgoing {
    let headers = vec![("id".to_owned(), number.to_string().into_bytes()), ("empty".to_owned(), Vec::new())];
    let (key, payload) = (Some(format!("k{number}").into_bytes()), Some(vec![0, 255, (number % 251) as u8]));
    let record = NewRecord { key, payload, headers, record_time: None };
    Outgoing { stream: String::new(), partition: None, record }
}

/// Moves everything from one topic to another, step by step, from the durable progress on.
fn redrive(address: &str, name: &str, from: &str, to: &str) -> Result<(), MoveError> {
    let mut observer = KafkaObserve::new(config(address), LagSpec::default(), Arc::new(|_: &str| false), wall).unwrap();
    let mut mover = mover(address, name);
    let known = mover.progress(from, PATIENCE)?;
    for partition in 0..2 {
        let mut next = known.iter().find(|(p, _)| *p == partition).map_or(0, |(_, next)| *next);
        loop {
            let stretch = observer.records(from, partition, next, STEP, usize::MAX, PATIENCE).unwrap();
            let out = stretch.records.into_iter().map(|raw| Outgoing {
                stream: to.to_owned(),
                partition: Some(partition),
                record: NewRecord {
                    key: raw.key,
                    payload: raw.payload,
                    headers: raw
                        .headers
                        .into_iter()
                        .map(|(name, value)| (String::from_utf8(name).unwrap(), value.unwrap_or_default()))
                        .collect(),
                    record_time: raw.record_time,
                },
            });
            mover.step(from, out.collect(), &[(partition, stretch.next)], PATIENCE)?;
            next = stretch.next;
            if stretch.at_end {
                break;
            }
        }
    }
    Ok(())
}

/// The life of the process that is killed.
pub fn child(address: &str) -> ExitCode {
    match redrive(address, NAME, "kill-dlt", "kill") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What a reader of committed records sees: partition, number, whether all else is as it was sent.
fn seen(address: &str, topic: &str, partitions: i32) -> Vec<(i32, usize)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "a-reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut seen, mut ends, deadline) = (Vec::new(), 0, Instant::now() + PATIENCE);
    while ends < partitions {
        assert!(Instant::now() < deadline, "{topic} cannot be read");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let headers = message.headers().expect("headers");
                let number: usize = std::str::from_utf8(headers.get(0).value.unwrap()).unwrap().parse().unwrap();
                let sent = letter(number).record;
                assert_eq!((message.key(), message.payload()), (sent.key.as_deref(), sent.payload.as_deref()));
                assert_eq!((headers.count(), headers.get(1).key, headers.get(1).value), (2, "empty", Some(&[][..])));
                seen.push((message.partition(), number));
            }
            Some(Err(_)) => ends += 1,
            None => {}
        }
    }
    seen
}

fn letters(hand: &Hand, topic: &str, count: usize) {
    let producer = hand.producer(&[("linger.ms", "5")]);
    for number in 0..count {
        let Outgoing { record: NewRecord { key, payload, headers, .. }, .. } = letter(number);
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value.as_slice()) }));
        let mut record = BaseRecord::to(topic).key(key.as_ref().unwrap()).payload(payload.as_ref().unwrap());
        record = record.headers(headers).partition(i32::try_from(number % 2).unwrap());
        while let Err((_, again)) = producer.send(record) {
            record = again;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Each once, in the order of their partition.
fn each_once(address: &str, topic: &str, count: usize) {
    let seen = seen(address, topic, 2);
    for partition in 0..2 {
        let of: Vec<usize> = seen.iter().filter(|(p, _)| *p == partition).map(|(_, number)| *number).collect();
        let first = usize::try_from(partition).unwrap();
        assert_eq!(of, (first..count).step_by(2).collect::<Vec<_>>(), "partition {partition}");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn killed(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("kill-dlt", 2);
    hand.create("kill", 2);
    letters(&hand, "kill-dlt", LETTERS);
    let start = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Killed(command.env(CHILD, &broker.address).stdin(Stdio::null()).spawn().unwrap())
    };
    let (mut kills, mut chance) = (0, 0x9e37_79b9_u64);
    while kills < KILLS {
        // Killed once a drawn number of records more is written, so in the middle however fast the machine is; now and
        // then at a drawn moment, so at the beginning, too.
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (drawn, by_time) = (chance >> 33, (chance >> 31).is_multiple_of(4));
        let (records, hang) = (hand.written("kill", 2) + 1 + drawn % 800, Instant::now() + PATIENCE);
        let mut process = start();
        let life = Instant::now() + Duration::from_millis(drawn % 400);
        let alive = || if by_time { Instant::now() < life } else { hand.written("kill", 2) < records };
        let mut ended = None;
        while ended.is_none() && alive() {
            assert!(Instant::now() < hang, "the mover moves nothing");
            thread::sleep(Duration::from_millis(1));
            ended = process.0.try_wait().unwrap();
        }
        match ended {
            Some(status) if status.success() => break,
            Some(status) => panic!("the mover ended by itself: {status}"),
            None => kills += 1,
        }
    }
    assert!(kills >= 5, "it was killed {kills} times");
    let mut last = start();
    let deadline = Instant::now() + 3 * PATIENCE;
    let status = loop {
        assert!(Instant::now() < deadline, "the mover does not end");
        if let Some(status) = last.0.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success());
    each_once(&broker.address, "kill", LETTERS);
    let mut progress = mover(&broker.address, NAME).progress("kill-dlt", PATIENCE).unwrap();
    progress.sort_unstable();
    assert_eq!(progress, [(0, 5_000), (1, 5_000)]);
}

fn unanswered(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("hang-dlt", 2);
    hand.create("hang", 2);
    let stop = AtomicBool::new(false);
    let (address, broker) = (broker.address.clone(), &*broker);
    let (mut again, mut steps) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut wait = 7;
            while !stop.load(Ordering::Acquire) {
                broker.pause();
                thread::sleep(Duration::from_millis(200 + wait));
                broker.go_on();
                wait = wait * 31 % 1_009;
                thread::sleep(Duration::from_millis(20 + wait % 400));
            }
        });
        let result = (|| {
            let mut mover = mover(&address, "redrive.hang-dlt");
            let deadline = Instant::now() + 3 * PATIENCE;
            // A fast machine makes many steps between two pauses: it goes on until one was hit. A slow one needs
            // longer for a step than a pause lasts: it is given longer each time.
            let mut limit = Duration::from_millis(600);
            while steps < 16 || again == 0 || steps % 2 == 1 {
                let (of, step) = (steps % 2, steps / 2);
                let partition = u32::try_from(of).unwrap();
                let numbers = (step * 20..step * 20 + 20).map(|n| n * 2 + of);
                let out: Vec<Outgoing> = numbers
                    .map(|n| Outgoing { stream: "hang".to_owned(), partition: Some(partition), ..letter(n) })
                    .collect();
                let next = u64::try_from(step * 20 + 20).unwrap();
                match mover.step("hang-dlt", out, &[(partition, next)], limit) {
                    Ok(()) => steps += 1,
                    Err(MoveError::Unavailable(_)) if Instant::now() < deadline => {
                        again += 1;
                        limit = limit.mul_f64(1.1).min(PATIENCE);
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
            Ok(())
        })();
        stop.store(true, Ordering::Release);
        result.unwrap();
    });
    println!("{steps} steps, {again} made again");
    each_once(&address, "hang", steps * 20);
}

fn fenced(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("fence-dlt", 1);
    hand.create("fence", 1);
    let one = |number| vec![Outgoing { stream: "fence".to_owned(), partition: Some(0), ..letter(number) }];
    let mut first = mover(&broker.address, "redrive.fence-dlt");
    assert_eq!(first.progress("fence-dlt", PATIENCE).unwrap(), []);
    first.step("fence-dlt", one(0), &[(0, 1)], PATIENCE).unwrap();
    let mut second = mover(&broker.address, "redrive.fence-dlt");
    assert_eq!(second.progress("fence-dlt", PATIENCE).unwrap(), [(0, 1)]);
    assert!(matches!(first.step("fence-dlt", one(1), &[(0, 2)], PATIENCE), Err(MoveError::Fenced(_))));
    assert!(matches!(first.progress("fence-dlt", PATIENCE), Err(MoveError::Fenced(_))), "it stays so");
    second.step("fence-dlt", one(1), &[(0, 2)], PATIENCE).unwrap();
    assert_eq!(second.progress("fence-dlt", PATIENCE).unwrap(), [(0, 2)]);
    assert_eq!(seen(&broker.address, "fence", 1), [(0, 0), (0, 1)]);
}

fn refused(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("refuse-dlt", 1);
    hand.create("refuse", 1);
    let to = |stream: &str, number| Outgoing { stream: stream.to_owned(), partition: Some(0), ..letter(number) };
    let mut mover = mover(&broker.address, "redrive.refuse-dlt");
    let mut large = to("refuse", 1);
    large.record.payload = Some(vec![b'x'; 13_000_000]);
    for bad in [large, to("no-such-topic", 1)] {
        let error = mover.step("refuse-dlt", vec![to("refuse", 0), bad], &[(0, 2)], PATIENCE).unwrap_err();
        assert!(!matches!(error, MoveError::Fenced(_)), "{error}");
        println!("refused: {error:?}");
        assert_eq!(mover.progress("refuse-dlt", PATIENCE).unwrap(), [], "{error}");
    }
    assert!(matches!(mover.progress("no-such-topic", PATIENCE), Err(MoveError::Refused(_))));
    mover.step("refuse-dlt", vec![to("refuse", 0)], &[(0, 2)], PATIENCE).unwrap();
    assert_eq!(seen(&broker.address, "refuse", 1), [(0, 0)]);
}
