//! Promise 5: it disturbs nothing. The real binary reads a real Kafka through a relay that notes every request.
//!
//! Kafka's own tools say afterwards that no group, no commit and no topic of ours is there; the relay says that nothing
//! but reading and describing was asked for, and that no page and no scrape asked the broker for anything.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::Test;
use super::http;
use super::kafka::Broker;
use super::process::{Server, until};
use super::rig::{Hand, PATIENCE};

pub const TESTS: &[(&str, Test)] = &[("it_disturbs_nothing", disturbs_nothing)];

/// What an observer may ask for, by the protocol's numbers. `FindCoordinator` is the client library's, which asks
/// who would coordinate a group that nobody joins (docs/adr/006).
const HARMLESS: [(i16, &str); 13] = [
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (9, "OffsetFetch"),
    (10, "FindCoordinator"),
    (15, "DescribeGroups"),
    (16, "ListGroups"),
    (18, "ApiVersions"),
    (23, "OffsetForLeaderEpoch"),
    (32, "DescribeConfigs"),
    (60, "DescribeCluster"),
    (69, "ConsumerGroupDescribe"),
    (75, "DescribeTopicPartitions"),
];
/// How long requests are counted, twice: with nobody looking, and with everybody. Longer than any period of the reader.
const INTERVAL: Duration = Duration::from_secs(12);
/// Pages and scrapes in the second interval.
const LOOKS: usize = 400;

type Seen = Arc<Mutex<BTreeMap<i16, usize>>>;

/// Passes everything on between the clients of `broker.relay` and the broker, and counts requests by their number.
fn relay(broker: &Broker) -> Seen {
    let (seen, target) = (Seen::default(), broker.watched.clone());
    let listener = TcpListener::bind(&broker.relay).expect("the relay's port is free");
    let kept = Arc::clone(&seen);
    // Both ends of a connection end with either; the listener ends with the process.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let kept = Arc::clone(&kept);
            thread::spawn(move || requests(client, server, &kept));
            thread::spawn(move || {
                let _gone = std::io::copy(&mut answers, &mut back);
                let _gone = back.shutdown(Shutdown::Both);
            });
        }
    });
    seen
}

/// Requests begin with their length and their number.
fn requests(mut client: TcpStream, mut server: TcpStream, seen: &Seen) {
    let mut frame = Vec::new();
    let mut size = [0; 4];
    while client.read_exact(&mut size).is_ok() {
        frame.resize(usize::try_from(u32::from_be_bytes(size)).unwrap(), 0);
        if client.read_exact(&mut frame).is_err() {
            break;
        }
        *seen.lock().unwrap().entry(i16::from_be_bytes([frame[0], frame[1]])).or_default() += 1;
        if server.write_all(&size).and_then(|()| server.write_all(&frame)).is_err() {
            break;
        }
    }
    let _gone = server.shutdown(Shutdown::Both);
}

/// A group of the user's, with a commit: what it must look like afterwards too, and proof that the tool lists groups.
fn a_group_of_the_users(broker: &Broker, topic: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.address).set("group.id", "shop-workers").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(topic, 0, Offset::Offset(17)).unwrap();
    consumer.commit(&at, CommitMode::Sync).unwrap();
}

/// What the broker's own tools say: groups, the group's offsets, commits ever made, topics.
fn state_of(broker: &Broker) -> [String; 4] {
    let at = ["--bootstrap-server", broker.address.as_str()];
    let groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    [
        broker.tool(groups, &[&at, ["--list"].as_slice()].concat()),
        broker.tool(groups, &[&at, ["--describe", "--group", "shop-workers"].as_slice()].concat()),
        format!("{:?}", broker.ends("__consumer_offsets")),
        broker.tool("org.apache.kafka.tools.TopicCommand", &[&at, ["--list"].as_slice()].concat()),
    ]
}

fn caught_up(server: &Server) {
    until("caught up", PATIENCE, || (server.get("/readyz?caught_up").status == 200).then_some(()));
}

fn disturbs_nothing(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("undisturbed", 3);
    hand.send("undisturbed", None, 3_000);
    a_group_of_the_users(broker, "undisturbed");
    let before = state_of(broker);
    assert!(before[0].contains("shop-workers") && before[1].contains("undisturbed"), "{before:?}");

    let seen = relay(broker);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("streamgauge.toml");
    let text = format!(
        "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"{}\"\n\
         [[stream]]\ncluster = \"main\"\npattern = \"^undisturbed\"\nstart = \"earliest\"\n",
        broker.relay
    );
    std::fs::write(&file, text).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let server = Server::start(&arguments, &dir.path().join("data"));
    caught_up(&server);
    server.kill();
    let server = Server::start(&arguments, &dir.path().join("data"));
    caught_up(&server);
    let answer = server.get("/api/v1/flows/default");
    let events = (answer.status == 200).then(|| answer.json()["data"]["totals"]["events"].as_u64()).flatten();
    let rest = || [answer.text(), server.get("/readyz").text(), server.get("/api/v1/flows").text(), server.log()];
    assert_eq!(events, Some(3_000), "read once, and gone on from our own positions: {:?}", rest());

    // Requests of the reader's own come in bursts, of which an interval may meet one more: a page that asked for
    // something would do so every time.
    let looks = (0..3).any(|_| looks_ask_for_nothing(&server, &seen));
    assert!(looks, "more requests while somebody looks, three times");

    let (status, _) = server.terminate();
    assert!(status.success(), "{status}");
    let asked = seen.lock().unwrap().clone();
    println!("    asked for, by number: {asked:?}");
    let more: Vec<i16> = asked.keys().copied().filter(|key| !HARMLESS.iter().any(|(of, _)| of == key)).collect();
    assert!(more.is_empty(), "requests that do more than read and describe: {more:?}");
    assert_eq!(state_of(broker), before, "groups, offsets, commits, topics");
}

/// Counts requests with nobody looking and with many looks; true where there are as many.
fn looks_ask_for_nothing(server: &Server, seen: &Seen) -> bool {
    let count = || seen.lock().unwrap().values().sum::<usize>();
    let (begin, began) = (count(), Instant::now());
    thread::sleep(INTERVAL);
    let (nobody, rested) = (count() - begin, began.elapsed());
    let (begin, began) = (count(), Instant::now());
    let pages =
        ["/", "/flows/default", "/status", "/consumers", "/consumers/main/shop-workers", "/dlq", "/transactions"];
    let data = ["/api/v1/sources", "/api/v1/streams", "/api/v1/groups", "/api/v1/dlq", "/metrics", "/readyz"];
    let paths: Vec<_> = pages.iter().chain(&data).collect();
    for n in 0..LOOKS {
        let path = paths[n % paths.len()];
        assert_eq!(http::get(&server.address, path).status, 200, "{path}");
        thread::sleep((INTERVAL * u32::try_from(n).unwrap() / LOOKS as u32).saturating_sub(began.elapsed()));
    }
    thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
    let (everybody, took) = (count() - begin, began.elapsed());
    println!(
        "    requests in {INTERVAL:?}: {nobody} with nobody looking, {everybody} with {LOOKS} looks in {took:.1?}"
    );
    assert!(nobody > 0, "the relay sees requests");
    let scaled = nobody as f64 * took.as_secs_f64() / rested.as_secs_f64();
    everybody as f64 <= scaled * 1.2 + 10.0
}
