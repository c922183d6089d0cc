//! What a reader must get right on a broker that is well.

use std::collections::HashSet;
use std::time::Duration;

use rdkafka::producer::Producer as _;
use streamgauge::model::{Began, Kind, Positions, Start, Timestamp};

use super::Test;
use super::kafka::Broker;
use super::raw::{self, Hostile};
use super::rig::{self, AT_ONCE, Hand, PATIENCE, Rig, exact};

pub const TESTS: &[(&str, Test)] = &[
    ("every_event_exactly_once_and_the_ends_of_kafkas_own_tool", every_event_exactly_once),
    ("aborted_records_and_markers_are_holes", read_committed),
    ("latest_is_stored_before_the_first_read", latest_is_stored),
    ("nothing_is_read_before_its_opening_is_durable", durable_first),
    ("partitions_catch_up_together_in_record_time", together_in_time),
    ("start_at_a_time", start_at_a_time),
    ("killer_records_stop_nothing", killer_records),
];

fn every_event_exactly_once(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("many", 4);
    hand.send("many", None, 120_000);
    let rig = Rig::start(&broker.address, exact("many", Start::Earliest), Positions::default());
    let ends = broker.ends("many");
    assert_eq!(ends.iter().sum::<u64>(), 120_000);
    rig.until_ends("many", 0, &ends);
    assert_eq!(rig.events("many"), 120_000);
    for books in rig.books().values() {
        let positions: HashSet<u64> = books.events.iter().map(|e| e.position).collect();
        assert_eq!(positions.len(), books.events.len(), "no position twice");
        assert!(books.events.iter().all(|e| e.kind == Kind::Event && e.record_time.is_some()));
        assert!(books.gaps.is_empty());
        let opened = books.opened.as_ref().unwrap();
        assert_eq!((opened.began, opened.append_time), (Began::Beginning, false));
    }
    // The end is confirmed again and again while nothing happens.
    let tails = rig.books().values().map(|b| b.tails).min().unwrap();
    rig.until("three more confirmations at rest", |books| books.values().all(|b| b.tails >= tails + 3));
    let health = rig.health.borrow().clone();
    assert_eq!((health.up, health.streams.as_slice()), (Some(true), ["many".to_owned()].as_slice()));
    assert!(health.cluster_id.is_some());
    let (took, positions) = rig.stop();
    assert!(took < AT_ONCE, "stopping took {took:?}");
    let mut stored: Vec<(u32, u64)> = positions.sources.iter().map(|s| (s.key.partition, s.next)).collect();
    stored.sort_unstable();
    assert_eq!(stored, (0..4).zip(ends).collect::<Vec<_>>());
}

fn read_committed(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create_with("txn", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let producer = hand.producer(&[("transactional.id", "writer"), ("linger.ms", "5")]);
    producer.init_transactions(PATIENCE).unwrap();
    for (count, commit) in [(600, true), (300, false), (400, true), (200, false)] {
        producer.begin_transaction().unwrap();
        rig::fill(&producer, "txn", Some(0), count);
        if commit { producer.commit_transaction(PATIENCE) } else { flushed_abort(&producer) }.unwrap();
    }
    let ends = broker.ends("txn");
    assert_eq!(ends, [1_504], "1,500 records and four markers");
    let rig = Rig::start(&broker.address, exact("txn", Start::Earliest), Positions::default());
    rig.until_ends("txn", 0, &ends);
    assert_eq!(rig.events("txn"), 1_000);
    let books = rig.books().into_values().next().unwrap();
    assert!(books.gaps.is_empty() && books.opened.unwrap().append_time);
    // An open transaction holds the stable end back: nothing beyond it is shown, and nothing is lost.
    producer.begin_transaction().unwrap();
    rig::fill(&producer, "txn", Some(0), 50);
    producer.flush(PATIENCE).unwrap();
    let before = rig.books().into_values().next().unwrap().tails;
    rig.until("the stable end is confirmed", |books| books.values().all(|b| b.tails > before + 1));
    assert_eq!(rig.books().into_values().next().unwrap().tail, Some((1_504, 1_504)));
    producer.commit_transaction(PATIENCE).unwrap();
    rig.until_ends("txn", 0, &[1_555]);
    assert_eq!(rig.events("txn"), 1_050);
}

/// Aborts only what the broker has: records still in the client would never be written.
fn flushed_abort(producer: &rdkafka::producer::BaseProducer) -> rdkafka::error::KafkaResult<()> {
    producer.flush(PATIENCE)?;
    producer.abort_transaction(PATIENCE)
}

/// Case 7: killed before the first checkpoint of data; events and a partition came meanwhile.
fn latest_is_stored(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("fresh", 2);
    hand.send("fresh", None, 300);
    let rig = Rig::start(&broker.address, exact("fresh", Start::Latest), Positions::default());
    rig.until("both partitions are open", |books| books.values().filter(|b| b.opened.is_some()).count() == 2);
    let opened = rig.books();
    assert_eq!(opened.values().map(|b| b.opened.as_ref().unwrap().next).sum::<u64>(), 300);
    assert!(opened.values().all(|b| matches!(b.opened.as_ref().unwrap().began, Began::Middle(_))));
    let (_, positions) = rig.stop();
    hand.send("fresh", None, 1_000);
    hand.grow("fresh", 3);
    hand.send("fresh", Some(2), 50);
    let rig = Rig::start(&broker.address, exact("fresh", Start::Latest), positions);
    rig.until_ends("fresh", 0, &broker.ends("fresh"));
    assert_eq!(rig.events("fresh"), 1_050);
}

fn durable_first(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("held", 1);
    hand.send("held", Some(0), 10);
    let rig = Rig::start_with(&broker.address, exact("held", Start::Earliest), Positions::default(), false);
    rig.until("it is open", |books| books.values().any(|b| b.opened.is_some()));
    // Another stream of the same reader would be read by now: give it the time that one needs.
    let other = Rig::start(&broker.address, exact("held", Start::Earliest), Positions::default());
    other.until_ends("held", 0, &[10]);
    assert_eq!(rig.events("held"), 0);
}

/// Two partitions, one ten times as dense: at no time is one far ahead of the other.
fn together_in_time(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("skewed", 2);
    let producer = hand.producer(&[("linger.ms", "5")]);
    let begin = rig::wall().0 / 1_000 - 3_600_000;
    let filler = "x".repeat(400);
    for (partition, step) in [(0, 20), (1, 200)] {
        for number in 0..(1_200_000 / step) {
            let mut record = rdkafka::producer::BaseRecord::<(), str>::to("skewed").payload(&filler);
            (record.partition, record.timestamp) = (Some(partition), Some(begin + number * step));
            while let Err((_, again)) = producer.send(record) {
                record = again;
                producer.poll(Duration::from_millis(5));
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
    let rig = Rig::start(&broker.address, exact("skewed", Start::Earliest), Positions::default());
    rig.until_ends("skewed", 0, &[60_000, 6_000]);
    let apart = rig.apart.lock().unwrap().iter().copied().max().unwrap();
    println!("    greatest distance while catching up: {apart} s of 1,200 s");
    // One batch of the sparse one is 102 s; read as they come, they are more than 1,000 s apart.
    assert!(apart < 400, "the partitions were {apart} s apart");
}

fn start_at_a_time(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("timed", 1);
    for second in 0..100 {
        let record =
            Hostile { timestamp: 1_700_000_000_000 + second * 1_000, key: None, value: Some(b"{}"), headers: &[] };
        raw::produce(&broker.address, "timed", 0, &record);
    }
    let at = Start::At(Timestamp::from_millis(1_700_000_059_500));
    let rig = Rig::start(&broker.address, exact("timed", at), Positions::default());
    rig.until_ends("timed", 0, &[100]);
    assert_eq!(rig.events("timed"), 40);
    assert_eq!(rig.books().into_values().next().unwrap().opened.unwrap().next, 60);
}

fn killer_records(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create_with("killer", 1, &[("max.message.bytes", "12000000")]);
    let huge = vec![b'x'; 10 << 20];
    let deep = "{\"a\":".repeat(100_000);
    let event = br#"{"transaction_id":"t","stage":"s"}"#.as_slice();
    let bad_name: &[(&[u8], Option<&[u8]>)] = &[(b"\xff\xfe\x00bad", Some(b"\xff")), (b"", None)];
    type Case<'a> = (i64, Option<&'a [u8]>, &'a [(&'a [u8], Option<&'a [u8]>)]);
    let now = rig::wall().0 / 1_000;
    let cases: [Case<'_>; 9] = [
        (now, Some(event), &[(b"\xff\xfe-bad", Some(b"\xff")), (b"", None)]),
        (now, None, &[]),
        (now, Some(&huge), &[]),
        (now, Some(b"\x00\xff\xfe garbage \xff"), &[]),
        (now, Some(deep.as_bytes()), &[]),
        (now, Some(b""), &[]),
        (-1, Some(event), &[]),
        (now, Some(br#"{"transaction_id":7,"stage":[]}"#), bad_name),
        (now, Some(event), &[]),
    ];
    for (timestamp, value, headers) in cases {
        raw::produce(&broker.address, "killer", 0, &Hostile { timestamp, key: Some(b"\xff"), value, headers });
    }
    let rig = Rig::start(&broker.address, exact("killer", Start::Earliest), Positions::default());
    rig.until_ends("killer", 0, &[9]);
    let events = rig.books().into_values().next().unwrap().events;
    let kinds: Vec<Kind> = events.iter().map(|e| e.kind).collect();
    println!("    {kinds:?}");
    assert_eq!(events.len(), 9);
    assert_eq!((kinds[0], kinds[1], kinds[8]), (Kind::Event, Kind::Tombstone, Kind::Event));
    assert!(matches!(kinds[4], Kind::Undecodable(_)) && matches!(kinds[7], Kind::Undecodable(_)));
    assert_eq!(events[6].record_time, None, "no time is no time, not 1970");
    assert!(rig.samples.try_iter().all(|s| s.stream == "killer" && s.preview.len() <= 200));
}
