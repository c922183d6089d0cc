//! The beginning of a record that could not be decoded, as people can read it.

use std::fmt::Write as _;

/// Characters of a preview: enough to recognise a record.
const LONGEST: usize = 200;

/// The first characters of a payload: text as it is, what cannot be printed by its number.
#[must_use]
pub fn preview(payload: &[u8]) -> String {
    let start = &payload[..payload.len().min(4 * LONGEST)]; // a character has four bytes at most
    let mut out = String::new();
    for chunk in start.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    match out.char_indices().nth(LONGEST) {
        Some((end, _)) => out[..end].to_owned(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_bytes_are_numbers() {
        assert_eq!(preview(br#"{"transaction_id":"it's"}"#), r#"{"transaction_id":"it's"}"#);
        assert_eq!(preview("\u{ac00}\n\0".as_bytes()), "\u{ac00}\\n\\u{0}");
        assert_eq!(preview(b"\xff\x00a"), "\\xff\\u{0}a");
        assert_eq!(preview("\u{ac00}".repeat(900).as_bytes()), "\u{ac00}".repeat(LONGEST));
    }
}
