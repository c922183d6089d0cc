//! Trace context: reading W3C `traceparent`, and ids for transactions that carry none.

use sha2::{Digest, Sha256};

use crate::model::TraceContext;

/// Reads a W3C `traceparent`, strictly: lower-case hex, ids not all zero, version `ff` refused, version `00` of
/// exactly 55 bytes, later versions at least that. Anything else is `None`: by the standard it is ignored.
#[must_use]
pub fn traceparent(text: &[u8]) -> Option<TraceContext> {
    let dashes = text.len() >= 55 && text[2] == b'-' && text[35] == b'-' && text[52] == b'-';
    if !dashes {
        return None;
    }
    let [version] = hex_bytes::<1>(&text[..2])?;
    let length_fits = text.len() == 55 || (version != 0 && text[55] == b'-');
    if version == 0xff || !length_fits {
        return None;
    }
    let trace_id = hex_bytes::<16>(&text[3..35])?;
    let span_id = hex_bytes::<8>(&text[36..52])?;
    let [flags] = hex_bytes::<1>(&text[53..55])?;
    (trace_id != [0; 16] && span_id != [0; 8]).then_some(TraceContext { trace_id, span_id, flags })
}

/// Value of each lower-case hex digit; 0xff for everything else.
const NIBBLE: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

fn hex_bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (NIBBLE[usize::from(pair[0])], NIBBLE[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | (low & 0xf);
    }
    (seen < 16).then_some(bytes)
}

/// Trace id of a transaction whose events carry none: the same on every machine, never all zero.
#[must_use]
pub fn trace_id(flow: &str, transaction: &str) -> [u8; 16] {
    first_bytes(&["v1|", flow, "|", transaction])
}

/// Span id of an event that carries none: the same on every machine, never all zero.
/// `event_id` is the position in decimal where the event has no id.
#[must_use]
pub fn span_id(transaction: &str, stream: &str, partition: u32, event_id: &str) -> [u8; 8] {
    first_bytes(&["v1|", transaction, "|", stream, "|", &partition.to_string(), "|", event_id])
}

fn first_bytes<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut id = [0; N];
    id.copy_from_slice(&hash.finalize()[..N]);
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

/// Lower-case hex, as ids are written everywhere.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_the_example_of_the_standard() {
        let context = traceparent(GOOD.as_bytes()).expect("valid");
        assert_eq!(hex(&context.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(hex(&context.span_id), "00f067aa0ba902b7");
        assert_eq!(context.flags, 1);
    }

    #[test]
    fn is_strict() {
        let later = GOOD.replacen("00", "cc", 1);
        assert!(traceparent(later.as_bytes()).is_some());
        assert!(traceparent(format!("{later}-what").as_bytes()).is_some());
        let refused = [
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            format!("{GOOD}-"),
            format!("{later}x"),
            GOOD[..54].to_owned(),
            GOOD.replace('-', "_"),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("4bf", "4b "),
            GOOD.replace("-01", "-0g"),
            String::new(),
        ];
        for text in refused {
            assert_eq!(traceparent(text.as_bytes()), None, "{text}");
        }
    }

    /// Expected values: `printf 'v1|checkout|tx-42' | sha256sum`.
    #[test]
    fn derived_ids_are_those_of_sha256sum() {
        assert_eq!(hex(&trace_id("checkout", "tx-42")), "49e62c3944f7e16267922a864426493b");
        assert_eq!(hex(&span_id("tx-42", "orders", 3, "e-1")), "2c1ac51554644158");
    }
}
