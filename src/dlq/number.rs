//! Values of headers: numbers that were written as text or as big-endian bytes, and texts from anybody.

/// Reads a number that somebody wrote as decimal text, or as a big-endian integer of 4 or 8 bytes.
///
/// Four or eight bytes that all are digits (the first may be a sign) are text: as an integer they would be
/// 808,464,432 or more, which no partition is and no offset of that width.
#[must_use]
pub fn number(value: &[u8]) -> Option<i64> {
    let bare = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    let digits = bare.strip_prefix(b"-").unwrap_or(bare);
    let is_text = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    match value {
        _ if is_text => std::str::from_utf8(bare).ok()?.parse().ok(),
        [a, b, c, d] => Some(i64::from(i32::from_be_bytes([*a, *b, *c, *d]))),
        [a, b, c, d, e, f, g, h] => Some(i64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
        _ => std::str::from_utf8(value).ok()?.trim().parse().ok(),
    }
}

/// A text of at most `most` characters; what is no UTF-8 is replaced, quotes of a JSON string are taken off.
#[must_use]
pub fn text(value: &[u8], most: usize) -> String {
    // Four bytes hold any character: no more need be looked at.
    let whole = String::from_utf8_lossy(&value[..value.len().min(most.saturating_mul(4).saturating_add(2))]);
    let whole = if value.len() <= whole.len() { unquoted(&whole) } else { &whole };
    whole.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_and_bytes_mean_the_same_number(n in any::<i64>(), small in any::<i32>()) {
            prop_assert_eq!(number(n.to_string().as_bytes()), Some(n));
            prop_assert_eq!(number(small.to_string().as_bytes()), Some(i64::from(small)));
            let all_digits = |b: &[u8]| b.strip_prefix(b"-").unwrap_or(b).iter().all(|c| c.is_ascii_digit() || *c == b'"');
            if !all_digits(&n.to_be_bytes()) {
                prop_assert_eq!(number(&n.to_be_bytes()), Some(n));
            }
            if !all_digits(&small.to_be_bytes()) {
                prop_assert_eq!(number(&small.to_be_bytes()), Some(i64::from(small)));
            }
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40), most in 0usize..20) {
            let _ = number(&bytes);
            prop_assert!(text(&bytes, most).chars().count() <= most);
        }
    }

    #[test]
    fn edges() {
        assert_eq!(number(b""), None);
        assert_eq!(number(b"-"), None);
        assert_eq!(number(b" 7 "), Some(7));
        assert_eq!(number(b"\"42\""), Some(42));
        assert_eq!(number(b"1234"), Some(1234), "four digits are text");
        assert_eq!(number(&[0, 0, 0, 3]), Some(3));
        assert_eq!(number(&[0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(b"99999999999999999999"), None);
        assert_eq!(text(b"\"orders\"", 20), "orders");
        assert_eq!(text("a\nb\u{fc}".as_bytes(), 4), "a b\u{fc}");
    }
}
