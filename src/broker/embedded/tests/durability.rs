//! What a dying process, a torn write, a flipped bit or a full disk may do to the log, and what they may not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;
use crate::store::StoreError;

fn segments(dir: &Path, stream: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir.join(stream)).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "log"));
    found.sort();
    found
}

fn all(log: &EmbeddedLog, stream: &str) -> Vec<u64> {
    let records = log.inspector().sample(stream, usize::MAX, PATIENCE).unwrap();
    assert!(records.windows(2).all(|w| w[0].record_time <= w[1].record_time && w[0].at.2 + 1 == w[1].at.2));
    let id = |key: &Option<Vec<u8>>| String::from_utf8_lossy(&key.as_ref().unwrap()[1..]).parse().unwrap();
    records.iter().map(|r| id(&r.key)).collect()
}

#[test]
fn one_process_at_a_time_and_nothing_is_lost_between() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 3_000, ..LogOptions::default() };
    for round in 0..5 {
        let log = open(dir.path(), options.clone());
        let second = EmbeddedLog::open(dir.path(), options.clone(), now);
        assert!(matches!(second.err(), Some(StoreError::Locked { .. })));
        append(&log, "orders", (round * 20..round * 20 + 20).map(record).collect()).unwrap();
        assert_eq!(all(&log, "orders"), (0..round * 20 + 20).collect::<Vec<_>>());
        assert!(log.cuts().is_empty());
    }
    assert!(segments(dir.path(), "orders").len() > 2);
}

#[test]
fn a_torn_tail_is_cut_and_said() {
    let dir = tempfile::tempdir().unwrap();
    drop({
        let log = open(dir.path(), LogOptions::default());
        append(&log, "orders", (0..20).map(record).collect()).unwrap();
        log
    });
    let path = &segments(dir.path(), "orders")[0];
    let sound = std::fs::read(path).unwrap();
    for torn in [1, 30, 56, 70, 300] {
        // The beginning of a frame like the first one, as a write that was interrupted leaves it.
        let mut bytes = sound.clone();
        bytes.extend_from_slice(&sound[..torn]);
        std::fs::write(path, &bytes).unwrap();
        let log = open(dir.path(), LogOptions::default());
        assert_eq!((log.cuts().len(), log.cuts()[0].bytes, log.cuts()[0].next), (1, torn as u64, 20));
        assert_eq!(all(&log, "orders").len(), 20);
    }
    let log = open(dir.path(), LogOptions::default());
    assert_eq!(append(&log, "orders", vec![record(20)]).unwrap()[0].position, 20);
    assert_eq!(all(&log, "orders"), (0..21).collect::<Vec<_>>());
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 4_000, ..LogOptions::default() };
    {
        let log = open(dir.path(), options.clone());
        (0..60).for_each(|i| drop(append(&log, "orders", vec![record(i)]).unwrap()));
    }
    let paths = segments(dir.path(), "orders");
    assert!(paths.len() > 1);
    let mark = 56;
    for (n, path) in paths.iter().enumerate() {
        let sound = std::fs::read(path).unwrap();
        // The last frame of the newest segment is the mark of closing, without records: losing it loses nothing.
        let end = sound.len() - if n + 1 == paths.len() { mark } else { 0 };
        for at in (0..end).step_by(13) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(path, &bytes).unwrap();
            let refused = match EmbeddedLog::open(dir.path(), options.clone(), now) {
                Err(StoreError::Damaged { path: named, .. }) => named == *path,
                Err(other) => panic!("{other}"),
                Ok(log) => log.inspector().sample("orders", usize::MAX, PATIENCE).unwrap_err().contains("damaged"),
            };
            assert!(refused, "byte {at} of segment {n}");
        }
        std::fs::write(path, &sound).unwrap();
    }
    assert_eq!(all(&open(dir.path(), options), "orders").len(), 60);
}

#[test]
fn what_is_too_large_or_has_no_name_is_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions { streams: 1, record_bytes: 1_000, ..LogOptions::default() });
    let large = NewRecord { payload: Some(vec![0; 1_000]), ..NewRecord::default() };
    let refusal = |stream: &str, record: NewRecord| match append(&log, stream, vec![record]) {
        Err(WriteError::Refused(words)) => words,
        other => panic!("{other:?}"),
    };
    assert!(refusal("orders", large).contains("at most 1000"));
    assert!(refusal("or/ders", record(1)).contains("cannot name a stream"));
    assert_eq!(append(&log, "orders", vec![]).unwrap(), []);
    append(&log, "orders", vec![record(1)]).unwrap();
    assert!(refusal("more", record(1)).contains("more than the 1"));
}

#[test]
fn times_never_decrease_and_callers_may_bring_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let long_ago = Timestamp(1_000_000);
    {
        let log = open(dir.path(), LogOptions::default());
        append(&log, "orders", vec![record(0)]).unwrap();
    }
    fn earlier() -> Timestamp {
        Timestamp(5)
    }
    let log = EmbeddedLog::open(dir.path(), LogOptions::default(), earlier).unwrap();
    append(&log, "orders", vec![record(1), NewRecord { record_time: Some(long_ago), ..record(2) }]).unwrap();
    let raw = log.inspector().sample("orders", 3, PATIENCE).unwrap();
    let time = |position: u64| raw.iter().find(|r| r.at.2 == position).and_then(|r| r.record_time).unwrap();
    assert_eq!(time(0), time(1), "the clock went back, the log did not");
    assert_eq!(time(2), long_ago);
}

/// Many callers at once; run as a child it appends until it is killed and prints what was acknowledged.
#[test]
fn acknowledged_records_survive_sigkill_and_none_is_there_twice() {
    const CHILD: &str = "STREAMGAUGE_TEST_LOG";
    if let Ok(dir) = std::env::var(CHILD) {
        return append_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..6_u64 {
        let name = "broker::embedded::tests::durability::acknowledged_records_survive_sigkill_and_none_is_there_twice";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = acknowledged.len() + 150 + 37 * round as usize;
        while let Some(Ok(line)) = lines.next() {
            if let Some(ids) = line.strip_prefix("ack ") {
                acknowledged.extend(ids.split(',').map(|id| id.parse::<u64>().unwrap()));
            }
            if acknowledged.len() >= wanted {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let log = open(dir.path(), LogOptions { segment_bytes: 20_000, ..LogOptions::default() });
        let mut there = all(&log, "orders");
        let count = there.len();
        there.sort_unstable();
        there.dedup();
        assert_eq!(there.len(), count, "a record is there twice");
        acknowledged.iter().for_each(|id| assert!(there.binary_search(id).is_ok(), "record {id} was acknowledged"));
    }
    assert!(acknowledged.len() > 900);
}

fn append_until_killed(dir: &Path) {
    let log = open(dir, LogOptions { segment_bytes: 20_000, ..LogOptions::default() });
    let first = if log.shared.stream("orders").is_some() {
        all(&log, "orders").into_iter().max().map_or(0, |m| m + 1)
    } else {
        0
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..4_u64)
            .map(|task| {
                let log = log.clone();
                tokio::spawn(async move {
                    for i in 0..100_000_u64 {
                        let ids: Vec<u64> = (0..1 + i % 5).map(|k| first + task * 1_000_000 + i * 5 + k).collect();
                        let records = ids.iter().map(|id| record(*id)).collect();
                        log.writer().append("orders", records).await.unwrap();
                        let words: Vec<String> = ids.iter().map(u64::to_string).collect();
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "ack {}", words.join(",")).unwrap();
                        out.flush().unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
