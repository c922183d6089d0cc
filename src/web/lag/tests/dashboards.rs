//! The public Grafana dashboards of kafka-lag-exporter (in its repository) and of kafka_exporter (in its repository,
//! number 7589 at Grafana): what their variables ask for and what their panels draw, asked of our samples.
//!
//! The engine of Prometheus itself evaluates, in `promtool test rules`. Panels of the JVM that kafka-lag-exporter runs
//! in have no counterpart here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use super::*;

/// Scrapes are so far apart; the boards below move on with each.
const INTERVAL: u64 = 30;
/// Which scrape the panels look at: the twentieth, ten minutes in.
const SCRAPE: u64 = 20;

/// One curve or table of a dashboard: its expression, the labels of its legend, and what it says.
struct Panel {
    expr: &'static str,
    legend: &'static str,
    says: &'static [(&'static str, f64)],
}

/// `$namespace` is prod, `$cluster_name` main, `$consumer_group` all of them.
const LAG_EXPORTER: &[Panel] = &[
    Panel {
        expr: r#"topk(50, kafka_consumergroup_group_max_lag_seconds{namespace="prod",cluster_name="main",group=~".*",group!=""})"#,
        legend: "group",
        says: &[(r#"{group="payments"}"#, 25.0), (r#"{group="audit"}"#, 0.0)],
    },
    Panel {
        expr: r#"topk(25, kafka_consumergroup_group_lag_seconds{namespace="prod",cluster_name="main",group=~".*",group!=""})"#,
        legend: "group,topic,partition",
        says: &[
            (r#"{group="payments",topic="orders",partition="0"}"#, 25.0),
            (r#"{group="payments",topic="orders",partition="1"}"#, 0.0),
            (r#"{group="audit",topic="orders",partition="0"}"#, 0.0),
            (r#"{group="audit",topic="orders",partition="1"}"#, 0.0),
        ],
    },
    Panel {
        expr: r#"topk(50, kafka_consumergroup_group_max_lag{namespace="prod",cluster_name="main",group=~".*",group!=""})"#,
        legend: "group",
        says: &[(r#"{group="payments"}"#, 610.0), (r#"{group="audit"}"#, 0.0)],
    },
    Panel {
        expr: r#"topk(25, kafka_consumergroup_group_lag{namespace="prod",cluster_name="main",group=~"payments",group!=""})"#,
        legend: "group,topic,partition",
        says: &[
            (r#"{group="payments",topic="orders",partition="0"}"#, 610.0),
            (r#"{group="payments",topic="orders",partition="1"}"#, 0.0),
        ],
    },
    Panel {
        expr: r#"max(kafka_consumergroup_group_lag_seconds{namespace="prod",cluster_name="main",group=~".*",group!=""}) by (group)"#,
        legend: "group",
        says: &[(r#"{group="payments"}"#, 25.0), (r#"{group="audit"}"#, 0.0)],
    },
    Panel {
        expr: r#"sum(kafka_consumergroup_group_offset{namespace="prod",cluster_name="main",group=~".*",group!=""})"#,
        legend: "",
        says: &[("{}", 690.0 + 800.0 + 1_300.0 + 800.0)],
    },
    // Two groups meet the one end of a partition: many to one, without a label too many on either side.
    Panel {
        expr: r#"sum((kafka_consumergroup_group_offset{namespace="prod",cluster_name="main",group=~".*",group!=""} * 0) + on(namespace,cluster_name,topic,partition) group_left() kafka_partition_latest_offset{namespace="prod",cluster_name="main"})"#,
        legend: "",
        says: &[("{}", 2.0 * (1_300.0 + 800.0))],
    },
];

/// `$instance` is board:8080, `$topic` all of them.
const EXPORTER: &[Panel] = &[
    Panel {
        expr: r#"sum(rate(kafka_topic_partition_current_offset{instance="board:8080",topic=~"idle|orders"}[1m])) by (topic)"#,
        legend: "topic",
        says: &[(r#"{topic="orders"}"#, 3.0), (r#"{topic="idle"}"#, 0.0)],
    },
    Panel {
        expr: r#"sum(kafka_consumergroup_lag{instance="board:8080",topic=~"idle|orders"}) by (consumergroup, topic)"#,
        legend: "consumergroup,topic",
        says: &[
            (r#"{consumergroup="payments",topic="orders"}"#, 610.0),
            (r#"{consumergroup="audit",topic="orders"}"#, 0.0),
        ],
    },
    Panel {
        expr: r#"sum(delta(kafka_topic_partition_current_offset{instance=~"board:8080",topic=~"idle|orders"}[5m])/5) by (topic)"#,
        legend: "topic",
        says: &[(r#"{topic="orders"}"#, 180.0), (r#"{topic="idle"}"#, 0.0)],
    },
    Panel {
        expr: r#"sum(delta(kafka_consumergroup_current_offset{instance=~"board:8080",topic=~"idle|orders"}[5m])/5) by (consumergroup, topic)"#,
        legend: "consumergroup,topic",
        says: &[
            (r#"{consumergroup="payments",topic="orders"}"#, 120.0),
            (r#"{consumergroup="audit",topic="orders"}"#, 180.0),
        ],
    },
    Panel {
        expr: r#"sum by(topic) (kafka_topic_partitions{instance="board:8080",topic=~"idle|orders"})"#,
        legend: "topic",
        says: &[(r#"{topic="orders"}"#, 2.0), (r#"{topic="idle"}"#, 1.0)],
    },
];

/// What the variables of both dashboards list: the values of a label on a metric, ours without those of the target.
const VARIABLES: [(&str, &str, &[&str]); 4] = [
    ("kafka_consumergroup_group_lag", "cluster_name", &["main"]),
    ("kafka_consumergroup_group_lag", "group", &["audit", "payments"]),
    ("kafka_topic_partition_current_offset", "topic", &["idle", "orders"]),
    // It lists jobs and instances by this one: it must be there at all.
    ("kafka_consumergroup_current_offset", "cluster_name", &["main"]),
];

/// The board at a scrape: `orders` grows by 60 and 30 messages, `payments` reads half of the first partition.
fn moving(scrape: u64) -> LagBoard {
    let ends = [100 + 60 * scrape, 200 + 30 * scrape];
    let read = |partition: u32, committed: u64, age: Option<f64>| {
        let end = ends[partition as usize];
        let lag = end - committed;
        LagRow {
            committed: Some(committed).into(),
            end: Some(end).into(),
            readable: Some(lag).into(),
            next_unread_age_seconds: age.into(),
            method: if lag == 0 { AgeMethod::CaughtUp } else { AgeMethod::Index },
            ..row("orders", partition)
        }
    };
    let sums = |name: &str, rows: Vec<LagRow>| {
        let lag = rows.iter().filter_map(LagRow::lag_messages).sum();
        let made = group(name, LagState::Ok, rows);
        Arc::new(GroupView { lag_messages: Some(lag), ..GroupView::clone(&made) })
    };
    let payments = vec![read(0, 90 + 30 * scrape, Some((5 + scrape) as f64)), read(1, ends[1], None)];
    let audit = vec![read(0, ends[0], None), read(1, ends[1], None)];
    let silent = vec![LagRow { stream: "orders".into(), partition: 0, ..LagRow::default() }];
    let partition = |end| PartitionFacts { start: Some(10), end: Some(end), ..PartitionFacts::default() };
    let topic = |name: &str, ends: &[u64]| TopicFacts {
        name: name.into(),
        partitions: ends.iter().map(|end| partition(*end)).collect(),
        ..TopicFacts::default()
    };
    let cluster = LagCluster {
        cluster: "main".to_owned(),
        kind: "kafka",
        answering: true,
        groups: vec![
            sums("audit", audit),
            sums("payments", payments),
            Arc::new(GroupView {
                lag_messages: None,
                unknown_partitions: 1,
                ..GroupView::clone(&group("silent", LagState::Unknown, silent))
            }),
        ],
        topics: Arc::new(vec![topic("idle", &[7]), topic("orders", &ends)]),
        ..LagCluster::default()
    };
    LagBoard { clusters: vec![Arc::new(cluster)] }
}

/// Samples of one scrape: series as text, value.
async fn scrape(at: u64) -> BTreeMap<String, f64> {
    let fixture = Fixture::new();
    let lag = Arc::new(moving(at));
    fixture.snapshot.send_replace(Arc::new(Snapshot { lag, ..crate::web::tests::snapshot(2) }));
    let lag_metrics = LagMetrics::new(true, &["kafka-lag-exporter".to_owned(), "kafka_exporter".to_owned()]);
    let router = fixture.router(WebConfig { lag_metrics, ..WebConfig::default() });
    let text = send(&router, Request::get("/metrics").body(Body::empty()).unwrap()).await.text;
    let sample = |line: &str| line.rsplit_once(' ').map(|(series, value)| (series.to_owned(), value.parse().unwrap()));
    text.lines().filter(|l| l.starts_with("kafka_")).filter_map(sample).collect()
}

/// The names of metrics in an expression.
fn metrics_of(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("kafka_"))
}

/// The value of a label of a series.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let labels = series.split_once('{')?.1.trim_end_matches('}');
    labels.split("\",").find_map(|l| l.strip_prefix(name)?.strip_prefix("=\"")).map(|v| v.trim_end_matches('"'))
}

#[tokio::test]
async fn every_metric_of_their_panels_is_there_and_every_variable_lists_what_it_should() {
    let seen = scrape(SCRAPE).await;
    let of = |metric: &str| seen.keys().filter(|s| s.split('{').next() == Some(metric)).cloned().collect::<Vec<_>>();
    for panel in LAG_EXPORTER.iter().chain(EXPORTER) {
        assert!(metrics_of(panel.expr).count() > 0);
        for metric in metrics_of(panel.expr) {
            assert!(!of(metric).is_empty(), "{metric} of {}", panel.expr);
        }
    }
    for (metric, name, values) in VARIABLES {
        let mut listed: Vec<_> = of(metric).iter().filter_map(|s| label(s, name).map(str::to_owned)).collect();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed, values, "{metric}, {name}");
    }
}

#[tokio::test]
async fn their_panels_say_what_is_true() {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (first, second) = (scrape(0).await, scrape(1).await);
    let mut told = format!("evaluation_interval: {INTERVAL}s\ntests:\n- interval: {INTERVAL}s\n  input_series:\n");
    for (series, value) in &first {
        // What Prometheus adds to what it scrapes; a cluster manager adds the namespace.
        let target = "{namespace=\"prod\",job=\"streamgauge\",instance=\"board:8080\",";
        let (scraped, step) = (quoted(&series.replacen('{', target, 1)), second[series] - value);
        writeln!(told, "  - series: {scraped}\n    values: '{value}+{step}x{SCRAPE}'").unwrap();
    }
    told.push_str("  promql_expr_test:\n");
    for Panel { expr, legend, says } in LAG_EXPORTER.iter().chain(EXPORTER) {
        // Only what the legend names is drawn; a rate may be off by the last bit.
        let drawn = quoted(&format!("sum by ({legend}) (round({expr}, 0.001))"));
        writeln!(told, "  - expr: {drawn}\n    eval_time: {}s\n    exp_samples:", INTERVAL * SCRAPE).unwrap();
        for (labels, value) in *says {
            writeln!(told, "    - labels: {}\n      value: {value}", quoted(labels)).unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yml");
    std::fs::write(&file, told).unwrap();
    let Ok(output) = Command::new("promtool").args(["test", "rules"]).arg(&file).output() else { return };
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
