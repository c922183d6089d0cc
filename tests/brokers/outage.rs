//! A broker that hangs, dies, comes back; records that expire while nobody reads.

use std::time::Instant;

use streamgauge::model::{Positions, SourceState, Start};

use super::Test;
use super::kafka::Broker;
use super::rig::{AT_ONCE, Hand, Rig, exact};

pub const TESTS: &[(&str, Test)] = &[
    ("a_broker_that_hangs_is_seen_and_reading_goes_on", hangs),
    ("a_broker_that_is_killed_and_comes_back", killed),
    ("a_broker_that_is_stopped_and_comes_back", stopped),
    ("a_reader_that_starts_before_its_broker", started_before),
];

fn is_unreachable(state: Option<&SourceState>) -> bool {
    matches!(state, Some(SourceState::Unreachable(words)) if !words.is_empty())
}

/// Waits for the outage to be seen; both by the partition and by the cluster's health, with words.
fn outage_is_seen(rig: &Rig, since: Instant) {
    rig.until("the partition is unreachable", |books| books.values().all(|b| is_unreachable(b.state.as_ref())));
    rig.until("the cluster is down", |_| rig.health.borrow().up == Some(false));
    let took = since.elapsed();
    println!("    seen after {took:.1?}: {}", rig.health.borrow().detail);
    assert!(!rig.health.borrow().detail.is_empty());
}

fn recovered(rig: &Rig, hand: &Hand, topic: &str, before: u64) {
    let back = Instant::now();
    hand.send(topic, Some(0), 500);
    let sent = back.elapsed();
    rig.until_ends(topic, 0, &[before + 500]);
    println!("    written {sent:.1?} after it is back, read {:.1?} after", back.elapsed());
    assert_eq!(rig.events(topic) as u64, before + 500);
    rig.until("the cluster is up", |_| rig.health.borrow().up == Some(true));
    let books = rig.books().into_values().next().unwrap();
    assert!(books.gaps.is_empty() && !is_unreachable(books.state.as_ref()), "{:?}", books.states);
}

fn begin(broker: &Broker, topic: &str) -> (Hand, Rig) {
    let hand = Hand::new(&broker.address);
    hand.create(topic, 1);
    hand.send(topic, Some(0), 1_000);
    let rig = Rig::start(&broker.address, exact(topic, Start::Earliest), Positions::default());
    rig.until_ends(topic, 0, &[1_000]);
    (hand, rig)
}

fn hangs(broker: &mut Broker) {
    let (hand, rig) = begin(broker, "hangs");
    broker.pause();
    outage_is_seen(&rig, Instant::now());
    broker.go_on();
    recovered(&rig, &hand, "hangs", 1_000);
    // Stopping must not wait for a broker that hangs.
    broker.pause();
    let (took, _) = rig.stop();
    broker.go_on();
    assert!(took < AT_ONCE, "stopping took {took:?}");
}

fn killed(broker: &mut Broker) {
    let (hand, rig) = begin(broker, "killed");
    broker.kill();
    outage_is_seen(&rig, Instant::now());
    broker.resurrect();
    recovered(&rig, &hand, "killed", 1_000);
}

fn stopped(broker: &mut Broker) {
    let (hand, rig) = begin(broker, "stopped");
    broker.stop();
    outage_is_seen(&rig, Instant::now());
    broker.resurrect();
    recovered(&rig, &hand, "stopped", 1_000);
}

fn started_before(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("early", 1);
    hand.send("early", Some(0), 10);
    broker.stop();
    let rig = Rig::start(&broker.address, exact("early", Start::Earliest), Positions::default());
    rig.until("the cluster is down", |_| rig.health.borrow().up == Some(false));
    broker.resurrect();
    rig.until_ends("early", 0, &[10]);
    assert_eq!(rig.health.borrow().up, Some(true));
}
