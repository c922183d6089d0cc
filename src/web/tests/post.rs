//! `POST /transactions`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, StatusCode};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::{Answer, Fixture, send};
use crate::decode::{BatchBuilder, Decoder, Record};
use crate::model::WebLimits;
use crate::model::{Format, Kind, Limits};
use crate::web::post::{Patience, within};
use crate::web::{App, WebConfig};

async fn post(router: &Router, media: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::post("/transactions");
    if !media.is_empty() {
        request = request.header("content-type", media);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::from(body.to_owned())).unwrap()).await
}

fn payloads(fixture: &Fixture) -> Vec<Value> {
    let records = fixture.log.records.lock().unwrap();
    records.iter().map(|r| serde_json::from_slice(r.payload.as_deref().unwrap()).unwrap()).collect()
}

const JSON: &str = "application/json";

#[tokio::test]
async fn an_empty_object_is_an_event_with_all_defaults() {
    let fixture = Fixture::new();
    let answer = post(&fixture.router(WebConfig::default()), JSON, &[], "{}").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    let accepted = &answer.json()["accepted"][0];
    assert_eq!(
        (&accepted["stream"], &accepted["partition"], &accepted["position"]),
        (&json!("orders"), &json!(0), &json!(0))
    );
    let event = &payloads(&fixture)[0];
    assert_eq!(
        (&event["flow"], &event["stage"], &event["status"]),
        (&json!("default"), &json!("received"), &json!("ok"))
    );
    assert_eq!(event["event_time"], "2026-11-22T10:00:00.000000Z");
    assert_eq!((&event["id"], &event["transaction_id"]), (&accepted["id"], &accepted["transaction_id"]));
    let id = uuid::Uuid::parse_str(event["id"].as_str().unwrap()).unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_ne!(event["id"], event["transaction_id"]);
    let record = fixture.log.records.lock().unwrap()[0].clone();
    assert_eq!(record.key.unwrap(), event["transaction_id"].as_str().unwrap().as_bytes());
    let (name, value) = &record.headers[0];
    let trace = crate::decode::traceparent(value).unwrap();
    assert_eq!(name, "traceparent");
    assert_eq!(trace.trace_id, crate::decode::trace_id("default", event["transaction_id"].as_str().unwrap()));
}

#[tokio::test]
async fn what_we_do_not_know_is_kept_as_it_was_written() {
    let fixture = Fixture::new();
    let body = r#"{"id":"e1","transaction_id":"t1","flow":"checkout","stage":"paid","outcome":"failed","status":"failed",
        "event_time":1795341600123,"error":{"code":"declined","message":"no"},"amount":12345678901234567890.10,
        "attributes":{"currency":"EUR"},"nested":{"a":[1]},"service":null}"#;
    let answer = post(&fixture.router(WebConfig::default()), JSON, &[], body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    let event = &payloads(&fixture)[0];
    assert_eq!(event["attributes"]["currency"], "EUR");
    assert_eq!(event["attributes"]["nested"], json!({"a": [1]}));
    assert_eq!(event["event_time"], "2026-11-22T10:00:00.123000Z");
    assert!(event.get("service").is_none() && event.get("amount").is_none());
    let raw = fixture.log.records.lock().unwrap()[0].payload.clone().unwrap();
    assert!(String::from_utf8(raw).unwrap().contains("\"amount\":12345678901234567890.10"));
}

#[tokio::test]
async fn what_is_accepted_can_be_read_again() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let cloud = r#"{"specversion":"1.0","id":"c","source":"/shop","type":"order.paid","data":{"specversion":"x","status":"PAID"}}"#;
    for body in [
        "{}",
        r#"{"specversion":"1.0","source":"s","attributes":{"type":"t"}}"#,
        r#"{"status":"retried","x":"\u0000"}"#,
        cloud,
    ] {
        assert_eq!(post(&router, JSON, &[], body).await.status, StatusCode::ACCEPTED, "{body}");
    }
    let decoder = Decoder::new(&Format::Auto, &Limits::default(), "orders");
    for record in fixture.log.records.lock().unwrap().iter() {
        let headers: Vec<_> = record.headers.iter().map(|(n, v)| (n.as_bytes(), Some(&v[..]))).collect();
        let mut out = BatchBuilder::default();
        let raw = Record { payload: record.payload.as_deref(), headers: &headers, ..Record::default() };
        decoder.decode(&raw, &mut out).unwrap();
        assert_eq!(out.events()[0].kind, Kind::Event);
    }
}

#[tokio::test]
async fn arrays_and_lines() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let answer = post(&router, JSON, &[], r#" [{"id":"a"},{"id":"b"}] "#).await;
    assert_eq!(answer.json()["accepted"][1]["id"], "b");
    let answer = post(&router, "application/x-ndjson", &[], "{\"id\":\"c\"}\r\n\n{\"id\":\"d\"}\n").await;
    assert_eq!((answer.status, &answer.json()["accepted"][1]["position"]), (StatusCode::ACCEPTED, &json!(3)));
    let wrong = post(&router, "application/x-ndjson", &[], "{}\n{\n").await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.text.contains("line 2"), "{}", wrong.text);
    assert_eq!(fixture.log.records.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn cloudevents_in_all_modes() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let data = r#"{"transaction_id":"t9","flow":"checkout","id":"inner"}"#;
    let event = format!(
        r#"{{"specversion":"1.0","id":"ce","source":"/shop","type":"order.paid","subject":"s","time":"2026-11-22T09:00:00Z","region":"eu","data":{data}}}"#
    );
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "ce"),
        ("ce-source", "%2Fshop"),
        ("ce-type", "order.paid"),
        ("ce-time", "2026-11-22T09:00:00Z"),
    ];
    for (media, headers, body) in [
        ("application/cloudevents+json; charset=utf-8", &[][..], event.clone()),
        ("application/cloudevents-batch+json", &[][..], format!("[{event}]")),
        (JSON, &headers[..], data.to_owned()),
    ] {
        let answer = post(&router, media, headers, &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{media}: {}", answer.text);
        let event = payloads(&fixture).pop().unwrap();
        for (name, value) in [
            ("id", "ce"),
            ("transaction_id", "t9"),
            ("stage", "order.paid"),
            ("service", "/shop"),
            ("flow", "checkout"),
            ("event_time", "2026-11-22T09:00:00.000000Z"),
        ] {
            assert_eq!(event[name], value, "{media} {name}");
        }
    }
    assert_eq!(payloads(&fixture)[0]["attributes"], json!({"region": "eu"}));
    let answer = post(&router, JSON, &[], r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#).await;
    assert_eq!(
        (answer.status, &answer.json()["errors"][0]["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/id"))
    );
}

#[tokio::test]
async fn a_wrong_item_is_named_and_nothing_is_appended() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    for (item, field) in [
        (r#"{"transaction_id":42}"#, "/transaction_id"),
        (r#"{"flow":""}"#, "/flow"),
        (r#"{"stage":"a\u0000"}"#, "/stage"),
        (r#"{"id":"a\nb"}"#, "/id"),
        (r#"{"status":"PAID"}"#, "/status"),
        (r#"{"outcome":"timed_out"}"#, "/outcome"),
        (r#"{"event_time":"yesterday"}"#, "/event_time"),
        (r#"{"event_time":true}"#, "/event_time"),
        (r#"{"error":{"code":5}}"#, "/error"),
        (r#"{"attributes":[]}"#, "/attributes"),
        (r#"{"traceparent":"00-0"}"#, "/traceparent"),
        (&format!(r#"{{"stage":"{}"}}"#, "x".repeat(257)), "/stage"),
        ("7", ""),
    ] {
        let answer = post(&router, JSON, &[], &format!("[{{}},{item}]")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{item}");
        let error = &answer.json()["errors"][0];
        assert_eq!((&error["index"], &error["field"]), (&json!(1), &json!(field)), "{item}");
    }
    for (media, body, status) in [
        (JSON, "{", StatusCode::BAD_REQUEST),
        (JSON, "[]", StatusCode::BAD_REQUEST),
        (JSON, &format!("{{\"a\":{}}}", "[".repeat(70)), StatusCode::BAD_REQUEST),
        ("", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("text/plain", "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let answer = post(&router, media, &[], body).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json"),
            "{media} {body}"
        );
    }
    assert!(fixture.log.records.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bounds_have_names() {
    let fixture = Fixture::new();
    let limits = WebLimits { body_bytes: 100, body_events: 2, ..WebLimits::default() };
    let router = fixture.router(WebConfig { limits, ..WebConfig::default() });
    let large = post(&router, JSON, &[], &format!("{{\"a\":\"{}\"}}", "x".repeat(100))).await;
    assert!(
        large.status == StatusCode::PAYLOAD_TOO_LARGE && large.text.contains("limits.body_bytes"),
        "{}",
        large.text
    );
    let many = post(&router, JSON, &[], "[{},{},{}]").await;
    assert!(many.status == StatusCode::PAYLOAD_TOO_LARGE && many.text.contains("limits.body_events"), "{}", many.text);
}

#[tokio::test]
async fn the_trace_of_the_caller_goes_on() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let (caller, own) = (
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-11111111111111111111111111111111-2222222222222222-00",
    );
    let headers = [("traceparent", caller), ("tracestate", "a=b")];
    let body = format!(r#"[{{}},{{"traceparent":"{own}"}}]"#);
    assert_eq!(post(&router, JSON, &headers, &body).await.status, StatusCode::ACCEPTED);
    let records = fixture.log.records.lock().unwrap();
    let header = |n: usize| {
        records[n].headers.iter().map(|(k, v)| (k.as_str(), std::str::from_utf8(v).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(header(0), headers);
    assert_eq!(header(1), [("traceparent", own)]);
}

#[tokio::test]
async fn a_log_that_is_down_is_a_503_and_gives_the_key_back() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let key = [("idempotency-key", "k")];
    fixture.log.down.store(true, Ordering::SeqCst);
    let down = post(&router, JSON, &key, "{}").await;
    assert_eq!((down.status, down.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "5"));
    let unsure = down.json()["may_be_written"].as_array().cloned().unwrap_or_default();
    assert!(
        unsure.len() == 1 && unsure[0]["id"].is_string() && unsure[0]["transaction_id"].is_string(),
        "{}",
        down.text
    );
    assert!(down.json()["detail"].as_str().unwrap().contains("may still be written"), "{}", down.text);
    fixture.log.down.store(false, Ordering::SeqCst);
    let first = post(&router, JSON, &key, "{}").await;
    let again = post(&router, JSON, &key, "{}").await;
    assert_eq!((first.status, again.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(first.text, again.text);
    assert_eq!(fixture.log.records.lock().unwrap().len(), 1);
    let other = post(&router, JSON, &key, r#"{"id":"x"}"#).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    let bad = post(&router, JSON, &[("idempotency-key", "")], "{}").await;
    assert_eq!(
        (bad.status, &bad.json()["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("header:Idempotency-Key"))
    );
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_ids_though_nobody_remembers_the_first() {
    let ids = async |key: &str| {
        let router = Fixture::new().router(WebConfig::default());
        let answer = post(&router, JSON, &[("idempotency-key", key)], "[{},{}]").await.json();
        let id = |i: usize, name: &str| answer["accepted"][i][name].as_str().unwrap_or_default().to_owned();
        [id(0, "id"), id(0, "transaction_id"), id(1, "id"), id(1, "transaction_id")]
    };
    let first = ids("k").await;
    assert_eq!(first, ids("k").await);
    let mut all = [first, ids("other").await].concat();
    all.sort_unstable();
    all.dedup();
    assert!(all.len() == 8 && all.iter().all(|id| id.len() == 36), "{all:?}");
}

#[tokio::test]
async fn the_same_key_at_the_same_time_is_a_conflict_and_a_caller_that_leaves_changes_nothing() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let key = [("idempotency-key", "k")];
    let closed = fixture.log.gate.lock().await;
    let first = router.clone();
    let under_way = tokio::spawn(async move { post(&first, JSON, &[("idempotency-key", "k")], "{}").await });
    let conflict = loop {
        let answer = post(&router, JSON, &key, "{}");
        match tokio::time::timeout(std::time::Duration::from_millis(50), answer).await {
            Ok(answer) => break answer,
            // This one came first and waits at the gate itself; the next meets its key.
            Err(_) => continue,
        }
    };
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    under_way.abort();
    drop(closed);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        let answer = post(&router, JSON, &key, "{}").await;
        if answer.header("idempotent-replayed") == "true" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", answer.text);
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.log.records.lock().unwrap().len(), 1);
}

/// A body of which nothing ever comes.
struct Never;

impl HttpBody for Never {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_slow_body_is_cut_off_and_what_is_left_of_the_time_is_the_logs() {
    let fixture = Fixture::new();
    let app = App::new(fixture.context.clone(), WebConfig::default());
    let ask = async |body: Body, whole| {
        let patience = Patience { body: Duration::from_millis(20), whole };
        let request = Request::post("/transactions").header("content-type", JSON).body(body).unwrap();
        let answer = within(patience, Arc::clone(&app), request);
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("not as long as it likes");
        answer.expect_err("nobody answers in time")
    };
    let slow = ask(Body::new(Never), Duration::from_secs(3_600)).await;
    assert_eq!(slow.status, StatusCode::REQUEST_TIMEOUT, "{slow:?}");
    let _closed = fixture.log.gate.lock().await;
    let late = ask(Body::from("{}"), Duration::ZERO).await;
    assert_eq!((late.status, late.unsure.len()), (StatusCode::SERVICE_UNAVAILABLE, 1), "{late:?}");
}

#[tokio::test]
async fn limits_of_a_body_are_the_most_that_is_taken() {
    let fixture = Fixture::new();
    let config = WebConfig {
        limits: WebLimits { body_bytes: 40, body_events: 3, ..WebLimits::default() },
        ..WebConfig::default()
    };
    let router = fixture.router(config);
    for (events, status) in [(2, StatusCode::ACCEPTED), (3, StatusCode::ACCEPTED), (4, StatusCode::PAYLOAD_TOO_LARGE)] {
        let body = format!("[{}]", vec!["{}"; events].join(","));
        assert_eq!(post(&router, JSON, &[], &body).await.status, status, "{events} events");
    }
    for (bytes, status) in [(39, StatusCode::ACCEPTED), (40, StatusCode::ACCEPTED), (41, StatusCode::PAYLOAD_TOO_LARGE)]
    {
        let body = format!("{{{}}}", " ".repeat(bytes - 2));
        assert_eq!(post(&router, JSON, &[], &body).await.status, status, "{bytes} bytes");
    }
}

#[tokio::test]
async fn without_a_place_to_publish_ingest_is_off() {
    let mut fixture = Fixture::new();
    fixture.context.publish = None;
    let answer = post(&fixture.router(WebConfig::default()), JSON, &[], "{}").await;
    assert!(answer.status == StatusCode::NOT_FOUND && answer.text.contains("[publish]"), "{}", answer.text);
}
