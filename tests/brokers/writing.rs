//! Appends that are acknowledged, and what an operator is told.

use std::time::Duration;

use streamgauge::broker::kafka::{KafkaConfig, KafkaInspect, KafkaWrite};
use streamgauge::broker::{Inspect as _, NewRecord, Write as _, WriteError};
use streamgauge::model::{Positions, Start, StreamName, Timestamp};

use super::Test;
use super::kafka::Broker;
use super::rig::{self, Hand, PATIENCE, Rig, exact, wait};

pub const TESTS: &[(&str, Test)] = &[
    ("appends_are_read_back_with_headers_key_and_time", appends),
    ("appends_that_cannot_be_are_refused_or_unavailable", refused),
    ("doctor_says_what_is_there_and_what_is_missing", doctor),
    ("sample_shows_the_newest_records", sample),
];

fn config(broker: &Broker) -> KafkaConfig {
    KafkaConfig { bootstrap_servers: broker.address.clone(), ..KafkaConfig::default() }
}

fn record(text: &str) -> NewRecord {
    NewRecord { payload: Some(text.into()), ..NewRecord::default() }
}

fn appends(broker: &mut Broker) {
    wait(async {
        let writer = KafkaWrite::new(config(broker)).unwrap();
        writer.ensure_stream("written", 3).await.unwrap();
        writer.ensure_stream("written", 3).await.unwrap();
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let records: Vec<NewRecord> = (0..2_000)
            .map(|n| NewRecord {
                key: Some(format!("t{}", n % 10).into()),
                headers: vec![("traceparent".into(), traceparent.into())],
                record_time: Some(Timestamp::from_seconds(1_700_000_000 + n)),
                ..record(&format!(r#"{{"transaction_id":"t{n}","stage":"s"}}"#))
            })
            .collect();
        let appended = writer.append("written", records).await.unwrap();
        assert_eq!(appended.len(), 2_000);
        assert!(appended.iter().all(|a| a.stream == "written"));
    });
    let ends = broker.ends("written");
    assert_eq!(ends.iter().sum::<u64>(), 2_000);
    let rig = Rig::start(&broker.address, exact("written", Start::Earliest), Positions::default());
    rig.until_ends("written", 0, &ends);
    let events: Vec<_> = rig.books().into_values().flat_map(|b| b.events).collect();
    assert!(events.iter().all(|e| e.trace.is_some_and(|t| t.flags == 1)));
    assert_eq!(events.iter().filter_map(|e| e.record_time).max(), Some(Timestamp::from_seconds(1_700_001_999)));
}

fn refused(broker: &mut Broker) {
    wait(async {
        let writer = KafkaWrite::new(config(broker)).unwrap();
        let none = writer.append("no-such-topic", vec![record("x")]).await;
        assert!(matches!(none, Err(WriteError::Refused(_) | WriteError::Unavailable(_))), "{none:?}");
        writer.ensure_stream("small", 1).await.unwrap();
        let large = writer.append("small", vec![record(&"x".repeat(13_000_000))]).await;
        assert!(matches!(large, Err(WriteError::Refused(_))), "{large:?}");
        let nobody = KafkaConfig { bootstrap_servers: "127.0.0.1:1".into(), ..KafkaConfig::default() };
        let down = KafkaWrite::new(nobody).unwrap().append("small", vec![record("x")]).await;
        assert!(matches!(&down, Err(WriteError::Unavailable(words)) if words.contains("127.0.0.1:1")), "{down:?}");
        assert_eq!(writer.append("small", vec![record("after")]).await.unwrap()[0].position, 0);
    });
}

fn doctor(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create_with("well", 2, &[("message.timestamp.type", "LogAppendTime"), ("retention.ms", "60000")]);
    hand.create("welcome", 1);
    // What was written to is known to the broker; what was only made may not yet be.
    ["well", "welcome"].iter().for_each(|topic| hand.send(topic, None, 1));
    let doctor = KafkaInspect::new("main", config(broker));
    let mut streams = exact("well", Start::Latest);
    streams.extend(exact("absent", Start::Latest));
    streams.push(rig::stream(StreamName::Pattern("^we".into()), Start::Latest));
    let findings = doctor.doctor(&streams, PATIENCE);
    findings.iter().for_each(|f| println!("    {:?} {}: {} ({})", f.ok, f.what, f.detail, f.mend));
    let find = |what: &str, text: &str| {
        findings
            .iter()
            .find(|f| f.what.contains(what) && f.detail.contains(text))
            .unwrap_or_else(|| panic!("{what}: {text}"))
    };
    assert_eq!(find("cluster main", "brokers 1, topics ").ok, Some(true));
    assert_eq!(find("stream well", "2 partitions").ok, Some(true));
    assert_eq!(find("stream well: right to read", "may be read").ok, Some(true));
    assert_eq!(find("stream well: record times", "LogAppendTime").ok, Some(true));
    assert_eq!(find("stream well: retention", "60000").ok, Some(false));
    let absent = find("stream absent", "does not exist");
    assert!(absent.ok == Some(false) && absent.mend.contains("kafka-acls.sh"));
    assert_eq!(find("pattern ^we", "1 topics").ok, Some(true));
    let nobody = KafkaConfig { bootstrap_servers: "127.0.0.1:1".into(), ..KafkaConfig::default() };
    let down = KafkaInspect::new("gone", nobody).doctor(&streams, Duration::from_secs(2));
    assert!(down.len() == 1 && down[0].ok == Some(false) && down[0].detail.contains("127.0.0.1:1"), "{down:?}");
}

fn sample(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("shown", 2);
    hand.send("shown", Some(0), 40);
    hand.send("shown", Some(1), 2);
    let inspect = KafkaInspect::new("main", config(broker));
    let records = inspect.sample("shown", 5, PATIENCE).unwrap();
    assert_eq!(records.len(), 5);
    assert_eq!(records[4].at, ("shown".into(), 1, 1), "the newest comes last");
    assert!(records.iter().all(|r| r.payload.as_ref().unwrap().starts_with(b"{")));
    assert!(inspect.sample("absent", 5, PATIENCE).unwrap_err().contains("absent"));
    hand.create("empty", 1);
    assert_eq!(inspect.sample("empty", 5, PATIENCE), Ok(vec![]));
}
