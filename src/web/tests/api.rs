//! JSON, readiness, metrics.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{Fixture, NOW, send};
use crate::broker::ClusterHealth;
use crate::web::{Status, WebConfig};

#[tokio::test]
async fn a_flow_has_the_shape_of_the_contract() {
    let answer = Fixture::new().get("/api/v1/flows/checkout").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    let body = answer.json();
    assert_eq!((&body["as_of"], &body["revision"]), (&json!("2026-11-22T10:00:00.000Z"), &json!(1)));
    let data = &body["data"];
    assert_eq!(data["flow"], "checkout");
    assert_eq!(data["watermark"], "2026-11-22T10:00:00.000Z");
    assert_eq!(data["inexact_since"], Value::Null);
    assert_eq!(data["totals"]["outcomes"], json!({"ok":7,"failed":1,"compensated":0,"dead_lettered":0,"timed_out":0}));
    let window = &data["windows"]["1m"];
    assert_eq!((&window["from"], &window["tps"]), (&json!("2026-11-22T09:59:00.000Z"), &json!(1.5)));
    assert_eq!(window["events_per_second"], Value::Null, "unknown is not zero");
    let latency = json!({"clock":"event","count":8,"negative":0,"p50":null,"p95":null,"p99":1.5,"max":null});
    assert_eq!(window["latency_seconds"], json!({"ok": latency}));
    assert_eq!((&data["stages"][0]["stage"], &data["stages"][0]["stuck"]), (&json!("paid \"now\""), &json!(2)));
    assert_eq!(data["stages"][0]["windows"]["10s"]["events_per_second"], Value::Null);
    assert_eq!((&data["hops"], &data["oldest_in_flight"]), (&json!([]), &Value::Null));
    let input = &data["inputs"][0];
    for (name, value) in [
        ("cluster", json!("main")),
        ("partition", json!(3)),
        ("next", json!(90)),
        ("end", json!(100)),
        ("state", json!("reading")),
    ] {
        assert_eq!(input[name], value, "{name}");
    }
}

#[tokio::test]
async fn lists_and_the_whole() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/api/v1/flows").await.json()["data"]["flows"][1]["flow"], "checkout");
    assert_eq!(fixture.get("/api/v1/sources").await.json()["data"]["sources"][0]["stream"], "orders");
    assert_eq!(fixture.get("/api/v1/streams").await.json()["data"], json!({"streams": []}));
    let whole = fixture.get("/api/v1/snapshot").await.json();
    assert_eq!(whole["data"]["flows"][0]["watermark"], Value::Null);
    assert_eq!(whole["data"]["engine"]["transactions"], 0);
    // A name is one percent-encoded segment.
    assert_eq!(fixture.get("/api/v1/flows/a%2Fb%20c").await.json()["data"]["flow"], "a/b c");
}

#[tokio::test]
async fn a_history_is_cut_and_a_wrong_question_answered_in_words() {
    let fixture = Fixture::new();
    let path = |query: &str| format!("/api/v1/flows/checkout/history?{query}");
    let body = fixture.get(&path(&format!("from={}&to=2026-11-22T10:00:00Z&step=1s", NOW - 3))).await.json();
    let points = body["data"]["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[0]["t"]), (3, &json!("2026-11-22T09:59:57.000Z")));
    assert_eq!((&points[0]["ended"]["ok"], &points[0]["p99"]), (&json!(1), &Value::Null));
    let wrong = fixture.get(&path("step=7")).await;
    assert_eq!((wrong.status, wrong.header("content-type")), (StatusCode::BAD_REQUEST, "application/problem+json"));
    assert_eq!(wrong.json()["errors"][0], json!({"field": "step", "detail": "one of 1s, 10s, 1m"}));
    let unknown = fixture.get("/api/v1/flows/chekout").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.json()["detail"].as_str().unwrap().contains("checkout"));
}

#[tokio::test]
async fn who_has_the_answer_gets_a_304_until_it_changes() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let ask = |tag: String| {
        let request = Request::get("/api/v1/flows").header("if-none-match", tag).body(Body::empty()).unwrap();
        let router = router.clone();
        async move { send(&router, request).await }
    };
    let first = ask(String::new()).await;
    let tag = first.header("etag").to_owned();
    let second = ask(format!("\"x\", W/{tag}")).await;
    assert_eq!((second.status, second.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    fixture.snapshot.send_replace(Arc::new(super::snapshot(2)));
    assert_eq!(ask(tag).await.status, StatusCode::OK);
}

#[tokio::test]
async fn ready_once_restored_and_caught_up_once_nothing_is_unread() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/livez").await.status, StatusCode::OK);
    let behind = fixture.get("/readyz?caught_up").await;
    assert_eq!((behind.status, &behind.json()["sources"][0]["behind"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(10)));
    assert_eq!(fixture.get("/readyz").await.json()["status"], "ready");
    let mut done = super::snapshot(2);
    done.sources[0].next = 100;
    fixture.snapshot.send_replace(Arc::new(done));
    assert_eq!(fixture.get("/readyz?caught_up").await.status, StatusCode::OK);
    // A cluster that answers, but has not yet said what streams it has: nobody knows how much is unread.
    let silent = ClusterHealth { up: Some(true), ..ClusterHealth::default() };
    let clusters = vec![("main".to_owned(), "kafka", silent)];
    fixture.status.send_replace(Arc::new(Status { restored: true, clusters, ..Status::default() }));
    assert_eq!(fixture.get("/readyz?caught_up").await.status, StatusCode::SERVICE_UNAVAILABLE);
    // A cluster that is down leaves the dashboard ready; it is only not caught up.
    let down = ClusterHealth { up: Some(false), ..ClusterHealth::default() };
    let clusters = vec![("main".to_owned(), "kafka", down)];
    fixture.status.send_replace(Arc::new(Status { restored: true, clusters, ..Status::default() }));
    assert_eq!(fixture.get("/readyz").await.status, StatusCode::OK);
    assert_eq!(fixture.get("/readyz?caught_up").await.status, StatusCode::SERVICE_UNAVAILABLE);
    fixture.status.send_replace(Arc::new(Status::default()));
    let starting = fixture.get("/readyz").await;
    assert_eq!((starting.status, &starting.json()["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("restoring")));
}

#[tokio::test]
async fn metrics_have_their_names_and_pass_the_checker() {
    let fixture = Fixture::new();
    let plain = fixture.get("/metrics").await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "streamgauge_events_total{flow=\"checkout\",stage=\"paid \\\"now\\\"\",status=\"ok\"} 5",
        "streamgauge_transactions_total{flow=\"checkout\",outcome=\"failed\"} 1",
        "streamgauge_transaction_corrections_total{flow=\"checkout\",from=\"timed_out\",to=\"ok\"} 1",
        "streamgauge_transaction_duration_seconds_bucket{flow=\"checkout\",outcome=\"ok\",clock=\"event\",le=\"2.0\"} 2",
        "streamgauge_hop_duration_seconds_count{flow=\"checkout\",from=\"a\",to=\"b\",clock=\"event\"} 3",
        "streamgauge_decode_errors_total{cluster_name=\"main\",stream=\"orders\",reason=\"invalid_json\"} 1",
        "streamgauge_watermark_age_seconds{flow=\"checkout\"} 0",
        "streamgauge_live_streams 0",
        "streamgauge_build_info{version=\"1.2.3\"} 1",
    ] {
        assert!(plain.text.lines().any(|l| l == line), "{line} in\n{}", plain.text);
    }
    assert!(!plain.text.contains("watermark_age_seconds{flow=\"a/b c\"}"), "unknown is absent");
    assert!(!plain.text.contains("NaN") && !plain.text.contains(" inf"), "{}", plain.text);
    // The checker of the Prometheus project, where it is installed.
    let mut checker = Command::new("promtool");
    checker.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Ok(mut child) = checker.spawn() {
        child.stdin.take().unwrap().write_all(plain.text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let router = fixture.router(WebConfig::default());
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let open = send(&router, Request::get("/metrics").header("accept", accept).body(Body::empty()).unwrap()).await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(
        open.text.ends_with("# EOF\n") && open.text.contains("# TYPE streamgauge_events counter\n"),
        "{}",
        open.text
    );
}

#[test]
fn the_rate_of_a_stream_says_what_it_is_over() {
    use crate::snapshot::{SpanView, StreamView};
    let at = crate::model::Timestamp::from_seconds;
    let young = SpanView { from: Some(at(NOW - 20)), to: Some(at(NOW)), complete: false };
    let view = StreamView { per_second: [Some(1.5); 5], spans: [young; 5], ..StreamView::default() };
    let json = serde_json::to_value(crate::web::shape::Stream::of(&view)).unwrap();
    let hour = &json["windows"]["1h"];
    assert_eq!((&hour["complete"], &hour["events_per_second"]), (&json!(false), &json!(1.5)));
    assert!(hour["from"].as_str() < hour["to"].as_str() && hour["to"].is_string(), "{hour}");
    let unread = serde_json::to_value(crate::web::shape::Stream::of(&StreamView::default())).unwrap();
    assert_eq!(unread["windows"]["1h"]["from"], Value::Null);
}
