//! What one record costs from its bytes to an event in a batch, by format. `cargo bench --bench decode`.

use divan::Bencher;
use streamgauge::decode::{BatchBuilder, Decoder, Record};
use streamgauge::model::{FieldPath, Format, Limits, Mapping, Outcome, OutcomeMap, Timestamp};

/// Shows allocations beside the times: the usual path has none.
#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

const EVENTS: usize = 512;

fn main() {
    divan::main();
}

/// 512 records as a flow writes them: own ids, times and trace ids, six stages, one flow and service.
fn payloads(render: impl Fn(usize) -> String) -> Vec<String> {
    (0..EVENTS).map(render).collect()
}

const STAGES: [&str; 3] = ["order.placed", "payment.authorized", "order.shipped"];

fn event_v1(i: usize) -> String {
    format!(
        r#"{{"id":"01JDAZ{i:06}","transaction_id":"tx-{i:08}","flow":"checkout","stage":"{}","status":"ok","event_time":"2026-11-22T10:{:02}:{:02}.{:03}Z","service":"payments","traceparent":"00-4bf92f3577b34da6a3ce929d{i:08x}-00f067aa{i:08x}-01"}}"#,
        STAGES[i % 3],
        i / 60 % 60,
        i % 60,
        i % 1000
    )
}

fn run(bencher: Bencher<'_, '_>, format: &Format, headers: &[(&[u8], Option<&[u8]>)], payloads: &[String]) {
    let decoder = Decoder::new(format, &Limits::default(), "orders");
    let mut batch = BatchBuilder::new();
    bencher.counter(divan::counter::ItemsCount::new(payloads.len())).bench_local(|| {
        batch.clear();
        for (position, payload) in payloads.iter().enumerate() {
            let record = Record {
                position: position as u64,
                payload: Some(payload.as_bytes()),
                headers,
                record_time: Some(Timestamp(1)),
                ..Record::default()
            };
            decoder.decode(&record, &mut batch).expect("the benchmark's own records decode");
        }
        batch.len()
    });
}

#[divan::bench]
fn event(bencher: Bencher<'_, '_>) {
    let payloads = payloads(event_v1);
    assert!((225..265).contains(&payloads[100].len()), "{}", payloads[100].len());
    run(bencher, &Format::Event, &[], &payloads);
}

#[divan::bench]
fn auto(bencher: Bencher<'_, '_>) {
    run(bencher, &Format::Auto, &[], &payloads(event_v1));
}

#[divan::bench]
fn auto_with_headers(bencher: Bencher<'_, '_>) {
    let headers: [(&[u8], Option<&[u8]>); 2] = [
        (b"traceparent", Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        (b"content-type", Some(b"application/json")),
    ];
    run(bencher, &Format::Auto, &headers, &payloads(event_v1));
}

#[divan::bench]
fn cloudevents_structured(bencher: Bencher<'_, '_>) {
    let payloads = payloads(|i| {
        format!(
            r#"{{"specversion":"1.0","id":"01JDAZ{i:06}","source":"/payments","type":"{}","subject":"tx-{i:08}","time":"2026-11-22T10:{:02}:{:02}.{:03}Z","traceparent":"00-4bf92f3577b34da6a3ce929d{i:08x}-00f067aa{i:08x}-01","data":{{"flow":"checkout"}}}}"#,
            STAGES[i % 3],
            i / 60 % 60,
            i % 60,
            i % 1000
        )
    });
    let headers: [(&[u8], Option<&[u8]>); 1] = [(b"content-type", Some(b"application/cloudevents+json"))];
    run(bencher, &Format::Auto, &headers, &payloads);
}

#[divan::bench]
fn mapped(bencher: Bencher<'_, '_>) {
    let at = |path: &[&str]| Some(FieldPath::Pointer(path.iter().map(ToString::to_string).collect()));
    let mapping = Mapping {
        flow: Some(FieldPath::Const("checkout".into())),
        transaction_id: at(&["order", "id"]),
        stage: at(&["type"]),
        id: at(&["eventId"]),
        event_time: at(&["created_at"]),
        outcome: Some(OutcomeMap {
            from: FieldPath::Pointer(vec!["state".into()]),
            values: vec![("completed".into(), Outcome::Ok), ("declined".into(), Outcome::Failed)],
        }),
        ..Mapping::default()
    };
    let payloads = payloads(|i| {
        format!(
            r#"{{"eventId":"01JDAZ{i:06}","type":"{}","created_at":"2026-11-22T10:{:02}:{:02}.{:03}Z","state":"pending","order":{{"id":{i},"amount":"12.50","currency":"EUR","items":[{{"sku":"A-1","n":2}},{{"sku":"B-7","n":1}}]}},"customer":{{"id":77123,"tier":"gold"}}}}"#,
            STAGES[i % 3],
            i / 60 % 60,
            i % 60,
            i % 1000
        )
    });
    run(bencher, &Format::Mapped(Box::new(mapping)), &[], &payloads);
}

#[divan::bench]
fn opaque(bencher: Bencher<'_, '_>) {
    run(bencher, &Format::Opaque, &[], &payloads(event_v1));
}

/// The floor: the same bytes checked for UTF-8 and copied.
#[divan::bench]
fn floor_utf8_and_copy(bencher: Bencher<'_, '_>) {
    let payloads = payloads(event_v1);
    let mut arena = String::new();
    bencher.counter(divan::counter::ItemsCount::new(EVENTS)).bench_local(|| {
        arena.clear();
        for payload in &payloads {
            arena.push_str(std::str::from_utf8(divan::black_box(payload.as_bytes())).unwrap_or_default());
        }
        arena.len()
    });
}
