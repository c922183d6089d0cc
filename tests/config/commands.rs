//! Commands: what they print, and with which code they end.

use streamgauge::broker::{Finding, RawRecord};
use streamgauge::cli::Exit;

use crate::{Fake, KAFKA, command};

#[test]
fn commands_and_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fake = Fake::default();
    assert_eq!(command(&[], &fake).0, Exit::Start, "what serve says is the answer");
    assert_eq!(command(&["demo", "--seed", "7", "--listen", "127.0.0.1:0"], &fake).0, Exit::Clean);
    assert_eq!(*fake.calls.borrow(), ["serve 127.0.0.1:8080", "demo demo-data seed 7 rate 25 given true"]);

    let open = command(&["--listen", "0.0.0.0:0"], &fake);
    assert_eq!(open.0, Exit::Config);
    assert_eq!(
        open.2,
        "default configuration: listen = \"0.0.0.0:0\": everybody who reaches this address could read and post; allowed: an address of loopback, [auth] users_file, or --insecure-no-auth\n"
    );
    assert_eq!(command(&["--listen", "0.0.0.0:0", "--insecure-no-auth"], &fake).0, Exit::Start);

    let bad = write("bad.toml", "listn = 1\nlog_format = \"xml\"\n");
    let (exit, out, err) = command(&["check-config", &bad], &fake);
    assert_eq!((exit, out.as_str(), err.lines().count()), (Exit::Config, "", 2), "{err}");
    let client = write("client.toml", &format!("{KAFKA}[cluster.properties]\n\"client.id\" = \"hunter2\"\n"));
    let (exit, _, err) = command(&["check-config", &client], &fake);
    assert_eq!((exit, err.as_str()), (Exit::Config, "cluster \"main\": not this \"client.id\": ***\n"));
    let both = command(&["--config", &client, "--kafka", "k:1"], &fake);
    assert_eq!(both.2, "flag --kafka: is for a start without a file; allowed: [[cluster]] in the file of --config\n");

    for usage in [&["redrive"][..], &["--nope"], &["trace-id", "checkout"], &["check-config"]] {
        let (exit, out, err) = command(usage, &fake);
        assert!(exit == Exit::Config && out.is_empty() && err.contains("Usage: streamgauge"), "{usage:?}: {err}");
    }
    let (exit, out, _) = command(&["--version"], &fake);
    assert_eq!((exit, out.as_str()), (Exit::Clean, concat!("streamgauge ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn check_config_says_what_will_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    let text = format!(
        "listen = \"[::]:80\"\n{KAFKA}[cluster.properties]\n\"sasl.password\" = \"hunter2\"\n[[stream]]\npattern = '^shop\\.'\n[[flow]]\nname = \"checkout\"\nends_at = [\"paid\"]\ntimeout = \"90s\"\n[[rule]]\n"
    );
    std::fs::write(&path, text).unwrap();
    let (exit, out, err) = command(&["check-config", path.to_str().unwrap()], &Fake::default());
    assert_eq!((exit, err.as_str()), (Exit::Clean, ""));
    let expected = "\
listen      [::]:80
data_dir    streamgauge-data
cluster     main (kafka) at k:9092
              sasl.password = ***
  stream    every one that matches ^shop\\.: events, format auto, from now on
flow        checkout; ends at paid; times out after 1m30s
publish     off: POST /transactions is refused
lag         every 5s, at most 10000 groups and 400000 rows
dlq         found by role, topic configuration, name and headers; handled by our redrive; peek off
metrics     a sample per partition
warning: FILE:14:1: rule: this version does not act on [[rule]]: no alert is sent
warning: FILE: listen = \"[::]:80\": everybody who reaches this address could read and post; allowed: an address of loopback, [auth] users_file, or --insecure-no-auth
";
    assert_eq!(out.replace(path.to_str().unwrap(), "FILE"), expected);
}

#[test]
fn check_config_says_what_the_watchers_will_not_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.toml");
    let said = |more: &str| {
        std::fs::write(&path, format!("{KAFKA}{more}")).unwrap();
        command(&["check-config", path.to_str().unwrap()], &Fake::default()).1
    };
    let off = said("[lag]\nenabled = false\n");
    assert!(off.contains("off: [lag] enabled = false") && off.contains("dlq         found by role"), "{off}");
    let letters = said("[dlq]\nenabled = false\n");
    assert!(letters.contains("off: [dlq] enabled = false; dead letters are not watched"), "{letters}");
    assert!(letters.contains("lag         every 5s"), "{letters}");
    let patterns = said("[dlq]\npatterns = ['^morgue']\nredrive_group = \"ops\"\n");
    assert!(patterns.contains("patterns ^morgue; not by known names and headers"), "{patterns}");
    assert!(patterns.contains("our redrive and group ops"), "{patterns}");
}

#[test]
fn doctor_and_sample() {
    let finding = |ok| Finding { what: "reach".into(), ok, detail: "3 brokers".into(), mend: String::new() };
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let good = Fake { findings: vec![finding(Some(true)), finding(None)], ..Fake::default() };
    let (exit, out, _) = command(&["doctor", "--kafka", "k:9092", "--data-dir", data], &good);
    assert!(exit == Exit::Clean && out.ends_with("4 findings: 0 do not hold, 1 could not be told\n"), "{out}");
    let bad = Fake { findings: vec![finding(Some(false))], ..Fake::default() };
    let (exit, out, _) = command(&["doctor", "--kafka", "k:9092", "--data-dir", data], &bad);
    assert!(exit == Exit::Failed && out.contains("FAIL  main: reach                           3 brokers\n"), "{out}");

    let payload = br#"{"transaction_id":"tx-1","flow":"checkout","stage":"paid","note":"\u001b[31m"}"#.to_vec();
    let record = |payload| RawRecord {
        at: ("orders".into(), 2, 41),
        key: Some(b"k\x1b[31m".to_vec()),
        payload,
        ..RawRecord::default()
    };
    let records = vec![record(Some(payload)), record(None), record(Some(b"{".to_vec()))];
    let fake = Fake { records, ..Fake::default() };
    let (exit, out, _) = command(&["sample", "orders", "--kafka", "k:9092"], &fake);
    assert_eq!(exit, Exit::Clean);
    assert!(out.starts_with("orders/2 at 41, key k\\u{1b}[31m\n") && !out.contains('\u{1b}'), "{out}");
    assert!(out.contains("-> event flow=\"checkout\" transaction=\"tx-1\" stage=\"paid\" status=ok\n"), "{out}");
    assert!(out.contains("-> tombstone\n"), "{out}");
    let (exit, _, err) = command(&["sample", "none", "--kafka", "k:9092"], &fake);
    assert_eq!((exit, err.as_str()), (Exit::Failed, "cluster \"main\", stream \"none\": no such stream\n"));
    let (exit, _, err) = command(&["sample", "orders", "--cluster", "x"], &fake);
    assert_eq!((exit, err.as_str()), (Exit::Config, "--cluster x: no such cluster; allowed: main\n"));
}

/// Checked against `printf 'v1|checkout|tx-42' | sha256sum`.
#[test]
fn trace_id_is_the_documented_hash() {
    let (exit, out, _) = command(&["trace-id", "checkout", "tx-42"], &Fake::default());
    assert_eq!((exit, out.as_str()), (Exit::Clean, "49e62c3944f7e16267922a864426493b\n"));
}

/// The names are a contract: people script against them.
#[test]
fn the_names_of_the_help_stay() {
    for (words, names) in [
        (
            &["--help"][..],
            &[
                "serve",
                "demo",
                "check-config",
                "doctor",
                "sample",
                "trace-id",
                "--config <FILE>",
                "--kafka <HOST:PORT>",
                "--listen <ADDR>",
                "--data-dir <DIR>",
                "--insecure-no-auth",
            ][..],
        ),
        (
            &["demo", "--help"],
            &["--seed <N>", "--rate <N>", "--listen <ADDR>", "--data-dir <DIR>", "--kafka <HOST:PORT>"],
        ),
        (&["doctor", "--help"], &["--config <FILE>", "--kafka <HOST:PORT>"]),
        (&["sample", "--help"], &["<STREAM>", "--cluster <NAME>"]),
        (&["trace-id", "--help"], &["<FLOW>", "<TRANSACTION>"]),
        (&["check-config", "--help"], &["<FILE>"]),
    ] {
        let (exit, out, _) = command(words, &Fake::default());
        assert_eq!(exit, Exit::Clean);
        for name in names {
            assert!(out.contains(name), "{words:?} lacks {name}:\n{out}");
        }
    }
}
