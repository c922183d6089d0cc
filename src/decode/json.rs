//! One pass over a JSON text that picks out the wanted values and skips all others.
//!
//! A [`Shape`] is a trie of pointer segments. Picked values stay what they are in the text (a raw
//! slice): a number keeps its digits, a string its escapes, until somebody asks what they mean.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{Path, Value};
use super::{Fault, fault};
use crate::model::DecodeReason;

/// The most values that one shape can want: event v1, CloudEvents and event v1 in `data` together want 29.
pub(super) const SLOTS: usize = 32;

/// The picked values as raw JSON, by slot.
#[derive(Debug, Default)]
pub(super) struct Slots<'a> {
    raw: [Option<&'a str>; SLOTS],
    escaped: bool,
}

impl<'a> Slots<'a> {
    /// True where the text has this member and it is not `null`.
    pub(super) fn has(&self, slot: usize) -> bool {
        self.raw[slot].is_some_and(|raw| raw != "null")
    }

    /// The value of a member; `None` where it is absent or `null`.
    #[inline(always)]
    pub(super) fn value(&self, slot: usize, path: Path<'_>) -> Result<Option<Value<'a>>, Fault> {
        self.raw[slot].map_or(Ok(None), |raw| Value::of(raw, self.escaped, path))
    }
}

/// A text that the parser may see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub text: &'a str,
    /// False where no string of it can hold an escape.
    escaped: bool,
}

impl<'a> Text<'a> {
    /// `None` where it nests deeper than `cap` (or than the parser could follow).
    ///
    /// A text can only do so with more than `cap` opening brackets: counting those is one vectorised
    /// pass, and enough for nearly every record. The same pass looks for backslashes.
    pub(super) fn new(text: &'a str, cap: usize) -> Option<Self> {
        let cap = cap.min(PARSER_DEPTH);
        let (mut opening, mut escaped) = (0_usize, false);
        for chunk in text.as_bytes().chunks(128) {
            // '[' | 0x20 == '{'; a chunk has at most 128 of them, which a byte holds.
            opening += usize::from(chunk.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>());
            escaped |= chunk.iter().fold(false, |found, b| found | (*b == b'\\'));
        }
        (opening <= cap || deepest(text) <= cap).then_some(Self { text, escaped })
    }
}

/// Nesting that the parser underneath refuses whatever the configuration says (its own cap is 128).
const PARSER_DEPTH: usize = 120;

/// What to pick: a node of a trie of JSON pointer segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    slot: Option<usize>,
    children: Vec<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    key: Box<str>,
    /// The key as an index of an array, where it can be one (RFC 6901: no leading zeros, no sign).
    index: Option<usize>,
    shape: Shape,
}

impl Shape {
    /// Wants the value at `path`; the same path twice is the same slot.
    ///
    /// # Panics
    /// Above [`SLOTS`] paths: shapes are made of a fixed list of fields.
    pub(super) fn want<S: AsRef<str>>(&mut self, path: &[S], used: &mut usize) -> usize {
        let mut node = self;
        for segment in path {
            let segment = segment.as_ref();
            let at = node.children.iter().position(|child| *child.key == *segment).unwrap_or_else(|| {
                let index = segment.parse().ok().filter(|i: &usize| i.to_string() == segment);
                node.children.push(Child { key: segment.into(), index, shape: Self::default() });
                node.children.len() - 1
            });
            node = &mut node.children[at].shape;
        }
        *node.slot.get_or_insert_with(|| {
            assert!(*used < SLOTS, "a shape wants more than {SLOTS} values");
            *used += 1;
            *used - 1
        })
    }

    /// Picks the wanted values out of one JSON text.
    pub(super) fn pick<'a>(&self, text: Text<'a>, slots: &mut Slots<'a>) -> Result<(), Fault> {
        slots.escaped = text.escaped;
        let mut parser = serde_json::Deserializer::from_str(text.text);
        let picked = Pick { shape: self, slots }.deserialize(&mut parser).and_then(|()| parser.end());
        picked.map_err(|e| fault(DecodeReason::InvalidJson, format!("payload: {e}")))
    }

    /// The child of this name, looked for from `expected` on: producers write their members in one order.
    #[inline]
    fn child(&self, key: &str, expected: usize) -> Option<usize> {
        let is_it = |child: &Child| *child.key == *key;
        let (before, from) = self.children.split_at_checked(expected)?;
        let later = from.iter().position(is_it).map(|at| at + expected);
        later.or_else(|| before.iter().position(is_it))
    }

    fn element(&self, index: usize) -> Option<&Self> {
        self.children.iter().find(|child| child.index == Some(index)).map(|child| &child.shape)
    }
}

/// Reads one value: picks it, walks into it, or skips it.
struct Pick<'s, 'o, 'a> {
    shape: &'s Shape,
    slots: &'o mut Slots<'a>,
}

impl<'a> DeserializeSeed<'a> for Pick<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        match (self.shape.slot, self.shape.children.is_empty()) {
            (None, true) => parser.deserialize_ignored_any(IgnoredAny).map(drop),
            (None, false) => parser.deserialize_any(self),
            (Some(slot), leaf) => {
                let raw = <&RawValue as serde::Deserialize>::deserialize(parser)?.get();
                self.slots.raw[slot] = Some(raw);
                if !leaf && raw.starts_with(['{', '[']) {
                    // Wanted itself and for what is in it: read twice, which only `error` of event v1 is.
                    let mut parser = serde_json::Deserializer::from_str(raw);
                    parser.deserialize_any(self).map_err(serde::de::Error::custom)?;
                }
                Ok(())
            }
        }
    }
}

impl<'a> Visitor<'a> for Pick<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let mut expected = 0;
        while let Some(child) = map.next_key_seed(Key { of: self.shape, expected })? {
            match child {
                Some(at) => {
                    expected = at + 1;
                    map.next_value_seed(Pick { shape: &self.shape.children[at].shape, slots: self.slots })?;
                }
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<(), S::Error> {
        let nothing = Shape::default();
        let mut index = 0;
        while let Some(()) =
            seq.next_element_seed(Pick { shape: self.shape.element(index).unwrap_or(&nothing), slots: self.slots })?
        {
            index += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads one key and says which child it names.
struct Key<'s> {
    of: &'s Shape,
    expected: usize,
}

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.of.child(key, self.expected))
    }
}

/// Nesting of a text, brackets within strings left out.
fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}
