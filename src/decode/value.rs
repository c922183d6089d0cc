//! What a picked value means: text, a time, one of a few words. Errors carry the field's path.

use std::borrow::Cow;
use std::fmt;

use super::{Fault, fault, time};
use crate::model::{DecodeReason, Outcome, Status, Timestamp};

/// Characters of a refused value that are repeated in the error.
const SHOWN: usize = 40;

/// The words of `status`.
pub(super) const STATUSES: [(&str, Status); 5] = [
    (Status::Ok.name(), Status::Ok),
    (Status::Retried.name(), Status::Retried),
    (Status::Failed.name(), Status::Failed),
    (Status::Compensated.name(), Status::Compensated),
    (Status::DeadLettered.name(), Status::DeadLettered),
];

/// The words of `outcome` on the wire; `timed_out` is a verdict of the engine and never written.
pub(super) const OUTCOMES: [(&str, Outcome); 4] = [
    (Outcome::Ok.name(), Outcome::Ok),
    (Outcome::Failed.name(), Outcome::Failed),
    (Outcome::Compensated.name(), Outcome::Compensated),
    (Outcome::DeadLettered.name(), Outcome::DeadLettered),
];

/// Where a value stands, for errors: `event.error.code`, `map.status`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p>(pub &'p str, pub &'p str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Path<'_> {
    /// Refuses the value here.
    pub(super) fn refuse(self, reason: DecodeReason, detail: impl fmt::Display) -> Fault {
        fault(reason, format!("{self}: {detail}"))
    }

    /// Refuses an absent value.
    pub(super) fn missing(self) -> Fault {
        self.refuse(DecodeReason::MissingField, "missing")
    }

    #[cold]
    fn expected(self, what: impl fmt::Display, got: &Value<'_>) -> Fault {
        self.refuse(DecodeReason::WrongType, format_args!("expected {what}, got {got}"))
    }
}

/// One value. Numbers and booleans are kept as their text: `12345678901234567890123` stays itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Bare(&'a str),
    Object,
    Array,
}

impl<'a> Value<'a> {
    /// From raw JSON; `None` for `null`, which is the same as absent. `escaped`: strings may hold escapes.
    #[inline(always)]
    pub(super) fn of(raw: &'a str, escaped: bool, path: Path<'_>) -> Result<Option<Self>, Fault> {
        Ok(Some(match raw.as_bytes().first() {
            Some(b'"') => {
                let inner = raw.get(1..raw.len() - 1).unwrap_or_default();
                Self::Text(if escaped { Cow::Owned(unescape(raw, path)?) } else { Cow::Borrowed(inner) })
            }
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'n') => return Ok(None),
            _ => Self::Bare(raw),
        }))
    }

    /// From the bytes of a header or a key.
    pub(super) fn of_bytes(bytes: &'a [u8], path: Path<'_>) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes);
        text.map(|t| Self::Text(Cow::Borrowed(t))).map_err(|e| path.refuse(DecodeReason::NotUtf8, e))
    }

    /// A string and nothing else.
    #[inline(always)]
    pub(super) fn string(self, path: Path<'_>) -> Result<Cow<'a, str>, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(path.expected("a string", &other)),
        }
    }

    /// A string, or a number or boolean as its text.
    pub(super) fn text(self, path: Path<'_>) -> Result<Cow<'a, str>, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bare(bare) => Ok(Cow::Borrowed(bare)),
            other => Err(path.expected("a string, a number or a boolean", &other)),
        }
    }

    /// An object and nothing else.
    pub(super) fn object(&self, path: Path<'_>) -> Result<(), Fault> {
        if *self == Self::Object { Ok(()) } else { Err(path.expected("an object", self)) }
    }

    /// A point in time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970 by magnitude.
    pub(super) fn time(&self, path: Path<'_>) -> Result<Option<Timestamp>, Fault> {
        let text = match self {
            Self::Text(text) => text,
            Self::Bare(bare) if !bare.starts_with(['t', 'f']) => *bare,
            other => return Err(path.expected("a time (RFC 3339 or a number since 1970)", other)),
        };
        if text.is_empty() {
            return Ok(None);
        }
        time::parse(text).map(Some).map_err(|e| {
            path.refuse(
                DecodeReason::BadTime,
                format_args!("expected RFC 3339 or a number since 1970, between 1970 and 2200; got {self} ({e})"),
            )
        })
    }

    /// One of a few words; an empty text says nothing.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)], path: Path<'_>) -> Result<Option<T>, Fault> {
        if let Self::Text(text) = self {
            if text.is_empty() {
                return Ok(None);
            }
            if let Some((_, word)) = words.iter().find(|(name, _)| name == text) {
                return Ok(Some(*word));
            }
        }
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        Err(path.expected(format_args!("one of {}", names.join(", ")), self))
    }
}

/// The text of a JSON string with escapes.
#[cold]
fn unescape(raw: &str, path: Path<'_>) -> Result<String, Fault> {
    // The grammar was checked when it was picked: what is left to fail is half a surrogate pair.
    let detail = "an escape that is no character (half a surrogate pair)";
    serde_json::from_str(raw).map_err(|_| path.refuse(DecodeReason::NotUtf8, detail))
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", shorten(text)),
            Self::Bare(bare) => f.write_str(&shorten(bare)),
            Self::Object => f.write_str("an object"),
            Self::Array => f.write_str("an array"),
        }
    }
}

/// The first characters of a text, and dots where more follow.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
