//! The same on the embedded log, which the command opens itself: no server runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use streamgauge::broker::NewRecord;
use streamgauge::broker::embedded::{EmbeddedLog, LogOptions};
use streamgauge::model::Timestamp;

use super::letters::{CAPPED, class_of, is_capped, key, payload};
use super::{Moments, command, sent, skipped};

/// Letters of this test.
const LETTERS: u64 = 3_000;
/// Letters per second: the whole takes longer than the kills.
const RATE: &str = "1500";
/// Kills before a run is left to end.
const KILLS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    Timestamp(i64::try_from(since.as_micros()).expect("not that far"))
}

fn open(dir: &Path) -> EmbeddedLog {
    EmbeddedLog::open(&dir.join("data/log"), LogOptions::default(), now).expect("the log")
}

fn letter(number: u64) -> NewRecord {
    let redrives = if is_capped(number) { "3" } else { "0" };
    let headers = [
        ("kafka_dlt-original-topic", "orders"),
        ("kafka_dlt-exception-cause-fqcn", class_of(number)),
        ("x-redrive-count", redrives),
    ];
    NewRecord {
        key: Some(key(number).into_bytes()),
        payload: Some(payload(number)),
        headers: headers.map(|(name, value)| (name.to_owned(), value.into())).into(),
        record_time: None,
    }
}

/// How often each letter's copy lies in the target, by number; every copy says that it is one.
fn arrived(dir: &Path) -> BTreeMap<u64, u32> {
    let log = open(dir);
    let mut observer = log.observer();
    let survey = observer.survey(PATIENCE);
    let target = survey.topics.iter().find(|topic| &*topic.name == "orders").expect("the target");
    let mut times = BTreeMap::new();
    for partition in 0..u32::try_from(target.partitions.len()).expect("few") {
        let mut from = 0;
        loop {
            let stretch = observer.records("orders", partition, from, 500, 1 << 20, PATIENCE).expect("records");
            for record in &stretch.records {
                let json: Value = serde_json::from_slice(record.payload.as_ref().expect("a payload")).expect("JSON");
                let number = json["id"].as_str().and_then(|id| id[1..].parse().ok()).expect("an id");
                let count = record.headers.iter().find(|(name, _)| name == b"x-redrive-count");
                assert_eq!(count.and_then(|(_, value)| value.as_deref()), Some(b"1".as_slice()), "letter {number}");
                *times.entry(number).or_default() += 1;
            }
            if stretch.at_end {
                break;
            }
            assert!(stretch.next > from, "it goes on");
            from = stretch.next;
        }
    }
    times
}

fn run(config: &Path, more: &[&str]) -> Value {
    let output = command(config, "orders.dlq", more).output().expect("the binary");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}\n{err}"))
}

/// Runs and kills until a run comes to its end; how many copies there were after each kill.
fn run_killed(dir: &Path, config: &Path, moments: &mut Moments) -> Vec<usize> {
    let mut after = Vec::new();
    loop {
        let mut quiet = command(config, "orders.dlq", &["--rate", RATE]);
        let mut child = quiet.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary");
        let life = Duration::from_millis(300 + moments.below(600));
        let (began, patience) = (Instant::now(), if after.len() < KILLS { life } else { PATIENCE });
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                assert!(status.success(), "{status}");
                return after;
            }
            if began.elapsed() > patience {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
        assert!(after.len() < KILLS, "it did not end within {PATIENCE:?}");
        after.push(arrived(dir).len());
    }
}

#[test]
fn each_letter_of_the_embedded_log_goes_back_once_through_any_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let config: PathBuf = dir.join("streamgauge.toml");
    let text = format!(
        "data_dir = {:?}\nlisten = \"127.0.0.1:1\"\n[[cluster]]\nname = \"own\"\nkind = \"embedded\"\n",
        dir.join("data")
    );
    std::fs::write(&config, text).expect("a configuration");
    {
        let log = open(dir);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            log.writer().append("orders", Vec::new()).await.expect("the target");
            log.writer().append("orders.dlq", (0..LETTERS).map(letter).collect()).await.expect("the letters");
        });
    }
    let capped = LETTERS / CAPPED;
    let dry = run(&config, &["--dry-run"]);
    assert_eq!((sent(&dry), skipped(&dry, "loop cap reached")), (LETTERS - capped, capped), "{dry}");
    assert!(arrived(dir).is_empty(), "a dry run sends nothing");

    let after = run_killed(dir, &config, &mut Moments::new());
    println!("copies after each kill: {after:?}");
    assert!(after.iter().any(|n| (1..usize::try_from(LETTERS - capped).expect("few")).contains(n)), "{after:?}");
    let times = arrived(dir);
    for number in 0..LETTERS {
        assert_eq!(times.get(&number).copied().unwrap_or(0), u32::from(!is_capped(number)), "letter {number}");
    }
    let again = run(&config, &[]);
    assert_eq!((sent(&again), skipped(&again, "loop cap reached")), (0, capped), "{again}");
}
