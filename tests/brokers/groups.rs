//! Groups in every state that a broker knows, made on purpose: the world of the lag tests.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::offsets::commit_one;
use crate::rig::{Hand, PATIENCE, fill, wait};

/// What must live as long as the states are looked at.
pub struct World {
    pub hand: Hand,
    pub live: Vec<BaseConsumer>,
    /// Holds a transaction open.
    pub open: Option<BaseProducer>,
    /// Groups that must be seen.
    pub groups: Vec<&'static str>,
}

/// A member of a group with all its partitions.
pub fn join(address: &str, group: &str, topics: &[&str], protocol: &str, partitions: usize) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", group).set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest").set("client.id", format!("client-of-{group}"));
    if protocol == "consumer" {
        config.set("group.protocol", "consumer");
    }
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(topics).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while consumer.assignment().unwrap().count() < partitions {
        assert!(Instant::now() < deadline, "{group} got no partitions");
        if let Some(Err(error)) = consumer.poll(Duration::from_millis(50)) {
            println!("{group}: {error}");
        }
    }
    consumer
}

/// Commits as a member.
pub fn commit(consumer: &BaseConsumer, rows: &[(&str, i32, i64)]) {
    let mut list = TopicPartitionList::new();
    for (topic, partition, next) in rows {
        list.add_partition_offset(topic, *partition, Offset::Offset(*next)).unwrap();
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

fn transactional(hand: &Hand, id: &str) -> BaseProducer {
    let producer = hand.producer(&[("transactional.id", id)]);
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    producer
}

pub fn delete_group(address: &str, group: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    let deleted = wait(admin.delete_groups(&[group], &AdminOptions::new())).unwrap();
    deleted.into_iter().for_each(|group| drop(group.unwrap()));
}

/// Makes topics and groups; names begin with `tag`.
pub fn world(address: &str) -> World {
    let hand = Hand::new(address);
    for (topic, partitions) in [("g-a", 2), ("g-b", 3), ("g-old", 1), ("g-none", 1), ("g-low", 1), ("g-empty", 1)] {
        hand.create(topic, partitions);
    }
    for topic in ["g-void", "g-gone", "g-anew", "g-txn", "g-open", "g-abort", "g-grown", "g-letters-dlt"] {
        hand.create(topic, 1);
    }
    hand.create_with("g-compact", 1, &[("cleanup.policy", "compact")]);
    hand.create_with("g-proof-dlt", 1, &[("message.timestamp.type", "LogAppendTime")]);
    for (topic, count) in [("g-low", 100), ("g-empty", 100), ("g-gone", 50), ("g-anew", 100), ("g-old", 30)] {
        hand.send(topic, Some(0), count);
    }
    for (topic, partition, count) in [("g-a", 0, 100), ("g-a", 1, 40), ("g-b", 0, 10), ("g-b", 1, 20), ("g-b", 2, 30)] {
        hand.send(topic, Some(partition), count);
    }
    for topic in ["g-letters-dlt", "g-proof-dlt", "g-compact", "g-grown"] {
        hand.send(topic, Some(0), 25);
    }

    let mut live = Vec::new();
    for (group, protocol) in [("classic-caught-up", "classic"), ("next-caught-up", "consumer")] {
        let member = join(address, group, &["g-a"], protocol, 2);
        commit(&member, &[("g-a", 0, 100), ("g-a", 1, 40)]);
        live.push(member);
    }
    for (group, protocol) in [("classic-behind", "classic"), ("next-behind", "consumer")] {
        let member = join(address, group, &["g-a", "g-b"], protocol, 5);
        commit(&member, &[("g-a", 0, 50), ("g-a", 1, 1), ("g-b", 0, 0), ("g-b", 1, 20), ("g-b", 2, 29)]);
        live.push(member);
    }
    live.push(join(address, "classic-never", &["g-b"], "classic", 3));
    live.push(join(address, "next-never", &["g-b"], "consumer", 3));
    let partly = join(address, "classic-partly", &["g-b"], "classic", 3);
    commit(&partly, &[("g-b", 1, 7)]);
    live.push(partly);
    // Members that left: with commits, without any.
    for (group, protocol) in [("classic-left", "classic"), ("next-left", "consumer")] {
        let member = join(address, group, &["g-old"], protocol, 1);
        commit(&member, &[("g-old", 0, 12)]);
        member.unsubscribe();
    }
    drop(join(address, "classic-left-nothing", &["g-none"], "classic", 1));

    // Committed without a member.
    commit_one(address, "simple-end", "g-a", &[(0, 100), (1, 40)]);
    commit_one(address, "simple-behind", "g-a", &[(0, 3), (1, 0)]);
    commit_one(address, "simple-partly", "g-b", &[(2, 24)]);
    commit_one(address, "simple-void", "g-void", &[(0, 0)]);
    commit_one(address, "simple-low", "g-low", &[(0, 10)]);
    hand.expire("g-low", 0, 40);
    commit_one(address, "simple-emptied", "g-empty", &[(0, 10)]);
    hand.expire("g-empty", 0, 100);
    commit_one(address, "simple-compacted", "g-compact", &[(0, 5)]);
    commit_one(address, "simple-grown", "g-grown", &[(0, 25)]);
    hand.grow("g-grown", 2);
    commit_one(address, "to-be-deleted", "g-a", &[(0, 3)]);
    delete_group(address, "to-be-deleted");
    commit_one(address, "simple-gone", "g-gone", &[(0, 50)]);
    hand.delete("g-gone");

    // A topic made anew, with a commit of its former life written again.
    commit_one(address, "simple-anew", "g-anew", &[(0, 80)]);
    hand.delete("g-anew");
    let deadline = Instant::now() + PATIENCE;
    while !hand.try_create("g-anew", 1) {
        assert!(Instant::now() < deadline, "the topic cannot be made anew");
        std::thread::sleep(Duration::from_millis(50));
    }
    hand.send("g-anew", Some(0), 20);
    commit_one(address, "simple-anew", "g-anew", &[(0, 80)]);

    // Transactions: ended by a marker, open, aborted.
    let done = transactional(&hand, "done");
    fill(&done, "g-txn", Some(0), 10);
    done.commit_transaction(PATIENCE).unwrap();
    commit_one(address, "simple-marker", "g-txn", &[(0, 10)]);
    hand.send("g-open", Some(0), 10);
    let open = transactional(&hand, "open");
    fill(&open, "g-open", Some(0), 5);
    open.flush(PATIENCE).unwrap();
    commit_one(address, "simple-open", "g-open", &[(0, 10)]);
    let aborted = transactional(&hand, "aborted");
    fill(&aborted, "g-abort", Some(0), 8);
    aborted.flush(PATIENCE).unwrap();
    aborted.abort_transaction(PATIENCE).unwrap();
    commit_one(address, "simple-aborted", "g-abort", &[(0, 0)]);

    let groups = vec![
        "classic-behind",
        "classic-caught-up",
        "classic-left",
        "classic-left-nothing",
        "classic-never",
        "classic-partly",
        "next-behind",
        "next-caught-up",
        "next-left",
        "next-never",
        "simple-aborted",
        "simple-anew",
        "simple-behind",
        "simple-compacted",
        "simple-emptied",
        "simple-end",
        "simple-grown",
        "simple-low",
        "simple-marker",
        "simple-open",
        "simple-partly",
        "simple-void",
    ];
    World { hand, live, open: Some(open), groups }
}
