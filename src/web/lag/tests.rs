//! JSON and metrics of groups, from outside.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::LagMetrics;
use super::metrics::{PIECE_BYTES, Samples};
use crate::model::{GroupPhase, GroupProtocol, PartitionFacts, Timestamp, TopicFacts};
use crate::snapshot::{
    AgeMethod, Burrow, Confidence, DlqBoard, DlqCounted, DlqStream, GroupView, LagBoard, LagCluster, LagRow, LagState,
    PartitionTrouble, Snapshot, ToldLag,
};
use crate::text::Locale;
use crate::text::i18n::lag_reason;
use crate::web::WebConfig;
use crate::web::exposition::{Exposition, Format};
use crate::web::tests::{Answer, Fixture, send};

mod contract;
mod dashboards;
mod told;

fn at() -> Timestamp {
    Timestamp::from_seconds(crate::web::tests::NOW)
}

fn row(stream: &str, partition: u32) -> LagRow {
    LagRow {
        stream: stream.into(),
        partition,
        committed: Some(90).into(),
        start: Some(10).into(),
        end: Some(100).into(),
        readable: Some(10).into(),
        next_unread_age_seconds: Some(2.5).into(),
        method: AgeMethod::Index,
        confidence: Confidence::Good,
        state: LagState::Lagging,
        owner: Some(Arc::new(("app-1".into(), "/10.0.0.7".into()))),
        seen: vec![(10, 80, 85), (0, 90, 100)].into(),
        ..LagRow::default()
    }
}

fn group(name: &str, state: LagState, rows: Vec<LagRow>) -> Arc<GroupView> {
    Arc::new(GroupView {
        group: name.into(),
        protocol: GroupProtocol::Classic,
        phase: GroupPhase::Stable,
        members: Some(2),
        state,
        burrow: Burrow::Warn,
        lag_messages: Some(10),
        next_unread_age_seconds: Some(2.5),
        lost_messages: 4,
        as_of: at(),
        rows: rows.into(),
        ..GroupView::default()
    })
}

/// Two clusters, one of which no longer answers; a group of which nothing is known.
fn board() -> LagBoard {
    let unknown = LagRow { stream: "orders".into(), partition: 1, ..LagRow::default() };
    let done = LagRow {
        committed: Some(100).into(),
        next_unread_age_seconds: None.into(),
        method: AgeMethod::CaughtUp,
        ..row("orders", 2)
    };
    let facts = PartitionFacts {
        start: Some(10),
        end: Some(100),
        leader: Some(3),
        preferred: Some(1),
        replicas: 3,
        in_sync: 2,
        ..PartitionFacts::default()
    };
    let main = LagCluster {
        cluster: "main".to_owned(),
        kind: "kafka",
        as_of: Some(at().plus(-2_000_000)),
        answering: true,
        cycle_seconds: Some(0.25),
        groups: vec![
            group("a\"b/\u{ac00}", LagState::Stalled, vec![row("orders", 0), unknown, done]),
            group("b", LagState::Ok, vec![row("pay", 0)]),
            Arc::new(GroupView { group: "c".into(), ..GroupView::default() }),
        ],
        troubles: vec![PartitionTrouble { stream: "pay".into(), partition: 0, what: "offline", replicas: (0, 1) }],
        topics: Arc::new(vec![TopicFacts {
            name: "orders".into(),
            partitions: vec![facts.clone(), PartitionFacts::default(), facts],
            ..TopicFacts::default()
        }]),
        lost: [("b".into(), 4)].into(),
        brokers: Some(3),
        told: vec![
            ToldLag {
                cluster: "main".to_owned(),
                group: "b".to_owned(),
                stream: "pay".to_owned(),
                partition: 0,
                committed: Some(70),
                end: None,
                start: None,
                pending: Some(3),
                oldest_pending_seconds: None,
                at: at(),
            },
            ToldLag {
                cluster: "redis".to_owned(),
                group: "mailers".to_owned(),
                stream: "mails".to_owned(),
                partition: 0,
                committed: Some(70),
                end: Some(95),
                start: None,
                pending: None,
                oldest_pending_seconds: None,
                at: at().plus(-21_000_000),
            },
        ],
        ..LagCluster::default()
    };
    let gone = LagCluster {
        cluster: "old".to_owned(),
        groups: vec![group("z", LagState::Unknown, vec![row("orders", 0)])],
        as_of: Some(at().plus(-90_000_000)),
        ..LagCluster::default()
    };
    LagBoard { clusters: vec![Arc::new(main), Arc::new(gone)] }
}

fn letters() -> DlqBoard {
    let stream = DlqStream {
        cluster: "main".to_owned(),
        stream: "orders.dlq".into(),
        answering: true,
        retained: Some(12),
        unhandled: None,
        inflow_total: 40,
        expired: 2,
        ..DlqStream::default()
    };
    let counted = vec![DlqCounted { cluster: "main".to_owned(), stream: "orders.dlq".into(), inflow: 38, expired: 1 }];
    DlqBoard { streams: vec![Arc::new(stream)], counted, ..DlqBoard::default() }
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let boards = Snapshot { lag: Arc::new(board()), dlq: Arc::new(letters()), ..crate::web::tests::snapshot(2) };
    fixture.snapshot.send_replace(Arc::new(boards));
    fixture
}

async fn metrics(choice: LagMetrics) -> Answer {
    let config = WebConfig { lag_metrics: choice, ..WebConfig::default() };
    send(&fixture().router(config), Request::get("/metrics").body(Body::empty()).unwrap()).await
}

/// The checker of the Prometheus project, where it is installed.
fn promtool(text: &str) {
    let mut checker = Command::new("promtool");
    checker.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = checker.spawn() else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    // It objects to names of others (`kafka_consumergroup_poll_time_ms`), which are theirs; never to what is written.
    let said = String::from_utf8_lossy(&output.stderr);
    let ours = said.lines().filter(|l| !l.starts_with("kafka_"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<&str>::new(), "{said}");
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
}

#[tokio::test]
async fn groups_are_listed_filtered_and_paged() {
    let fixture = fixture();
    let body = fixture.get("/api/v1/groups").await.json();
    let groups = body["data"]["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 4);
    assert_eq!(
        (&groups[0]["state"], &groups[0]["lag_messages"], &groups[0]["cluster"]),
        (&json!("STALLED"), &json!(10), &json!("main"))
    );
    let rows = groups[0]["partitions"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["method"], &rows[0]["confidence"], &rows[0]["owner"]),
        (&json!("index"), &json!("good"), &json!("app-1"))
    );
    for member in ["committed", "start", "end", "lag_messages", "next_unread_age_seconds", "owner"] {
        assert_eq!(rows[1][member], Value::Null, "{member} is not known");
    }
    assert_eq!((&groups[2]["members"], &groups[2]["drain_seconds"]), (&Value::Null, &Value::Null));
    let names = |query: &str| {
        let path = format!("/api/v1/groups?{query}");
        let fixture = &fixture;
        async move {
            let groups = fixture.get(&path).await.json()["data"]["groups"].as_array().unwrap().clone();
            groups.iter().map(|g| g["group"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names("state=ok").await, ["b"]);
    assert_eq!(names("stream=pay").await, ["b"]);
    assert_eq!(names("cluster=old").await, ["z"]);
    assert_eq!(names("find=A%22").await, ["a\"b/\u{ac00}"]);
    // One by one, each page by the `next` of the one before.
    let (mut seen, mut query) = (Vec::new(), "limit=1&partitions=false".to_owned());
    loop {
        let body = fixture.get(&format!("/api/v1/groups?{query}")).await.json();
        let group = &body["data"]["groups"][0];
        assert_eq!(group.get("partitions"), None);
        seen.push(group["group"].as_str().unwrap().to_owned());
        let Some(next) = body["next"].as_str() else { break };
        next.clone_into(&mut query);
        assert!(seen.len() < 10);
    }
    assert_eq!(seen, ["a\"b/\u{ac00}", "b", "c", "z"]);
    for (query, field) in [
        ("state=BAD", "state"),
        ("limit=0", "limit"),
        ("after=x", "after"),
        ("after=no/x", "after"),
        ("sort=x", "sort"),
    ] {
        let wrong = fixture.get(&format!("/api/v1/groups?{query}")).await;
        assert_eq!(
            (wrong.status, &wrong.json()["errors"][0]["field"]),
            (StatusCode::BAD_REQUEST, &json!(field)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn events_about_groups_that_nobody_asks_for_are_told_beside_them() {
    let fixture = fixture();
    let told = async |query: &str| fixture.get(&format!("/api/v1/groups?{query}")).await.json()["data"]["told"].clone();
    let all = told("").await;
    assert_eq!(all.as_array().unwrap().len(), 1, "that of b stands with b: {all}");
    assert_eq!((&all[0]["cluster"], &all[0]["group"]), (&json!("redis"), &json!("mailers")));
    assert_eq!((&all[0]["end"], &all[0]["pending"]), (&json!(95), &Value::Null));
    assert_eq!(told("cluster=redis&find=mail&stream=mails").await, all);
    for other in ["cluster=main", "find=x", "stream=pay", "state=ok"] {
        assert_eq!(told(other).await, json!([]), "{other}");
    }
}

#[tokio::test]
async fn no_total_says_zero_while_partitions_are_unknown() {
    let zero = LagRow { committed: Some(100).into(), next_unread_age_seconds: Some(0.0).into(), ..row("orders", 0) };
    let unknown = LagRow { stream: "orders".into(), partition: 1, ..LagRow::default() };
    let sums =
        GroupView { lag_messages: None, next_unread_age_seconds: None, unknown_partitions: 1, ..GroupView::default() };
    let place = Some(("orders".into(), 1));
    let rows = vec![zero, unknown, row("pay", 0)].into();
    let half = Arc::new(GroupView { group: "half".into(), place, rows, as_of: at(), ..sums });
    let cluster =
        LagCluster { cluster: "main".to_owned(), answering: true, groups: vec![half], ..LagCluster::default() };
    let fixture = Fixture::new();
    let board = LagBoard { clusters: vec![Arc::new(cluster)] };
    fixture.snapshot.send_replace(Arc::new(Snapshot { lag: Arc::new(board), ..crate::web::tests::snapshot(2) }));
    let choice = LagMetrics::new(false, &["kafka-lag-exporter".to_owned(), "kafka_exporter".to_owned()]);
    let config = WebConfig { lag_metrics: choice, ..WebConfig::default() };
    let text = send(&fixture.router(config), Request::get("/metrics").body(Body::empty()).unwrap()).await.text;
    has(&text, "streamgauge_group_unknown_partitions{cluster_name=\"main\",group=\"half\"} 1");
    has(&text, "kafka_consumergroup_lag_sum{cluster_name=\"main\",consumergroup=\"half\",topic=\"pay\"} 10");
    for absent in [
        "lag_sum{cluster_name=\"main\",consumergroup=\"half\",topic=\"orders",
        "group_sum_lag{",
        "streamgauge_group_lag_messages{",
    ] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
    let group = fixture.get("/api/v1/groups/main/half").await.json()["data"].clone();
    assert_eq!((&group["lag_messages"], &group["unknown_partitions"]), (&Value::Null, &json!(1)));
    assert!(group["reason"].as_str().unwrap().starts_with("orders/1: "), "{group}");
}

#[tokio::test]
async fn one_group_with_what_its_verdict_rests_on() {
    let fixture = fixture();
    let body = fixture.get("/api/v1/groups/main/b").await.json();
    let row = &body["data"]["partitions"][0];
    assert_eq!(row["samples"][0], json!({"seconds_before": 10, "committed": 80, "end": 85}));
    assert_eq!((&row["told"]["pending"], &row["told"]["end"]), (&json!(3), &Value::Null));
    assert_eq!(fixture.get("/api/v1/groups/main/a%22b%2F%EA%B0%80").await.status, StatusCode::OK);
    for path in ["/api/v1/groups/main/none", "/api/v1/groups/none/b"] {
        assert_eq!(fixture.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn dead_letters_with_nulls_where_nothing_is_known() {
    let fixture = fixture();
    let stream = fixture.get("/api/v1/dlq").await.json()["data"]["streams"][0].clone();
    for (name, value) in [
        ("cluster", json!("main")),
        ("stream", json!("orders.dlq")),
        ("retained", json!(12)),
        ("unhandled", Value::Null),
        ("redrive_group", Value::Null),
        ("inflow_per_minute", Value::Null),
        ("oldest_unhandled_age_seconds", Value::Null),
        ("expired", json!(2)),
    ] {
        assert_eq!(stream[name], value, "{name}");
    }
    assert_eq!(fixture.get("/api/v1/dlq?stream=none").await.json()["data"]["streams"], json!([]));
}

#[tokio::test]
async fn samples_are_there_where_something_is_known() {
    let plain = metrics(LagMetrics::default()).await.text;
    for line in [
        "streamgauge_group_lag_messages{cluster_name=\"main\",group=\"a\\\"b/\u{ac00}\",stream=\"orders\",partition=\"0\"} 10",
        "streamgauge_group_next_unread_age_seconds{cluster_name=\"main\",group=\"b\",stream=\"pay\",partition=\"0\"} 2.5",
        "streamgauge_group_state{cluster_name=\"main\",group=\"b\",stream=\"pay\",state=\"LAGGING\"} 1",
        "streamgauge_group_state{cluster_name=\"main\",group=\"b\",stream=\"pay\",state=\"STALLED\"} 0",
        "streamgauge_group_lost_messages_total{cluster_name=\"main\",group=\"b\"} 4",
        "streamgauge_group_unknown_partitions{cluster_name=\"main\",group=\"b\"} 0",
        "streamgauge_told_lag_messages{cluster_name=\"redis\",group=\"mailers\",stream=\"mails\",partition=\"0\"} 25",
        "streamgauge_told_pending_messages{cluster_name=\"main\",group=\"b\",stream=\"pay\",partition=\"0\"} 3",
        "streamgauge_told_age_seconds{cluster_name=\"redis\",group=\"mailers\",stream=\"mails\",partition=\"0\"} 21",
        "streamgauge_partition_troubles{cluster_name=\"main\",what=\"offline\"} 1",
        "streamgauge_lag_survey_age_seconds{cluster_name=\"old\"} 90",
        "streamgauge_dlq_retained_messages{cluster_name=\"main\",stream=\"orders.dlq\"} 12",
        "streamgauge_dlq_inflow_messages_total{cluster_name=\"main\",stream=\"orders.dlq\"} 38",
    ] {
        has(&plain, line);
    }
    for absent in ["partition=\"1\"", "dlq_unhandled_messages{", "drain_seconds{", "NaN", " inf", "kafka_"] {
        assert!(!plain.contains(absent), "{absent} in\n{plain}");
    }
    let frozen = plain.lines().filter(|l| l.contains("cluster_name=\"old\"") && l.contains("group_lag"));
    assert_eq!(frozen.count(), 0, "a cluster that does not answer has no lag");
    promtool(&plain);
    let totals = metrics(LagMetrics { partitions: false, ..LagMetrics::default() }).await.text;
    has(&totals, "streamgauge_group_lag_messages{cluster_name=\"main\",group=\"b\"} 10");
    assert!(!totals.contains("partition=\""), "{totals}");
    promtool(&totals);
}

#[tokio::test]
async fn other_exporters_names_and_labels() {
    let choice = LagMetrics::new(true, &["kafka-lag-exporter".to_owned(), "kafka_exporter".to_owned()]);
    let text = metrics(choice).await.text;
    for line in [
        "kafka_consumergroup_group_lag{cluster_name=\"main\",group=\"b\",topic=\"pay\",partition=\"0\",member_host=\"/10.0.0.7\",consumer_id=\"\",client_id=\"app-1\"} 10",
        "kafka_consumergroup_group_lag_seconds{cluster_name=\"main\",group=\"b\",topic=\"pay\",partition=\"0\",member_host=\"/10.0.0.7\",consumer_id=\"\",client_id=\"app-1\"} 2.5",
        "kafka_consumergroup_group_max_lag{cluster_name=\"main\",group=\"b\"} 10",
        "kafka_consumergroup_group_max_lag_seconds{cluster_name=\"main\",group=\"b\"} 2.5",
        "kafka_consumergroup_group_sum_lag{cluster_name=\"main\",group=\"b\"} 10",
        "kafka_consumergroup_group_topic_sum_lag{cluster_name=\"main\",group=\"b\",topic=\"pay\"} 10",
        "kafka_consumergroup_poll_time_ms{cluster_name=\"main\"} 250",
        "kafka_partition_latest_offset{cluster_name=\"main\",topic=\"orders\",partition=\"2\"} 100",
        "kafka_partition_earliest_offset{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 10",
        "kafka_brokers{cluster_name=\"main\"} 3",
        "kafka_topic_partitions{cluster_name=\"main\",topic=\"orders\"} 3",
        "kafka_topic_partition_current_offset{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 100",
        "kafka_topic_partition_oldest_offset{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 10",
        "kafka_topic_partition_leader{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 3",
        "kafka_topic_partition_leader_is_preferred{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 0",
        "kafka_topic_partition_in_sync_replica{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 2",
        "kafka_topic_partition_under_replicated_partition{cluster_name=\"main\",topic=\"orders\",partition=\"0\"} 1",
        "kafka_consumergroup_lag{cluster_name=\"main\",consumergroup=\"b\",topic=\"pay\",partition=\"0\"} 10",
        "kafka_consumergroup_lag_sum{cluster_name=\"main\",consumergroup=\"b\",topic=\"pay\"} 10",
        "kafka_consumergroup_current_offset{cluster_name=\"main\",consumergroup=\"b\",topic=\"pay\",partition=\"0\"} 90",
        "kafka_consumergroup_members{cluster_name=\"main\",consumergroup=\"b\"} 2",
    ] {
        has(&text, line);
    }
    assert!(!text.contains("orders\",partition=\"1\""), "nothing is known of it");
    assert!(!text.contains(" -1\n") && !text.contains("NaN"), "{text}");
    promtool(&text);
}

#[test]
fn a_large_page_comes_in_small_pieces_and_whole() {
    let rows: Vec<LagRow> = (0..400).map(|n| row("orders", n)).collect();
    let groups: Vec<_> = (0..40).map(|n| group(&format!("group-{n:03}"), LagState::Ok, rows.clone())).collect();
    let cluster = LagCluster { cluster: "main".to_owned(), answering: true, groups, ..LagCluster::default() };
    let board = LagBoard { clusters: vec![Arc::new(cluster)] };
    let snapshot = Snapshot { lag: Arc::new(board), ..Snapshot::default() };
    for format in [Format::Prometheus, Format::OpenMetrics, Format::Protobuf] {
        let mut samples = Samples::new(Exposition::new(format), &snapshot, &LagMetrics::default());
        let (mut largest, mut lines, mut last) = (0, 0, Vec::new());
        while let Some(piece) = samples.piece() {
            largest = largest.max(piece.len());
            lines += piece.split(|b| *b == b'\n').filter(|l| l.starts_with(b"streamgauge_group_lag_messages{")).count();
            last = piece;
        }
        assert!(largest < 2 * PIECE_BYTES, "{format:?}: {largest}");
        assert!(format == Format::Protobuf || lines == 16_000, "{format:?}: {lines}");
        assert!(format != Format::OpenMetrics || last.ends_with(b"# EOF\n"));
    }
}

#[test]
fn every_verdict_has_its_sentence_in_both_languages() {
    for (key, _) in crate::lag::REASONS {
        for locale in [Locale::En, Locale::Ko] {
            assert!(lag_reason(key, &[0.0; 3], locale).is_some(), "{key}");
        }
    }
}
