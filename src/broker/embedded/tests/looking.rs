//! Whoever looks at a log disturbs nobody and changes nothing.

use std::sync::atomic::AtomicBool;

use super::*;

fn said(dir: &Path) -> String {
    let look = EmbeddedLog::look(dir).unwrap();
    look.doctor(&exact("orders", Start::Earliest), PATIENCE).iter().map(|f| format!("{}\n", f.detail)).collect()
}

fn newest(dir: &Path, count: usize) -> Vec<u64> {
    let records = EmbeddedLog::look(dir).unwrap().sample("orders", count, PATIENCE).unwrap();
    records.iter().map(|r| r.at.2).collect()
}

fn segment(dir: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(dir.join("orders")).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.extension().is_some_and(|e| e == "log")).max().unwrap()
}

#[test]
fn a_log_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    assert!(said(&log).starts_with("not there yet"), "{}", said(&log));
    assert!(EmbeddedLog::look(&log).unwrap().sample("orders", 1, PATIENCE).is_err());
    assert!(!log.exists());
}

#[test]
fn what_is_whole_is_read_beside_the_process_that_writes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions { segment_bytes: 3_000, ..LogOptions::default() });
    append(&log, "orders", (0..30).map(record).collect()).unwrap();
    let me = std::process::id();
    assert!(said(dir.path()).starts_with(&format!("a running server holds it (process {me}), 1 streams")));
    log.announce("http://127.0.0.1:1/");
    let all = said(dir.path());
    assert!(all.contains(&format!("(process {me}, pages at http://127.0.0.1:1/)")), "{all}");
    assert!(all.contains("1 partitions, 30 records kept"), "{all}");
    // The beginning of a frame is what a write under way looks like.
    let path = segment(dir.path());
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&sound[..], &sound[..70.min(sound.len() - 1)]].concat()).unwrap();
    assert_eq!(newest(dir.path(), 3), [27, 28, 29]);
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(append(&log, "orders", vec![record(30)]).unwrap()[0].position, 30);
    assert_eq!(newest(dir.path(), 3), [28, 29, 30]);
}

#[test]
fn looking_again_and_again_while_it_grows_sees_every_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions { segment_bytes: 2_000, ..LogOptions::default() });
    append(&log, "orders", vec![record(0)]).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (log, done) = (log.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            for i in 0..150 {
                append(&log, "orders", (i * 3 + 1..i * 3 + 4).map(record).collect()).unwrap();
            }
            done.store(true, Ordering::Release);
        })
    };
    let mut before = 0;
    while !done.load(Ordering::Acquire) {
        let seen = newest(dir.path(), usize::MAX);
        assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
        assert!(seen.len() >= before, "{before} before, {} now", seen.len());
        before = seen.len();
    }
    writer.join().unwrap();
    assert_eq!(newest(dir.path(), usize::MAX).len(), 451);
}

#[test]
fn nobody_has_it_and_nothing_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    drop({
        let log = open(dir.path(), LogOptions::default());
        append(&log, "orders", (0..20).map(record).collect()).unwrap();
        log
    });
    let path = segment(dir.path());
    let torn = [&std::fs::read(&path).unwrap()[..], &std::fs::read(&path).unwrap()[..70]].concat();
    std::fs::write(&path, &torn).unwrap();
    let all = said(dir.path());
    assert!(all.starts_with("sound, 1 streams, nobody has it open\n70 bytes of a torn tail will be cut off"), "{all}");
    assert_eq!(newest(dir.path(), 2), [18, 19]);
    assert_eq!(std::fs::read(&path).unwrap(), torn, "looking changes nothing");
    // Two may look at once, and then it can be opened.
    let looks = [EmbeddedLog::look(dir.path()).unwrap(), EmbeddedLog::look(dir.path()).unwrap()];
    assert!(looks.iter().all(|l| l.doctor(&[], PATIENCE)[0].detail.contains("nobody has it open")));
    drop(looks);
    assert_eq!(open(dir.path(), LogOptions::default()).cuts()[0].bytes, 70);
}
