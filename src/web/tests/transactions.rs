//! One transaction, as page and as JSON: asked of somebody who answers like the engine, or does not.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::{Answer, Fixture, NOW, now, send};
use crate::model::{Outcome, Status as Stage, Timestamp};
use crate::run::desk::desk;
use crate::snapshot::{
    LetterView, Meaning, Measured, TransactionEvent, TransactionKey, TransactionState, TransactionView, Waits,
};
use crate::web::{Status, WebConfig};

/// In flight: two events, one without a time of its own.
fn waiting(key: TransactionKey) -> TransactionView {
    let event = |stage: &str, at, hop| TransactionEvent {
        stage: stage.to_owned(),
        status: Stage::Ok,
        outcome: None,
        meaning: Meaning::Step,
        event_time: (at == 0).then_some(now()),
        record_time: Some(Timestamp::from_seconds(NOW + at)),
        cut_time: Timestamp::from_seconds(NOW + at),
        hop,
        cluster: "main".to_owned(),
        stream: "orders".to_owned(),
        generation: 0,
        partition: 3,
        position: 41 + at as u64,
        dead_letter: false,
    };
    let hop = Measured { seconds: -0.5, clock: "mixed" };
    TransactionView {
        flow: key.0,
        transaction_id: key.1,
        state: TransactionState::InFlight,
        outcome: None,
        recovered: false,
        joined: false,
        started_at: Some(now()),
        ended_at: None,
        recovered_at: None,
        latency: None,
        waits: Some(Waits {
            awaited: true,
            stage: "shipped".to_owned(),
            since: Timestamp::from_seconds(NOW + 1),
            seconds: 48.0,
            deadline_seconds: Some(8.0),
            deadline_learned: true,
            stuck: true,
        }),
        times_out_at: None,
        events: Some(vec![event("placed", 0, None), event("paid", 1, Some(("placed".to_owned(), hop)))]),
        truncated: false,
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        trace_carried: true,
        kept_until: None,
    }
}

/// Dead-lettered yesterday: nothing but its end is left.
fn gone(key: TransactionKey) -> TransactionView {
    TransactionView {
        state: TransactionState::Ended,
        outcome: Some(Outcome::DeadLettered),
        started_at: None,
        ended_at: Some(Timestamp::from_seconds(NOW - 86_400)),
        waits: None,
        events: None,
        trace_carried: false,
        kept_until: Some(Timestamp::from_seconds(NOW + 6 * 86_400)),
        ..waiting(key)
    }
}

/// A router behind which `tx 1` is stuck, `old` has left, and nothing else is known.
fn router(fixture: &Fixture) -> Router {
    let (asker, taken) = desk::<TransactionKey, Option<Box<TransactionView>>>(4);
    std::thread::spawn(move || {
        while let Some(asked) = taken.next(Duration::from_secs(20)) {
            let key: TransactionKey = asked.question.clone();
            let told = match (key.0.as_str(), key.1.as_str()) {
                ("check/out", "tx 1" | "<b>&") => Some(waiting(key)),
                ("check/out", "old") => Some(gone(key)),
                _ => None,
            };
            asked.answer(told.map(Box::new));
        }
    });
    fixture.router(WebConfig { transactions: Some(asker), ..WebConfig::default() })
}

async fn get(router: &Router, path: &str) -> Answer {
    let request = Request::get(path).header("accept", "text/html").body(Body::empty()).unwrap();
    send(router, request).await
}

#[tokio::test]
async fn json_tells_all_that_is_known_and_nothing_else() {
    let fixture = Fixture::new();
    let status = Status { jaeger_url: "http://jaeger".to_owned(), restored: true, ..Status::default() };
    fixture.status.send_replace(std::sync::Arc::new(status));
    let router = router(&fixture);
    let answer = get(&router, "/api/v1/transactions?flow=check%2Fout&id=tx+1").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let data = &answer.json()["data"];
    for (member, value) in [
        ("flow", json!("check/out")),
        ("transaction_id", json!("tx 1")),
        ("state", json!("in_flight")),
        ("outcome", json!(null)),
        ("started_at", json!("2026-11-22T10:00:00.000Z")),
        ("ended_at", json!(null)),
        ("trace_url", json!("http://jaeger/trace/4bf92f3577b34da6a3ce929d0e0e4736")),
        ("exported", json!(null)),
        ("latency_seconds", json!(null)),
        ("known_until", json!(null)),
    ] {
        assert_eq!(data[member], value, "{member}");
    }
    assert_eq!((&data["waiting"]["stage"], &data["waiting"]["stuck"]), (&json!("shipped"), &json!(true)));
    let second = &data["events"][1];
    assert_eq!(
        (&second["event_time"], &second["service"], &second["event_id"]),
        (&json!(null), &json!(null), &json!(null))
    );
    assert_eq!(
        (&second["position"], &second["hop_seconds"], &second["hop_from"]),
        (&json!(42), &json!(-0.5), &json!("placed"))
    );
    let old = get(&router, "/api/v1/transactions?id=old&flow=check/out").await.json()["data"].clone();
    assert_eq!((&old["state"], &old["outcome"]), (&json!("ended"), &json!("dead_lettered")));
    assert_eq!(
        (&old["events"], &old["trace_id"], &old["started_at"], &old["joined"]),
        (&json!(null), &json!(null), &json!(null), &json!(null))
    );
}

#[tokio::test]
async fn a_wrong_question_is_named() {
    let fixture = Fixture::new();
    let router = router(&fixture);
    for (query, field) in [
        ("", "flow"),
        ("flow=f", "id"),
        ("flow=f&id=x&limit=1", "limit"),
        ("flow=f&id=%ff", "id"),
        ("flow=f&id=x&id=y", "id"),
        (&format!("flow={}&id=x", "f".repeat(300)), "flow"),
    ] {
        let answer = get(&router, &format!("/api/v1/transactions?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{query}");
    }
    let unknown = get(&router, "/api/v1/transactions?flow=f&id=x").await;
    assert_eq!((unknown.status, unknown.header("content-type")), (StatusCode::NOT_FOUND, "application/problem+json"));
    let told = unknown.json()["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("\"x\"") && told.contains("120 s") && told.contains("604800 s"), "{told}");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_said_to_be_busy() {
    let fixture = Fixture::new();
    let nobody = get(&fixture.router(WebConfig::default()), "/api/v1/transactions?flow=f&id=x").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    let (asker, _nobody_takes_it) = desk(0);
    let router = fixture.router(WebConfig { transactions: Some(asker), ..WebConfig::default() });
    let busy = get(&router, "/api/v1/transactions?flow=f&id=x").await;
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    let page = get(&router, "/transactions?flow=f&id=x").await;
    assert_eq!((page.status, page.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert!(page.text.contains("did not answer in time") && page.text.contains("value=\"x\""));
}

#[tokio::test]
async fn the_page_shows_it_in_both_languages_and_escapes_what_others_wrote() {
    let fixture = Fixture::new();
    let mut snapshot = super::snapshot(1);
    let letter = LetterView {
        position: 7,
        error: "card_declined".to_owned(),
        transaction: Some(("check/out".to_owned(), "tx 1".to_owned())),
        redriven: 2,
        ..LetterView::default()
    };
    let stream = crate::snapshot::DlqStream {
        cluster: "main".into(),
        stream: "orders.dlq".into(),
        newest: vec![letter],
        ..Default::default()
    };
    snapshot.dlq =
        std::sync::Arc::new(crate::snapshot::DlqBoard { streams: vec![stream.into()], ..Default::default() });
    fixture.snapshot.send_replace(std::sync::Arc::new(snapshot));
    let router = router(&fixture);
    let page = get(&router, "/transactions?flow=check%2Fout&id=tx%201&theme=dark").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in
        ["Stuck at shipped", "orders/3 @ 42", "stuck after 8 s, learned", "card_declined", "Redriven 2x", "data-again"]
    {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(
        page.text.contains("lang=ko") && page.text.contains("flow=check%2Fout&#38;id=tx%201"),
        "the switches stay here"
    );
    assert!(page.text.contains("http-equiv=\"refresh\""), "without a script it comes again while it is in flight");
    let pasted = get(&router, "/transactions?flow=check%2Fout&id=+tx%201+").await;
    assert_eq!(pasted.status, StatusCode::OK, "blanks around a pasted id are no part of it");
    let korean = get(&router, "/transactions?flow=check%2Fout&id=old&lang=ko").await;
    assert!(korean.text.contains("\u{c885}\u{b8cc}: ") && korean.text.contains("2\u{bd84}"), "{}", korean.text);
    assert!(!korean.text.contains("http-equiv=\"refresh\""));
    let evil = get(&router, "/transactions?flow=check%2Fout&id=%3Cb%3E%26").await;
    assert!(evil.text.contains("&#60;b&#62;&#38;") || evil.text.contains("&lt;b&gt;&amp;"), "escaped");
    assert!(!evil.text.contains("<b>&"), "nothing of it is markup");
    let unknown = get(&router, "/transactions?flow=nope&id=x").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text.contains("Nothing is known of this transaction") && unknown.text.contains("name=\"id\""));
    let landing = get(&router, "/transactions").await;
    assert!(
        landing.status == StatusCode::OK
            && landing.text.contains("id=\"waiting\"")
            && landing.text.contains("aria-current=\"page\">Transactions")
    );
}
