//! Where a text is RFC 3339 to both of us, jiff and we mean the same microsecond. `tests/tools/fuzz 300 time`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgauge::decode::parse_time;

fuzz_target!(|text: &str| {
    let ours = parse_time(text);
    if text.len() > 128 {
        return; // refused by us whatever it says
    }
    if let Ok(theirs) = text.parse::<jiff::Timestamp>() {
        let micros = theirs.as_microsecond();
        if (0..7_258_118_400_000_000).contains(&micros) {
            assert_eq!(ours.map(|t| t.0), Ok(micros), "{text}");
        } else {
            assert!(ours.is_err(), "{text}");
        }
    }
});
