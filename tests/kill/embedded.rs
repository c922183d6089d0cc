//! The embedded log: what was acknowledged survives, and is counted once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use streamgauge::broker::embedded::{EmbeddedLog, LogOptions};
use streamgauge::model::{Began, FlowSpec, Kind, Outcome, Role, Status, Timestamp};

use crate::lives::{Address, Lives, PATIENCE};
use crate::scrape::{Scraper, promtool};
use crate::support::http;
use crate::support::oracle::Oracle;
use crate::support::process::until;
use crate::support::record::{Record, Seen, source};
use crate::support::rng::Rng;
use crate::support::wire;
use crate::verdict;
use crate::world::{self, Course};

/// Events that are drawn; a few of them are none that can be posted.
const EVENTS: usize = 1_150_000;
/// Seconds of event time that are written in a fraction of that.
const SPAN: i64 = 600;
/// Record times are those of writing: what is to time out within the test has this long.
const TIMEOUT: Duration = Duration::from_secs(6);
const KILLS: usize = 32;
/// Events per request, drawn up to it.
const BATCH: u64 = 1_000;
/// Events per second at most, so that the kills find something under way.
const RATE: u64 = 16_000;
const STREAM: &str = "posts";
/// Requests after which new segments are linked: far fewer than it takes until one of them expires.
const LINK_EVERY: u64 = 50;

/// The whole test.
pub fn run(seed: u64) {
    let began = Instant::now();
    let (flows, events) = events(seed);
    let total = events.len() as u64;
    assert!(total >= 1_000_000, "{total} events");
    let dir = tempfile::tempdir().expect("a directory");
    let mut lives = Lives::begin(dir.path(), &config(&flows), seed);
    let scraper = Scraper::start(lives.address.clone());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let events = Arc::new(events);
    let writer = {
        let (address, events, acknowledged) = (lives.address.clone(), Arc::clone(&events), Arc::clone(&acknowledged));
        let kept = Kept { of: dir.path().join("data").join("log").join(STREAM), dir: dir.path().join("kept") };
        std::thread::spawn(move || write(&address, &events, &acknowledged, &kept, seed))
    };
    lives.kill_at_any_moment(KILLS, total, &|| acknowledged.load(Ordering::Relaxed), false);
    let (repeated, refused) = writer.join().expect("the writer");
    let last_deadline = world::wall().plus(i64::try_from(TIMEOUT.as_micros()).expect("seconds"));
    lives.until_settled(last_deadline.plus(12_000_000).0);

    let shown = verdict::Shown::take(&lives);
    let (kills, slowest) = (lives.kills, lives.slowest_start);
    let report = scraper.stop();
    lives.terminate();
    let seen = read_back(&dir.path().join("kept"));
    let copies = check_log(&seen, &events);
    let seen = [seen];
    let oracle = Oracle::new(&flows, &seen, 3_600);
    let mut found = shown.compare(&oracle);
    found.extend(report.complaints);
    println!(
        "embedded: {total} events in {} records ({copies} copies), {kills} kills, {repeated} requests repeated, \
         {refused} malformed ones refused, slowest start {slowest:.1?}, {} scrapes of {} series, {:.0?}",
        seen[0].records.len(),
        report.scrapes,
        report.series,
        began.elapsed()
    );
    assert!(found.is_empty(), "seed {seed}, {} differences:\n{}", found.len(), verdict::brief(&found));
    promtool(&report.page);
}

/// The flows and what is posted, in order; known copies are among it.
fn events(seed: u64) -> (Vec<FlowSpec>, Vec<Record>) {
    let wanted = world::Wanted { events: EVENTS, span: SPAN, skew: false, partitions: 1 };
    let mut world = world::draw(seed, &wanted);
    world::bring(&mut world, &Course { past: SPAN, present: world::wall(), faster: 1 });
    let flows = world::with_timeout(&world.flows, TIMEOUT);
    let order = world::in_order(&world.partitions);
    let mut events = Vec::new();
    let mut times = HashMap::new();
    for (n, (p, i)) in order.into_iter().enumerate() {
        let partition = &mut world.partitions[p];
        let mut record = std::mem::take(&mut partition.records[i]);
        if record.kind != Kind::Event || partition.role == Role::Dlq {
            continue; // what is posted is an event, and goes to the stream of events
        }
        if record.id.is_empty() {
            record.id = format!("n-{n}");
        }
        // The server would set an absent time to that of arrival; copies of an event have its time.
        let absent = times.entry(record.id.clone()).or_insert(record.record_time);
        record.event_time = record.event_time.or(*absent);
        events.push(Record { record_time: None, ..record });
    }
    (flows, events)
}

fn config(flows: &[FlowSpec]) -> String {
    let mut out = "[[cluster]]\nname = \"main\"\nkind = \"embedded\"\n\n".to_owned();
    out += &format!("[publish]\ncluster = \"main\"\nstream = \"{STREAM}\"\n\n");
    world::stream_toml(&mut out, STREAM, Role::Events);
    world::flows_toml(&mut out, flows);
    out
}

/// Posts everything in order; what was not acknowledged is posted again, as it is. Hands out how often
/// that happened, and how many malformed requests were refused.
fn write(address: &Address, events: &[Record], acknowledged: &AtomicU64, kept: &Kept, seed: u64) -> (u64, u64) {
    let (mut rng, began) = (Rng::new(seed), Instant::now());
    let (mut repeated, mut refused, mut sent, mut requests) = (0, 0, 0, 0);
    while sent < events.len() {
        let batch = &events[sent..events.len().min(sent + 1 + rng.below(BATCH) as usize)];
        let mut body = Vec::new();
        for event in batch {
            body.extend(wire::payload(event).expect("an event"));
            body.push(b'\n');
        }
        if rng.chance(0.05) {
            // One bad line spoils its request: none of it may be counted, so it may be posted before the good one.
            let bad = [&body[..], b"{\"flow\": \n"].concat();
            refused += u64::from(post(address, &bad).is_some_and(|status| {
                assert!((400..500).contains(&status), "a malformed request is answered with {status}");
                true
            }));
        }
        until("an acknowledgement", PATIENCE, || match post(address, &body) {
            Some(202) => Some(()),
            Some(status @ 400..500) => panic!("refused with {status}"),
            _ => {
                repeated += 1;
                None
            }
        });
        sent += batch.len();
        requests += 1;
        if requests % LINK_EVERY == 0 || sent == events.len() {
            kept.link();
        }
        acknowledged.store(sent as u64, Ordering::Relaxed);
        let due = Duration::from_micros(sent as u64 * 1_000_000 / RATE);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    (repeated, refused)
}

/// The status of the answer; `None`: nobody answered, or not to the end.
fn post(address: &Address, body: &[u8]) -> Option<u16> {
    let headers = [("Content-Type", "application/x-ndjson")];
    http::request(&address.get()?, "POST", "/transactions", &headers, body).ok().map(|answer| answer.status)
}

/// The log with all that ever lay in it: the server's own begins to expire before a million events are written.
struct Kept {
    /// Directory of the server's stream.
    of: PathBuf,
    /// A log whose segments are other names of the same files.
    dir: PathBuf,
}

impl Kept {
    /// Gives new segments their second name.
    fn link(&self) {
        let to = self.dir.join(STREAM);
        std::fs::create_dir_all(&to).expect("a directory");
        for entry in std::fs::read_dir(&self.of).expect("the stream").map(|e| e.expect("an entry")) {
            let name = to.join(entry.file_name());
            if !name.exists() {
                std::fs::hard_link(entry.path(), name).expect("linked");
            }
        }
    }
}

/// Everything that lies in a log.
fn read_back(dir: &Path) -> Seen {
    let options = LogOptions { retain_bytes: u64::MAX, ..LogOptions::default() };
    let log = EmbeddedLog::open(dir, options, world::wall).expect("the log");
    let mut records = log.inspector().sample(STREAM, usize::MAX, PATIENCE).expect("records");
    records.sort_by_key(|r| r.at.2);
    let records = records.iter().map(|raw| {
        let event: Value = serde_json::from_slice(raw.payload.as_ref().expect("a payload")).expect("JSON");
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| {
            let parsed = event[name].as_str()?.parse::<jiff::Timestamp>().expect("RFC 3339");
            Some(Timestamp(parsed.as_microsecond()))
        };
        Record {
            position: raw.at.2,
            record_time: raw.record_time,
            event_time: time("event_time"),
            started_at: time("started_at"),
            id: text("id"),
            transaction: text("transaction_id"),
            flow: text("flow"),
            stage: text("stage"),
            status: *Status::ALL.iter().find(|s| s.name() == event["status"]).expect("a status"),
            outcome: Outcome::ALL.into_iter().find(|o| o.name() == event["outcome"]),
            ..Record::default()
        }
    });
    Seen {
        key: source(STREAM, 0, 0),
        role: Role::Events,
        append_time: true,
        began: Began::Beginning,
        records: records.collect(),
        gaps: Vec::new(),
    }
}

/// Everything that was acknowledged lies in the log as it was posted, in order; nothing else does. Hands out
/// the number of copies.
fn check_log(seen: &Seen, events: &[Record]) -> usize {
    let bare = |r: &Record| Record { record_time: None, visible: Timestamp(0), position: 0, ..r.clone() };
    let mut posted: HashMap<&str, &Record> = HashMap::new();
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        posted.insert(&event.id, event);
        *wanted.entry(&event.id).or_default() += 1;
    }
    for record in &seen.records {
        let known = posted.get(record.id.as_str()).unwrap_or_else(|| panic!("nobody posted {record:?}"));
        assert_eq!(bare(record), bare(known));
        if let Some(left) = wanted.get_mut(record.id.as_str()) {
            *left = left.saturating_sub(1);
        }
    }
    let lost: Vec<_> = wanted.iter().filter(|(_, left)| **left > 0).take(5).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the log: {lost:?}");
    seen.records.len() - posted.len()
}
