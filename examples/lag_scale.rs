//! What one survey costs: 16,000 partitions, 4,000 groups that commit on 40 partitions each.
//!
//! ```text
//! KAFKA_HEAP=3g tests/servers/kafka/start DIR          # prints HOST:PORT; needs about 17,000 open files
//! cargo run --release --example lag_scale -- HOST:PORT [SURVEYS [PAUSE_SECONDS]]
//! ```
//! Makes topics and commits where they are missing (minutes), then surveys: wall and CPU time of each, peak memory.
//! Every committed position is compared with what was written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use streamgauge::broker::Observe as _;
use streamgauge::broker::kafka::{KafkaConfig, KafkaObserve};
use streamgauge::model::{LagSpec, Survey, Timestamp};

#[path = "../tests/support/offsets.rs"]
mod offsets;

const TOPICS: usize = 8_000;
const PARTITIONS: usize = 2;
const GROUPS: usize = 4_000;
/// Topics on which a group commits: 40 partitions.
const OF_GROUP: usize = 20;
/// Topics made with one request.
const TOGETHER: usize = 250;

fn wall() -> Timestamp {
    Timestamp(std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64))
}

/// User and system time of this process in seconds (clock ticks are 10 ms on Linux).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let of = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (of(11) + of(12)) / 100.0
}

fn memory(what: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what));
    line.map_or("?", |line| line.split_whitespace().nth(1).unwrap_or("?")).to_owned()
}

fn topic(number: usize) -> String {
    format!("scale.team-{:02}.topic-{number:05}", number % 40)
}

fn group(number: usize) -> String {
    format!("scale.service-{number:05}")
}

fn next(group: usize, partition: usize) -> u64 {
    (group * 100 + partition) as u64
}

fn topics_of(group: usize) -> impl Iterator<Item = usize> {
    (0..OF_GROUP).map(move |k| (group * OF_GROUP + k * 7) % TOPICS)
}

fn make(address: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address).create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(120)));
    let began = Instant::now();
    let names: Vec<String> = (0..TOPICS).map(topic).collect();
    for names in names.chunks(TOGETHER) {
        let partitions = i32::try_from(PARTITIONS).expect("few");
        let new: Vec<NewTopic<'_>> =
            names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
        for made in runtime.block_on(admin.create_topics(&new, &options)).expect("topics") {
            if let Err((name, code)) = made {
                assert_eq!(code, rdkafka::error::RDKafkaErrorCode::TopicAlreadyExists, "{name}");
            }
        }
    }
    println!("{TOPICS} topics of {PARTITIONS} partitions: {:.1?}", began.elapsed());
    let began = Instant::now();
    let groups: Vec<(String, Vec<(String, offsets::Rows)>)> = (0..GROUPS)
        .map(|number| {
            let rows = |t: usize| -> offsets::Rows {
                (0..PARTITIONS).map(|p| (p as i32, next(number, t * PARTITIONS + p) as i64)).collect()
            };
            (group(number), topics_of(number).map(|t| (topic(t), rows(t))).collect())
        })
        .collect();
    offsets::commit(address, &groups);
    println!("{GROUPS} groups: {:.1?}", began.elapsed());
}

/// Rows that are what was committed, with a begin and both ends.
fn right(survey: &Survey) -> usize {
    let mut right = 0;
    for facts in &survey.groups {
        let Some(number) = facts.name.strip_prefix("scale.service-").and_then(|n| n.parse::<usize>().ok()) else {
            continue;
        };
        for row in facts.committed.iter().flatten() {
            let topic = &survey.topics[row.topic as usize];
            let partition = &topic.partitions[row.partition as usize];
            let known = partition.start.is_some() && partition.stable_end.is_some() && partition.end.is_some();
            let of: Option<usize> = topic.name.rsplit_once('-').and_then(|(_, n)| n.parse().ok());
            let fresh =
                facts.committed_at >= survey.began && partition.at >= survey.began && partition.fault.is_empty();
            let same = of.is_some_and(|t| row.next == next(number, t * PARTITIONS + row.partition as usize));
            right += usize::from(known && fresh && same);
        }
    }
    right
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(address) = arguments.next() else {
        eprintln!("usage: lag_scale HOST:PORT [SURVEYS [PAUSE_SECONDS]]");
        std::process::exit(2);
    };
    let mut number = |or: u64| arguments.next().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (surveys, pause) = (number(6), number(1));
    let config = KafkaConfig { bootstrap_servers: address.clone(), ..KafkaConfig::default() };
    let observer = || KafkaObserve::new(config.clone(), LagSpec::default(), Arc::new(|_: &str| false), wall);
    let first = observer().expect("an observer").survey(Duration::from_secs(60));
    if right(&first) < GROUPS * OF_GROUP * PARTITIONS {
        make(&address);
        println!("made; run it again for figures that do not contain this work");
        return;
    }
    drop(first);
    let mut observer = observer().expect("an observer");
    for round in 1..=surveys {
        let (began, used) = (Instant::now(), cpu());
        let survey = observer.survey(Duration::from_secs(60));
        let (took, used) = (began.elapsed(), cpu() - used);
        let rows: usize = survey.groups.iter().map(|g| g.committed.as_ref().map_or(0, Vec::len)).sum();
        println!(
            "survey {round}: {:.2} s, {used:.2} s CPU, {rows} rows ({} right), {} groups, {} topics, RSS {} KB, peak {} KB, {:?}",
            took.as_secs_f64(),
            right(&survey),
            survey.groups.len(),
            survey.topics.len(),
            memory("VmRSS"),
            memory("VmHWM"),
            survey.faults,
        );
        drop(survey);
        std::thread::sleep(Duration::from_secs(pause));
    }
}
