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
