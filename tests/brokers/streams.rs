//! Streams that come, grow, go and come again.

use streamgauge::model::{Positions, SourceState, Start, StreamName};

use super::Test;
use super::kafka::Broker;
use super::rig::{self, Hand, Rig, exact};

pub const TESTS: &[(&str, Test)] = &[
    ("a_topic_made_anew_is_read_from_0", made_anew_meanwhile),
    ("a_topic_made_anew_while_it_is_read", made_anew_while_reading),
    ("new_partitions_are_read_from_0", new_partitions),
    ("patterns_find_topics_made_later_and_no_internal_ones", patterns),
    ("a_topic_that_was_waited_for_is_read_from_its_first_record", waited_for),
    ("retention_that_overtakes_is_a_gap", retention_overtakes),
    ("retention_that_overtakes_while_reading_is_a_gap", overtakes_while_reading),
    ("a_position_beyond_the_end_goes_on_at_the_end", beyond_the_end),
    ("a_deleted_topic_is_gone", deleted),
    ("many_partitions_go_through_one_client", many_partitions),
];

/// Case 8: stored next 5,000, new end 6,000.
fn made_anew_meanwhile(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("anew", 1);
    hand.send("anew", Some(0), 5_000);
    let rig = Rig::start(&broker.address, exact("anew", Start::Earliest), Positions::default());
    rig.until_ends("anew", 0, &[5_000]);
    let (_, positions) = rig.stop();
    hand.delete("anew");
    make_again(&hand, "anew");
    hand.send("anew", Some(0), 6_000);
    let rig = Rig::start(&broker.address, exact("anew", Start::Latest), positions);
    rig.until_ends("anew", 1, &[6_000]);
    assert_eq!(rig.events("anew"), 6_000);
    let (_, positions) = rig.stop();
    let generations: Vec<u32> = positions.sources.iter().map(|s| s.key.generation).collect();
    assert_eq!(generations, [0, 1]);
}

fn made_anew_while_reading(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("swap", 1);
    hand.send("swap", Some(0), 700);
    let rig = Rig::start(&broker.address, exact("swap", Start::Earliest), Positions::default());
    rig.until_ends("swap", 0, &[700]);
    hand.delete("swap");
    make_again(&hand, "swap");
    hand.send("swap", Some(0), 300);
    rig.until_ends("swap", 1, &[300]);
    assert_eq!(rig.events("swap"), 1_000);
    assert_eq!(rig.books()[&("swap".into(), 0, 0)].state, Some(SourceState::Gone));
}

/// A name is free again only some time after its topic was deleted.
fn make_again(hand: &Hand, topic: &str) {
    let deadline = std::time::Instant::now() + rig::PATIENCE;
    while !hand.try_create(topic, 1) {
        assert!(std::time::Instant::now() < deadline, "{topic} could not be made anew");
        std::thread::yield_now();
    }
}

fn new_partitions(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("grows", 1);
    hand.send("grows", Some(0), 100);
    let rig = Rig::start(&broker.address, exact("grows", Start::Latest), Positions::default());
    rig.until_ends("grows", 0, &[100]);
    hand.grow("grows", 3);
    hand.send("grows", Some(2), 40);
    rig.until_ends("grows", 0, &[100, 0, 40]);
    assert_eq!(rig.events("grows"), 40, "what lay before `latest` stays unread, what is new is read whole");
}

fn patterns(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("shop.orders", 1);
    hand.send("shop.orders", Some(0), 5);
    let streams = vec![rig::stream(StreamName::Pattern(r"^(shop\.|__)".into()), Start::Earliest)];
    let rig = Rig::start(&broker.address, streams, Positions::default());
    rig.until_ends("shop.orders", 0, &[5]);
    hand.create("shop.payments", 2);
    hand.send("shop.payments", Some(1), 7);
    rig.until_ends("shop.payments", 0, &[0, 7]);
    assert!(rig.books().keys().all(|(name, ..)| !name.starts_with("__")));
    assert_eq!(rig.health.borrow().streams, ["shop.orders", "shop.payments"]);
}

fn retention_overtakes(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("short", 1);
    hand.send("short", Some(0), 100);
    let rig = Rig::start(&broker.address, exact("short", Start::Earliest), Positions::default());
    rig.until_ends("short", 0, &[100]);
    let (_, positions) = rig.stop();
    hand.send("short", Some(0), 400);
    hand.expire("short", 0, 350);
    let rig = Rig::start(&broker.address, exact("short", Start::Earliest), positions);
    rig.until_ends("short", 0, &[500]);
    let books = rig.books().into_values().next().unwrap();
    assert_eq!((books.gaps, books.events.len()), (vec![(100, 350)], 150));
}

/// The engine stands still, the reader waits, the log moves on below it.
fn overtakes_while_reading(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("moves", 1);
    hand.send("moves", Some(0), 10);
    let rig = Rig::start(&broker.address, exact("moves", Start::Earliest), Positions::default());
    rig.until_ends("moves", 0, &[10]);
    let held = rig.hold();
    hand.send("moves", Some(0), 300_000);
    hand.expire("moves", 0, 300_000);
    drop(held);
    rig.until_ends("moves", 0, &[300_010]);
    let books = rig.books().into_values().next().unwrap();
    let [(from, to)] = books.gaps[..] else { panic!("one gap: {:?}", books.gaps) };
    assert_eq!((to, books.events.len() as u64), (300_000, from + 10), "what was read and what expired make up the log");
    assert!(from > 10 && books.states.is_empty(), "a gap is no outage: {:?}", books.states);
}

/// What an unclean election leaves behind: the same topic, shorter than what was read of it.
fn beyond_the_end(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("cut", 1);
    hand.send("cut", Some(0), 100);
    let rig = Rig::start(&broker.address, exact("cut", Start::Earliest), Positions::default());
    rig.until_ends("cut", 0, &[100]);
    let (_, mut positions) = rig.stop();
    positions.sources[0].next = 5_000;
    let rig = Rig::start(&broker.address, exact("cut", Start::Earliest), positions);
    rig.until_ends("cut", 0, &[100]);
    hand.send("cut", Some(0), 50);
    rig.until_ends("cut", 0, &[150]);
    assert_eq!(rig.events("cut"), 50, "nothing is read again, nothing is skipped");
}

fn deleted(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("leaves", 1);
    hand.send("leaves", Some(0), 3);
    let rig = Rig::start(&broker.address, exact("leaves", Start::Earliest), Positions::default());
    rig.until_ends("leaves", 0, &[3]);
    hand.delete("leaves");
    rig.until("it is gone", |books| books.values().all(|b| b.state == Some(SourceState::Gone)));
}

fn many_partitions(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("wide", 200);
    hand.send("wide", None, 50_000);
    let rig = Rig::start(&broker.address, exact("wide", Start::Earliest), Positions::default());
    rig.until_ends("wide", 0, &broker.ends("wide"));
    assert_eq!(rig.events("wide"), 50_000);
    hand.delete("wide");
}

/// `latest` is from when we began to look: what did not exist then is read whole, also what a pattern finds later.
fn waited_for(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("later-0", 1);
    hand.send("later-0", Some(0), 10);
    let streams =
        [exact("waited-for", Start::Latest), vec![rig::stream(StreamName::Pattern("^later-".into()), Start::Latest)]];
    let rig = Rig::start(&broker.address, streams.concat(), Positions::default());
    rig.until("what is missing is named", |_| rig.health.borrow().detail.contains("no such stream: waited-for"));
    rig.until_ends("later-0", 0, &[10]);
    for (topic, count) in [("waited-for", 100), ("later-1", 20)] {
        hand.create(topic, 1);
        hand.send(topic, Some(0), count);
    }
    rig.until_ends("waited-for", 0, &[100]);
    rig.until_ends("later-1", 0, &[20]);
    assert_eq!((rig.events("waited-for"), rig.events("later-1"), rig.events("later-0")), (100, 20, 0));
}
