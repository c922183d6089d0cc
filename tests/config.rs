//! What people type: configuration files, their mistakes, and the commands that read them.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use streamgauge::broker::{Finding, Inspect, RawRecord};
use streamgauge::cli::{self, Brokers, DemoOptions, Exit, Program, Terminal};
use streamgauge::config::{ClusterConfig, ClusterKind, Config, Flags};
use streamgauge::model::{DlqSpec, FieldPath, Format, Outcome, Start, StreamName, StreamSpec, Timestamp};

fn env(name: &str) -> Option<String> {
    match name {
        "OPS_PASSWORD" => Some("hunter2".into()),
        "BROKERS" => Some("k1:9092,k2:9092".into()),
        _ => None,
    }
}

fn parse(source: &str) -> Result<Config, String> {
    Config::parse(Path::new("t.toml"), source, &Flags::default(), &env).map_err(|e| e.to_string())
}

const KAFKA: &str = "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"k:9092\"\n";

/// Each bad file and exactly what is said about it.
#[test]
fn mistakes_are_named_with_place_key_value_and_what_is_allowed() {
    let kafka = |rest: &str| format!("{KAFKA}{rest}");
    let table: Vec<(String, &str)> = vec![
        ("listn = \"x\"".into(), r#"t.toml:1:1: listn = "x": unknown key, did you mean "listen"?; allowed: listen data_dir public_url log_format limits history cluster stream flow publish auth telemetry trace metrics lag dlq channel rule"#),
        ("listen = \"8080\"".into(), r#"t.toml:1:10: listen = "8080": not an address; allowed: IP:PORT, [IPv6]:PORT or localhost:PORT; port 0 takes any free one"#),
        ("listen = 8080".into(), "t.toml:1:10: listen = 8080: expected a string, found a whole number"),
        ("log_format = \"xml\"".into(), r#"t.toml:1:14: log_format = "xml": unknown word; allowed: text json"#),
        ("public_url = \"host/ops\"".into(), r#"t.toml:1:14: public_url = "host/ops": not a URL; allowed: http://HOST[:PORT][/PATH] or https://..."#),
        ("data_dir = \"/dev/null\"".into(), r#"t.toml:1:12: data_dir = "/dev/null": not a directory; allowed: a directory, or a path where one can be made"#),
        ("listen = \"${NONE}\"".into(), r#"t.toml:1:10: listen = "${NONE}": the environment variable NONE is not set; ${NONE:-default} makes it optional"#),
        ("[[cluster]]\nkind = \"kafka\"".into(), "t.toml:1:1: cluster[0].name: is missing; allowed: 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit\nt.toml:1:1: cluster[0].bootstrap_servers: is missing; allowed: HOST:PORT, several separated by commas"),
        ("[[cluster]]\nname = \"r\"\nkind = \"redis\"\nurl = \"redis://u:pw@h\"".into(), r#"t.toml:3:8: cluster[0].kind = "redis": not in this version; allowed: kafka embedded"#),
        ("[[cluster]]\nname = \"r\"\nkind = \"kafak\"".into(), r#"t.toml:3:8: cluster[0].kind = "kafak": unknown word, did you mean "kafka"?; allowed: kafka embedded redis nats"#),
        ("[[cluster]]\nname = \"e\"\nkind = \"embedded\"\nbootstrap_servers = \"k:1\"".into(), r#"t.toml:4:21: cluster[0].bootstrap_servers = "k:1": the embedded log has no servers: it lies in data_dir"#),
        (kafka("[cluster.properties]\n\"group.id\" = \"g\""), r#"t.toml:6:14: cluster[0].properties."group.id" = "g": cannot be set: we join no consumer group"#),
        (kafka("[cluster.properties]\n\"secruity.protocol\" = \"SSL\""), r#"t.toml:6:1: cluster[0].properties."secruity.protocol" = "SSL": librdkafka has no such property, did you mean "security.protocol"?"#),
        (kafka("[cluster.properties]\n\"sasl.psswrd\" = \"hunter2\""), r#"t.toml:6:1: cluster[0].properties."sasl.psswrd" = ***: librdkafka has no such property, did you mean "sasl.password"?"#),
        (kafka("[cluster.properties]\n\"security.protocol\" = \"TLS\""), r#"t.toml:6:23: cluster[0].properties."security.protocol" = "TLS": Invalid value *** for configuration property "security.protocol""#),
        (kafka(KAFKA), r#"t.toml:6:8: cluster[1].name = "main": another [[cluster]] has this name"#),
        (kafka("[[stream]]\ncluster = \"mian\"\nname = \"o\""), r#"t.toml:6:11: stream[0].cluster = "mian": no [[cluster]] has this name, did you mean "main"?; allowed: main"#),
        (kafka("[[stream]]\nrole = \"events\""), "t.toml:5:1: stream[0].name: is missing; allowed: a name, or a pattern instead"),
        (kafka("[[stream]]\nname = \"a\"\npattern = \"b\""), r#"t.toml:7:11: stream[0].pattern = "b": a [[stream]] has a name or a pattern, not both"#),
        (kafka("[[stream]]\nname = \"shop.*\""), r#"t.toml:6:8: stream[0].name = "shop.*": not the name of a stream; write pattern = for a pattern; allowed: 1 to 249 of a-z A-Z 0-9 . _ -"#),
        (kafka("[[stream]]\npattern = '^shop('"), "t.toml:6:11: stream[0].pattern = '^shop(': not a regular expression: error: unclosed group"),
        (kafka("[[stream]]\nname = \"o\"\nrole = \"dql\""), r#"t.toml:7:8: stream[0].role = "dql": unknown word, did you mean "dlq"?; allowed: events dlq lag"#),
        (kafka("[[stream]]\nname = \"o\"\nstart = \"yesterday\""), r#"t.toml:7:9: stream[0].start = "yesterday": neither a word nor a time; allowed: latest, earliest or a time (RFC 3339, "2026-11-22T10:00:00Z")"#),
        (kafka("[[stream]]\nname = \"o\"\nformat = \"mapped\""), r#"t.toml:7:10: stream[0].format = "mapped": needs a [stream.map]; `sample STREAM` prints one"#),
        (kafka("[[stream]]\nname = \"o\"\n[[stream]]\nname = \"o\""), r#"t.toml:8:8: stream[1].name = "o": another [[stream]] of this cluster is the same"#),
        (kafka("[[stream]]\nname = \"o\"\n[stream.map]\ntransaction_id = \"order/id\"\nstage = \"field:x\"\nhop = \"/x\"\noutcome = { from = \"/s\", values = { a = \"timed_out\" } }"), "t.toml:8:18: stream[0].map.transaction_id = \"order/id\": not a place of a field; allowed: a JSON pointer (\"/order/id\"), \"header:NAME\", \"key\" or \"const:VALUE\"\nt.toml:9:9: stream[0].map.stage = \"field:x\": a record of Kafka has no fields, an entry of Redis has; allowed: a JSON pointer (\"/order/id\"), \"header:NAME\", \"key\" or \"const:VALUE\"\nt.toml:10:1: stream[0].map.hop = \"/x\": unknown key; allowed: flow transaction_id stage id event_time started_at status service error traceparent outcome\nt.toml:11:41: stream[0].map.outcome.values.a = \"timed_out\": not an outcome; allowed: ok failed compensated dead_lettered"),
        ("[[stream]]\nname = \"o\"".into(), "t.toml:1:1: stream[0].cluster: there is no [[cluster]] to read it from"),
        ("[[flow]]\nname = \"f\"\nstages = [\"a\", \"b\", \"a\"]\nends_at = [\"c\"]\ntimeout = \"15\"\ndeadlines = { d = \"8s\", b = \"0s\" }".into(), "t.toml:3:21: flow[0].stages[2] = \"a\": is listed twice\nt.toml:4:11: flow[0].ends_at: \"c\" is not one of the flow's stages; allowed: a b\nt.toml:5:11: flow[0].timeout = \"15\": not a duration; allowed: a whole number with ms, s, m, h or d (\"500ms\", \"30s\", \"1h30m\")\nt.toml:6:19: flow[0].deadlines.d = \"8s\": the key is not one of the flow's stages; allowed: a b\nt.toml:6:29: flow[0].deadlines.b = \"0s\": out of range; allowed: more than 0s, at most 30d"),
        ("[limits]\ntransactions = 5\nbody_byte = 7\nlive_streams = 20000".into(), "t.toml:2:16: limits.transactions = 5: out of range; allowed: 100 to 100000000\nt.toml:3:1: limits.body_byte = 7: unknown key, did you mean \"body_bytes\"?; allowed: transactions tombstones dedup_events events_per_transaction flows stages_per_flow hops_per_flow streams series stuck_list payload_bytes field_bytes headers json_depth decode_samples body_bytes body_events connections live_streams live_views fanout_threads idempotency_keys\nt.toml:4:16: limits.live_streams = 20000: 20000 live streams do not fit into 12000 connections; allowed: at most limits.connections"),
        ("[history]\n\"1s\" = \"1m\"\n\"10s\" = \"9d\"\n\"1m\" = \"8d\"".into(), "t.toml:2:8: history.1s = \"1m\": out of range; allowed: 1h to 1d, whole seconds\nt.toml:4:8: history.1m = \"8d\": points of 10s would be kept longer than those of 1m"),
        ("[telemetry]\notlp_endpoint = \"https://u:hunter2@c:4317\"\njaeger_url = true".into(), "t.toml:2:17: telemetry.otlp_endpoint = \"https://***@c:4317\": not an endpoint; allowed: http://HOST:PORT of an OTLP gRPC receiver (a collector beside us speaks TLS for us)\nt.toml:3:14: telemetry.jaeger_url = true: expected a string, found true or false"),
        ("[trace]\nkeep_ratio = 1.5\nmax_spans_per_second = -1".into(), "t.toml:2:14: trace.keep_ratio = 1.5: out of range; allowed: 0.0 to 1.0\nt.toml:3:24: trace.max_spans_per_second = -1: out of range; allowed: 0 to 1000000"),
        (kafka("[publish]\ncluster = \"main\"\nkey = \"id\""), "t.toml:5:1: publish.stream: is missing; allowed: 1 to 249 of a-z A-Z 0-9 . _ -\nt.toml:7:7: publish.key = \"id\": unknown word; allowed: transaction_id"),
        ("[metrics]\ncompat = [\"burrow\"]\npartitions = 1".into(), "t.toml:2:11: metrics.compat[0] = \"burrow\": unknown exporter; allowed: kafka-lag-exporter kafka_exporter\nt.toml:3:14: metrics.partitions = 1: expected true or false, found a whole number"),
        ("[dlq]\npatterns = ['dlq(']\npeek = 1\nmask = [\"\"]\nmax_redrives = 0\nlettres = 1".into(), "t.toml:2:13: dlq.patterns[0] = 'dlq(': not a regular expression: error: unclosed group\nt.toml:3:8: dlq.peek = 1: expected true or false, found a whole number\nt.toml:4:9: dlq.mask[0] = \"\": is empty; allowed: a regular expression\nt.toml:5:16: dlq.max_redrives = 0: out of range; allowed: 1 to 100\nt.toml:6:1: dlq.lettres = 1: unknown key, did you mean \"letters\"?; allowed: patterns mask redrive_group peek streams letters max_redrives rate"),
        ("[auth]\nusers_file = \"/none/users\"".into(), r#"t.toml:2:14: auth.users_file = "/none/users": users_file /none/users: No such file or directory (os error 2)"#),
        ("cluster = \"main\"\n[lag]\n[rule]".into(), "t.toml:1:11: cluster = \"main\": expected one or more [[cluster]] tables, found a string\nt.toml:3:1: rule: expected one or more [[rule]] tables, found a table"),
        ("a = 1\na = 2\nb = \n".into(), "t.toml:2:1: not TOML: duplicate key\nt.toml:3:5: not TOML: string values must be quoted, expected literal string"),
        ("sasl_pasword = \"hunter2\"\npasswort = { x = \"hunter2\" }".into(), "t.toml:1:1: sasl_pasword = ***: unknown key; allowed: ALL\nt.toml:2:1: passwort: unknown key; allowed: ALL"),
    ];
    let all = "listen data_dir public_url log_format limits history cluster stream flow publish auth telemetry trace metrics lag dlq channel rule";
    let mut wrong = String::new();
    for (source, expected) in table {
        let said = parse(&source).map(|c| c.summary().to_string()).expect_err(&source);
        assert!(!said.contains("hunter2"), "a secret in {said}");
        if said != expected.replace("ALL", all) {
            wrong.push_str(&format!("--- of ---\n{source}\n--- said ---\n{said}\n--- not ---\n{expected}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

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

/// A program that notes what it was asked to do.
#[derive(Default)]
struct Fake {
    calls: RefCell<Vec<String>>,
    findings: Vec<Finding>,
    records: Vec<RawRecord>,
}

struct FakeInspect(Vec<Finding>, Vec<RawRecord>);

impl Inspect for FakeInspect {
    fn doctor(&self, streams: &[StreamSpec], _: Duration) -> Vec<Finding> {
        assert!(!streams.is_empty());
        self.0.clone()
    }

    fn sample(&self, stream: &str, count: usize, _: Duration) -> Result<Vec<RawRecord>, String> {
        if stream == "none" { Err("no such stream".into()) } else { Ok(self.1.iter().take(count).cloned().collect()) }
    }
}

impl Brokers for Fake {
    fn inspect(&self, _: &Config, _: &ClusterConfig) -> Result<Box<dyn Inspect>, String> {
        Ok(Box::new(FakeInspect(self.findings.clone(), self.records.clone())))
    }

    fn check(&self, cluster: &ClusterConfig) -> Result<(), String> {
        match cluster.properties.iter().find(|(k, _)| *k == "client.id") {
            Some((key, value)) => Err(format!("not this \"{key}\": {value}")),
            None => Ok(()),
        }
    }
}

impl Program for Fake {
    fn serve(&self, config: Config) -> Exit {
        self.calls.borrow_mut().push(format!("serve {}", config.listen));
        Exit::Start
    }

    fn demo(&self, config: Config, o: DemoOptions) -> Exit {
        let dir = config.data_dir.display().to_string();
        self.calls.borrow_mut().push(format!("demo {dir} seed {} rate {} given {}", o.seed, o.rate, o.listen_given));
        Exit::Clean
    }
}

fn command(words: &[&str], program: &Fake) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("streamgauge").chain(words.iter().copied()).map(Into::into);
    let exit = cli::run(args, program, &mut Terminal { env: &env, out: &mut out, err: &mut err });
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

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
warning: FILE:14:1: rule: this version does not act on [[rule]]: no alert is sent
warning: FILE: listen = \"[::]:80\": everybody who reaches this address could read and post; allowed: an address of loopback, [auth] users_file, or --insecure-no-auth
";
    assert_eq!(out.replace(path.to_str().unwrap(), "FILE"), expected);
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
