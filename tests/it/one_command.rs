//! Promise 6: it starts in one command, with no broker.

use crate::support::process::{PATIENCE, Server, until};

#[test]
fn the_demo_shows_fifteen_minutes_of_history_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&["demo", "--seed", "7"], dir.path());
    // How soon is measured (docs/PERFORMANCE.md); here: it is there long before 15 minutes could have passed.
    until("15 minutes of history", PATIENCE, || {
        let answer = server.get("/api/v1/flows/checkout/history?step=1s");
        let points = (answer.status == 200).then(|| answer.json()["data"]["points"].as_array().map_or(0, Vec::len))?;
        (points > 800).then_some(())
    });
    let page = server.get("/").text();
    assert!(page.contains("checkout") && page.contains("DEMO"), "the overview names the flow and carries the badge");
    let before = server.data("/api/v1/flows/checkout")["totals"]["events"].as_u64().expect("events");
    assert!(before > 1_000, "{before} events");
    until("live traffic", PATIENCE, || {
        let now = server.data("/api/v1/flows/checkout")["totals"]["events"].as_u64()?;
        (now > before).then_some(())
    });
}

#[test]
fn without_configuration_it_takes_events_by_http_and_says_how_to_begin() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&[], dir.path());
    let page = server.get("/").text();
    assert!(page.contains("curl") && page.contains("--kafka"), "the first page shows how to begin");
    let answer =
        server.post("/transactions", &[], r#"{"flow":"checkout","transaction_id":"tx-1","stage":"order.placed"}"#);
    assert_eq!(answer.status, 202, "{}", answer.text());
    until("the event", PATIENCE, || {
        let flow = server.get("/api/v1/flows/checkout");
        (flow.status == 200 && flow.json()["data"]["totals"]["events"] == 1).then_some(())
    });
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let run = |args: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_streamgauge")).args(args).output().expect("runs")
    };
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(2));
    let dir = tempfile::tempdir().expect("a directory");
    let bad = dir.path().join("bad.toml");
    std::fs::write(&bad, "lisen = \"127.0.0.1:0\"\n").expect("written");
    let out = run(&["check-config", bad.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("lisen") && said.contains("listen"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let data = dir.path().join("data");
    let out = run(&["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir", data.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(3), "{}", String::from_utf8_lossy(&out.stderr));
    // A demo that was told where to listen takes no other port, and writes no history that nobody could see.
    let data = dir.path().join("demo");
    let out = run(&["demo", "--listen", &format!("127.0.0.1:{port}"), "--data-dir", data.to_str().expect("text")]);
    assert_eq!(out.status.code(), Some(3), "{}", String::from_utf8_lossy(&out.stderr));
    let written = bytes(&data.join("log"));
    assert!(written < 1_000_000, "{written} bytes: a history is 36 MB, an empty log 74 kB");
}

/// Bytes of all files below a directory.
fn bytes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { bytes(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

#[test]
fn a_damaged_store_is_refused_with_exit_code_four_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&[], dir.path());
    assert_eq!(server.post("/transactions", &[], "{}").status, 202);
    until("a checkpoint", PATIENCE, || {
        server.get("/metrics").text().contains("streamgauge_transactions_started_total").then_some(())
    });
    server.terminate();
    let file = dir.path().join("state.redb");
    let mut bytes = std::fs::read(&file).expect("the store");
    let middle = bytes.len() / 2;
    for byte in &mut bytes[4096..middle.max(8192)] {
        *byte ^= 0x5a;
    }
    std::fs::write(&file, &bytes).expect("written");
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_streamgauge"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .output()
        .expect("runs");
    assert_eq!(out.status.code(), Some(4), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(std::fs::read(&file).expect("the store"), bytes, "a damaged store is not touched");
}
