//! Tables per format, and properties over arbitrary bytes.

use proptest::prelude::*;

use super::*;
use crate::model::{Event, FieldPath, Mapping, Outcome, OutcomeMap, Status};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const NOON: i64 = 1_795_341_600_000_000;

type Headers<'a> = &'a [(&'a [u8], Option<&'a [u8]>)];

/// One decoded record with its texts.
#[derive(Debug)]
struct Got {
    event: Event,
    arena: String,
    fault: Option<Undecodable>,
}

impl Got {
    /// transaction, flow, stage, id, service, error
    fn texts(&self) -> [&str; 6] {
        let e = &self.event;
        [e.transaction, e.flow, e.stage, e.id, e.service, e.error].map(|span| span.of(&self.arena))
    }

    fn reason(&self) -> Option<DecodeReason> {
        assert_eq!(
            self.fault.as_ref().map(|f| Kind::Undecodable(f.reason)),
            match self.event.kind {
                kind @ Kind::Undecodable(_) => Some(kind),
                _ => None,
            }
        );
        self.fault.as_ref().map(|f| f.reason)
    }

    fn detail(&self) -> &str {
        self.fault.as_ref().map_or("", |f| &f.detail)
    }
}

fn decode(format: &Format, headers: Headers<'_>, payload: impl AsRef<[u8]>) -> Got {
    let record = Record { position: 7, key: Some(b"k-1"), payload: Some(payload.as_ref()), headers, record_time: None };
    let mut batch = BatchBuilder::new();
    let verdict = Decoder::new(format, &Limits::default(), "orders").decode(&record, &mut batch);
    assert_eq!(batch.len(), 1);
    Got { event: batch.events()[0], arena: batch.text().to_owned(), fault: verdict.err() }
}

#[test]
fn event_v1_with_every_field() {
    let payload = format!(
        r#" {{"id":"e-1","transaction_id":"tx-42","flow":"checkout","stage":"payment.authorized","status":"failed","outcome":"failed",
        "event_time":"2026-11-22T10:00:00.123Z","started_at":1795341600,"service":"payments","unknown":{{"deep":[1,{{}}]}},
        "error":{{"code":"card_declined","message":"no"}},"attributes":{{"amount":"12.50"}},"traceparent":"{TRACE}"}} "#
    );
    for format in [Format::Auto, Format::Event] {
        let got = decode(&format, &[(b"X-Redrive-Count", Some(b"3"))], &payload);
        assert_eq!(got.reason(), None, "{got:?}");
        assert_eq!(got.texts(), ["tx-42", "checkout", "payment.authorized", "e-1", "payments", "card_declined"]);
        let e = got.event;
        assert_eq!((e.kind, e.status, e.outcome), (Kind::Event, Status::Failed, Some(Outcome::Failed)));
        assert_eq!((e.event_time, e.started_at), (Some(Timestamp(NOON + 123_000)), Some(Timestamp(NOON))));
        assert_eq!((e.redrive, e.trace), (3, traceparent(TRACE.as_bytes())));
    }
}

#[test]
fn a_minimal_event_gets_flow_and_stage() {
    let got =
        decode(&Format::Auto, &[], r#"{"transaction_id":"\u0041\u00e9\u0000","id":null,"error":null,"status":""}"#);
    assert_eq!(got.reason(), None);
    assert_eq!(got.texts(), ["A\u{e9}\0", "default", "orders", "", "", ""]);
    let registry = [b"\0\0\0\0\x05".as_slice(), br#"{"transaction_id":"t"}"#].concat();
    assert_eq!(decode(&Format::Auto, &[], &registry).texts()[0], "t");
    assert_eq!(decode(&Format::Auto, &[], "\u{feff}{\"transaction_id\":\"t\"}").texts()[0], "t");
}

#[test]
fn headers_win_over_the_payload() {
    let payload = format!(r#"{{"transaction_id":"t","traceparent":"{TRACE}"}}"#);
    let other = traceparent(OTHER_TRACE.as_bytes());
    let bytes = Some(OTHER_TRACE.as_bytes());
    assert_eq!(decode(&Format::Auto, &[(b"TraceParent", bytes)], &payload).event.trace, other);
    assert_eq!(decode(&Format::Auto, &[(b"ce_traceparent", bytes)], &payload).event.trace, other);
    let broken: Headers<'_> =
        &[(b"traceparent", Some(b"00-junk")), (b"\xff\xfe", Some(b"\xff")), (b"traceparent", None)];
    assert_eq!(decode(&Format::Auto, broken, &payload).event.trace, traceparent(TRACE.as_bytes()));
}

#[test]
fn refusals_name_the_field() {
    use DecodeReason as R;
    let long = format!(r#"{{"transaction_id":"t","flow":"{}"}}"#, "x".repeat(257));
    for (payload, reason, words) in [
        (
            r#"{"transaction_id":"t","status":"okay"}"#,
            R::WrongType,
            r#"event.status: expected one of ok, retried, failed, compensated, dead_lettered, got "okay""#,
        ),
        (
            r#"{"transaction_id":"t","outcome":"timed_out"}"#,
            R::WrongType,
            "event.outcome: expected one of ok, failed, compensated, dead_lettered, got",
        ),
        (r#"{"transaction_id":42}"#, R::WrongType, "event.transaction_id: expected a string, got 42"),
        (r#"{"transaction_id":"t","stage":["a"]}"#, R::WrongType, "event.stage: expected a string, got an array"),
        (r#"{"transaction_id":"t","error":"no"}"#, R::WrongType, r#"event.error: expected an object, got "no""#),
        (r#"{"transaction_id":"t","error":{"code":1}}"#, R::WrongType, "event.error.code: expected a string, got 1"),
        (r#"{"transaction_id":"t","event_time":"soon"}"#, R::BadTime, "event.event_time: expected RFC 3339"),
        (r#"{"transaction_id":"t","started_at":true}"#, R::WrongType, "event.started_at: expected a time"),
        (r#"{"transaction_id":"\ud800"}"#, R::NotUtf8, "event.transaction_id: an escape that is no character"),
        (&long, R::FieldTooLong, "event.flow: 257 bytes, more than limits.field_bytes = 256"),
        (r#"{"transaction_id":"t""#, R::InvalidJson, "payload: EOF"),
        (r#"{"transaction_id":"t"} x"#, R::InvalidJson, "payload: trailing"),
    ] {
        for format in [Format::Auto, Format::Event] {
            let got = decode(&format, &[(b"traceparent", Some(TRACE.as_bytes()))], payload);
            assert_eq!(got.reason(), Some(reason), "{payload}");
            assert!(got.detail().starts_with(words), "{}", got.detail());
            assert!(got.event.trace.is_some(), "headers count all the same");
        }
    }
}

#[test]
fn what_says_nothing_of_a_transaction() {
    let binary: Headers<'_> = &[(b"__value_schema_id", Some(b"\x01\x02"))];
    for (headers, payload) in [
        (&[] as Headers<'_>, &b"{}"[..]),
        (&[], br#"{"id":{"$oid":"1"},"status":"SHIPPED","error":"x"}"#),
        (&[], br#"{"payload":{"after":{"transaction_id":"t"}},"schema":{}}"#),
        (&[], br#""{\"transaction_id\":\"t\"}""#),
        (&[], br#"[{"transaction_id":"t"}]"#),
        (&[], b"17"),
        (&[], b"null"),
        (&[], b""),
        (&[], b"\0\0\0\0\x05\x02\x10"),
        (&[], b"{\xff\xfe"),
        (binary, br#"{"transaction_id":"#),
        (&[(b"content-type", Some(b"application/cloudevents+avro"))], br#"{"transaction_id":"t"}"#),
    ] {
        let got = decode(&Format::Auto, headers, payload);
        assert_eq!((got.event.kind, got.reason()), (Kind::Opaque, None), "{payload:?}");
        assert_eq!(got.arena, "");
        assert_eq!(decode(&Format::Opaque, headers, payload).event.kind, Kind::Opaque);
        assert!(
            decode(&Format::Event, &[], payload).reason().is_some() || payload.starts_with(br#"{"transaction_id":"t"#)
        );
    }
    let staged = decode(&Format::Auto, &[], r#"{"stage":"build"}"#);
    assert_eq!((staged.event.kind, staged.texts()[1], staged.texts()[2]), (Kind::Opaque, "default", "build"));
    for (format, word) in [(Format::Event, "event.transaction_id"), (Format::CloudEvents, "cloudevent.specversion")] {
        let got = decode(&format, &[], r#"{"stage":"build"}"#);
        assert!(got.detail().starts_with(word), "{}", got.detail());
    }
}

#[test]
fn tombstones_and_sizes() {
    let mut batch = BatchBuilder::new();
    for format in [Format::Auto, Format::Event, Format::CloudEvents, Format::Opaque, Format::Mapped(Box::default())] {
        let verdict = Decoder::new(&format, &Limits::default(), "orders").decode(&Record::default(), &mut batch);
        assert_eq!((verdict, batch.events().last().map(|e| e.kind)), (Ok(()), Some(Kind::Tombstone)));
    }
    let huge = format!(r#"{{"transaction_id":"t","attributes":"{}"}}"#, "x".repeat(10_000_000));
    let got = decode(&Format::Auto, &[(b"x-redrive-count", Some(b"999"))], &huge);
    assert_eq!((got.reason(), got.event.redrive), (Some(DecodeReason::TooLarge), 255));
    assert_eq!(decode(&Format::Auto, &[], vec![7; 10_000_000]).event.kind, Kind::Opaque);
    let nested = |depth: usize| {
        format!(r#"{{"transaction_id":"t","s":"[[[[[","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    assert_eq!(decode(&Format::Auto, &[], nested(63)).reason(), None);
    assert_eq!(decode(&Format::Auto, &[], nested(64)).reason(), Some(DecodeReason::TooDeep));
    assert_eq!(decode(&Format::Auto, &[], nested(100_000)).reason(), Some(DecodeReason::TooDeep));
    assert_eq!(decode(&Format::Event, &[], r#"{"a":"#.repeat(50_000)).reason(), Some(DecodeReason::TooDeep));
}

const CE: &str = r#"{"specversion":"1.0","id":"c-1","source":"/payments","type":"payment.authorized","subject":"tx-42","time":"2026-11-22T10:00:00Z""#;

#[test]
fn cloudevents_structured() {
    let media: Headers<'_> = &[(b"Content-Type", Some(b"application/CloudEvents+json; charset=utf-8"))];
    for (headers, format) in
        [(media, Format::Auto), (media, Format::CloudEvents), (&[], Format::Auto), (&[], Format::CloudEvents)]
    {
        let got = decode(&format, headers, format!("{CE}}}"));
        assert_eq!(got.texts(), ["tx-42", "default", "payment.authorized", "c-1", "/payments", ""], "{got:?}");
        assert_eq!((got.event.kind, got.event.event_time), (Kind::Event, Some(Timestamp(NOON))));
        // The data says stage, transaction and service better; id and time are the envelope's.
        let data = r#""data":{"id":"order-1","transaction_id":"tx-1","stage":"paid","flow":"shop","service":"pay","event_time":1,"outcome":"ok"}"#;
        let got = decode(&format, headers, format!("{CE},{data}}}"));
        assert_eq!(got.texts(), ["tx-1", "shop", "paid", "c-1", "pay", ""]);
        assert_eq!((got.event.outcome, got.event.event_time), (Some(Outcome::Ok), Some(Timestamp(NOON))));
        let foreign = decode(&format, headers, format!(r#"{CE},"data":{{"status":"SHIPPED","id":7}}}}"#));
        assert_eq!((foreign.reason(), foreign.texts()[0]), (None, "tx-42"));
        let wrong = decode(&format, headers, format!(r#"{CE},"data":{{"transaction_id":"t","status":"x"}}}}"#));
        assert!(wrong.detail().starts_with("cloudevent.data.status: expected one of"), "{}", wrong.detail());
    }
    let refused = |payload: String| decode(&Format::Auto, media, payload);
    assert_eq!(refused(format!("{CE}}}").replace("1.0", "0.3")).reason(), Some(DecodeReason::BadEnvelope));
    assert_eq!(refused(format!("{CE}}}").replace("\"source\"", "\"s\"")).detail(), "cloudevent.source: missing");
    assert_eq!(refused(format!("{CE}}}").replace("tx-42", "")).event.kind, Kind::Opaque);
    assert_eq!(refused("nonsense".into()).reason(), Some(DecodeReason::InvalidJson));
    let strict = decode(&Format::CloudEvents, media, format!("{CE}}}").replace("subject", "s"));
    assert_eq!(strict.reason(), Some(DecodeReason::MissingField));
    for media in ["application/cloudevents-batch+json", "application/cloudevents+avro"] {
        let got = decode(&Format::CloudEvents, &[(b"content-type", Some(media.as_bytes()))], "[]");
        assert_eq!(got.reason(), Some(DecodeReason::BadEnvelope), "{media}");
    }
}

#[test]
fn cloudevents_binary() {
    for dash in ["_", "-"] {
        let name = |n: &str| format!("ce{dash}{n}");
        let names = ["specversion", "id", "source", "type", "subject", "time", "traceparent"].map(name);
        let values = ["1.0", "c-1", "/payments", "paid", "tx-42", "2026-11-22T10:00:00Z", TRACE];
        let headers: Vec<Header<'_>> =
            names.iter().zip(values).map(|(n, v)| (n.as_bytes(), Some(v.as_bytes()))).collect();
        for format in [Format::Auto, Format::CloudEvents] {
            for data in ["", "\0\u{1}", r#"{"id":7}"#, "[1]"] {
                let got = decode(&format, &headers, data);
                assert_eq!(got.texts(), ["tx-42", "default", "paid", "c-1", "/payments", ""], "{data}");
                assert_eq!((got.reason(), got.event.event_time), (None, Some(Timestamp(NOON))));
                assert_eq!(got.event.trace, traceparent(TRACE.as_bytes()));
            }
            let got = decode(&format, &headers, r#"{"id":"o-1","transaction_id":"tx-1","event_time":1}"#);
            assert_eq!((got.texts()[0], got.texts()[3]), ("tx-1", "c-1"));
            assert_eq!(got.event.event_time, Some(Timestamp(NOON)));
        }
        let mut broken = headers.clone();
        broken[4].1 = Some(b"\xff");
        assert_eq!(decode(&Format::Auto, &broken, "").reason(), Some(DecodeReason::NotUtf8));
        broken[0].1 = Some(b"2.0");
        broken[4].1 = None;
        assert_eq!(decode(&Format::Auto, &broken, "").reason(), Some(DecodeReason::BadEnvelope));
    }
}

fn mapping() -> Mapping {
    let at =
        |p: &str| FieldPath::Pointer(p.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~")).collect());
    Mapping {
        flow: Some(FieldPath::Const("checkout".into())),
        transaction_id: Some(at("/order/id")),
        stage: Some(at("/items/1/a~1b")),
        id: Some(FieldPath::Key),
        event_time: Some(at("/created_at")),
        started_at: None,
        status: Some(at("/order/status")),
        service: Some(FieldPath::Header("X-App".into())),
        error: Some(at("/order")),
        traceparent: Some(FieldPath::Field("trace".into())),
        outcome: Some(OutcomeMap {
            from: at("/state"),
            values: vec![("completed".into(), Outcome::Ok), ("3".into(), Outcome::Failed)],
        }),
    }
}

#[test]
fn mapped() {
    let format = Format::Mapped(Box::new(Mapping { error: None, ..mapping() }));
    let headers: Headers<'_> = &[(b"x-app", Some(b"shop")), (b"trace", Some(TRACE.as_bytes()))];
    let payload = r#"{"skip":{"order":{"id":1}},"order":{"id":12345678901234567890123,"status":"retried","x":[{}]},
        "items":[{"a/b":"no"},{"a/b":true}],"created_at":"1795341600000","state":3}"#;
    let quoted = serde_json::to_string(payload).expect("a string");
    for payload in [payload, &quoted] {
        let got = decode(&format, headers, payload);
        assert_eq!(got.reason(), None, "{got:?}");
        assert_eq!(got.texts(), ["12345678901234567890123", "checkout", "true", "k-1", "shop", ""]);
        assert_eq!((got.event.status, got.event.outcome), (Status::Retried, Some(Outcome::Failed)));
        assert_eq!(got.event.event_time, Some(Timestamp(NOON)));
        assert_eq!(got.event.trace, traceparent(TRACE.as_bytes()));
    }
    for (from, to, detail) in [
        (
            "retried",
            "paid",
            r#"map.status: expected one of ok, retried, failed, compensated, dead_lettered, got "paid""#,
        ),
        ("\"id\":1", "\"no\":1", "map.transaction_id: missing"),
        ("{\"a/b\":true}", "{}", "map.stage: missing"),
        ("true", "[]", "map.stage: expected a string, a number or a boolean, got an array"),
        ("1795341600000", "yesterday", "map.event_time: expected RFC 3339"),
    ] {
        let got = decode(&format, headers, payload.replace(from, to));
        assert!(got.detail().starts_with(detail), "{}", got.detail());
    }
    let got = decode(&format, headers, "{");
    assert_eq!((got.reason(), got.texts()[3], got.texts()[1]), (Some(DecodeReason::InvalidJson), "k-1", "checkout"));
    // A pointer to an object and one into it: the object itself is no text.
    let both = decode(&Format::Mapped(Box::new(mapping())), headers, payload);
    assert_eq!(both.detail(), "map.error: expected a string, a number or a boolean, got an object");
}

#[test]
fn mapped_without_pointers_never_looks_at_the_payload() {
    let mapping = Mapping { transaction_id: Some(FieldPath::Key), ..Mapping::default() };
    let got = decode(&Format::Mapped(Box::new(mapping)), &[], b"\xff\0{");
    assert_eq!((got.reason(), got.texts()[0], got.texts()[2]), (None, "k-1", "orders"));
    let counted = decode(&Format::Mapped(Box::default()), &[], "x");
    assert_eq!((counted.reason(), counted.event.kind), (None, Kind::Opaque));
}

#[test]
fn repeated_names_are_stored_once_and_buffers_again() {
    let decoder = Decoder::new(&Format::Auto, &Limits::default(), "orders");
    let mut batch = BatchBuilder::new();
    for i in 0..3 {
        let payload = format!(r#"{{"transaction_id":"t{i}","flow":"checkout","stage":"paid"}}"#);
        let record = Record { position: i, payload: Some(payload.as_bytes()), ..Record::default() };
        decoder.decode(&record, &mut batch).expect("an event");
    }
    assert_eq!(batch.text(), "t0checkoutpaidt1t2");
    let source = std::sync::Arc::new(crate::model::SourceKey {
        cluster: "c".into(),
        stream: "orders".into(),
        generation: 0,
        partition: 0,
    });
    let done = batch.finish(source, 0, 3, Timestamp(1), -1);
    assert!(batch.is_empty());
    assert_eq!((done.events.len(), done.events[2].flow.of(&done.text)), (3, "checkout"));
    batch.recycle(done);
    assert!(batch.is_empty() && batch.text().is_empty());
    let record = Record { payload: Some(br#"{"transaction_id":"t","flow":"f"}"#), ..Record::default() };
    decoder.decode(&record, &mut batch).expect("an event");
    assert_eq!(batch.text(), "tforders");
}

fn formats() -> [Format; 5] {
    [Format::Auto, Format::Event, Format::CloudEvents, Format::Mapped(Box::new(mapping())), Format::Opaque]
}

/// Bytes that come close to what we read: fragments of real payloads put together anyhow.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    const FRAGMENTS: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"-1e5",
        b"\0",
        b"\xff",
        b"\0\0\0\0\x01",
        b"1795341600",
        br#""transaction_id":"#,
        br#""stage":"s""#,
        br#""event_time":"#,
        br#""\ud800""#,
        br#""data":"#,
        br#""specversion":"1.0""#,
        br#""order":{"id":"#,
        br#""items":["#,
        br#""2026-11-22T10:00:00Z""#,
    ];
    let fragment = proptest::sample::select(FRAGMENTS);
    proptest::collection::vec(fragment, 0..24).prop_map(|f| f.concat())
}

fn survives(payload: Option<&[u8]>, key: &[u8], headers: Headers<'_>) {
    let mut batch = BatchBuilder::new();
    for (n, format) in formats().iter().enumerate() {
        let record = Record { position: n as u64, key: Some(key), payload, headers, record_time: None };
        let verdict = Decoder::new(format, &Limits::default(), "orders").decode(&record, &mut batch);
        let event = *batch.events().last().expect("one event for one record");
        assert_eq!(batch.len(), n + 1);
        assert_eq!(matches!(event.kind, Kind::Undecodable(_)), verdict.is_err());
        for span in [event.id, event.transaction, event.flow, event.stage, event.service, event.error] {
            assert!(span.of(batch.text()).len() <= Limits::default().field_bytes);
        }
        if event.kind == Kind::Event {
            assert!(!event.transaction.is_empty() && !event.flow.is_empty() && !event.stage.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        payload in proptest::option::of(prop_oneof![any::<Vec<u8>>(), nearly_json()]),
        key in any::<Vec<u8>>(),
        name in prop_oneof![any::<Vec<u8>>(), "(ce[_-](id|type|source|specversion|time)|traceparent|content-type)".prop_map(String::into_bytes)],
        value in proptest::option::of(any::<Vec<u8>>()),
    ) {
        survives(payload.as_deref(), &key, &[(&name, value.as_deref()), (b"ce_id", Some(&key)), (b"ce_type", Some(b"t")),
            (b"ce_source", Some(b"s")), (b"ce_specversion", Some(b"1.0"))]);
        survives(payload.as_deref(), &key, &[(&name, value.as_deref())]);
        if let Some(payload) = &payload {
            prop_assert!(suggest_mapping(&[payload]).parse::<toml::Table>().is_ok());
        }
    }

    /// What serde_json writes, the decoder reads back; the oracle is serde_json's own document model.
    #[test]
    fn event_v1_round_trip(
        texts in proptest::array::uniform6("\\PC{1,20}|[\"\\\\\u{0}\u{1f}/]{1,4}"),
        micros in 0..4_000_000_000_000_000_i64,
        status in 0_usize..5,
        outcome in 0_usize..4,
    ) {
        let [transaction, flow, stage, id, service, error] = texts.each_ref().map(String::as_str);
        let time = jiff::Timestamp::from_microsecond(micros).expect("in range").to_string();
        let payload = serde_json::json!({
            "id": id, "transaction_id": transaction, "flow": flow, "stage": stage, "service": service,
            "status": Status::ALL[status].name(), "outcome": Outcome::ALL[outcome].name(),
            "event_time": time, "error": {"code": error, "message": texts}, "attributes": {"id": stage, "x": [texts]},
        });
        let got = decode(&Format::Event, &[], payload.to_string());
        prop_assert_eq!(got.reason(), None);
        prop_assert_eq!(got.texts(), [transaction, flow, stage, id, service, error]);
        prop_assert_eq!((got.event.status, got.event.outcome), (Status::ALL[status], Some(Outcome::ALL[outcome])));
        prop_assert_eq!(got.event.event_time, Some(Timestamp(micros)));
    }

    /// Under `Event` a payload is refused as JSON exactly where serde_json refuses it.
    #[test]
    fn grammar_is_that_of_serde_json(payload in nearly_json()) {
        let text = body(&payload);
        if json_depth(text) <= 60 {
            let ours = decode(&Format::Event, &[], &payload).reason();
            let refused = matches!(ours, Some(DecodeReason::InvalidJson | DecodeReason::NotUtf8));
            let theirs = serde_json::from_slice::<serde_json::Value>(text);
            // Half a surrogate pair in a member that nobody asked for is skipped, not read.
            prop_assert!(theirs.is_err() || !refused, "{}", String::from_utf8_lossy(&payload));
            prop_assert!(theirs.is_ok() || refused || payload.windows(5).any(|w| w == b"ud800"));
        }
    }
}

fn json_depth(text: &[u8]) -> usize {
    text.iter().filter(|b| matches!(b, b'{' | b'[')).count()
}
