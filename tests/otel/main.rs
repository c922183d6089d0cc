//! The server's own spans arrive in a real Jaeger through a real collector, also those of its last moment.
//!
//! Needs `STREAMGAUGE_COLLECTOR` and `STREAMGAUGE_JAEGER` (binaries; `make test` obtains them).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[path = "../support/http.rs"]
#[allow(dead_code, reason = "each test binary uses a part of the support")]
pub mod http;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "each test binary uses a part of the support")]
mod process;

mod support {
    pub use super::http;
}

use ports::free_port;
use process::{Server, until};

const PATIENCE: Duration = Duration::from_secs(120);

/// A server of others, killed at the end of the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn start(binary: &Path, config: &Path, env: &[(&str, String)]) -> Peer {
    let log = std::fs::File::create(config.with_extension("log")).expect("a log");
    Peer(
        Command::new(binary)
            .arg("--config")
            .arg(config)
            .envs(env.iter().map(|(k, v)| (*k, v.as_str())))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the peer starts"),
    )
}

struct Ports {
    otlp: u16,
    query: u16,
}

fn jaeger(binary: &Path, dir: &Path) -> (Peer, Ports) {
    let ports = Ports { otlp: free_port(), query: free_port() };
    let (grpc, health) = (free_port(), free_port());
    let text = format!(
        "service:\n  extensions: [jaeger_storage, jaeger_query, healthcheckv2]\n  pipelines:\n    traces: {{receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}}\n  telemetry: {{metrics: {{level: none}}}}\nextensions:\n  healthcheckv2: {{use_v2: true, http: {{endpoint: \"127.0.0.1:{health}\"}}}}\n  jaeger_query: {{storage: {{traces: mem}}, http: {{endpoint: \"127.0.0.1:{}\"}}, grpc: {{endpoint: \"127.0.0.1:{grpc}\"}}}}\n  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 10000}}}}}}}}\nreceivers: {{otlp: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:{}\"}}}}}}}}\nprocessors: {{batch: {{timeout: 100ms}}}}\nexporters: {{jaeger_storage_exporter: {{trace_storage: mem}}}}\n",
        ports.query, ports.otlp
    );
    let config = dir.join("jaeger.yaml");
    std::fs::write(&config, text).expect("written");
    (start(binary, &config, &[]), ports)
}

/// Names of the spans of our service that Jaeger has.
fn spans(query: u16) -> Vec<String> {
    let path = "/api/traces?service=streamgauge&limit=200&lookback=1h";
    let Ok(answer) = http::request(&format!("127.0.0.1:{query}"), "GET", path, &[], b"") else { return Vec::new() };
    if answer.status != 200 {
        return Vec::new();
    }
    let json = answer.json();
    let traces = json["data"].as_array().cloned().unwrap_or_default();
    traces
        .iter()
        .flat_map(|t| t["spans"].as_array().cloned().unwrap_or_default())
        .filter_map(|s| s["operationName"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn spans_of_the_server_reach_jaeger_through_the_shipped_collector_configuration() {
    let (Some(collector), Some(jaeger_binary)) =
        (std::env::var_os("STREAMGAUGE_COLLECTOR"), std::env::var_os("STREAMGAUGE_JAEGER"))
    else {
        println!("1 skipped: STREAMGAUGE_COLLECTOR and STREAMGAUGE_JAEGER are not set (make test sets them)");
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let (_jaeger, ports) = jaeger(&PathBuf::from(jaeger_binary), dir.path());
    let (grpc, http_port, health) = (free_port(), free_port(), free_port());
    let config = dir.path().join("collector.yaml");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("otel-collector.yaml"), &config).expect("copied");
    let _collector = start(
        &PathBuf::from(collector),
        &config,
        &[
            ("OTLP_GRPC_LISTEN", format!("127.0.0.1:{grpc}")),
            ("OTLP_HTTP_LISTEN", format!("127.0.0.1:{http_port}")),
            ("HEALTH_LISTEN", format!("127.0.0.1:{health}")),
            ("JAEGER_OTLP_ENDPOINT", format!("127.0.0.1:{}", ports.otlp)),
        ],
    );
    for port in [grpc, ports.query] {
        until(&format!("port {port}"), PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    }
    let data = dir.path().join("data");
    let file = dir.path().join("streamgauge.toml");
    let text = format!(
        "[telemetry]\notlp_endpoint = \"http://127.0.0.1:{grpc}\"\n[[cluster]]\nname = \"local\"\nkind = \"embedded\"\n[[stream]]\ncluster = \"local\"\nname = \"transactions\"\nstart = \"earliest\"\n[publish]\ncluster = \"local\"\nstream = \"transactions\"\n"
    );
    std::fs::write(&file, text).expect("written");
    let server = Server::start(&["--config", file.to_str().expect("text")], &data);
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = server.post("/transactions", &[("traceparent", &parent)], r#"{"transaction_id":"tx-1"}"#);
    assert_eq!(answer.status, 202, "{}", answer.text());
    // The stop follows at once: the spans of the last moment are flushed, not lost.
    let (status, _) = server.terminate();
    assert!(status.success(), "{status}");
    let seen = until("the POST's span in Jaeger", PATIENCE, || {
        let names = spans(ports.query);
        names.iter().any(|n| n.contains("/transactions")).then_some(names)
    });
    println!("{} spans: {seen:?}", seen.len());
    let answer = http::get(&format!("127.0.0.1:{}", ports.query), &format!("/api/traces/{trace}"));
    assert!(
        answer.text().contains("/transactions"),
        "the request's span continues the caller's trace: {}",
        answer.text()
    );
}

#[test]
fn a_collector_that_is_down_delays_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("streamgauge.toml");
    let port = free_port();
    std::fs::write(&file, format!("[telemetry]\notlp_endpoint = \"http://127.0.0.1:{port}\"\n")).expect("written");
    let server = Server::start(&["--config", file.to_str().expect("text")], &dir.path().join("data"));
    assert_eq!(server.get("/livez").status, 200);
    // Ending too late would be forced, and no success.
    let (status, took) = server.terminate();
    assert!(status.success(), "{status} after {took:?}");
}
