//! Whole configurations: every key of the contract, none at all, and those that the documentation shows.

use std::path::Path;
use std::time::Duration;

use streamgauge::cli::Exit;
use streamgauge::config::{ClusterConfig, ClusterKind, Config, Flags};
use streamgauge::model::{DlqSpec, FieldPath, Format, Outcome, Start, StreamName, Timestamp};

use crate::{Fake, command, env, parse};

#[test]
fn the_whole_contract_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kafka-password"), "s3cret\n").unwrap();
    let users = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/users");
    std::fs::copy(users, dir.path().join("users")).unwrap();
    let source = r#"
listen     = "0.0.0.0:0"
data_dir   = "data"
public_url = "https://host/ops/"
log_format = "json"

[[cluster]]
name = "main"
kind = "kafka"
bootstrap_servers = "${BROKERS}"
[cluster.properties]
"security.protocol" = "SASL_SSL"
"sasl.username" = "${NOBODY:-ann}"
"sasl.password" = "${file:kafka-password}"
"socket.keepalive.enable" = true
"socket.timeout.ms" = 8000

[[stream]]
cluster = "main"
name    = "orders"
role    = "dlq"
start   = "2026-11-22T10:00:00+09:00"
[stream.map]
flow = "const:checkout"
transaction_id = "/order/id~0~1"
stage = "header:type"
event_time = "/created_at"
outcome = { from = "/state", values = { completed = "ok", declined = "failed" } }
[[stream]]
pattern = '^shop\.'
start = 2026-11-22T01:00:00Z
format = "cloudevents"

[[flow]]
name    = "checkout"
stages  = ["order.placed", "payment.authorized", "order.shipped"]
ends_at = ["order.shipped"]
timeout = "15m"
deadlines = { "payment.authorized" = "8s" }

[auth]
users_file = "users"
[history]
"1s" = "2h"
"10s" = "24h"
"1m" = "14d"
[limits]
transactions = 2_000_000
live_streams = 500
[telemetry]
otlp_endpoint = "http://127.0.0.1:4317"
jaeger_url    = "http://127.0.0.1:16686/"
[trace]
keep_ratio = 1
max_spans_per_second = 50
[lag]
interval = "5s"
[dlq]
patterns = ['^morgue\.']
redrive_group = "triage-{stream}"
peek = true
mask = ["loyalty"]
max_redrives = 5
rate = 50
[publish]
cluster = "main"
stream = "shop.posted"
key = "transaction_id"
[metrics]
partitions = false
compat = ["kafka_exporter"]

[[channel]]
name = "ops"
url = "${OPS_WEBHOOK}"
[[rule]]
name = "dlq-backlog"
"#;
    let file = dir.path().join("streamgauge.toml");
    std::fs::write(&file, source).unwrap();
    let c = Config::load(&Flags { config: Some(file), ..Flags::default() }, &env).unwrap();
    assert_eq!(
        (c.listen.to_string().as_str(), c.public_url.as_str(), c.base_path()),
        ("0.0.0.0:0", "https://host/ops", "/ops")
    );
    assert_eq!(c.clusters[0].bootstrap_servers, "k1:9092,k2:9092");
    let pairs: Vec<_> = c.clusters[0].properties.iter().collect();
    assert!(pairs.contains(&("sasl.password", "s3cret")) && pairs.contains(&("socket.timeout.ms", "8000")));
    let mapping = match &c.streams[0].format {
        Format::Mapped(m) => m,
        other => panic!("{other:?}"),
    };
    assert_eq!(mapping.transaction_id, Some(FieldPath::Pointer(vec!["order".into(), "id~/".into()])));
    let outcome = mapping.outcome.as_ref().unwrap();
    assert_eq!(outcome.values, [("completed".to_owned(), Outcome::Ok), ("declined".to_owned(), Outcome::Failed)]);
    assert_eq!(c.streams[0].start, Start::At(Timestamp::from_seconds(1795309200)));
    assert_eq!(c.streams[1].start, c.streams[0].start);
    assert_eq!(c.streams[1].name, StreamName::Pattern(r"^shop\.".into()));
    assert_eq!(c.flows[0].stage_deadlines, [("payment.authorized".to_owned(), Duration::from_secs(8))]);
    assert_eq!(
        (c.limits.transactions, c.limits.history_1s_seconds, c.web_limits.live_streams),
        (2_000_000, 7_200, 500)
    );
    let dlq = DlqSpec {
        patterns: vec![r"^morgue\.".into()],
        redrive_group: "triage-{stream}".into(),
        peek: true,
        mask: vec!["loyalty".into()],
        max_redrives: 5,
        rate: 50,
        ..DlqSpec::default()
    };
    assert_eq!(c.dlq, dlq);
    assert!(c.check_exposure().is_ok() && !c.first_steps && !c.metrics.partitions);
    let warnings: Vec<String> = c.warnings.iter().map(|w| format!("{}: {}", w.key, w.what)).collect();
    assert_eq!(
        warnings,
        [
            "trace: this version does not act on [trace]: no trace of a transaction is exported",
            "metrics.compat: with partitions = false the public dashboards of these exporters stay empty: they list groups and topics by the samples of partitions",
            "channel: this version does not act on [[channel]]: no alert is sent",
            "rule: this version does not act on [[rule]]: no alert is sent",
        ]
    );
    for shown in [format!("{c:?}"), c.summary().to_string()] {
        assert!(!shown.contains("s3cret") && !shown.contains("\"ann\"") && shown.contains("***"), "{shown}");
    }
}

#[test]
fn without_a_file() {
    let load =
        |flags: Flags, env: &dyn Fn(&str) -> Option<String>| Config::load(&flags, env).map_err(|e| e.to_string());
    let c = load(Flags::default(), &|_| None).unwrap();
    assert!(c.first_steps && c.clusters == [ClusterConfig::embedded("main")]);
    assert_eq!(c.publish.as_ref().unwrap().stream, "transactions");
    assert_eq!((&c.streams[0].name, c.streams[0].start), (&StreamName::Exact("transactions".into()), Start::Earliest));
    assert_eq!(c.warnings, []);

    let c = load(Flags { kafka: Some("a:1,b:2".into()), ..Flags::default() }, &|_| None).unwrap();
    assert!(!c.first_steps && c.publish.is_none() && c.clusters[0].kind == ClusterKind::Kafka);
    assert_eq!((&c.streams[0].name, c.streams[0].start), (&StreamName::Pattern(".*".into()), Start::Latest));

    // Flag over environment over file over default.
    let env = |name: &str| (name == "STREAMGAUGE_LISTEN").then(|| "127.0.0.1:2".into());
    assert_eq!(load(Flags::default(), &env).unwrap().listen.port(), 2);
    let flags = Flags { listen: Some("127.0.0.1:3".into()), ..Flags::default() };
    assert_eq!(load(flags, &env).unwrap().listen.port(), 3);
    let file = Config::parse(Path::new("t.toml"), "listen = \"127.0.0.1:1\"", &Flags::default(), &env).unwrap();
    assert_eq!(file.listen.port(), 2);

    for (flags, env, error) in [
        (
            Flags { listen: Some("x".into()), ..Flags::default() },
            None,
            "flag --listen: \"x\" is not an address; allowed: IP:PORT, [IPv6]:PORT or localhost:PORT; port 0 takes any free one",
        ),
        (
            Flags { kafka: Some("x".into()), ..Flags::default() },
            None,
            "flag --kafka: \"x\" is not an address; allowed: HOST:PORT, several separated by commas",
        ),
        (
            Flags::default(),
            Some("xml"),
            "environment variable STREAMGAUGE_LOG_FORMAT: \"xml\" is unknown word; allowed: text json",
        ),
        (
            Flags { config: Some("/none.toml".into()), ..Flags::default() },
            None,
            "/none.toml: cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let env = |name: &str| if name == "STREAMGAUGE_LOG_FORMAT" { env.map(str::to_owned) } else { None };
        assert_eq!(load(flags, &env).unwrap_err(), error);
    }
}

/// The example files of the documentation hold, without warnings.
#[test]
fn the_examples_hold() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            seen += 1;
            let (exit, out, err) = command(&["check-config", path.to_str().unwrap()], &Fake::default());
            assert_eq!((exit, err.as_str()), (Exit::Clean, ""), "{}", path.display());
            assert!(!out.contains("warning"), "{}: {out}", path.display());
        }
    }
    assert!(seen >= 3, "only {seen} examples");
}

/// The configuration inside of docker-compose.yml is one that this version reads.
#[test]
fn the_compose_file_holds_a_valid_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compose = std::fs::read_to_string(root.join("docker-compose.yml")).unwrap();
    let (_, after) = compose.split_once("  streamgauge.toml:\n    content: |\n").expect("the inline configuration");
    let inline: String = after
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("      "))
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    // A compose file expands variables itself, and doubles a dollar that is meant.
    assert!(!inline.contains('$') && inline.contains("[[cluster]]"), "{inline}");
    let users = root.join("docs/examples/users");
    let inline = inline.replace("/etc/streamgauge/users", users.to_str().unwrap());
    let config = parse(&inline).unwrap();
    assert!(config.warnings.is_empty() && config.check_exposure().is_ok(), "{:?}", config.warnings);
    assert!(config.publish.is_some() && config.telemetry.otlp_endpoint.is_some());

    // The users are real: their hashes are those of the password that the file names.
    let lines = std::fs::read_to_string(users).unwrap();
    let hashes = lines.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(':').nth(1).unwrap());
    for hash in hashes {
        use argon2::PasswordVerifier;
        let parsed = argon2::password_hash::phc::PasswordHash::new(hash).unwrap();
        assert!(argon2::Argon2::default().verify_password(b"streamgauge", &parsed).is_ok(), "{hash}");
    }
}
