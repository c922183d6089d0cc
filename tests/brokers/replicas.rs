//! Two nodes: a leader that dies hands its partitions over, and reading goes on; one without a replica is waited for.

use streamgauge::broker::Inspect as _;
use streamgauge::broker::kafka::{KafkaConfig, KafkaInspect};
use streamgauge::model::{Positions, SourceState, Start};

use super::Test;
use super::kafka::Broker;
use super::rig::{Hand, PATIENCE, Rig, exact};

/// The last of all: while the second node lives, topics of others could come to lie on it.
pub const TESTS: &[(&str, Test)] = &[("reading_goes_on_when_the_leader_dies", leader_dies)];

fn leader_dies(broker: &mut Broker) {
    let mut second = broker.join();
    let hand = Hand::new(&broker.address);
    hand.create_on("replicated", &[&[2, 1], &[1, 2]]);
    hand.create_on("lonely", &[&[2]]);
    for (topic, partition) in [("replicated", 0), ("replicated", 1), ("lonely", 0)] {
        hand.send(topic, Some(partition), 1_000);
    }
    let streams = [exact("replicated", Start::Earliest), exact("lonely", Start::Earliest)].concat();
    let rig = Rig::start(&broker.address, streams.clone(), Positions::default());
    rig.until_ends("replicated", 0, &[1_000, 1_000]);
    rig.until_ends("lonely", 0, &[1_000]);

    second.kill();
    let died = std::time::Instant::now();
    hand.send("replicated", Some(0), 500);
    hand.send("replicated", Some(1), 500);
    rig.until_ends("replicated", 0, &[1_500, 1_500]);
    println!("    written to the new leader and read {:.1?} after the old one died", died.elapsed());
    let lonely = ("lonely".to_owned(), 0, 0);
    rig.until(
        "the partition without a leader is named",
        |books| matches!(&books[&lonely].state, Some(SourceState::Unreachable(words)) if !words.is_empty()),
    );
    assert_eq!(rig.health.borrow().up, Some(true), "one of two nodes answers");
    let config = KafkaConfig { bootstrap_servers: broker.address.clone(), ..KafkaConfig::default() };
    let findings = KafkaInspect::new("main", config).doctor(&streams, PATIENCE);
    assert!(findings.iter().any(|f| f.ok == Some(false) && f.detail.contains("without a leader")), "{findings:?}");

    second.resurrect();
    hand.send("lonely", Some(0), 200);
    rig.until_ends("lonely", 0, &[1_200]);
    for books in rig.books().values() {
        assert!(books.gaps.is_empty() && !matches!(books.state, Some(SourceState::Unreachable(_))), "{books:?}");
    }
    assert_eq!((rig.events("replicated"), rig.events("lonely")), (3_000, 1_200));
    second.stop();
}
