//! Any record becomes exactly one event whose texts lie in the arena. `tests/tools/fuzz 300 decode`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use streamgauge::decode::{BatchBuilder, Decoder, Record};
use streamgauge::model::{FieldPath, Format, Kind, Limits, Mapping, Outcome, OutcomeMap};

static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    let at = |path: &[&str]| FieldPath::Pointer(path.iter().map(ToString::to_string).collect());
    let mapping = Mapping {
        flow: Some(FieldPath::Const("checkout".into())),
        transaction_id: Some(at(&["order", "id"])),
        stage: Some(at(&["items", "1", "type"])),
        id: Some(FieldPath::Key),
        event_time: Some(at(&["created_at"])),
        status: Some(at(&["order", "status"])),
        service: Some(FieldPath::Header("app".into())),
        outcome: Some(OutcomeMap { from: at(&["state"]), values: vec![("done".into(), Outcome::Ok)] }),
        ..Mapping::default()
    };
    [Format::Auto, Format::Event, Format::CloudEvents, Format::Mapped(Box::new(mapping)), Format::Opaque]
        .iter()
        .map(|format| Decoder::new(format, &Limits::default(), "orders"))
        .collect()
});

fuzz_target!(|input: (Option<&[u8]>, Option<&[u8]>, Vec<(u8, &[u8], Option<&[u8]>)>)| {
    const NAMES: [&[u8]; 8] = [
        b"content-type",
        b"traceparent",
        b"ce_specversion",
        b"ce_id",
        b"ce_source",
        b"ce_type",
        b"ce_time",
        b"x-redrive-count",
    ];
    let (key, payload, headers) = input;
    let headers: Vec<(&[u8], Option<&[u8]>)> = headers
        .iter()
        .map(|(known, name, value)| (NAMES.get(usize::from(*known)).copied().unwrap_or(name), *value))
        .collect();
    let mut batch = BatchBuilder::new();
    for (n, decoder) in DECODERS.iter().enumerate() {
        let record = Record { position: n as u64, key, payload, headers: &headers, record_time: None };
        let verdict = decoder.decode(&record, &mut batch);
        let event = batch.events().last().expect("one event");
        assert_eq!(batch.len(), n + 1);
        assert_eq!(matches!(event.kind, Kind::Undecodable(_)), verdict.is_err());
        for span in [event.id, event.transaction, event.flow, event.stage, event.service, event.error] {
            let _ = span.of(batch.text());
        }
    }
});
