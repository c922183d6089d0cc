//! Native histograms as a real Prometheus takes them: it asks for protobuf, stores what it got, and is asked back.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http;
use crate::support::ports::free_port;
use crate::support::process::{Server, until};

/// Latencies in seconds and how many transactions have them: within a bucket, on its edge, below zero, at zero.
const LATENCIES: [(f64, u64); 6] = [(0.1, 40), (1.0, 30), (1.000_001, 9), (10.5, 5), (-0.25, 4), (0.0, 12)];
const PATIENCE: Duration = Duration::from_secs(120);

/// A Prometheus that scrapes five times a second; killed at the end of the test whatever happens.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// `None` where it is not installed.
    fn start(dir: &Path) -> Option<Self> {
        let config = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs:\n- job_name: it\n  \
                      file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n";
        std::fs::write(dir.join("prometheus.yml"), config).expect("written");
        let address = format!("127.0.0.1:{}", free_port());
        let log = std::fs::File::create(dir.join("prometheus.log")).expect("a file");
        let child = Command::new("prometheus")
            .args(["--enable-feature=native-histograms,exemplar-storage", "--log.level=warn"])
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .ok()?;
        let this = Self { child, address };
        until("Prometheus", PATIENCE, || {
            let answer = http::request(&this.address, "GET", "/-/ready", &[], b"").ok()?;
            (answer.status == 200).then_some(())
        });
        Some(this)
    }

    /// What is scraped, under one name wherever it listens.
    fn target(dir: &Path, address: &str) {
        let targets = json!([{"targets": [address], "labels": {"instance": "it"}}]).to_string();
        std::fs::write(dir.join("targets.new"), targets).expect("written");
        std::fs::rename(dir.join("targets.new"), dir.join("targets.json")).expect("renamed");
    }

    fn api(&self, path: &str) -> Value {
        let answer = http::get(&self.address, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["data"].clone()
    }

    fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        self.api(&format!("/api/v1/query?query={encoded}"))["result"].as_array().expect("a vector").clone()
    }

    /// The number of a query that has one answer.
    fn number(&self, query: &str) -> Option<f64> {
        self.query(query).first()?["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Posts one transaction of each kind that `pick` chooses: an event alone, whose `started_at` makes its latency.
fn post(server: &Server, pick: impl Fn(u64) -> bool) -> u64 {
    let base: jiff::Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
    let mut lines = String::new();
    let mut sent = 0;
    for (kind, (seconds, count)) in LATENCIES.iter().enumerate() {
        for n in (0..*count).filter(|n| pick(*n)) {
            let start = base - jiff::SignedDuration::from_micros((seconds * 1e6).round() as i64);
            let event = json!({"flow": "native", "transaction_id": format!("{kind}-{n}"), "stage": "done",
                "outcome": "ok", "event_time": base.to_string(), "started_at": start.to_string()});
            lines += &format!("{event}\n");
            sent += 1;
        }
    }
    let answer = http::request(
        &server.address,
        "POST",
        "/transactions",
        &[("Content-Type", "application/x-ndjson")],
        lines.as_bytes(),
    );
    let answer = answer.expect("answered");
    assert_eq!(answer.status, 202, "{}", answer.text());
    sent
}

#[test]
fn a_real_prometheus_takes_native_histograms_and_no_counter_falls() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(prometheus) = Prometheus::start(dir.path()) else {
        println!("1 skipped: prometheus is not installed");
        return;
    };
    let data = dir.path().join("data");
    let server = Server::start(&[], &data);
    Prometheus::target(dir.path(), &server.address);
    let started = "streamgauge_transactions_started_total{flow=\"native\"}";
    let sent = post(&server, |n| n % 2 == 0);
    until("the first half, scraped", PATIENCE, || prometheus.number(started).filter(|n| *n == sent as f64));
    server.kill();
    let server = Server::start(&[], &data);
    Prometheus::target(dir.path(), &server.address);
    let sent = sent + post(&server, |n| n % 2 == 1);

    let all = "streamgauge_transaction_duration_seconds{flow=\"native\",outcome=\"ok\"}";
    until("all of them, settled and scraped", PATIENCE, || {
        prometheus.number(&format!("histogram_count({all})")).filter(|n| *n == sent as f64)
    });
    let histogram = prometheus.query(all)[0]["histogram"][1].clone();
    let number = |v: &Value| v.as_str().and_then(|s| s.parse::<f64>().ok()).expect("a number");
    let sum: f64 = LATENCIES.iter().map(|(seconds, n)| seconds * *n as f64).sum();
    assert!((number(&histogram["sum"]) - sum).abs() < 1e-9, "{histogram}");
    let buckets = histogram["buckets"].as_array().expect("buckets").clone();
    for (seconds, count) in LATENCIES {
        // A bucket comes as [which of its ends it holds, from, to, count].
        let holds = |b: &&Value| {
            let (kind, from, to) = (b[0].as_u64().expect("a kind"), number(&b[1]), number(&b[2]));
            let (closed_below, closed_above) = (kind == 1 || kind == 3, kind == 0 || kind == 3);
            (seconds > from || closed_below && seconds == from) && (seconds < to || closed_above && seconds == to)
        };
        let found: Vec<&Value> = buckets.iter().filter(holds).collect();
        assert_eq!(found.len(), 1, "{seconds} s in one of {buckets:?}");
        assert_eq!(number(&found[0][3]), count as f64, "{seconds} s: {found:?}");
        let (from, to) = (number(&found[0][1]), number(&found[0][2]));
        assert!(seconds == 0.0 || (to / from).abs().ln().abs() < 0.0217, "of schema 5: {found:?}");
    }
    let median = prometheus.number(&format!("histogram_quantile(0.5, {all})")).expect("a median");
    assert!((median - 0.1).abs() / 0.1 < 0.022, "{median}");

    let names = prometheus.api("/api/v1/label/__name__/values");
    let names: Vec<&str> = names.as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let ours = ["live_", "http_"].map(|p| format!("streamgauge_{p}"));
    let counters: Vec<&&str> = (names.iter())
        .filter(|n| n.starts_with("streamgauge_") && n.ends_with("_total") && !ours.iter().any(|o| n.starts_with(o)))
        .collect();
    assert!(counters.len() >= 8, "{counters:?}");
    for name in counters {
        // Counters of the process itself begin again; those of the flows never fall, not even across SIGKILL.
        assert_eq!(prometheus.number(&format!("sum(resets({name}[5m]))")), Some(0.0), "{name}");
    }
    let falls = format!("max(resets(histogram_count({all})[5m:200ms]))");
    assert_eq!(prometheus.number(&falls), Some(0.0), "the histogram");

    let exemplars =
        prometheus.api("/api/v1/query_exemplars?query=streamgauge_transaction_duration_seconds&start=0&end=9999999999");
    let exemplars = exemplars[0]["exemplars"].as_array().expect("exemplars").clone();
    for e in &exemplars {
        let seconds = number(&e["value"]);
        assert!(LATENCIES.iter().any(|l| (l.0 - seconds).abs() < 1e-9), "{e}");
        assert_eq!(e["labels"]["trace_id"].as_str().map(str::len), Some(32), "{e}");
    }
    assert!(!exemplars.is_empty());
}
