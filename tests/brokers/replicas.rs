//! Two nodes: a leader that dies hands its partitions over, and reading goes on; one without a replica is waited for.

use streamgauge::broker::Inspect as _;
use streamgauge::broker::kafka::{KafkaConfig, KafkaInspect};
use streamgauge::model::{Positions, SourceState, Start};

use super::Test;
use super::kafka::Broker;
use super::rig::{Hand, PATIENCE, Rig, exact};

/// The last of all: while the second node lives, topics of others could come to lie on it.
pub const TESTS: &[(&str, Test)] = &[
    ("reading_goes_on_when_the_leader_dies", leader_dies),
    ("a_log_cut_by_an_unclean_election_is_noticed_and_read_from_the_cut", unclean_election),
];

fn leader_dies(broker: &mut Broker) {
    let mut second = broker.join();
    let hand = Hand::new(&broker.address);
    hand.create_on("replicated", &[&[2, 1], &[1, 2]], &[]);
    hand.create_on("lonely", &[&[2]], &[]);
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
        assert!(
            books.gaps.is_empty() && books.cuts.is_empty() && !matches!(books.state, Some(SourceState::Unreachable(_))),
            "{books:?}"
        );
    }
    assert_eq!((rig.events("replicated"), rig.events("lonely")), (3_000, 1_200));
    second.stop();
}

/// The second node alone has the newest records and dies; the third, which was away, becomes leader without them.
fn unclean_election(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("unclean-before", 1);
    hand.commit("unclean-before", "marker-0", 1); // what keeps transactions comes to lie on the node that stays
    let (mut second, mut third) = (broker.join(), broker.join_as(3));
    let unclean = [("unclean.leader.election.enable", "true"), ("min.insync.replicas", "1")];
    hand.create_on("unclean", &[&[2, 3]], &unclean);
    hand.send("unclean", Some(0), 1_000);
    let streams = exact("unclean", Start::Earliest);
    let start = |positions| Rig::start(&broker.address, streams.clone(), positions);
    let live = start(Positions::default());
    live.until_ends("unclean", 0, &[1_000]);
    hand.create_on("unclean-marked", &[&[2, 3]], &unclean);
    hand.commit("unclean-marked", "marker-1", 100);
    let marked = |positions| Rig::start(&broker.address, exact("unclean-marked", Start::Earliest), positions);
    marked(Positions::default()).until_ends("unclean-marked", 0, &[101]); // all have the marker
    third.kill();
    hand.send("unclean", Some(0), 300);
    hand.commit("unclean-marked", "marker-2", 30);
    live.until_ends("unclean", 0, &[1_300]);
    let before = start(Positions::default());
    before.until_ends("unclean", 0, &[1_300]);
    let (_, stored) = before.stop();
    assert!(stored.sources[0].leader_epoch >= 0, "the epoch is durable with the position: {stored:?}");
    let before = marked(Positions::default());
    before.until_ends("unclean-marked", 0, &[132]);
    let (_, behind_marker) = before.stop();
    let place = |of: &Positions| (of.sources[0].next, of.sources[0].leader_epoch >= 0);
    assert_eq!(place(&behind_marker), (131, true), "behind the last record, in front of the marker");

    second.kill();
    third.resurrect();
    hand.send("unclean", Some(0), 200);
    hand.send("unclean-marked", Some(0), 200);
    let again = marked(behind_marker);
    again.until_ends("unclean-marked", 0, &[301]);
    let books = &again.books()[&("unclean-marked".to_owned(), 0, 0)];
    assert_eq!((books.cuts.as_slice(), books.events.len()), (&[(101, true)][..], 200), "{:?}", books.gaps);
    let key = ("unclean".to_owned(), 0, 0);
    let cut_at_1000 = |rig: &Rig, end: u64, events: usize| {
        rig.until_ends("unclean", 0, &[end]);
        let books = &rig.books()[&key];
        assert_eq!((books.cuts.as_slice(), books.events.len()), (&[(1_000, true)][..], events), "end {end}");
        assert!(books.events[events - usize::try_from(end - 1_000).unwrap()].position == 1_000);
    };
    cut_at_1000(&live, 1_200, 1_500);
    let shorter = start(stored.clone());
    cut_at_1000(&shorter, 1_200, 200);
    hand.send("unclean", Some(0), 300);
    cut_at_1000(&live, 1_500, 1_800);
    cut_at_1000(&shorter, 1_500, 500);
    let grown = start(stored);
    cut_at_1000(&grown, 1_500, 500);

    // An election that loses nothing is no cut.
    let (_, stored) = grown.stop();
    second.resurrect();
    hand.send("unclean", Some(0), 100);
    broker.in_sync("unclean", 2);
    third.stop();
    hand.send("unclean", Some(0), 100);
    cut_at_1000(&live, 1_700, 2_000);
    let again = start(stored);
    again.until_ends("unclean", 0, &[1_700]);
    let books = &again.books()[&key];
    assert!(books.cuts.is_empty() && books.events.len() == 200, "{:?}", books.cuts);
    second.stop();
}
