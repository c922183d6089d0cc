//! Dead letters go back once: the real binary against a real Kafka, killed at random moments.
//!
//! `STREAMGAUGE_KILL_SEED=n` draws other moments. Without the servers the tests say `skipped`.

mod embedded;
#[path = "../support/kafka.rs"]
mod kafka;
mod large;
mod letters;
#[path = "../support/ports.rs"]
mod ports;

/// Where the shared parts look for one another.
mod support {
    pub(crate) use super::ports;
}

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use letters::{CAPPED, Copy, Hand, class_of, is_capped};
use serde_json::Value;

/// Letters of the kill test: what issue 4 promises.
const LETTERS: u64 = 10_000;
/// Longest run of one command.
const PATIENCE: Duration = Duration::from_secs(300);
/// Kills before a run is left to end.
const KILLS: u32 = 12;

/// Moments that are drawn, not chosen: xorshift.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed: u64 = std::env::var("STREAMGAUGE_KILL_SEED").map_or(1, |s| s.parse().expect("a number"));
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

struct World {
    broker: kafka::Broker,
    dir: tempfile::TempDir,
}

impl World {
    fn start() -> Option<Self> {
        match kafka::libs() {
            Ok(libs) => {
                let world = Self { broker: kafka::Broker::start(&libs), dir: tempfile::tempdir().expect("a folder") };
                let data = world.dir.path().join("data");
                let config = format!(
                    "data_dir = {data:?}\nlisten = \"127.0.0.1:1\"\n[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"{}\"\n",
                    world.broker.address
                );
                std::fs::write(world.config(), config).expect("a configuration");
                Some(world)
            }
            Err(why) => {
                println!("1 skipped: {why}");
                None
            }
        }
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("streamgauge.toml")
    }

    fn hand(&self) -> Hand {
        Hand::new(&self.broker.address)
    }

    fn command(&self, stream: &str, more: &[&str]) -> Command {
        command(&self.config(), stream, more)
    }

    /// Runs to the end and returns the report.
    fn redrive(&self, stream: &str, more: &[&str]) -> Value {
        let output = self.command(stream, more).output().expect("the binary");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}\n{err}"))
    }

    /// Runs and kills until a run comes to its end; says how many copies there were after each kill. A kill comes once
    /// a drawn number of records more lies in the target, so that it hits the middle however fast the machine is; now
    /// and then at a drawn moment, so that it hits the beginning, too.
    fn redrive_killed(&self, stream: &str, more: &[&str], moments: &mut Moments) -> Vec<usize> {
        let (mut killed, mut after) = (0, Vec::new());
        let hand = self.hand();
        loop {
            let before = hand.written("orders");
            let mut child =
                self.command(stream, more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary");
            let life = (moments.below(3) == 0).then(|| Duration::from_millis(moments.below(800)));
            let records = before + 1 + moments.below(LETTERS / 10);
            let began = Instant::now();
            let ended = loop {
                if let Some(status) = child.try_wait().expect("a child") {
                    break Some(status);
                }
                let due = life.map_or_else(|| hand.written("orders") >= records, |life| began.elapsed() > life);
                if killed < KILLS && due || began.elapsed() > PATIENCE {
                    break None;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            match ended {
                Some(status) => {
                    assert!(status.success(), "{status}");
                    return after;
                }
                None => {
                    child.kill().expect("SIGKILL");
                    child.wait().expect("its end");
                    assert!(killed < KILLS, "it did not end within {PATIENCE:?}");
                    killed += 1;
                    after.push(self.hand().copies("orders").len());
                }
            }
        }
    }
}

fn command(config: &Path, stream: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgauge"));
    command
        .args(["redrive", "--json", "--include-unknown", "--config"])
        .arg(config)
        .args(["--stream", stream])
        .args(more)
        .env("USER", "ann");
    command
}

fn sent(view: &Value) -> u64 {
    view["sent"].as_object().expect("sent").values().filter_map(Value::as_u64).sum()
}

fn skipped(view: &Value, why: &str) -> u64 {
    view["skipped"][why].as_u64().unwrap_or(0)
}

/// How often each letter's copy lies in the target, by number.
fn arrived(copies: &[Copy]) -> BTreeMap<u64, u32> {
    let mut times = BTreeMap::new();
    copies.iter().for_each(|c| *times.entry(c.number).or_default() += 1);
    times
}

#[test]
fn each_letter_goes_back_once_through_any_kill() {
    let Some(world) = World::start() else { return };
    let (hand, mut moments) = (world.hand(), Moments::new());
    hand.create("orders", 3);
    hand.create("orders.dlq", 3);
    hand.letters("orders.dlq", LETTERS);
    let timeouts =
        (0..LETTERS).filter(|n| class_of(*n).ends_with(".TimeoutException") && !is_capped(*n)).count() as u64;

    let dry = world.redrive("orders.dlq", &["--dry-run", "--error", "TimeoutException"]);
    assert_eq!((sent(&dry), dry["sent"]["orders"].as_u64()), (timeouts, Some(timeouts)), "{dry}");
    assert_eq!(skipped(&dry, "loop cap reached") + skipped(&dry, "not selected") + timeouts, LETTERS);
    assert_eq!(hand.copies("orders").len(), 0, "a dry run sends nothing");

    // A selection first, then what it left.
    let killed = world.redrive_killed("orders.dlq", &["--error", "TimeoutException", "--rate", "1500"], &mut moments);
    let first = arrived(&hand.copies("orders"));
    assert!(
        first.iter().all(|(n, times)| *times == 1 && class_of(*n).ends_with(".TimeoutException")),
        "once, and only those"
    );
    assert_eq!(first.len() as u64, timeouts);
    let more = world.redrive_killed("orders.dlq", &["--rate", "2500"], &mut moments);
    println!("copies after each kill: {killed:?}, {more:?}");
    let within =
        |counts: &[usize], from: usize, to: usize| counts.iter().filter(|n| (from + 1..to).contains(n)).count();
    let (some, all) = (usize::try_from(timeouts).expect("few"), hand.copies("orders").len());
    assert!(within(&killed, 0, some) + within(&more, some, all) >= 4, "the kills must hit in the middle");

    let copies = hand.copies("orders");
    let times = arrived(&copies);
    for n in 0..LETTERS {
        assert_eq!(times.get(&n).copied().unwrap_or(0), u32::from(!is_capped(n)), "letter {n}");
    }
    for copy in &copies {
        assert_eq!(
            (copy.key.as_str(), copy.payload.clone()),
            (letters::key(copy.number).as_str(), letters::payload(copy.number))
        );
        let header = |name: &str| copy.headers.get(name).map(String::as_str);
        assert_eq!((header("x-redrive-count"), header("x-redrive-by")), (Some("1"), Some("ann")));
        assert_eq!(header("x-redrive-error"), Some(class_of(copy.number)));
        assert_eq!(header("x-original-traceparent"), Some(letters::traceparent(copy.number).as_str()));
        assert!(header("traceparent").is_some_and(|t| t.len() == 55 && t != letters::traceparent(copy.number)));
        assert!(!copy.headers.keys().any(|name| name.starts_with("kafka_dlt-")), "{:?}", copy.headers);
    }
    let again = world.redrive("orders.dlq", &[]);
    assert_eq!((sent(&again), skipped(&again, "loop cap reached")), (0, LETTERS / CAPPED), "{again}");
}

#[test]
fn a_letter_that_always_fails_goes_round_as_often_as_is_allowed() {
    let Some(world) = World::start() else { return };
    let hand = world.hand();
    hand.create("orders", 1);
    hand.create("orders.dlq", 1);
    hand.letters("orders.dlq", 9);
    let free = (0..9).filter(|n| !is_capped(*n)).count() as u64;
    // The cap is three: after it, nothing moves any more.
    for round in 1..=5u64 {
        let view = world.redrive("orders.dlq", &["--rate", "1000"]);
        assert_eq!(sent(&view), if round <= 3 { free } else { 0 }, "round {round}: {view}");
        // A consumer that fails: what arrived since goes back to the dead letters, with its headers.
        let all = hand.copies("orders");
        let new = &all[all.len() - usize::try_from(sent(&view)).expect("few")..];
        assert!(new.iter().all(|c| c.headers["x-redrive-count"] == round.to_string()));
        hand.fail_again("orders.dlq", new);
    }
    assert_eq!(hand.copies("orders").len() as u64, 3 * free);

    // The commits of these transactions, as the broker wrote them down and as it answers them.
    let (topic, group) = (hand.offsets_topic(), "streamgauge.redrive.orders.dlq");
    let (next, at) = topic.newest(group, "orders.dlq", 0).expect("our commits are in the topic");
    assert_eq!(i64::try_from(next).ok(), hand.committed(group, "orders.dlq", 0));
    let age = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64() - at.0 as f64 / 1e6;
    assert!((-1.0..2.0 * PATIENCE.as_secs_f64()).contains(&age), "committed {age} s ago");
    assert_eq!((topic.faults, topic.dropped), (0, 0), "every record of the broker's is understood");
    assert!(topic.seen >= 5, "{}", topic.seen);
}
