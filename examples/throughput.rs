//! Events per second and CPU per event through a real Kafka, beside the floor, in one run.
//!
//! ```sh
//! cargo build --release --bin streamgauge --example throughput
//! target/release/examples/throughput --kafka 127.0.0.1:9092 [--events 3000000] [--rounds 3]
//! ```
//!
//! *Floor* (DESIGN promise 4): the same records, librdkafka settings, consume call and header policy,
//! decoded and applied (dedup, table, windows) on one thread, without channel, checkpoint, tick or page.
//! *Product*: the real binary from a fresh data directory until its API says that it has seen them all.
//! Both run as child processes in alternation; CPU is user + system of the whole process, from exec on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use streamgauge::broker::kafka::{KafkaConfig, floor};
use streamgauge::engine::{Engine, EngineConfig};
use streamgauge::model::{Began, FlowSpec, Role, SourceKey, SourceOpen, Timestamp};

const TOPICS: [&str; 2] = ["bench.a", "bench.b"];
const PARTITIONS: i32 = 4;
const STAGES: [&str; 5] = ["placed", "authorized", "reserved", "packed", "shipped"];
/// Event time of the first event; the rate of event time is 10,000 events a second.
const START_MS: i64 = 1_790_000_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut kafka, mut events, mut rounds, mut floor) = (String::new(), 3_000_000u64, 3, false);
    while let Some(arg) = args.next() {
        let mut value = || args.next().expect("a value");
        match arg.as_str() {
            "--kafka" => kafka = value(),
            "--events" => events = value().parse().expect("a number"),
            "--rounds" => rounds = value().parse().expect("a number"),
            "--floor" => floor = true,
            other => panic!("unknown argument {other}"),
        }
    }
    assert!(
        kafka.starts_with("127.") || kafka.starts_with("localhost"),
        "load goes only to this machine: --kafka 127.0.0.1:PORT"
    );
    if floor {
        return run_floor(&kafka, events);
    }
    let records = produce(&kafka, events);
    let truth = Answer { events, duplicates: records - events, started: events / 5 };
    println!(
        "{records} records of {events} events of {} transactions in {} x {PARTITIONS} partitions",
        events / 5,
        TOPICS.len()
    );
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let floor = measure_floor(&kafka, records);
        let product = measure_product(&kafka, records);
        assert_eq!(floor.answer, truth, "the floor's answer");
        assert_eq!(product.answer, truth, "the product's answer");
        let ratio = product.cpu / floor.cpu;
        for (name, m) in [("floor", &floor), ("product", &product)] {
            println!(
                "round {round} {name:8} {:6.2} us CPU/event  {:6.2} s wall  {:8.0} events/s  {:5.0} MB peak",
                m.cpu * 1e6 / records as f64,
                m.wall,
                records as f64 / m.wall,
                m.peak_mb
            );
        }
        println!("round {round} ratio {ratio:.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio min {:.2} median {:.2} max {:.2}", ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
}

struct Measured {
    cpu: f64,
    wall: f64,
    peak_mb: f64,
    answer: Answer,
}

/// What both must say in the end: speed counts only where the numbers are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answer {
    events: u64,
    duplicates: u64,
    started: u64,
}

/// user + system seconds of a live process; the clock tick of Linux is 1/100 s on every common build.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    (fields[11].parse::<f64>().expect("utime") + fields[12].parse::<f64>().expect("stime")) / 100.0
}

fn peak_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|v| v.parse::<f64>().ok()).expect("a number") / 1024.0
}

/// Stops the child when the measurement ends, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn measure_floor(kafka: &str, records: u64) -> Measured {
    let began = Instant::now();
    let me = std::env::current_exe().expect("this program");
    let mut child = Running(
        Command::new(me)
            .args(["--floor", "--kafka", kafka, "--events", &records.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the floor starts"),
    );
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    assert_eq!(line(), records.to_string(), "the floor saw every record");
    let (wall, pid) = (began.elapsed().as_secs_f64(), child.0.id());
    let (cpu, peak_mb) = (cpu_seconds(pid), peak_mb(pid));
    drop(child.0.stdin.take()); // measured; now it may say what it counted
    let said: Vec<u64> = line().split(' ').map(|n| n.parse().expect("a number")).collect();
    Measured { cpu, wall, peak_mb, answer: Answer { events: said[0], duplicates: said[1], started: said[2] } }
}

fn measure_product(kafka: &str, records: u64) -> Measured {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("bench.toml");
    let streams: String = TOPICS
        .iter()
        .map(|t| format!("[[stream]]\ncluster = \"main\"\nname = \"{t}\"\nstart = \"earliest\"\nformat = \"event\"\n"))
        .collect();
    let text = format!(
        "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"{kafka}\"\n{streams}[[flow]]\nname = \"checkout\"\nends_at = [\"shipped\"]\n"
    );
    std::fs::write(&config, text).expect("written");
    let began = Instant::now();
    let mut child = Running(
        Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the product starts"),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim().rsplit("http://").next().expect("a URL").trim_end_matches('/').to_owned();
    let deadline = Instant::now() + Duration::from_secs(180);
    let wall = loop {
        assert!(Instant::now() < deadline, "not done after 180 s: {} records", records_seen(&address));
        if records_seen(&address) >= records {
            break began.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let pid = child.0.id();
    let (cpu, peak_mb) = (cpu_seconds(pid), peak_mb(pid));
    let totals = get(&address, "/api/v1/flows");
    let one = |name| numbers(&totals, name).next().expect("a total of the one flow");
    let answer = Answer { events: one("events"), duplicates: one("duplicates"), started: one("started") };
    Measured { cpu, wall, peak_mb, answer }
}

/// Records that the product has read, by its own positions.
fn records_seen(address: &str) -> u64 {
    numbers(&get(address, "/api/v1/sources"), "next").sum()
}

fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("connected");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("asked");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("answered");
    text
}

/// The values of a numeric field in the order of the text.
fn numbers(json: &str, field: &str) -> impl Iterator<Item = u64> {
    let mark = format!("\"{field}\":");
    let values = json.split(&mark).skip(1).filter_map(|t| t.split([',', '}']).next()?.parse().ok());
    values.collect::<Vec<_>>().into_iter()
}

/// The product's binary, built with the same profile as this program.
fn binary() -> PathBuf {
    let me = std::env::current_exe().expect("this program");
    let path = me.parent().and_then(|p| p.parent()).expect("target/PROFILE/examples").join("streamgauge");
    assert!(path.exists(), "{}: build the binary with the same profile first", path.display());
    path
}

/// Fills the topics unless they are full already; returns the number of records.
fn produce(kafka: &str, events: u64) -> u64 {
    let copies = events / 200; // 0.5 % of the events are written twice
    let records = events + copies;
    let config = |key: &str, value: &str, c: &mut ClientConfig| {
        c.set(key, value);
    };
    let mut client = ClientConfig::new();
    for (k, v) in [
        ("bootstrap.servers", kafka),
        ("linger.ms", "20"),
        ("batch.num.messages", "10000"),
        ("queue.buffering.max.messages", "500000"),
        ("acks", "1"),
    ] {
        config(k, v, &mut client);
    }
    let admin: AdminClient<_> = client.create().expect("an admin client");
    let producer: BaseProducer = client.create().expect("a producer");
    let held = |topic: &str| -> i64 {
        (0..PARTITIONS)
            .filter_map(|p| producer.client().fetch_watermarks(topic, p, Duration::from_secs(5)).ok())
            .map(|(low, high)| high - low)
            .sum()
    };
    let have: i64 = TOPICS.iter().map(|t| held(t)).sum();
    if have as u64 == records {
        return records;
    }
    assert!(have <= 0, "the topics hold {have} records of another run: use a fresh broker");
    // The records are backdated: a broker with its default retention would delete them between two rounds.
    let topic = |t| NewTopic::new(t, PARTITIONS, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let topics: Vec<_> = TOPICS.map(topic).into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for made in runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).expect("an answer") {
        made.expect("a topic");
    }
    for n in 0..events {
        send(&producer, n);
        if n % 200 == 199 {
            send(&producer, n - 100); // the copy
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all acknowledged");
    records
}

/// Event `n`: transaction `n / 5` in waves of 2,000, so that the stages of one transaction are 1 s apart.
fn send(producer: &BaseProducer, n: u64) {
    let (wave, within) = (n / 10_000, n % 10_000);
    let (stage, lane) = ((within / 2_000) as usize, within % 2_000);
    let transaction = wave * 2_000 + lane;
    let millis = START_MS + (n / 10) as i64;
    let payload = format!(
        r#"{{"id":"{n:016x}","transaction_id":"tx-{transaction:08}","flow":"checkout","stage":"{}","status":"ok","event_time":{millis},"service":"shop-{}","traceparent":"00-{:032x}-{:016x}-01","attributes":{{"amount":"12.50"}}}}"#,
        STAGES[stage],
        lane % 7,
        u128::from(transaction) + 1,
        n + 1
    );
    let key = format!("tx-{transaction:08}");
    let mut record = BaseRecord::to(TOPICS[usize::from(stage >= 3)]).key(&key).payload(&payload).timestamp(millis);
    while let Err((error, again)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
        producer.poll(Duration::from_millis(10));
        record = again;
    }
    if n.is_multiple_of(1_000) {
        producer.poll(Duration::ZERO);
    }
}

/// Reads, decodes and applies on this one thread; prints the number of records and waits to be killed.
fn run_floor(kafka: &str, records: u64) {
    let mut engine = Engine::new(EngineConfig {
        flows: vec![FlowSpec { name: "checkout".into(), ends_at: vec!["shipped".into()], ..FlowSpec::default() }],
        ..EngineConfig::default()
    });
    for topic in TOPICS {
        for partition in 0..PARTITIONS as u32 {
            let source = SourceKey { cluster: "main".into(), stream: topic.into(), generation: 0, partition };
            engine.open(&SourceOpen {
                source: Arc::new(source),
                incarnation: "floor".into(),
                next: 0,
                log_start: 0,
                began: Began::Beginning,
                role: Role::Events,
                append_time: false,
                at: Timestamp::from_millis(START_MS),
            });
        }
    }
    let config = KafkaConfig { bootstrap_servers: kafka.into(), ..KafkaConfig::default() };
    let seen =
        floor::read_all(&config, &TOPICS, PARTITIONS, records, |batch| engine.apply(batch)).expect("all records");
    println!("{seen}");
    // Measured meanwhile; the end of the input asks for the answer.
    let _end = std::io::stdin().read_line(&mut String::new());
    let snapshot = engine.tick(Timestamp::from_millis(START_MS));
    let totals = &snapshot.flows[0].totals;
    println!("{} {} {}", totals.events, totals.duplicates, totals.started);
}
