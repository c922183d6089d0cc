//! Any record of the offsets topic is understood, refused or counted. `tests/tools/fuzz 300 offsets`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgauge::decode::{OffsetsTopic, decode_offsets};

fuzz_target!(|records: Vec<(&[u8], Option<&[u8]>)>| {
    let mut topic = OffsetsTopic::new(8);
    for (key, value) in records {
        let _ = decode_offsets(key, value);
        if let Some(seen) = topic.apply(key, value, None) {
            assert_eq!(topic.newest(&seen.group, &seen.topic, seen.partition).map(|(next, _)| next), seen.next);
        }
        assert!(topic.len() <= 8 && topic.all().count() == topic.len());
    }
});
