//! Hides secrets in what a peek shows: by the names of members and headers, and by the look of values.

use std::sync::LazyLock;

use regex::{Regex, RegexSet, RegexSetBuilder};
use serde_json::Value;

use super::number::number;

/// Stands where a secret would.
const HIDDEN: &str = "***";
/// Names whose values are always hidden, wherever they stand in the name. Too many hidden values cost little.
const NAMES: [&str; 10] = [
    r"passw|passphrase|pwd$|^pin$",
    r"secret|credential|private",
    r"token|authori[sz]ation|^auth$|bearer|cookie|session",
    r"api[._-]?key|access[._-]?key",
    r"card[._-]?(?:number|no)|^pan$|cvv|cvc|cvn",
    r"iban|account[._-]?(?:number|no)",
    r"^ssn$|social[._-]?security|tax[._-]?id|passport|national[._-]?id|resident",
    r"e[._-]?mail",
    r"phone|mobile",
    r"birth|^dob$",
];
/// Bytes of one compiled pattern of the configuration: names are short.
const PATTERN_BYTES: usize = 1 << 20;
/// Levels of JSON that are looked into; what lies deeper is hidden as a whole.
const DEPTH: usize = 32;

/// Values that look like secrets: card numbers, signed tokens, keys after a scheme.
static VALUES: LazyLock<Regex> = LazyLock::new(|| {
    // Constants of this file; the tests below compile them.
    Regex::new(r"\b\d(?:[ -]?\d){12,18}\b|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2}|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}|-----BEGIN [A-Z ]+-----[^-]*(?:-----END [A-Z ]+-----)?")
        .expect("a pattern of ours")
});
/// A name and what stands between it and its value, in text that is no JSON: `name: `, `"name":`, `name=`.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"([A-Za-z_][A-Za-z0-9_.-]*)\\*["']?\s*[:=]\s*"#).expect("a pattern of ours"));

/// Which names are secret.
#[derive(Clone, Debug)]
pub struct Mask(RegexSet);

impl Mask {
    /// The names that are always hidden, and those of the configuration (regular expressions, any case).
    ///
    /// # Errors
    /// The compiler's words for a pattern that is none.
    pub fn new(more: &[String]) -> Result<Self, String> {
        let all = NAMES.iter().copied().chain(more.iter().map(String::as_str));
        let set = RegexSetBuilder::new(all).case_insensitive(true).size_limit(PATTERN_BYTES).build();
        set.map(Self).map_err(|e| e.to_string().lines().last().unwrap_or_default().trim().to_owned())
    }

    /// True for names whose values are hidden.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// The value of a header for people.
    #[must_use]
    pub fn header(&self, name: &str, value: &[u8], most: usize) -> String {
        match name {
            _ if self.hides(name) => HIDDEN.to_owned(),
            // Partition, offset and time as Spring writes them; the same rule as where they are read.
            _ if matches!(value.len(), 4 | 8) && value.iter().any(u8::is_ascii_control) => {
                number(value).map_or_else(|| cut(&printable(value), most), |n| n.to_string())
            }
            _ if matches!(value.trim_ascii_start(), [b'{' | b'[', ..]) => self.payload(value, most),
            // Exceptions quote what they could not use.
            _ => cut(&self.text(&printable(value)), most),
        }
    }

    /// Words that a failure left behind: masked, at most `most` characters.
    #[must_use]
    pub fn message(&self, words: &str, most: usize) -> String {
        self.header("", words.as_bytes(), most)
    }

    /// A payload for people: JSON member by member, anything else as text. At most `most` characters.
    #[must_use]
    pub fn payload(&self, payload: &[u8], most: usize) -> String {
        match serde_json::from_slice::<Value>(payload) {
            Ok(mut value) => {
                self.walk(&mut value, 0);
                cut(&value.to_string(), most)
            }
            // Masked before it is cut: a secret that a cut splits would look like none.
            Err(_) => cut(&self.text(&printable(payload)), most),
        }
    }

    fn walk(&self, value: &mut Value, depth: usize) {
        match value {
            Value::Object(_) | Value::Array(_) if depth >= DEPTH => *value = HIDDEN.into(),
            Value::Object(members) => {
                for (name, member) in members {
                    if self.hides(name) {
                        *member = HIDDEN.into();
                    } else {
                        self.walk(member, depth + 1);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, depth + 1)),
            Value::String(text) => {
                // JSON within a string is common: outbox tables, double encoding.
                let inner = text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str::<Value>(text).ok());
                *text = match inner.flatten() {
                    Some(mut inner) => {
                        self.walk(&mut inner, depth + 1);
                        inner.to_string()
                    }
                    None => self.text(text),
                };
            }
            Value::Number(number) if VALUES.is_match(&number.to_string()) => *value = HIDDEN.into(),
            _ => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(found) = NAME.captures(rest) {
            let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { break };
            out.push_str(&rest[..whole.end()]);
            rest = &rest[whole.end()..];
            if self.hides(name.as_str()) {
                out.push_str(HIDDEN);
                rest = after_value(rest);
            }
        }
        out.push_str(rest);
        values(&out)
    }
}

/// What follows a value: behind its closing quote, or from the character on that ends it.
fn after_value(text: &str) -> &str {
    let bare = text.trim_start_matches('\\');
    let quote = bare.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        return &text[text.find([',', ';', '&', '}', ']', '\n', '\r', '"']).unwrap_or(text.len())..];
    };
    let mut escaped = false;
    for (at, c) in bare.char_indices().skip(1) {
        match c {
            // Where the quotes themselves are escaped, the first one ends it.
            _ if c == quote && (!escaped || bare.len() < text.len()) => return &bare[at + 1..],
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    ""
}

fn values(text: &str) -> String {
    VALUES.replace_all(text, HIDDEN).into_owned()
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask() -> Mask {
        Mask::new(&["^loyalty$".into()]).unwrap()
    }

    #[test]
    fn secrets_are_hidden_by_name_and_by_look() {
        let shown = mask().payload(
            br#"{"id":"e1","user":{"Password":"hunter2","email":"a@b.c"},"loyalty":7,"card":"4111 1111 1111 1111","n":4111111111111111,
                "list":[{"api_key":"k"}],"inner":"{\"token\":\"t\",\"ok\":1}","jwt":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc","amount":"12.50"}"#,
            10_000,
        );
        for secret in ["hunter2", "a@b.c", "4111", "\"k\"", "eyJ", ":7,", "\\\"t\\\""] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        for kept in ["\"e1\"", "12.50", "\\\"ok\\\":1"] {
            assert!(shown.contains(kept), "{kept} not in {shown}");
        }
    }

    #[test]
    fn text_that_is_no_json_is_masked_too() {
        let shown = mask()
            .payload(br#"user=bob&password=hunter2; {"secret": "x y", "n": 1 Authorization: Bearer abcdefghijkl"#, 500);
        for secret in ["hunter2", "x y", "abcdefgh"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("user=bob"), "{shown}");
        assert_eq!(mask().header("Authorization", b"x", 10), "***");
        assert_eq!(mask().header("stage", b"paid", 2), "pa...");
        assert_eq!(mask().header("kafka_dlt-original-offset", &7_i64.to_be_bytes(), 9), "7");
        assert_eq!(mask().header("kafka_dlt-original-partition", &3_i32.to_be_bytes(), 9), "3");
        let said = mask().header("kafka_dlt-exception-message", b"refused: user=bob, password=hunter2", 500);
        assert_eq!(said, "refused: user=bob, password=***");
        assert_eq!(mask().header("x", br#" {"pin":"1234","n":007}"#, 500).find("1234"), None);
        assert_eq!(mask().message(r#"bad record {"token":"abc"} at 7"#, 500), r#"bad record {"token":***} at 7"#);
        assert!(Mask::new(&["(".into()]).is_err());
    }

    proptest! {
        #[test]
        fn a_password_never_shows(
            before in "[a-z{}\": ,]{0,20}", secret in "[A-Z]{12}", after in proptest::collection::vec(any::<u8>(), 0..30), most in 0usize..80
        ) {
            let whole = format!(r#"{{"a":"{}","password":"{secret}"}}"#, before.replace(['"', '\\'], ""));
            prop_assert!(!mask().payload(whole.as_bytes(), most).contains(&secret));
            let mut broken = format!(r#"{before} "password": "{secret}""#).into_bytes();
            broken.extend(after);
            prop_assert!(!mask().payload(&broken, 1_000).contains(&secret), "{}", mask().payload(&broken, 1_000));
        }
    }
}
