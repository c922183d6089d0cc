//! What is known of groups beside surveys: commits as Kafka's own log of them says, lag events, and the record at
//! which a group stands.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use streamgauge::broker::Tail as _;
use streamgauge::broker::kafka::{KafkaConfig, KafkaTail};
use streamgauge::decode::OffsetsTopic;
use streamgauge::model::SeenCommit;

use super::Test;
use super::groups::delete_group;
use super::http;
use super::kafka::Broker;
use super::offsets::commit_one;
use super::process::{Server, until};
use super::rig::{Hand, PATIENCE, wall};

pub const TESTS: &[(&str, Test)] = &[
    ("pushed_commits_are_exact_and_leave_out_what_was_aborted", pushed),
    ("pushed_commits_lag_events_and_a_peek_where_a_group_stands", shown),
];

/// A reader with the state that it led to, and all that it saw.
struct Watch {
    tail: KafkaTail,
    topic: OffsetsTopic,
    seen: Vec<SeenCommit>,
}

impl Watch {
    /// Reads until the newest commit of a group on partition 0 of its topic is as wanted.
    fn until(&mut self, group: &str, topic: &str, wanted: Option<u64>) {
        let deadline = Instant::now() + PATIENCE;
        while self.topic.newest(group, topic, 0).map(|(next, _)| next) != wanted {
            assert!(Instant::now() < deadline, "{group} is not at {wanted:?}: {:?}", self.seen);
            let Self { tail, topic, seen } = self;
            let read = tail.read(Duration::from_millis(200), &mut |record| {
                seen.extend(topic.apply(record.key, record.value, record.time));
            });
            read.expect("it may be read");
        }
    }
}

fn pushed(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("pushed", 2);
    commit_one(&broker.address, "pushed-group", "pushed", &[(0, 3)]);
    let config = KafkaConfig { bootstrap_servers: broker.address.clone(), ..KafkaConfig::default() };
    let tail = KafkaTail::new(config).unwrap();
    let mut watch = Watch { tail, topic: OffsetsTopic::new(100_000), seen: Vec::new() };
    watch.until("pushed-group", "pushed", Some(3));
    let began = wall();
    commit_one(&broker.address, "pushed-group", "pushed", &[(0, 7)]);
    watch.until("pushed-group", "pushed", Some(7));
    let (_, at) = watch.topic.newest("pushed-group", "pushed", 0).unwrap();
    assert!(at.since(began) >= -1_000 && wall().since(at) >= 0, "committed at {at:?}, between {began:?} and now");

    // What a transaction commits counts once it is committed.
    let producer = hand.producer(&[("transactional.id", "pushed-transactions")]);
    producer.init_transactions(PATIENCE).unwrap();
    let member: rdkafka::consumer::BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", "pushed-group")
        .create()
        .unwrap();
    let metadata = member.group_metadata().unwrap();
    for (next, commits) in [(50, false), (9, true)] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("pushed", 0, Offset::Offset(next)).unwrap();
        producer.begin_transaction().unwrap();
        producer.send_offsets_to_transaction(&list, &metadata, PATIENCE).unwrap();
        if commits { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) }.unwrap();
    }
    watch.until("pushed-group", "pushed", Some(9));
    let of = |c: &&SeenCommit| &*c.group == "pushed-group" && c.partition == 0;
    let nexts: Vec<_> = watch.seen.iter().filter(of).map(|c| c.next).collect();
    assert_eq!(nexts, [Some(3), Some(7), Some(9)], "50 was aborted");

    delete_group(&broker.address, "pushed-group");
    watch.until("pushed-group", "pushed", None);
    assert_eq!(watch.seen.iter().rfind(of).map(|c| c.next), Some(None), "a tombstone");
    assert_eq!(watch.topic.faults, 0, "all of it is understood");
}

fn shown(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("stands", 1);
    hand.create("told", 1);
    hand.send("stands", Some(0), 10);
    commit_one(&broker.address, "standing", "stands", &[(0, 4)]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("streamgauge.toml");
    let config = format!(
        "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"{}\"\n\
         [[stream]]\nname = \"told\"\nrole = \"lag\"\n[lag]\ninterval = \"1s\"\noffsets_topic = true\n[dlq]\npeek = true\n",
        broker.address
    );
    std::fs::write(&file, config).unwrap();
    let server = Server::start(&["serve", "--config", file.to_str().unwrap()], &dir.path().join("data"));
    let row = || {
        let answer = server.get("/api/v1/groups/main/standing");
        (answer.status == 200).then(|| answer.json()["data"]["partitions"][0].clone())
    };
    until("the commit from before", PATIENCE, || (row()?["last_commit"]["position"] == 4).then_some(()));
    commit_one(&broker.address, "standing", "stands", &[(0, 5)]);
    let now = until("the commit of now", PATIENCE, || row().filter(|r| r["last_commit"]["position"] == 5));
    assert!(now["last_commit"]["at"].is_string() && now["told"].is_null(), "{now}");
    let up = "streamgauge_offsets_topic_reading{cluster_name=\"main\"} 1";
    let agrees = "streamgauge_offsets_topic_disagreements{cluster_name=\"main\"} 0";
    let page = server.get("/metrics").text();
    assert!(page.contains(up) && page.contains(agrees), "{page}");

    // A lag event stands beside what was polled, with its own age.
    let told = r#"{"type":"lag","cluster":"main","group":"standing","stream":"stands","partition":0,"committed":2,
        "end":9,"pending":3,"oldest_pending_seconds":1.5,"at":"2026-01-02T03:04:05Z"}"#;
    let producer = hand.producer(&[]);
    let recent = told.replace("2026-01-02T03:04:05Z", &jiff::Timestamp::now().to_string());
    for payload in ["not a lag event", recent.as_str()] {
        producer.send(BaseRecord::<(), str>::to("told").payload(payload)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let beside = until("the lag event", PATIENCE, || row().filter(|r| !r["told"].is_null()));
    assert_eq!((&beside["told"]["pending"], &beside["told"]["committed"]), (&3.into(), &2.into()), "{beside}");
    assert_eq!(
        (&beside["committed"], &beside["lag_messages"]),
        (&5.into(), &5.into()),
        "polled stays polled: {beside}"
    );
    assert!(beside["told"]["at"].is_string());

    // Where it stands, the record can be looked at: that one, and no other.
    let here = "/peek?cluster=main&amp;stream=stands&amp;partition=0&amp;position=5";
    let consumer = until("the link beside the partition", PATIENCE, || {
        let page = server.get("/consumers/main/standing").text();
        (page.contains(here) || page.contains(&here.replace("&amp;", "&#38;"))).then_some(page)
    });
    assert!(consumer.contains("3 pending"), "what was told is on the page");
    let asked = |position: u32| format!("cluster=main&stream=stands&partition=0&position={position}");
    let form = server.get(&format!("/peek?{}", asked(5)));
    let cookie = form.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let text = form.text();
    let token = text.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let look = |position| {
        let body = format!("{}&token={token}", asked(position));
        http::request(&server.address, "POST", "/peek", &[("Cookie", &cookie)], body.as_bytes()).unwrap()
    };
    let shown = look(5);
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert!(shown.text().contains("stands-Some(0)-5"), "{}", shown.text());
    let other = look(6);
    assert!(other.status == 403 && other.text().contains("no group stands"), "{} {}", other.status, other.text());
}
