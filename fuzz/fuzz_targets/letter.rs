//! Any headers make a letter, and a copy of it that can be read again; nothing masked shows. `tests/tools/fuzz 300 letter`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use streamgauge::dlq::{Header, Mask, Redriven, classify, rewrite};
use streamgauge::model::Timestamp;

static MASK: LazyLock<Mask> = LazyLock::new(|| Mask::new(&[]).expect("no patterns"));
const NAMES: [&[u8]; 12] = [
    b"kafka_dlt-original-topic",
    b"kafka_dlt-original-partition",
    b"kafka_dlt-original-offset",
    b"kafka_dlt-exception-stacktrace",
    b"__connect.errors.topic",
    b"__connect.errors.offset",
    b"dead-letter-topic",
    b"dead-letter-reason",
    b"x-redrive-count",
    b"x-redrive-source-topic",
    b"traceparent",
    b"x-original-traceparent",
];

fuzz_target!(|input: (Vec<(u8, &[u8], Option<&[u8]>)>, &[u8])| {
    let (headers, payload) = input;
    let headers: Vec<Header<'_>> = headers
        .iter()
        .map(|(known, name, value)| (NAMES.get(usize::from(*known)).copied().unwrap_or(name), *value))
        .collect();
    let letter = classify(&headers);
    let redriven = Redriven { by: "f", at: Timestamp(0), from: ("d", 0, 0), traceparent: Some("t".into()) };
    let (copy, _) = rewrite(&headers, &letter, &redriven);
    let again: Vec<Header<'_>> = copy.iter().map(|(n, v)| (n.as_bytes(), Some(v.as_slice()))).collect();
    let second = classify(&again);
    assert_eq!(second.redriven, letter.redriven.saturating_add(1));
    if let (Some(a), Some(b)) = (&letter.first, &second.first) {
        assert_eq!((a.partition, a.position, a.time), (b.partition, b.position, b.time));
    }
    let _ = MASK.payload(payload, 1_000);
});
