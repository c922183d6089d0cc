//! Groups and logs as the observer sees them, beside what the broker's own tools print.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use streamgauge::broker::Observe as _;
use streamgauge::broker::kafka::{KafkaConfig, KafkaObserve};
use streamgauge::model::{
    GroupFacts, GroupPhase, GroupProtocol, LagSpec, PartitionFacts, Survey, TimeQuestion, Timestamp, TopicFacts,
};

use crate::Test;
use crate::groups::{World, commit, join, world};
use crate::kafka::Broker;
use crate::offsets::commit_one;
use crate::rig::{Hand, PATIENCE, wall};

pub const TESTS: &[(&str, Test)] = &[
    ("lag_equals_what_the_brokers_own_tool_prints", equals_the_tool),
    ("lag_of_a_share_group_is_not_available", share),
    ("lag_of_a_broker_that_hangs_keeps_its_age", hangs),
    ("lag_of_a_broker_that_is_away_is_asked_for_with_pauses", away),
    ("lag_is_known_when_the_coordinator_moves", moves),
];

/// One row: what was committed, where the log ends, who has it (client, host).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    committed: Option<i64>,
    end: i64,
    owner: Option<(String, String)>,
}

type Rows = BTreeMap<(String, String, u32), Row>;

fn observer(address: &str) -> KafkaObserve {
    let config = KafkaConfig { bootstrap_servers: address.to_owned(), ..KafkaConfig::default() };
    KafkaObserve::new(config, LagSpec::default(), Arc::new(|name: &str| name.ends_with("-dlt")), wall).unwrap()
}

/// What the broker's tool prints: GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID.
fn printed(broker: &Broker) -> Rows {
    let arguments = ["--bootstrap-server", &broker.address, "--describe", "--all-groups", "--timeout", "60000"];
    let text = broker.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments);
    let mut rows = Rows::new();
    for line in text.lines() {
        let of: Vec<&str> = line.split_whitespace().collect();
        let [group, topic, partition, committed, end, lag, _, host, client] = of[..] else { continue };
        let (Ok(partition), Ok(end)) = (partition.parse(), end.parse::<i64>()) else { continue };
        let committed = committed.parse::<i64>().ok();
        assert_eq!(lag.parse::<i64>().ok(), committed.map(|c| end - c), "the tool subtracts: {line}");
        let owner = (client != "-").then(|| (client.to_owned(), host.to_owned()));
        rows.insert((group.to_owned(), topic.to_owned(), partition), Row { committed, end, owner });
    }
    rows
}

fn topic<'s>(survey: &'s Survey, name: &str) -> &'s TopicFacts {
    survey.topics.iter().find(|t| &*t.name == name).unwrap_or_else(|| panic!("{name} is not in the survey"))
}

fn partition<'s>(survey: &'s Survey, name: &str, number: usize) -> &'s PartitionFacts {
    &topic(survey, name).partitions[number]
}

fn group<'s>(survey: &'s Survey, name: &str) -> &'s GroupFacts {
    survey.groups.iter().find(|g| &*g.name == name).unwrap_or_else(|| panic!("{name} is not in the survey"))
}

/// The same rows out of a survey: what was committed, and what members have without a commit.
fn surveyed(survey: &Survey) -> Rows {
    let mut rows = Rows::new();
    for group in &survey.groups {
        let key =
            |topic: u32, partition| (group.name.to_string(), survey.topics[topic as usize].name.to_string(), partition);
        let end = |topic: u32, partition: u32| {
            let of = &survey.topics[topic as usize].partitions[partition as usize];
            i64::try_from(of.end.unwrap_or_else(|| panic!("{}: {}", group.name, of.fault))).unwrap()
        };
        for row in group.committed.iter().flatten() {
            let committed = Some(i64::try_from(row.next).unwrap());
            rows.insert(
                key(row.topic, row.partition),
                Row { committed, end: end(row.topic, row.partition), owner: None },
            );
        }
        for member in group.members.iter().flatten() {
            let owner = Some((member.client_id.to_string(), member.host.to_string()));
            for (topic, partition) in &member.assigned {
                let none = Row { committed: None, end: end(*topic, *partition), owner: None };
                rows.entry(key(*topic, *partition)).or_insert(none).owner.clone_from(&owner);
            }
        }
    }
    rows
}

/// First positions, as another tool of the broker's prints them.
fn starts(broker: &Broker) -> BTreeMap<(String, u32), u64> {
    let arguments = ["--bootstrap-server", &broker.address, "--time", "-2", "--topic", "g-.*"];
    let text = broker.tool("org.apache.kafka.tools.GetOffsetShell", &arguments);
    let rows = text.lines().filter_map(|line| {
        let mut parts = line.rsplitn(3, ':');
        let start = parts.next()?.trim().parse().ok()?;
        let partition = parts.next()?.parse().ok()?;
        Some(((parts.next()?.to_owned(), partition), start))
    });
    rows.collect()
}

fn equals_the_tool(broker: &mut Broker) {
    let world = world(&broker.address);
    let mut observer = observer(&broker.address);
    observer.survey(PATIENCE); // the second one stands on remembered ground: it must say the same
    let survey = observer.survey(PATIENCE);
    assert!(survey.answered && survey.faults.is_empty(), "{:?}", survey.faults);
    assert_eq!(survey.brokers, Some(1));
    let led = survey.topics.iter().flat_map(|t| &t.partitions);
    assert!(led.into_iter().all(|p| p.preferred.is_some() && p.preferred == p.leader), "one broker leads all");

    let tool = printed(broker);
    let ours = surveyed(&survey);
    assert!(tool.len() >= 30, "the world is what it should be: {tool:#?}");
    for (key, row) in &tool {
        assert_eq!(ours.get(key), Some(row), "{key:?}");
    }
    for key in ours.keys() {
        assert!(tool.contains_key(key), "{key:?} is not printed by the tool");
    }
    for (name, start) in starts(broker) {
        let Some(topic) = survey.topics.iter().find(|t| *t.name == *name.0) else { continue };
        assert_eq!(topic.partitions[name.1 as usize].start, Some(start), "{name:?}");
    }
    states(&survey, &world);
    truths(&survey);
    times(&mut observer);
    under_load(broker, &mut observer, world);
}

/// States, protocols and members that the tool prints elsewhere.
fn states(survey: &Survey, world: &World) {
    let seen: BTreeSet<&str> = survey.groups.iter().map(|g| &*g.name).collect();
    for name in &world.groups {
        assert!(seen.contains(name), "{name}: {seen:?}");
    }
    assert!(!seen.contains("to-be-deleted"), "a deleted group is gone");
    let of = |name| {
        let group = group(survey, name);
        (group.protocol, group.phase, group.members.as_ref().map(Vec::len))
    };
    assert_eq!(of("classic-behind"), (GroupProtocol::Classic, GroupPhase::Stable, Some(1)));
    assert_eq!(of("next-behind"), (GroupProtocol::Consumer, GroupPhase::Stable, Some(1)));
    assert_eq!(of("classic-left"), (GroupProtocol::Classic, GroupPhase::Empty, Some(0)));
    assert_eq!(of("next-left"), (GroupProtocol::Consumer, GroupPhase::Empty, Some(0)));
    assert_eq!(of("simple-behind"), (GroupProtocol::Simple, GroupPhase::Empty, Some(0)));
    for name in ["classic-never", "next-never"] {
        let group = group(survey, name);
        assert_eq!(group.committed.as_deref(), Some(&[][..]), "{name} is known to have committed nothing");
        assert_eq!(group.members.as_ref().unwrap()[0].assigned.len(), 3, "{name}");
    }
    assert!(survey.groups.iter().all(|g| g.fault.is_empty() && g.committed_at >= survey.began));
}

/// What the tool does not say.
fn truths(survey: &Survey) {
    let bounds = |name| {
        let of = partition(survey, name, 0);
        (of.start, of.stable_end, of.end)
    };
    assert_eq!(bounds("g-low"), (Some(40), Some(100), Some(100)));
    assert_eq!(bounds("g-empty"), (Some(100), Some(100), Some(100)));
    assert_eq!(bounds("g-txn"), (Some(0), Some(11), Some(11)), "ten records and a marker");
    assert_eq!(bounds("g-open"), (Some(0), Some(10), Some(15)), "five records of an open transaction");
    assert_eq!(bounds("g-anew"), (Some(0), Some(20), Some(20)));
    assert_eq!(topic(survey, "g-grown").partitions.len(), 2);
    assert_eq!(topic(survey, "g-compact").compacted, Some(true));
    assert_eq!((topic(survey, "g-a").compacted, topic(survey, "g-a").append_time), (Some(false), Some(false)));
    assert_eq!(bounds("g-letters-dlt").2, Some(25), "watched by its name");
    let append = topic(survey, "g-proof-dlt");
    assert_eq!((append.append_time, append.partitions[0].end, append.dead_letters), (Some(true), Some(25), false));
    for topic in &survey.topics {
        assert!(!topic.id.is_empty(), "{topic:?}");
        for partition in &topic.partitions {
            assert_eq!((partition.leader, partition.replicas, partition.in_sync), (Some(1), 1, 1), "{topic:?}");
            assert!(partition.at >= survey.began && partition.at <= survey.ended, "{topic:?}");
        }
    }
}

/// Records at positions and positions of times.
fn times(observer: &mut KafkaObserve) {
    let at = |name: &str, partition, position| (Arc::from(name), partition, position);
    let asked = [
        at("g-a", 0, 50),
        at("g-a", 0, 60),
        at("g-a", 0, 50),
        at("g-low", 0, 10),
        at("g-txn", 0, 10),
        at("g-open", 0, 10),
        at("g-abort", 0, 0),
        at("g-empty", 0, 10),
        at("no-such-topic", 0, 0),
    ];
    let found = observer.first_records(&asked, PATIENCE);
    let positions: Vec<_> = found.iter().map(|f| f.map(|f| f.map(|t| t.position))).collect();
    let none = Some(None);
    assert_eq!(
        positions,
        [Some(Some(50)), Some(Some(60)), Some(Some(50)), Some(Some(40)), none, none, none, none, None],
        "records, the log's start, marker tail, open and aborted transactions, emptied, unknown"
    );
    let time = found[0].unwrap().unwrap().time;
    let question = |stream: &str, time| TimeQuestion { stream: stream.into(), partition: 0, time };
    let late = Timestamp::from_millis(i64::MAX / 2_000);
    let asked = [question("g-a", time), question("g-a", late), question("g-b", Timestamp(0)), question("g-void", time)];
    let told = observer.positions_at(&asked, PATIENCE);
    assert!(told[0].is_some_and(|t| t.time == time && t.position <= 50), "{told:?}");
    assert!(told[1].is_none() && told[2].is_some_and(|t| t.position == 0) && told[3].is_none(), "{told:?}");

    let stretch = observer.records("g-b", 2, 20, 5, usize::MAX, PATIENCE).unwrap();
    let positions: Vec<u64> = stretch.records.iter().map(|r| r.at.2).collect();
    assert_eq!((positions, stretch.next, stretch.at_end), ((20..25).collect(), 25, false));
    let tail = observer.records("g-b", 2, 28, 100, usize::MAX, PATIENCE).unwrap();
    assert_eq!((tail.records.len(), tail.next, tail.at_end), (2, 30, true));
    let markers = observer.records("g-txn", 0, 10, 100, usize::MAX, PATIENCE).unwrap();
    assert_eq!((markers.records.len(), markers.next, markers.at_end), (0, 11, true));
    assert!(observer.records("no-such-topic", 0, 0, 1, 1, Duration::from_secs(2)).is_err());
}

/// Ends the load, also when an assertion fails.
struct Halt<'a>(&'a AtomicBool);

impl Drop for Halt<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// While records are written and committed, the tool's numbers lie between those of the surveys around it.
fn under_load(broker: &Broker, observer: &mut KafkaObserve, world: World) {
    let stop = AtomicBool::new(false);
    let address = broker.address.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                world.hand.send("g-a", None, 200);
            }
        });
        scope.spawn(|| {
            let member = join(&address, "loaded", &["g-a"], "consumer", 2);
            let mut next = [0; 2];
            while !stop.load(Ordering::Acquire) {
                let Some(Ok(message)) = member.poll(Duration::from_millis(100)) else { continue };
                let place = usize::try_from(message.partition()).unwrap();
                next[place] = message.offset() + 1;
                if next[place] % 20 == 0 {
                    commit(&member, &[("g-a", message.partition(), next[place])]);
                }
            }
            member.unsubscribe();
        });
        let halt = Halt(&stop);
        let deadline = Instant::now() + PATIENCE;
        let moving = |rows: &Rows| {
            let of = |p| rows.get(&("loaded".to_owned(), "g-a".to_owned(), p)).and_then(|r| r.committed);
            of(0).is_some() && of(1).is_some()
        };
        let mut before = surveyed(&observer.survey(PATIENCE));
        while !moving(&before) {
            assert!(Instant::now() < deadline, "nothing moves");
            before = surveyed(&observer.survey(PATIENCE));
        }
        let tool = printed(broker);
        let survey = observer.survey(PATIENCE);
        let after = surveyed(&survey);
        drop(halt);
        assert!(survey.faults.is_empty(), "{:?}", survey.faults);
        let moved = |key: &(String, String, u32)| after[key].committed > before[key].committed;
        assert!(before.keys().any(moved), "something was committed meanwhile");
        for (key, row) in &tool {
            let (first, last) = (&before[key], &after[key]);
            assert!((first.committed..=last.committed).contains(&row.committed), "{key:?} {first:?} {row:?} {last:?}");
            assert!((first.end..=last.end).contains(&row.end), "{key:?} {first:?} {row:?} {last:?}");
        }
        for (key, row) in after.iter().filter(|(key, _)| key.0 != "simple-anew") {
            assert!(row.committed.is_none_or(|c| c <= row.end), "never negative by race: {key:?} {row:?}");
        }
    });
    drop((world.live, world.open));
}

/// librdkafka's own listing leaves share groups out.
fn share(broker: &mut Broker) {
    Hand::new(&broker.address).create("shared", 1);
    let arguments = ["--bootstrap-server", &broker.address, "--topic", "shared", "--group", "a-share-group"];
    let arguments = [&arguments[..], &["--timeout-ms", "3000"]].concat();
    let mut observer = observer(&broker.address);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The tool joins, finds nothing and leaves; on a slow machine it may leave before it has joined.
        broker.tool("org.apache.kafka.tools.consumer.ConsoleShareConsumer", &arguments);
        let survey = observer.survey(PATIENCE); // the first ones do not know yet: it is looked up beside them
        if let Some(group) = survey.groups.iter().find(|g| &*g.name == "a-share-group") {
            assert_eq!((group.protocol, group.committed.is_none()), (GroupProtocol::Share, true));
            assert!(group.fault.contains("share group"), "{}", group.fault);
            return;
        }
        assert!(Instant::now() < deadline, "{:?}", survey.groups);
    }
}

/// Of a survey of a broker that answers nothing.
const DEADLINE: Duration = Duration::from_secs(5);

/// Everything that was known stays, with its age, and the deadline holds.
/// A broker that refuses connections is not tried thousands of times a second.
fn away(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("away", 1);
    commit_one(&broker.address, "away-group", "away", &[(0, 0)]);
    let mut observer = observer(&broker.address);
    assert!(observer.survey(PATIENCE).answered);
    broker.kill();
    assert!(!observer.survey(Duration::from_secs(1)).answered);
    let door = std::net::TcpListener::bind(&broker.address).unwrap();
    door.set_nonblocking(true).unwrap();
    let (ended, mut tried) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let survey = observer.survey(Duration::from_secs(6));
            ended.store(true, Ordering::Release);
            assert!(!survey.answered && !survey.faults.is_empty());
        });
        while !ended.load(Ordering::Acquire) {
            match door.accept() {
                Ok(_) => tried += 1, // and closed at once
                Err(_) => std::thread::yield_now(),
            }
        }
    });
    drop(door);
    broker.resurrect();
    println!("    tried {tried} times");
    assert!((1..500).contains(&tried), "tried {tried} times within a survey");
}

/// Of a coordinator that is none any more the client hears "not coordinator", and has died of it.
fn moves(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("moving", 1);
    hand.send("moving", Some(0), 10);
    commit_one(&broker.address, "moving-group", "moving", &[(0, 4)]);
    let mut second = broker.join();
    let mut observer = observer(&broker.address);
    assert!(observer.survey(PATIENCE).answered);
    for node in [2, 1] {
        reassign(broker, "__consumer_offsets", node);
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let survey = observer.survey(PATIENCE);
            let group = survey.groups.iter().find(|g| &*g.name == "moving-group" && g.committed_at >= survey.began);
            if let Some(group) = group.filter(|g| survey.answered && g.fault.is_empty()) {
                assert_eq!(group.committed.as_ref().unwrap()[0].next, 4);
                break;
            }
            assert!(Instant::now() < deadline, "{:?}", survey.faults);
        }
    }
    second.stop();
}

/// Moves the only partition of a topic to a node, with Kafka's own tool, and waits for it.
fn reassign(broker: &Broker, topic: &str, node: u32) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let wish = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"replicas":[{node}]}}]}}"#);
    std::fs::write(file.path(), wish).unwrap();
    let file = file.path().display().to_string();
    let ask = |what| {
        let arguments = ["--bootstrap-server", &broker.address, "--reassignment-json-file", &file, what];
        broker.tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", &arguments)
    };
    ask("--execute");
    let deadline = Instant::now() + PATIENCE;
    while !ask("--verify").contains("is completed") {
        assert!(Instant::now() < deadline, "{topic} does not move");
    }
}

fn hangs(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("hung", 1);
    hand.send("hung", Some(0), 10);
    commit_one(&broker.address, "hung-group", "hung", &[(0, 4)]);
    let mut observer = observer(&broker.address);
    let before = observer.survey(PATIENCE);
    assert!(before.answered);
    broker.pause();
    let began = Instant::now();
    let hung = observer.survey(DEADLINE);
    let took = began.elapsed();
    let first = observer.first_records(&[("hung".into(), 0, 4)], Duration::from_millis(300));
    broker.go_on();
    assert!(took < 2 * DEADLINE, "{took:?}");
    assert!(!hung.answered && !hung.faults.is_empty(), "{:?}", hung.faults);
    assert_eq!(first, [None]);
    let rows = |survey: &Survey| (group(survey, "hung-group").committed.clone(), partition(survey, "hung", 0).clone());
    assert_eq!(rows(&hung), rows(&before), "with its age");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let after = observer.survey(PATIENCE);
        if after.answered {
            assert!(partition(&after, "hung", 0).at >= after.began);
            return;
        }
        assert!(Instant::now() < deadline, "{:?}", after.faults);
    }
}
